package sim

import (
	"fmt"
	"math/big"

	"matchday/stream"
)

// gradedLeg is a leg as the generator accepted it and as the grader needs it.
type gradedLeg struct {
	Game      string
	Market    string // moneyline, spread or total
	Selection string // home, away, over or under
	Line      string // "" for a moneyline
	Price     int    // American
}

// grader grades bets from final scores alone. It is written for plainness and shares no code with the
// sportsbook, so that a mistake in one shows as a difference from the other.
type grader struct {
	scores map[string][2]int // home, away by game id
	margin map[string]*big.Rat
}

func newGrader(games []Game) *grader {
	g := &grader{scores: make(map[string][2]int, len(games)), margin: make(map[string]*big.Rat)}
	for _, game := range games {
		g.scores[game.ID] = [2]int{game.HomeScore, game.AwayScore}
	}
	return g
}

// bet returns the outcome of a bet and its payout in minor units, stake included.
func (g *grader) bet(stakeMinor int64, legs []gradedLeg) (outcome string, payoutMinor int64, err error) {
	payout := new(big.Rat).SetInt64(stakeMinor)
	won, lost := false, false
	for _, leg := range legs {
		sign, err := g.leg(leg)
		if err != nil {
			return "", 0, err
		}
		switch {
		case sign > 0:
			won = true
			payout.Mul(payout, decimalPrice(leg.Price))
		case sign < 0:
			lost = true
		}
	}
	switch {
	case lost:
		return stream.OutcomeLost, 0, nil
	case !won:
		return stream.OutcomePush, stakeMinor, nil
	}
	floor := new(big.Int).Quo(payout.Num(), payout.Denom())
	return stream.OutcomeWon, floor.Int64(), nil
}

// leg returns 1 for won, -1 for lost and 0 for a tie.
func (g *grader) leg(leg gradedLeg) (int, error) {
	score, ok := g.scores[leg.Game]
	if !ok {
		return 0, fmt.Errorf("game %q is not on the slate", leg.Game)
	}
	line, err := g.line(leg)
	if err != nil {
		return 0, err
	}
	home, away := big.NewRat(int64(score[0]), 1), big.NewRat(int64(score[1]), 1)
	switch leg.Market + " " + leg.Selection {
	case "moneyline home", "spread home":
		return new(big.Rat).Add(home, line).Cmp(away), nil
	case "moneyline away", "spread away":
		return new(big.Rat).Add(away, line).Cmp(home), nil
	case "total over":
		return home.Add(home, away).Cmp(line), nil
	case "total under":
		return line.Cmp(home.Add(home, away)), nil
	}
	return 0, fmt.Errorf("no such selection: %s %s", leg.Market, leg.Selection)
}

func (g *grader) line(leg gradedLeg) (*big.Rat, error) {
	if leg.Market == "moneyline" {
		return new(big.Rat), nil
	}
	if line, ok := g.margin[leg.Line]; ok {
		return line, nil
	}
	line, ok := new(big.Rat).SetString(leg.Line)
	if !ok {
		return nil, fmt.Errorf("line %q of a %s leg", leg.Line, leg.Market)
	}
	g.margin[leg.Line] = line
	return line, nil
}

// decimalPrice returns what one unit pays at an American price, stake included.
func decimalPrice(american int) *big.Rat {
	if american > 0 {
		return big.NewRat(int64(american)+100, 100)
	}
	return big.NewRat(int64(-american)+100, int64(-american))
}
