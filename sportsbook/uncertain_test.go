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
		u.add(uncertainBet{bet: bet}, e)
	}
	if rows := e.rows(""); rows[0].Bets != maxUncertain {
		t.Errorf("%d reservations wait, want at most %d", rows[0].Bets, maxUncertain)
	}
	if got := len(u.due(kickoff)); got != uncertainPerPass {
		t.Errorf("%d bets to ask about in one pass, want %d", got, uncertainPerPass)
	}
}
