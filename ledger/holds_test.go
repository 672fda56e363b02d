package ledger

import (
	"context"
	"testing"
	"time"

	"matchday/errs"
)

// holdTests run on a player with 1,000 in cash and say what is where afterwards.
var holdTests = []struct {
	name             string
	run              func(w *world)
	cash, held, bets int64
}{
	{"a hold reserves", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.wantCode(stake("s", "p1", 401), errs.CodeInsufficientFunds)
		w.must(stake("s2", "p1", 400))
	}, 600, 600, 400},
	{"a post moves all of it", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.must(end("e", KindPost, "p1", "h", 0))
	}, 400, 0, 600},
	{"a partial post releases the rest", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.must(end("e", KindPost, "p1", "h", 100))
	}, 900, 0, 100},
	{"a post of more than the hold is invalid", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.wantCode(end("e", KindPost, "p1", "h", 601), errs.CodeInvalid)
	}, 1000, 600, 0},
	{"a release gives it back", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.must(end("e", KindRelease, "p1", "h", 0))
	}, 1000, 0, 0},
	{"a hold ends once", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.must(end("e1", KindPost, "p1", "h", 600))
		w.wantCode(end("e2", KindRelease, "p1", "h", 0), errs.CodeConflict)
		w.wantCode(end("e3", KindPost, "p1", "h", 0), errs.CodeConflict)
		if again := w.must(end("e1", KindPost, "p1", "h", 600)); !again.Replayed {
			w.t.Error("the first end must be replayed")
		}
	}, 400, 0, 600},
	{"a hold ends once within a batch", func(w *world) {
		results, err := w.CommitBatch(context.Background(), LaneInteractive, []Transfer{
			hold("h", "p1", 600, start.Add(time.Hour)), end("e1", KindPost, "p1", "h", 1), end("e2", KindRelease, "p1", "h", 0),
		})
		if err != nil || results[1].Err != nil || !errs.Is(results[2].Err, errs.CodeConflict) {
			w.t.Errorf("got %+v, %v", results, err)
		}
	}, 999, 0, 1},
	{"a hold survives a restart", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.restart()
		w.must(end("e", KindPost, "p1", "h", 0))
	}, 400, 0, 600},
	{"a post after expiry is a conflict", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Minute)))
		w.clock.Advance(time.Minute)
		w.wantCode(end("e", KindPost, "p1", "h", 0), errs.CodeConflict)
	}, 1000, 600, 0},
	{"a debit ends a hold that ran out", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Minute)))
		w.clock.Advance(time.Minute)
		w.must(stake("s", "p1", 1000))
	}, 0, 0, 1000},
	{"an expiry before its time is a conflict", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Minute)))
		w.wantCode(end("e", KindExpire, "p1", "h", 0), errs.CodeConflict)
	}, 1000, 600, 0},
	{"a hold that would have run out is invalid", func(w *world) {
		w.wantCode(hold("h", "p1", 600, start), errs.CodeInvalid)
	}, 1000, 0, 0},
	{"a hold over more than there is is refused for ever", func(w *world) {
		w.wantCode(hold("h", "p1", 1001, start.Add(time.Hour)), errs.CodeInsufficientFunds)
		w.clock.Advance(2 * time.Hour)
		w.wantCode(hold("h", "p1", 1001, start.Add(time.Hour)), errs.CodeInsufficientFunds)
	}, 1000, 0, 0},
	{"another player's hold is not found", func(w *world) {
		w.must(hold("h", "p1", 600, start.Add(time.Hour)))
		w.wantCode(end("e", KindRelease, "p3", "h", 0), errs.CodeNotFound)
	}, 1000, 600, 0},
}

func TestHolds(t *testing.T) {
	t.Parallel()
	cash, bets := PlayerCash("p1", nj), Bets(nj, "sportsbook")
	for _, tt := range holdTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
			w.must(deposit("d", "p1", 1000))
			tt.run(w)
			w.wantBalance(cash, tt.cash, tt.held)
			w.wantBalance(bets, tt.bets, 0)
			w.wantSound()
		})
	}
}

// wantSound stops the ledger and audits its books.
func (w *world) wantSound() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
	if err != nil || len(report.Findings) > 0 {
		w.t.Errorf("audit: %v %v", report.Findings, err)
	}
}

func TestSweeperEndsHoldsThatNobodyAsksAbout(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.must(deposit("d", "p1", 1000))
	r := w.must(hold("h", "p1", 600, start.Add(time.Minute)))
	w.clock.Advance(2 * time.Minute)
	next := r.Position
	next.Seq++
	if err := w.WaitFor(context.Background(), next); err != nil {
		t.Fatal(err)
	}
	w.wantBalance(PlayerCash("p1", nj), 1000, 0)
	w.wantSound()
}
