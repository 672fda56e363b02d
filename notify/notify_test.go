package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// receiver is a webhook's other end. answer says what it answers; it may be changed at any time.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []received
	answer func(received) int
}

type received struct {
	delivery, signature string
	body                []byte
	event               event
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{answer: func(received) int { return http.StatusNoContent }}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return // the sender died in the middle
		}
		one := received{delivery: request.Header.Get(HeaderDelivery), signature: request.Header.Get(HeaderSignature), body: body}
		if err := json.Unmarshal(body, &one.event); err != nil {
			t.Errorf("body %q: %v", body, err)
		}
		r.mu.Lock()
		r.got = append(r.got, one)
		status := r.answer(one)
		r.mu.Unlock()
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answers(fn func(received) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// verifies reports whether a request was signed with the secret.
func verifies(one received, secret string) bool {
	sent, _, _ := strings.Cut(strings.TrimPrefix(one.signature, "t="), ",")
	seconds, err := strconv.ParseInt(sent, 10, 64)
	if err != nil {
		return false
	}
	_, mine, _ := strings.Cut(Sign(time.Unix(seconds, 0), one.body, secret), ",")
	return slices.Contains(strings.Split(one.signature, ","), mine)
}

// subjects returns what the deliveries were about, in the order of arrival.
func (r *receiver) subjects() (out []string) {
	for _, one := range r.all() {
		out = append(out, one.event.Subject)
	}
	return out
}

// world is a log of two shards with its stream and webhooks on it.
type world struct {
	*Service
	t         *testing.T
	clock     *clock.Manual
	log       *streamtest.Log
	config    Config
	transport stream.Transport
}

var start = time.Date(2026, 9, 13, 17, 0, 0, 0, time.UTC)

func setup(t *testing.T, e engineOf, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, clock: clock.NewManual(start), log: streamtest.NewLog(2)}
	dir := t.TempDir()
	streams, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams")}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = streams.Close() })
	w.config = Config{Dir: dir, Allow: []string{"127.0.0.0/8"}, Cluster: e.cluster(t)}
	for _, f := range change {
		f(&w.config)
	}
	w.transport = streams.Transport()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for shard := range w.log.Shards() {
		relay, err := stream.NewRelay(w.log, shard, w.transport, stream.Deps{Clock: w.clock, Log: quiet, Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() { _ = relay.Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	w.Service, _ = w.join(e.hold)
	return w
}

var quiet = slog.New(slog.DiscardHandler)

// join runs a process that delivers, and ends it with the test if stop has not.
func (w *world) join(hold holdFunc) (s *Service, stop func()) {
	w.t.Helper()
	s, err := Open(w.t.Context(), w.config, Deps{Clock: w.clock, Log: quiet, Metrics: prometheus.NewRegistry(), Transport: w.transport, Source: w.log, Hold: hold})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			w.t.Errorf("run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return s, stop
}

// happen commits one record to the shard.
func (w *world) happen(shard int, kind, subject string, player id.Player, j id.Jurisdiction) {
	w.log.Append(shard, w.clock.Now(), 0, stream.Record{Type: kind, Subject: subject, Player: player, Jurisdiction: j, Data: json.RawMessage(`{"n":1}`)})
}

func (w *world) subscribe(url string, types ...string) (Subscription, string) {
	w.t.Helper()
	one, secret, err := w.Subscribe(w.t.Context(), NewSubscription{URL: url, Types: types, CreatedBy: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return one, secret
}

// until polls with the clock running on, so that pauses end.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(5 * time.Minute)
	for !done() {
		select {
		case <-tick.C:
			w.clock.Advance(100 * time.Millisecond)
		case <-limit:
			w.t.Fatalf("not within minutes: %s", what)
		}
	}
}

func testMatchingRecordsAreDeliveredSignedFromTheSubscriptionOn(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e), newReceiver(t)
	w.happen(0, "matchday.bet.placed", "before", "p1", "US-NJ")
	if e.server != nil { // whose sinks wait for no subscription
		w.until("what was before is passed", func() bool { return w.sinks[0].Position() >= 1 })
	}
	_, secret := w.subscribe(r.URL, "matchday.bet.*")
	w.happen(0, "matchday.bet.placed", "one", "p1", "US-NJ")
	w.happen(1, "matchday.deposit.completed", "other", "p2", "US-NJ")
	w.happen(1, "matchday.bet.settled", "two", "p2", "US-PA")
	w.until("both bets", func() bool { return len(r.all()) >= 2 })
	got := r.subjects()
	slices.Sort(got)
	if !slices.Equal(got, []string{"one", "two"}) {
		t.Fatalf("got %v, want one and two: nothing from before, no other type", got)
	}
	for _, one := range r.all() {
		if !verifies(one, secret) {
			t.Errorf("signature %s does not fit", one.signature)
		}
		if one.event.SpecVersion != "1.0" || one.event.ID == "" || one.event.Player == "" || string(one.event.Data) != `{"n":1}` {
			t.Errorf("event %s lacks what it should have", one.body)
		}
	}
}

func testAFailedDeliveryHoldsUpItsPlayerAndNobodyElse(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e), newReceiver(t)
	failures := 0
	r.answers(func(one received) int {
		if one.event.Subject == "a1" && failures < 3 {
			failures++
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	sub, _ := w.subscribe(r.URL, "*")
	for _, s := range []string{"a1", "a2", "a3"} {
		w.happen(0, "matchday.bet.placed", s, "a", "US-NJ")
	}
	w.happen(0, "matchday.bet.placed", "b1", "b", "US-NJ")
	w.until("all of them", func() bool {
		one, err := w.Find(t.Context(), sub.ID)
		return err == nil && one.Queued == 0 && len(r.all()) >= 7
	})
	var ofA []string
	ids := map[string]bool{}
	for _, one := range r.all() {
		if one.event.Player == "a" {
			ofA = append(ofA, one.event.Subject)
		}
		ids[one.delivery] = true
	}
	if !slices.Equal(ofA, []string{"a1", "a1", "a1", "a1", "a2", "a3"}) {
		t.Errorf("player a heard %v, want a1 until it was taken, then a2 and a3", ofA)
	}
	if at := slices.Index(r.subjects(), "b1"); at < 0 || at > 2 {
		t.Errorf("b1 came as number %d of %v: it waited for another player", at, r.subjects())
	}
	if len(ids) != 4 {
		t.Errorf("%d delivery ids for 4 records: an attempt must keep its id", len(ids))
	}
	list, err := w.Deliveries(t.Context(), sub.ID, 0, 10)
	if err != nil || len(list) != 4 || list[3].Attempts != 4 || list[3].State != "delivered" || list[3].EventID != "0-1" {
		t.Errorf("deliveries %+v, %v; want four, the first after four attempts", list, err)
	}
}

func testADeliveryThatIsTooOldIsDeadAndCanBeSentAgain(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e, func(c *Config) { c.RetryFor = 10 * time.Second }), newReceiver(t)
	r.answers(func(received) int { return http.StatusFound }) // a redirect is not followed and no success
	sub, _ := w.subscribe(r.URL, "*")
	w.happen(0, "matchday.bet.placed", "x", "p", "US-NJ")
	var dead []Delivery
	w.until("it is given up", func() bool {
		dead, _ = w.Deliveries(t.Context(), sub.ID, 0, 10)
		return len(dead) == 1 && dead[0].State == "dead"
	})
	if dead[0].Status != http.StatusFound || !strings.Contains(dead[0].Detail, "302") || dead[0].Attempts < 2 {
		t.Errorf("dead delivery %+v, want several attempts and the answer", dead[0])
	}
	r.answers(func(received) int { return http.StatusOK })
	if err := w.Redeliver(t.Context(), sub.ID, dead[0].ID); err != nil {
		t.Fatal(err)
	}
	w.until("it is delivered", func() bool {
		list, _ := w.Deliveries(t.Context(), sub.ID, 0, 10)
		return list[0].State == "delivered"
	})
	if err := w.Redeliver(t.Context(), sub.ID, 999); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("redeliver what is not there: %v, want not_found", err)
	}
}

func testASubscriptionThatOnlyFailsIsDisabledUntilItIsResumed(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e, func(c *Config) { c.DisableAfter = 20 * time.Second }), newReceiver(t)
	r.answers(func(received) int { return http.StatusBadGateway })
	sub, _ := w.subscribe(r.URL, "*")
	w.happen(0, "matchday.bet.placed", "kept", "p", "US-NJ")
	state := func() Subscription {
		one, err := w.Find(t.Context(), sub.ID)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	w.until("it is disabled", func() bool { return state().State == StateDisabled })
	if one := state(); !strings.Contains(one.Reason, "failures") || one.Queued != 1 {
		t.Errorf("disabled %+v, want a reason and the delivery still queued", one)
	}
	r.answers(func(received) int { return http.StatusOK })
	if err := w.Resume(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	w.until("the delivery arrives", func() bool { return state().Queued == 0 })
}

func testAFullQueueDisablesItsSubscriptionOnly(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e, func(c *Config) { c.MaxQueued = 3 }), newReceiver(t)
	full, _ := w.subscribe(r.URL, "matchday.bet.placed")
	other, _ := w.subscribe(r.URL, "matchday.bet.settled")
	if err := w.Pause(t.Context(), full.ID); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		w.happen(0, "matchday.bet.placed", fmt.Sprint("b", n), "p", "US-NJ")
	}
	w.happen(0, "matchday.bet.settled", "s", "p", "US-NJ")
	w.until("the other gets its own", func() bool { return slices.Contains(r.subjects(), "s") })
	one, err := w.Find(t.Context(), full.ID)
	if err != nil || one.State != StateDisabled || one.Queued > 3 || !strings.Contains(one.Reason, "queue is full") {
		t.Errorf("got %+v, %v; want it disabled, with at most 3 queued", one, err)
	}
	if one, err := w.Find(t.Context(), other.ID); err != nil || one.State != StateActive {
		t.Errorf("the other is %v, %v", one.State, err)
	}
}

func testStaffChangeASubscription(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e), newReceiver(t)
	sub, first := w.subscribe(r.URL, "*")
	second, err := w.RotateSecret(t.Context(), sub.ID)
	if err != nil || second == first {
		t.Fatalf("rotate: %v", err)
	}
	if err := w.Ping(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	w.until("the ping", func() bool { return len(r.all()) == 1 })
	ping := r.all()[0]
	if ping.event.Type != TypePing || strings.Count(ping.signature, "v1=") != 2 {
		t.Errorf("ping %s signed %s, want both secrets", ping.body, ping.signature)
	}
	w.clock.Advance(25 * time.Hour)
	if err := w.Ping(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	w.until("the second ping", func() bool { return len(r.all()) == 2 })
	if got := r.all()[1].signature; strings.Count(got, "v1=") != 1 {
		t.Errorf("a day after the rotation: %s, want the new secret only", got)
	}
	for range 2 { // what is so already is no error
		if err := w.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Delete(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Deliveries(t.Context(), sub.ID, 0, 10); err != nil || len(list) != 0 {
		t.Errorf("deliveries of a deleted one: %+v, %v", list, err)
	}
	for name, err := range map[string]error{
		"rotate": func() error { _, err := w.RotateSecret(t.Context(), sub.ID); return err }(),
		"pause":  w.Pause(t.Context(), sub.ID), "resume": w.Resume(t.Context(), sub.ID),
		"delete": w.Delete(t.Context(), sub.ID), "ping": w.Ping(t.Context(), sub.ID),
	} {
		if !errs.Is(err, errs.CodeNotFound) {
			t.Errorf("%s of a deleted one: %v, want not_found", name, err)
		}
	}
}
