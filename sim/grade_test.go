package sim

import (
	"fmt"
	"testing"

	"matchday/stream"
)

func TestGrader(t *testing.T) {
	t.Parallel()
	g := newGrader([]Game{{ID: "a", HomeScore: 24, AwayScore: 20}, {ID: "b", HomeScore: 10, AwayScore: 17}, {ID: "tie", HomeScore: 20, AwayScore: 20}})
	leg := func(game, market, selection, line string, price int) gradedLeg {
		return gradedLeg{Game: game, Market: market, Selection: selection, Line: line, Price: price}
	}
	tests := []struct {
		name    string
		stake   int64
		legs    []gradedLeg
		outcome string
		payout  int64
	}{
		{"a favourite wins", 1100, []gradedLeg{leg("a", "moneyline", "home", "", -110)}, stream.OutcomeWon, 2100},
		{"an outsider loses", 1100, []gradedLeg{leg("a", "moneyline", "away", "", 154)}, stream.OutcomeLost, 0},
		{"a tied moneyline pushes", 500, []gradedLeg{leg("tie", "moneyline", "away", "", 154)}, stream.OutcomePush, 500},
		{"the margin covers the spread", 100, []gradedLeg{leg("a", "spread", "home", "-3.5", 103)}, stream.OutcomeWon, 203},
		{"the other side of it loses", 100, []gradedLeg{leg("a", "spread", "away", "3.5", -113)}, stream.OutcomeLost, 0},
		{"a margin of the line pushes", 100, []gradedLeg{leg("a", "spread", "home", "-4", -110)}, stream.OutcomePush, 100},
		{"over the total", 100, []gradedLeg{leg("a", "total", "over", "43.5", -110)}, stream.OutcomeWon, 190},
		{"under the total", 100, []gradedLeg{leg("b", "total", "under", "27.5", 100)}, stream.OutcomeWon, 200},
		{"on the total pushes", 100, []gradedLeg{leg("b", "total", "under", "27", 100)}, stream.OutcomePush, 100},
		{"a parlay multiplies and rounds once", 101, []gradedLeg{leg("a", "moneyline", "home", "", -110), leg("b", "moneyline", "away", "", -110)}, stream.OutcomeWon, 368},
		{"a pushed leg drops out", 1000, []gradedLeg{leg("tie", "moneyline", "home", "", -110), leg("b", "moneyline", "away", "", 150)}, stream.OutcomeWon, 2500},
		{"one lost leg loses all", 1000, []gradedLeg{leg("a", "moneyline", "home", "", -110), leg("b", "moneyline", "home", "", 150)}, stream.OutcomeLost, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outcome, payout, err := g.bet(tt.stake, tt.legs)
			if got, want := fmt.Sprint(outcome, payout, err), fmt.Sprint(tt.outcome, tt.payout, error(nil)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	if _, _, err := g.bet(1, []gradedLeg{leg("nowhere", "moneyline", "home", "", 100)}); err == nil {
		t.Error("a game that is not on the slate must be an error")
	}
}
