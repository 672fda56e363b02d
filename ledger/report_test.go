package ledger

import (
	"fmt"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// settles is a transfer out of escrow: lines are account and amount, in turn.
func (w *world) settles(key string, kind Kind, p id.Player, lines ...any) {
	w.t.Helper()
	t := Transfer{Key: key, Kind: kind, Player: p, Jurisdiction: "US-NJ", Currency: money.USD}
	for i := 0; i < len(lines); i += 2 {
		t.Postings = append(t.Postings, Posting{Account: lines[i].(Address), AmountMinor: int64(lines[i+1].(int))})
	}
	w.must(t)
}

// TestReports grades a day of bets by hand: won, lost, pushed, void, a correction that leaves a debt,
// one that opens a bet again, and another product.
func TestReports(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const p, q = id.Player("plr_a"), id.Player("plr_b")
	bets, revenue := Bets("US-NJ", "sportsbook"), Revenue("US-NJ", "sportsbook")
	cash := func(p id.Player) Address { return PlayerCash(p, "US-NJ") }
	start := w.clock.Now()
	w.must(deposit("d-1", p, 100_00))
	w.must(deposit("d-2", q, 50_00))
	for i, stakeMinor := range []int64{10_00, 20_00, 5_00, 8_00, 7_00} {
		w.must(stake(fmt.Sprintf("bet-%d", i), p, stakeMinor))
	}
	w.settles("casino", KindStake, q, cash(q), -40_00, Bets("US-NJ", "casino"), 40_00)
	w.clock.Advance(time.Hour)
	graded := w.clock.Now()
	w.settles("won", KindSettlement, p, bets, -10_00, cash(p), 25_00, revenue, -15_00) // at 2.50
	w.settles("lost", KindSettlement, p, bets, -20_00, revenue, 20_00)
	w.settles("push", KindSettlement, p, bets, -5_00, cash(p), 5_00)
	w.settles("void", KindVoid, p, bets, -8_00, cash(p), 8_00)
	w.settles("house", KindSettlement, q, Bets("US-NJ", "casino"), -40_00, Revenue("US-NJ", "casino"), 40_00)
	w.clock.Advance(time.Hour)
	corrected := w.clock.Now()
	// The bet that won had lost: 25.00 go back, 3.00 of it as a debt. The one that lost is open again.
	w.settles("owes", KindResettlement, p, cash(p), -22_00, PlayerOwed(p, "US-NJ"), -3_00, revenue, 25_00)
	w.settles("open again", KindResettlement, p, revenue, -20_00, bets, 20_00)
	w.clock.Advance(time.Hour)

	testGGR(t, w, start, graded, corrected)
	testTrial(t, w, start, graded, corrected)
}

func testGGR(t *testing.T, w *world, start, graded, corrected time.Time) {
	ggr := func(name string, from, to time.Time, want ...GGRLine) {
		t.Helper()
		got, err := w.GGR(t.Context(), from, to)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	casino := GGRLine{Jurisdiction: "US-NJ", Currency: money.USD, Product: "casino"}
	sports := GGRLine{Jurisdiction: "US-NJ", Currency: money.USD, Product: "sportsbook"}
	placed, took := casino, casino
	placed.HandleMinor, placed.Placed = 40_00, 1
	took.StakesMinor, took.GGRMinor, took.Settled = 40_00, 40_00, 1
	stakes, settled, corrections := sports, sports, sports
	stakes.HandleMinor, stakes.Placed = 50_00, 5
	settled.StakesMinor, settled.PayoutsMinor, settled.GGRMinor, settled.Settled = 35_00, 30_00, 5_00, 3
	settled.VoidedMinor, settled.Voided = 8_00, 1
	corrections.StakesMinor, corrections.PayoutsMinor = -20_00, -25_00
	corrections.GGRMinor, corrections.CorrectionsMinor, corrections.Corrected = 5_00, 5_00, 2
	ggr("the hour of the stakes", start, graded, placed, stakes)
	ggr("the hour of the results", graded, corrected, took, settled)
	ggr("the hour of the corrections", corrected, w.clock.Now(), corrections)
	ggr("nothing after", w.clock.Now(), w.clock.Now().Add(time.Hour))
	if _, err := w.GGR(t.Context(), corrected, graded); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a period that ends before it begins: %v", err)
	}
}

func testTrial(t *testing.T, w *world, start, graded, corrected time.Time) {
	line := func(kind, name string, debit, credit int64) TrialLine {
		return TrialLine{Jurisdiction: "US-NJ", Currency: money.USD, Type: kind, Name: name, DebitMinor: debit, CreditMinor: credit}
	}
	trial := func(name string, at time.Time, want ...TrialLine) {
		t.Helper()
		got, err := w.TrialBalance(t.Context(), at)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got\n%+v, %v, want\n%+v", name, got, err, want)
		}
	}
	psp := line("psp", "sandbox", 150_00, 0)
	trial("before anything", start.Add(-time.Second))
	trial("after the stakes", graded.Add(-time.Second), line("bets", "casino", 0, 40_00), line("bets", "sportsbook", 0, 50_00),
		line("cash", "", 0, 60_00), psp)
	trial("after the results", corrected.Add(-time.Second), line("bets", "sportsbook", 0, 7_00), line("cash", "", 0, 98_00),
		psp, line("revenue", "casino", 0, 40_00), line("revenue", "sportsbook", 0, 5_00))
	trial("now", time.Time{}, line("bets", "sportsbook", 0, 27_00), line("cash", "", 0, 76_00), line("owed", "", 3_00, 0),
		psp, line("revenue", "casino", 0, 40_00), line("revenue", "sportsbook", 0, 10_00))
}
