package sportsbook

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// exposureBet is a bet on some of four markets of two selections each.
func exposureBet(j id.Jurisdiction, stake, payout int64, legs ...int) *stream.BetPlaced {
	b := &stream.BetPlaced{Jurisdiction: j, Currency: "USD", StakeMinor: stake, PotentialPayoutMinor: payout}
	for _, n := range legs {
		market := fmt.Sprintf("gm%d:moneyline", n/2)
		b.Legs = append(b.Legs, stream.BetLeg{
			EventID: fmt.Sprintf("gm%d", n/2), MarketID: market, SelectionID: fmt.Sprintf("%s:%d", market, n%2),
		})
	}
	return b
}

func drawBet(t *rapid.T) *stream.BetPlaced {
	var legs []int
	for market := range 4 {
		if side := rapid.IntRange(-1, 1).Draw(t, "side"); side >= 0 {
			legs = append(legs, 2*market+side)
		}
	}
	if legs == nil {
		legs = []int{0}
	}
	stake := rapid.Int64Range(1, 100).Draw(t, "stake")
	return exposureBet(rapid.SampledFrom([]id.Jurisdiction{nj, on}).Draw(t, "jurisdiction"), stake,
		stake+rapid.Int64Range(0, 400).Draw(t, "profit"), legs...)
}

// TestExposureEqualsItsOpenBets compares the tallies with a plain sum over the bets that hold one.
func TestExposureEqualsItsOpenBets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := ExposureConfig{SelectionPayoutMinor: 1500, MarketPayoutMinor: 2000}
		e := newExposure(limits)
		var open []*stream.BetPlaced
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(open) > 0 && rapid.Bool().Draw(t, "release") {
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				e.release(open[i])
				open = append(open[:i], open[i+1:]...)
				continue
			}
			bet := drawBet(t)
			fits := fitsLimits(open, bet, limits)
			err := e.reserve(bet)
			if (err == nil) != fits || (err != nil && !errs.Is(err, errs.CodeLimitReached)) {
				t.Fatalf("reserve = %v, want accepted: %t", err, fits)
			}
			if err == nil {
				open = append(open, bet)
			}
		}
		compareExposure(t, e, open)
		for _, bet := range open {
			e.release(bet)
			e.release(bet) // twice does no harm beyond the bet itself
		}
		for _, row := range e.rows("") {
			if row.Bets < 0 || row.PayoutMinor < 0 || row.StakeMinor < 0 {
				t.Fatalf("below zero: %+v", row)
			}
		}
	})
}

// sums adds up the payouts of open bets by selection and by market.
func sums(open []*stream.BetPlaced) map[string]int64 {
	by := make(map[string]int64)
	for _, bet := range open {
		for _, leg := range bet.Legs {
			by[string(bet.Jurisdiction)+leg.SelectionID] += bet.PotentialPayoutMinor
			by[string(bet.Jurisdiction)+leg.MarketID] += bet.PotentialPayoutMinor
		}
	}
	return by
}

func fitsLimits(open []*stream.BetPlaced, bet *stream.BetPlaced, limits ExposureConfig) bool {
	by := sums(append(append([]*stream.BetPlaced{}, open...), bet))
	for _, leg := range bet.Legs {
		if by[string(bet.Jurisdiction)+leg.SelectionID] > limits.SelectionPayoutMinor ||
			by[string(bet.Jurisdiction)+leg.MarketID] > limits.MarketPayoutMinor {
			return false
		}
	}
	return true
}

func compareExposure(t *rapid.T, e *exposure, open []*stream.BetPlaced) {
	want := sums(open)
	for _, row := range e.rows("") {
		if got := row.PayoutMinor; got != want[string(row.Jurisdiction)+row.SelectionID] || got > row.LimitMinor {
			t.Fatalf("%s in %s: %d, want %d", row.SelectionID, row.Jurisdiction, got, want[string(row.Jurisdiction)+row.SelectionID])
		}
		delete(want, string(row.Jurisdiction)+row.SelectionID)
	}
	for key, n := range want {
		if key[len(key)-1] != 'e' && n != 0 { // markets end in "moneyline"
			t.Fatalf("%s has %d reserved and no row", key, n)
		}
	}
}

func TestExposureNeverPassesItsLimitUnderConcurrency(t *testing.T) {
	t.Parallel()
	const limit = 1000
	e := newExposure(ExposureConfig{SelectionPayoutMinor: limit, MarketPayoutMinor: 2 * limit})
	var wg sync.WaitGroup
	var held atomic.Int64
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				bet := exposureBet(nj, 10, 70, (worker+i)%2, 2+i%2)
				if e.reserve(bet) != nil {
					continue
				}
				if n := held.Add(1); n > 2*(limit/70) {
					t.Errorf("%d bets of 70 hold reservations on two selections of %d", n, limit)
				}
				held.Add(-1)
				if i%3 != 0 {
					e.release(bet)
				}
			}
		})
	}
	wg.Wait()
	for _, row := range e.rows("") {
		if row.PayoutMinor > limit || row.PayoutMinor != 70*row.Bets {
			t.Errorf("row = %+v, want whole bets of 70 up to %d", row, limit)
		}
	}
}

func TestExposureIsGivenBackAndRestored(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := setupDesk(t)
	d.game("gm1")
	d.fund("plr_1", nj, 5000)
	r, err := d.Place(ctx, single("plr_1", "k1", "gm1"))
	must(t, err)
	bet := &stream.BetPlaced{
		BetID: r.BetID, PlayerID: "plr_1", Jurisdiction: nj, Currency: "USD", StakeMinor: 1000, PotentialPayoutMinor: 2540, Legs: r.Legs,
	}
	d.exposure.release(bet)
	if bets, payout := d.reserved(); bets != 0 || payout != 0 {
		t.Errorf("%d bets and %d reserved after the release", bets, payout)
	}
	d.exposure.restore(bet)
	rows, err := d.Exposure(ctx, "gm1")
	must(t, err)
	if len(rows) != 1 || rows[0].PayoutMinor != 2540 || rows[0].StakeMinor != 1000 || rows[0].EventID != "gm1" {
		t.Errorf("exposure = %+v, want the bet again", rows)
	}
	if _, err := d.Exposure(ctx, "gm9"); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("exposure of an unknown event: %v, want not_found", err)
	}
}
