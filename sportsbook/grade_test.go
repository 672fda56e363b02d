package sportsbook

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

// example is one bet of testdata/grade.txt.
type example struct {
	name, want string
	stake, cap int64
	legs       []gradedLeg
}

func TestGradedExamples(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/grade.txt")
	if err != nil {
		t.Fatal(err)
	}
	examples := parseExamples(t, string(text))
	if len(examples) < 30 {
		t.Fatalf("got %d examples, want the whole table", len(examples))
	}
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			outcome, payout, err := gradeBet(e.stake, e.cap, e.legs)
			if err != nil {
				t.Fatal(err)
			}
			got := "open"
			if outcome != outcomeOpen {
				got = outcome + " " + money.New(payout, money.USD).Amount()
			}
			if got != e.want {
				t.Errorf("got %s, want %s", got, e.want)
			}
		})
	}
}

func parseExamples(t *testing.T, text string) []example {
	t.Helper()
	var all []example
	for n, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		if word == "" || word[0] == '#' {
			continue
		}
		if word == "bet" {
			all = append(all, example{name: rest, cap: money.MaxMinor})
			continue
		}
		e := &all[len(all)-1]
		switch word {
		case "stake":
			e.stake = usd(t, rest)
		case "cap":
			e.cap = usd(t, rest)
		case "leg":
			e.legs = append(e.legs, parseExampleLeg(t, rest))
		case "expect":
			e.want = rest
		default:
			t.Fatalf("line %d: unknown word %q", n+1, word)
		}
	}
	return all
}

func parseExampleLeg(t *testing.T, text string) gradedLeg {
	t.Helper()
	terms, result, _ := strings.Cut(text, " | ")
	words := strings.Fields(terms)
	var line odds.Line
	if len(words) == 4 {
		var err error
		if line, err = odds.ParseLine(words[2]); err != nil {
			t.Fatal(err)
		}
	}
	price, err := odds.ParsePrice(words[len(words)-1])
	if err != nil {
		t.Fatal(err)
	}
	switch result {
	case "void":
		return gradedLeg{price, stream.OutcomeVoid}
	case "open":
		return gradedLeg{price, outcomeOpen}
	}
	home, away, _ := strings.Cut(result, "-")
	outcome, err := gradeLeg(words[0], words[1], line, atoi(t, home), atoi(t, away))
	if err != nil {
		t.Fatal(err)
	}
	return gradedLeg{price, outcome}
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func usd(t *testing.T, text string) int64 {
	t.Helper()
	m, err := money.Parse(text, money.USD)
	if err != nil {
		t.Fatal(err)
	}
	return m.Minor()
}

func TestGradeLegRefusesWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"moneyline", "over"}, {"total", "home"}, {"", ""}, {"spread", "draw"}} {
		if outcome, err := gradeLeg(pair[0], pair[1], 0, 1, 0); err == nil || outcome != outcomeOpen {
			t.Errorf("gradeLeg(%q, %q) = %q, %v, want an error and no outcome", pair[0], pair[1], outcome, err)
		}
	}
}

func TestGradeBetRefusesABetWithoutLegs(t *testing.T) {
	t.Parallel()
	if _, _, err := gradeBet(100, 200, nil); err == nil {
		t.Error("got no error, want one")
	}
}

// genLegs draws legs with any outcome.
func genLegs(t *rapid.T, outcomes ...string) []gradedLeg {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) gradedLeg {
		n := rapid.Int64Range(100, 2000).Draw(t, "american")
		if rapid.Bool().Draw(t, "negative") {
			n = -n
		}
		price, err := odds.American(n)
		if err != nil {
			t.Fatal(err)
		}
		return gradedLeg{price, rapid.SampledFrom(outcomes).Draw(t, "outcome")}
	}), 1, 10).Draw(t, "legs")
}

var everyOutcome = []string{stream.OutcomeWon, stream.OutcomeLost, stream.OutcomePush, stream.OutcomeVoid, outcomeOpen}

func TestGradeDoesNotDependOnTheOrderOfLegs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		legs := genLegs(t, everyOutcome...)
		stake := rapid.Int64Range(1, 1_000_000).Draw(t, "stake")
		shuffled := rapid.Permutation(legs).Draw(t, "order")
		if got, want := graded(stake, shuffled), graded(stake, legs); got != want {
			t.Fatalf("got %s in another order, want %s", got, want)
		}
	})
}

func TestAVoidLegIsAsIfNeverStruck(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		legs := genLegs(t, everyOutcome...)
		stake := rapid.Int64Range(1, 1_000_000).Draw(t, "stake")
		rest := slices.DeleteFunc(slices.Clone(legs), func(l gradedLeg) bool { return l.outcome == stream.OutcomeVoid })
		if len(rest) == 0 {
			return
		}
		if got, want := graded(stake, rest), graded(stake, legs); got != want {
			t.Fatalf("got %s without the void legs, want %s", got, want)
		}
	})
}

func TestAPayoutNeverExceedsThePotential(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		legs := genLegs(t, everyOutcome...)
		stake := rapid.Int64Range(1, 1_000_000).Draw(t, "stake")
		all := slices.Clone(legs)
		for i := range all {
			all[i].outcome = stream.OutcomeWon
		}
		_, potential, err := gradeBet(stake, money.MaxMinor, all)
		if err != nil {
			t.Fatal(err)
		}
		outcome, payout, err := gradeBet(stake, potential, legs)
		if err != nil {
			t.Fatal(err)
		}
		if payout < 0 || payout > potential {
			t.Fatalf("payout %d, want 0 to %d", payout, potential)
		}
		if outcome == stream.OutcomeWon && payout < stake {
			t.Fatalf("a won bet pays %d, want at least its stake %d", payout, stake)
		}
	})
}

func graded(stake int64, legs []gradedLeg) string {
	outcome, payout, err := gradeBet(stake, money.MaxMinor, legs)
	return fmt.Sprint(outcome, payout, err)
}

func BenchmarkGradeBet(b *testing.B) {
	price, _ := odds.American(-110)
	for _, n := range []int{1, 4} {
		legs := slices.Repeat([]gradedLeg{{price, stream.OutcomeWon}}, n)
		b.Run(fmt.Sprintf("legs=%d", n), func(b *testing.B) {
			for b.Loop() {
				if _, _, err := gradeBet(1000, money.MaxMinor, legs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
