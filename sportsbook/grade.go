package sportsbook

import (
	"fmt"

	"matchday/odds"
	"matchday/stream"
)

// outcomeOpen is the outcome of a leg or bet that is not decided yet, as BetSettled spells it.
const outcomeOpen = ""

// gradedLeg is what the payout of a bet needs to know of one leg.
type gradedLeg struct {
	price   odds.Price
	outcome string // one of the stream.Outcome constants, or outcomeOpen
}

// gradeLeg returns the outcome of one leg at a final score: won, lost or push.
//
// Units:  line in hundredths of a point, as the player accepted it; ignored for a moneyline.
// Errors: a market or selection this sportsbook does not offer. Such a bet is never graded by
// guess: it stays open and is reported.
// Source: testdata/grade.txt, which traders keep.
func gradeLeg(market, selection string, line odds.Line, home, away int) (string, error) {
	var margin int // of the selection, in hundredths of a point: above zero wins, zero is a tie
	switch market + " " + selection {
	case "moneyline home":
		margin = home - away
	case "moneyline away":
		margin = away - home
	case "spread home":
		margin = (home-away)*100 + int(line)
	case "spread away":
		margin = (away-home)*100 + int(line)
	case "total over":
		margin = (home+away)*100 - int(line)
	case "total under":
		margin = int(line) - (home+away)*100
	default:
		return outcomeOpen, fmt.Errorf("grade leg: no market %.20q with selection %.20q", market, selection)
	}
	switch {
	case margin > 0:
		return stream.OutcomeWon, nil
	case margin < 0:
		return stream.OutcomeLost, nil
	}
	return stream.OutcomePush, nil
}

// gradeBet returns outcome and payout of a bet from the outcomes of its legs. One lost leg loses the
// bet, even while others are undecided. Pushed and voided legs drop out, as if the bet had been
// struck without them; if nothing else is left the stake goes back, as push or, when every leg was
// voided, as void. Otherwise the bet waits for its last leg.
//
// Units:    minor units, stake included in the payout.
// Rounding: down, once, by [odds.Payout]; the payout never exceeds the accepted potential.
// Errors:   [odds.ErrRange] and [odds.ErrPrice] for bets that placement could not have accepted.
// Source:   testdata/grade.txt.
func gradeBet(stakeMinor, potentialMinor int64, legs []gradedLeg) (outcome string, payoutMinor int64, err error) {
	var won, pushed, void int
	for _, l := range legs {
		switch l.outcome {
		case stream.OutcomeLost:
			return stream.OutcomeLost, 0, nil
		case stream.OutcomeWon:
			won++
		case stream.OutcomePush:
			pushed++
		case stream.OutcomeVoid:
			void++
		}
	}
	switch {
	case len(legs) == 0:
		return outcomeOpen, 0, fmt.Errorf("grade bet: it has no legs")
	case won+pushed+void < len(legs):
		return outcomeOpen, 0, nil
	case won == 0 && pushed == 0:
		return stream.OutcomeVoid, stakeMinor, nil
	case won == 0:
		return stream.OutcomePush, stakeMinor, nil
	}
	payoutMinor, err = wonPayout(stakeMinor, won, legs)
	if err != nil {
		return outcomeOpen, 0, fmt.Errorf("grade bet: %w", err)
	}
	return stream.OutcomeWon, min(payoutMinor, potentialMinor), nil
}

// wonPayout multiplies the stake by the prices of the won legs.
func wonPayout(stakeMinor int64, won int, legs []gradedLeg) (int64, error) {
	var few [8]odds.Price // most bets: no allocation
	prices := few[:0]
	if won > len(few) {
		prices = make([]odds.Price, 0, won)
	}
	for _, l := range legs {
		if l.outcome == stream.OutcomeWon {
			prices = append(prices, l.price)
		}
	}
	return odds.Payout(stakeMinor, prices)
}
