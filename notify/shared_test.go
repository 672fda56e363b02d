package notify

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// sharing is two processes over one log and one database. Epochs go up from turn to turn.
type sharing struct {
	*world
	services [2]*Service
	turns    [2]*streamtest.Turns
	stop     func() // ends the second process
}

func newSharing(t *testing.T) *sharing {
	t.Helper()
	w := &sharing{turns: [2]*streamtest.Turns{streamtest.NewTurns(), streamtest.NewTurns()}}
	w.world = setup(t, engineOf{mariadb.Shared(t), w.turns[0].Hold})
	w.services[0] = w.Service
	w.services[1], w.stop = w.join(w.turns[1].Hold)
	return w
}

// holds reports whether a process applies every shard, or none.
func (w *sharing) holds(n int, all bool) bool {
	return !slices.ContainsFunc(w.services[n].sinks, func(s *stream.Sink) bool { return s.IsHeld() != all })
}

// made returns how many requests of a process had such an outcome.
func (w *sharing) made(n int, outcomes ...string) (sum float64) {
	w.t.Helper()
	families, err := w.services[n].deps.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "matchday_notify_attempts_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if slices.Contains(outcomes, m.GetLabel()[0].GetValue()) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// position returns how far the database says that the log of shard 0 is queued.
func (w *sharing) position(e engineOf) (seq int64) {
	w.t.Helper()
	q := "SELECT seq FROM " + databaseOf(w.config.Cluster) + ".sink_position WHERE shard = 0"
	if err := e.server.Admin().QueryRowContext(w.t.Context(), q).Scan(&seq); err != nil {
		w.t.Fatal(err)
	}
	return seq
}

// TestWhoWasReplacedSendsAndWritesNothing leaves the first process in the belief that it delivers, as one that was stopped and
// wakes up. Nobody else does then: the fence alone keeps it from it.
func TestWhoWasReplacedSendsAndWritesNothing(t *testing.T) {
	t.Parallel()
	w, r := newSharing(t), newReceiver(t)
	e := engineOf{server: mariadb.Shared(t)}
	w.turns[0].Give(1)
	w.until("the first turn", func() bool { return w.holds(0, true) })
	r.answers(func(received) int { return http.StatusServiceUnavailable })
	sub, _ := w.subscribe(r.URL, "*")
	w.happen(0, "matchday.bet.placed", "a1", "a", "US-NJ")
	w.until("an attempt", func() bool { return w.made(0, "failed") > 0 })
	w.turns[1].Give(2)
	w.until("the take-over", func() bool { return w.holds(1, true) })
	w.stop()
	if !w.holds(0, true) {
		t.Fatal("the first process knows that it was replaced: this proves nothing")
	}
	// What had passed the fence may end. Filing it is refused once, the next look is the second time.
	w.until("refused requests", func() bool { return w.made(0, "fenced") >= 2 })
	sent := w.made(0, "failed", "delivered", "dead")
	before, err := w.Deliveries(t.Context(), sub.ID, 0, 10)
	if err != nil || len(before) != 1 {
		t.Fatalf("deliveries %+v, %v", before, err)
	}
	w.until("more refused requests", func() bool { return w.made(0, "fenced") >= 4 })
	if now := w.made(0, "failed", "delivered", "dead"); now != sent {
		t.Errorf("%v requests after it was replaced", now-sent)
	}
	w.happen(0, "matchday.bet.placed", "a2", "a", "US-NJ")
	w.until("the first one notices", func() bool { return w.services[0].sinks[0].Trouble() != "" })
	if got := w.services[0].sinks[0].Trouble(); !strings.Contains(got, "higher epoch") {
		t.Errorf("trouble %q", got)
	}
	after, err := w.Deliveries(t.Context(), sub.ID, 0, 10)
	if err != nil || !slices.Equal(after, before) || w.position(e) != 1 {
		t.Fatalf("%+v at %d, %v; want %+v at 1: a process wrote after it was replaced", after, w.position(e), err, before)
	}
	r.answers(func(received) int { return http.StatusNoContent })
	w.turns[0].Give(0)
	w.turns[1].Give(3)
	w.services[1], _ = w.join(w.turns[1].Hold)
	w.until("both are delivered", func() bool { return w.made(1, "delivered") == 2 })
	all := r.all()
	if last := all[len(all)-1]; last.event.Subject != "a2" {
		t.Errorf("%v, want a2 last", r.subjects())
	}
	for _, one := range all[:len(all)-1] {
		if one.event.Subject != "a1" || one.delivery != all[0].delivery {
			t.Errorf("%s of %s, want that the delivery of a1 keeps its id %s", one.delivery, one.event.Subject, all[0].delivery)
		}
	}
}

// TestTurnsUnderWay hands the shards to and fro while deliveries are under way.
func TestTurnsUnderWay(t *testing.T) {
	t.Parallel()
	w, r := newSharing(t), newReceiver(t)
	w.turns[0].Give(1)
	w.until("the first turn", func() bool { return w.holds(0, true) })
	_, secret := w.subscribe(r.URL, "*")
	const rounds, each, players = 6, 30, 5
	for turn := range rounds {
		for i := range each {
			n := turn*each + i
			w.happen(n%players%2, "matchday.bet.placed", strconv.Itoa(n), id.Player(fmt.Sprintf("p%d", n%players)), "US-NJ")
		}
		w.until("some deliveries", func() bool { return heard(r) > turn*each+each/3 })
		w.turns[turn%2].Give(0)
		w.turns[1-turn%2].Give(int64(turn + 2))
	}
	w.until("all deliveries", func() bool { return heard(r) == rounds*each })
	checkHeard(t, r, players, secret)
	if w.made(0, "delivered") == 0 || w.made(1, "delivered") == 0 {
		t.Error("one process has delivered nothing: this proves nothing")
	}
}

// heard counts the events that came at least once.
func heard(r *receiver) int {
	seen := map[string]bool{}
	for _, one := range r.all() {
		seen[one.event.Subject] = true
	}
	return len(seen)
}

// checkHeard looks at what came: each event under one delivery and signed, and of each player none before the one before it
// was heard. Subjects are numbers, every player's so many apart.
func checkHeard(t *testing.T, r *receiver, players int, secret string) {
	t.Helper()
	newest := map[id.Player]int{}
	deliveries := map[string]string{}
	for _, one := range r.all() {
		n, err := strconv.Atoi(one.event.Subject)
		if err != nil {
			t.Fatal(err)
		}
		last, known := newest[one.event.Player]
		if known && n > last+players || !known && n >= players {
			t.Errorf("player %s hears of %d after %d: one between was not sent before it", one.event.Player, n, last)
		}
		newest[one.event.Player] = max(last, n)
		if first, again := deliveries[one.event.ID]; again && first != one.delivery {
			t.Errorf("event %s came as delivery %s and %s", one.event.ID, first, one.delivery)
		}
		deliveries[one.event.ID] = one.delivery
		if !verifies(one, secret) {
			t.Errorf("event %s: signature %s does not fit", one.event.ID, one.signature)
		}
	}
}

// TestSubscriptionsAreManagedFromAnyProcess changes one in a process that does not deliver.
func TestSubscriptionsAreManagedFromAnyProcess(t *testing.T) {
	t.Parallel()
	w, r := newSharing(t), newReceiver(t)
	w.turns[0].Give(1)
	w.until("the first turn", func() bool { return w.holds(0, true) })
	ctx, other := t.Context(), w.services[1]
	sub, secret, err := other.Subscribe(ctx, NewSubscription{URL: r.URL, Types: []string{"*"}, CreatedBy: "test"})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	heardOf := func(subject string) func() bool { return func() bool { return slices.Contains(r.subjects(), subject) } }
	w.happen(1, "matchday.bet.placed", "one", "p", "US-NJ") // at once: nothing is missed
	w.until("the first delivery", heardOf("one"))
	must(other.Ping(ctx, sub.ID))
	w.until("the ping", heardOf(sub.ID))
	must(other.Pause(ctx, sub.ID))
	w.happen(1, "matchday.bet.placed", "two", "p", "US-NJ")
	w.until("it waits", func() bool {
		one, err := w.services[0].Find(ctx, sub.ID)
		must(err)
		return one.State == StatePaused && one.Queued == 1
	})
	if heardOf("two")() {
		t.Error("a paused subscription got a delivery")
	}
	second, err := other.RotateSecret(ctx, sub.ID)
	must(err)
	must(other.Resume(ctx, sub.ID))
	w.until("the delivery that waited", heardOf("two"))
	all := r.all()
	if last := all[len(all)-1]; !verifies(last, secret) || !verifies(last, second) {
		t.Errorf("signed %s, want both secrets from the first request on", last.signature)
	}
	list, err := other.Deliveries(ctx, sub.ID, 0, 10)
	if err != nil || len(list) != 3 {
		t.Fatalf("deliveries %+v, %v", list, err)
	}
	must(other.Redeliver(ctx, sub.ID, list[2].ID))
	w.until("the first one again", func() bool { return w.made(0, "delivered") == 4 })
	must(other.Delete(ctx, sub.ID))
	w.happen(1, "matchday.bet.placed", "three", "p", "US-NJ")
	w.until("the log is passed", func() bool { return w.services[0].sinks[1].Position() == 3 })
	if left, err := w.services[0].List(ctx); err != nil || len(left) != 0 || heardOf("three")() || w.made(1, "delivered") != 0 {
		t.Errorf("after the end: %+v, %v, heard %v", left, err, r.subjects())
	}
}

// TestSharingNeedsACluster refuses webhooks in a file where several processes would have it.
func TestSharingNeedsACluster(t *testing.T) {
	t.Parallel()
	if err := (Config{Dir: "d"}).CheckShared(); err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("a file: %v, want it refused", err)
	}
	c := Config{Dir: "d"}
	c.Cluster.Nodes = []string{"127.0.0.1:1"}
	if err := c.CheckShared(); err != nil {
		t.Errorf("a cluster: %v", err)
	}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "cluster.") {
		t.Errorf("a cluster without an account: %v", err)
	}
}
