package sportsbook

import (
	"context"
	"errors"
	"testing"
	"time"

	"matchday/errs"
	"matchday/ledger"
)

// lateLedger loses the answers of the real ledger, before or after the commit.
type lateLedger struct {
	*ledger.Service
	before, after error
	stuck         error // of Barrier: the writer is held up
}

func (l *lateLedger) Barrier(ctx context.Context, shard int) error {
	if l.stuck != nil {
		return l.stuck
	}
	return l.Service.Barrier(ctx, shard)
}

func (l *lateLedger) Commit(ctx context.Context, lane ledger.Lane, t ledger.Transfer) (ledger.Result, error) {
	if l.before != nil {
		return ledger.Result{}, l.before
	}
	r, err := l.Service.Commit(ctx, lane, t)
	if l.after != nil {
		return ledger.Result{}, l.after
	}
	return r, err
}

func TestReservationOfAnUnansweredBetWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	lost := errs.New(errs.CodeUnavailable, "no answer in time")
	tests := []struct {
		name       string
		late       lateLedger
		at, later  int64 // bets reserved after the request, and after the ledger was asked
		wantReplay bool
	}{
		{"answer lost after the commit", lateLedger{after: lost}, 1, 1, true},
		{"request lost before the commit", lateLedger{before: lost}, 1, 0, false},
		{"a writer that is held up", lateLedger{before: lost, stuck: lost}, 1, 1, false},
		{"turned away by a full queue", lateLedger{before: &errs.Error{Code: errs.CodeUnavailable, Err: ledger.ErrNotTaken}}, 0, 0, false},
		{"call cancelled after the commit", lateLedger{after: context.Canceled}, 1, 1, true},
		{"refused for certain", lateLedger{before: errs.New(errs.CodeInsufficientFunds, "no")}, 0, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			d.game("gm1")
			d.fund("plr_1", nj, 5000)
			tt.late.Service = d.ledger
			d.deps.Ledger = &tt.late
			if _, err := d.Place(ctx, single("plr_1", "k1", "gm1")); !errors.Is(err, tt.late.after) && !errors.Is(err, tt.late.before) {
				t.Fatalf("Place: %v, want the ledger's error", err)
			}
			if bets, _ := d.reserved(); bets != tt.at {
				t.Errorf("%d bets reserved at once, want %d", bets, tt.at)
			}
			d.resolveUncertain(ctx)
			if bets, _ := d.reserved(); bets != tt.at {
				t.Errorf("%d bets reserved while the ledger may still commit, want %d", bets, tt.at)
			}
			d.clock.Advance(uncertainAfter + time.Second)
			d.resolveUncertain(ctx)
			if bets, _ := d.reserved(); bets != tt.later {
				t.Errorf("%d bets reserved after asking the ledger, want %d", bets, tt.later)
			}
			d.deps.Ledger = d.ledger
			r, err := d.Place(ctx, single("plr_1", "k1", "gm1"))
			must(t, err)
			if r.Replayed != tt.wantReplay {
				t.Errorf("retry replayed = %t, want %t", r.Replayed, tt.wantReplay)
			}
			d.clock.Advance(uncertainAfter)
			d.resolveUncertain(ctx) // the writer goes on, so the first bet's place is given back
			if bets, _ := d.reserved(); bets != 1 {
				t.Errorf("%d bets reserved after the retry, want 1", bets)
			}
		})
	}
}

func TestUncertainBetsAreBounded(t *testing.T) {
	t.Parallel()
	e := newExposure(ExposureConfig{})
	var u uncertainBets
	bet := exposureBet(nj, 1, 2, 0)
	for range maxUncertain + 10 {
		must(t, e.reserve(bet))
		u.enter("k")
		u.add(uncertainBet{bet: bet, key: "k", since: kickoff.Add(-uncertainAfter)}, e)
	}
	if got := u.keys["k"]; got != maxUncertain {
		t.Errorf("%d requests are pending, want %d", got, maxUncertain)
	}
	if now := kickoff.Add(-uncertainAfter); !u.pending("another", now) || u.pending("another", now.Add(overflowAfter)) {
		t.Error("want every key pending for a while after the list was full")
	}
	if rows := e.rows(""); rows[0].Bets != maxUncertain {
		t.Errorf("%d reservations wait, want at most %d", rows[0].Bets, maxUncertain)
	}
	if got := len(u.due(kickoff)); got != uncertainPerPass {
		t.Errorf("%d bets to ask about in one pass, want %d", got, uncertainPerPass)
	}
}

// heldLedger holds commits up on their way to the real ledger.
type heldLedger struct {
	*ledger.Service
	arrived, goOn chan struct{}
}

func (l *heldLedger) Commit(ctx context.Context, lane ledger.Lane, t ledger.Transfer) (ledger.Result, error) {
	l.arrived <- struct{}{}
	<-l.goOn
	return l.Service.Commit(ctx, lane, t)
}

// refusingMoves are what may happen to the offer between a request and its retry.
var refusingMoves = []struct {
	name string
	move func(*testing.T, *desk)
	want errs.Code
}{
	{"suspended", func(t *testing.T, d *desk) { must(t, d.SuspendEvent(context.Background(), "gm1", true, staff)) }, errs.CodeSuspended},
	{"moved", func(t *testing.T, d *desk) { mustSetPrice(t, d, "gm1:moneyline:away", "", 120) }, errs.CodePriceChanged},
	{"full", func(_ *testing.T, d *desk) { d.exposure.limits.SelectionPayoutMinor = 1 }, errs.CodeLimitReached},
}

func TestARetryIsNotRefusedWhileTheFirstRequestIsOnItsWay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tt := range refusingMoves {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			d.game("gm1")
			d.fund("plr_1", nj, 5000)
			held := &heldLedger{Service: d.ledger, arrived: make(chan struct{}), goOn: make(chan struct{})}
			d.deps.Ledger = held
			first := make(chan error, 1)
			go func() {
				_, err := d.Place(ctx, single("plr_1", "k1", "gm1"))
				first <- err
			}()
			<-held.arrived
			tt.move(t, d)
			_, err := d.Place(ctx, single("plr_1", "k1", "gm1"))
			if e, ok := errors.AsType[*errs.Error](err); !ok || e.Code != errs.CodeUnavailable || e.RetryAfter <= 0 {
				t.Errorf("retry: %v, want unavailable with a time to ask again", err)
			}
			if _, err := d.Place(ctx, single("plr_1", "k2", "gm1")); errs.CodeOf(err) != tt.want {
				t.Errorf("another key: %v, want %s", err, tt.want)
			}
			held.goOn <- struct{}{}
			must(t, <-first)
			if r, err := d.Place(ctx, single("plr_1", "k1", "gm1")); err != nil || !r.Replayed {
				t.Errorf("retry after the first was accepted: %+v, %v, want its bet", r, err)
			}
			if len(d.uncertain.keys) != 0 {
				t.Errorf("%d keys are pending at the end", len(d.uncertain.keys))
			}
		})
	}
}

func TestARetryIsRefusedOnceTheFirstRequestIsKnownToBeLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, tt := range refusingMoves {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := setupDesk(t)
			d.game("gm1")
			d.fund("plr_1", nj, 5000)
			late := &lateLedger{Service: d.ledger, before: errs.New(errs.CodeUnavailable, "no answer in time")}
			d.deps.Ledger = late
			if _, err := d.Place(ctx, single("plr_1", "k1", "gm1")); !errors.Is(err, late.before) {
				t.Fatalf("Place: %v, want the ledger's error", err)
			}
			tt.move(t, d)
			if _, err := d.Place(ctx, single("plr_1", "k1", "gm1")); !errs.Is(err, errs.CodeUnavailable) {
				t.Errorf("retry: %v, want unavailable", err)
			}
			d.clock.Advance(uncertainAfter)
			d.resolveUncertain(ctx)
			if _, err := d.Place(ctx, single("plr_1", "k1", "gm1")); errs.CodeOf(err) != tt.want {
				t.Errorf("retry after the ledger was asked: %v, want %s", err, tt.want)
			}
		})
	}
}
