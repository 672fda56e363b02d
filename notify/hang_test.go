package notify

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"matchday/id"
)

// testARequestThatHangsHoldsUpItsPlayerAndNobodyElse lets the request of one player hang until all events of the others have come,
// which are more than a round takes and several to a player.
func testARequestThatHangsHoldsUpItsPlayerAndNobodyElse(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e, func(c *Config) { c.Timeout = time.Minute }), newReceiver(t)
	release, answer := make(chan struct{}), r.Config.Handler
	slow := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		answer.ServeHTTP(out, request) // nothing is flushed before the handler returns
		if all := r.all(); slices.ContainsFunc(all, func(one received) bool {
			return one.delivery == request.Header.Get(HeaderDelivery) && one.event.Subject == "slow0"
		}) {
			select {
			case <-release:
			case <-request.Context().Done(): // the test has failed
			}
		}
	}))
	defer slow.Close()
	sub, _ := w.subscribe(slow.URL, "*")
	for n := range 3 {
		w.happen(0, "matchday.bet.placed", fmt.Sprint("slow", n), "slow", "US-NJ")
	}
	w.until("the request that hangs", func() bool { return len(r.all()) == 1 })
	const players, each = 2 * roundSize, 3
	for n := range players * each {
		w.happen(n%2, "matchday.bet.placed", fmt.Sprint(n), id.Player(fmt.Sprint("p", n%players)), "US-NJ")
	}
	w.until("those of the others", func() bool { return len(r.all()) == 1+players*each })
	if slices.Contains(r.subjects(), "slow1") {
		t.Error("the next of the player was sent before the one before was answered")
	}
	w.until("those of the others are filed", func() bool {
		one, err := w.Find(t.Context(), sub.ID)
		return err == nil && one.Queued == 3
	})
	<-time.After(5 * slowAfter) // most likely no round is under way then, and the answer comes between two
	close(release)
	w.until("all of them", func() bool {
		one, err := w.Find(t.Context(), sub.ID)
		return err == nil && one.Queued == 0
	})
	of := map[id.Player][]string{}
	for _, one := range r.all() {
		of[one.event.Player] = append(of[one.event.Player], one.event.Subject)
	}
	if !slices.Equal(of["slow"], []string{"slow0", "slow1", "slow2"}) {
		t.Errorf("the player whose request hung heard %v", of["slow"])
	}
	for n := range players {
		want := []string{fmt.Sprint(n), fmt.Sprint(n + players), fmt.Sprint(n + 2*players)}
		if got := of[id.Player(fmt.Sprint("p", n))]; !slices.Equal(got, want) {
			t.Errorf("player %d heard %v, want %v", n, got, want)
		}
	}
}

// testManyThatHangKeepNothingFromBeingFiled takes every slot with requests that hang, while more is due.
func testManyThatHangKeepNothingFromBeingFiled(t *testing.T, e engineOf) {
	t.Parallel()
	w, r := setup(t, e, func(c *Config) { c.Timeout = time.Minute }), newReceiver(t)
	release, answer := make(chan struct{}), r.Config.Handler
	slow := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		answer.ServeHTTP(out, request)
		if request.Header.Get(HeaderEvent) != "0-1" { // all but the first
			select {
			case <-release:
			case <-request.Context().Done():
			}
		}
	}))
	defer slow.Close()
	sub, _ := w.subscribe(slow.URL, "*")
	if err := w.Pause(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	queued := func(n int) func() bool {
		return func() bool {
			one, err := w.Find(t.Context(), sub.ID)
			return err == nil && one.Queued == n
		}
	}
	w.happen(0, "matchday.bet.placed", "first", "first", "US-NJ")
	for n := range 2 * sendsAtOnce {
		w.happen(0, "matchday.bet.placed", fmt.Sprint(n), id.Player(fmt.Sprint("p", n)), "US-NJ")
	}
	w.until("all are queued", queued(1+2*sendsAtOnce))
	if err := w.Resume(t.Context(), sub.ID); err != nil {
		t.Fatal(err)
	}
	w.until("what was answered is filed", func() bool { return queued(2*sendsAtOnce)() || len(r.all()) > 1+sendsAtOnce })
	if n := len(r.all()); n > 1+sendsAtOnce {
		t.Errorf("%d requests, want that what was answered is filed before those that hang have ended", n)
	}
	close(release)
	w.until("all are delivered", queued(0))
}
