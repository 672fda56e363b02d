package sportsbook

import (
	"fmt"

	"matchday/stream"
)

// Reasons of settlements that a result alone does not explain.
const (
	reasonLate      = "placed after the market closed"
	reasonVoid      = "market void"
	reasonCorrected = "result corrected"
)

// target is what a bet should be settled to by what is known of its markets now.
type target struct {
	outcome     string
	payoutMinor int64
	legOutcomes []string
	reason      string
}

// judge grades bets by the facts of their markets. It is for one goroutine.
type judge struct {
	fact   func(marketID string) (marketFact, bool)
	parser legParser
	graded []gradedLeg
}

// target grades a bet. It does not look at what the bet was settled to before.
//
// Errors: a bet on a market that the catalogue does not know, or that grading refuses. It stays as
// it is: a bet is never settled by guess.
func (j *judge) target(b *bet) (target, error) {
	legs, err := j.parser.parse(b.legs)
	if err != nil {
		return target{}, fmt.Errorf("grade bet %s: %w", b.id, err)
	}
	t := target{legOutcomes: make([]string, len(legs))}
	j.graded = j.graded[:0]
	for i, l := range legs {
		outcome, reason, err := j.gradeFact(l, b.placedUS)
		if err != nil {
			return target{}, fmt.Errorf("grade bet %s: %w", b.id, err)
		}
		if t.reason == "" {
			t.reason = reason
		}
		t.legOutcomes[i] = outcome
		j.graded = append(j.graded, gradedLeg{price: l.price, outcome: outcome})
	}
	t.outcome, t.payoutMinor, err = gradeBet(b.stakeMinor, b.potentialMinor, j.graded)
	if err != nil {
		return target{}, fmt.Errorf("grade bet %s: %w", b.id, err)
	}
	return t, nil
}

// gradeFact returns the outcome of one leg by what is known of its market, and why it is void.
func (j *judge) gradeFact(l leg, placedUS int64) (outcome, reason string, err error) {
	f, ok := j.fact(l.marketID)
	switch {
	case !ok:
		return outcomeOpen, "", fmt.Errorf("market %s is not in the catalogue", l.marketID)
	case !f.Decided:
		return outcomeOpen, "", nil
	case f.Void:
		return stream.OutcomeVoid, reasonVoid, nil
	case !f.ClosedAt.IsZero() && placedUS > f.ClosedAt.UnixMicro():
		return stream.OutcomeVoid, reasonLate, nil
	}
	outcome, err = gradeLeg(l.market, l.selection, l.line, f.HomeScore, f.AwayScore)
	return outcome, "", err
}

// settles returns the command that brings the bet to the target, or false if there is nothing to
// do: it is settled so already, or it waits for more results.
//
// A parlay that was lost by one leg, and whose leg is then corrected while others are still to be
// played, is open again: its stake goes from revenue back to escrow, its exposure counts again, and
// its player sees an open bet, not one that is called lost and may yet be paid.
func (b *bet) settles(t target) (payoutCommand, bool) {
	if b.outcome == t.outcome && (b.isOpen() || b.payoutMinor == t.payoutMinor) {
		return payoutCommand{}, false
	}
	c := payoutCommand{
		BetSettled: stream.BetSettled{
			BetID: b.id, PlayerID: b.player, Jurisdiction: b.jurisdiction, Version: b.version + 1,
			Outcome: t.outcome, PayoutMinor: t.payoutMinor, Currency: string(b.currency),
			LegOutcomes: t.legOutcomes, Reason: t.reason,
		},
		StakeMinor: b.stakeMinor,
		WasOpen:    b.isOpen(),
		PaidMinor:  b.payoutMinor,
	}
	if b.version > 0 && c.Reason == "" {
		c.Reason = reasonCorrected
	}
	return c, true
}
