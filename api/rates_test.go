package api

import (
	"testing"
	"time"
)

func TestRatesLookBackTenMinutes(t *testing.T) {
	t.Parallel()
	at := func(second int64) time.Time { return time.Unix(1_000_000+second, 5) }
	r := newRates(at(0))
	r.count(rateBets, 3, at(0))
	r.count(rateBets, 2, at(0))
	r.count(rateReads, 1, at(10))
	r.count(rateDeposits, 1, at(9)) // a clock may step back a little
	got := r.series(at(11))
	if !got.From.Equal(time.Unix(1_000_011-599, 0)) || len(got.Bets) != 599 {
		t.Fatalf("series from %s with %d steps, want 599 up to the last whole second", got.From, len(got.Bets))
	}
	if got.Bets[588] != 5 || got.Reads[598] != 1 || got.Deposits[597] != 1 || sum(got.Bets) != 5 {
		t.Errorf("bets %d, reads %d, deposits %d at their seconds, want 5, 1 and 1", got.Bets[588], got.Reads[598], got.Deposits[597])
	}
	if later := r.series(at(700)); sum(later.Bets)+sum(later.Reads) != 0 {
		t.Errorf("after ten minutes the series still has %d", sum(later.Bets)+sum(later.Reads))
	}
	r.count(rateBets, 1, at(-1000))
	if later := r.series(at(701)); sum(later.Bets) != 0 {
		t.Error("a count from long ago is shown now")
	}
}
