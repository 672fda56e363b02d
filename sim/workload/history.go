package workload

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"

	"matchday/id"
	"matchday/ledger"
	"matchday/stream"
)

// HistoryGames is the number of games that the bets of [History] are on. The number of bets is a multiple.
const HistoryGames = 16

// History makes bets as the ledger's log holds them: singles and parlays of two legs, placed in the order
// of their number by players of the usual skew, and settled game after game. It keeps nothing, and may be
// used by several goroutines.
type History struct {
	players, bets int
	seed          uint64
}

// NewHistory returns a source of at least so many bets of n players.
func NewHistory(n, bets int, seed uint64) *History {
	return &History{players: n, bets: (bets + HistoryGames - 1) / HistoryGames * HistoryGames, seed: seed}
}

// Bets returns how many bets there are.
func (h *History) Bets() int { return h.bets }

// historyBet is what follows from the number of a bet.
type historyBet struct {
	id     id.Bet
	player player
	stake  int64
	game   int
	legs   int
}

func (h *History) bet(n int) historyBet {
	rng := rand.New(rand.NewPCG(h.seed, uint64(n))) // #nosec: not for secrets
	b := historyBet{id: id.Bet(fmt.Sprintf("bet_%026d", n)), player: playerOf(Skewed(rng, h.players)), game: n % HistoryGames, legs: 1}
	b.stake = int64(100 + rng.IntN(5_000))
	if rng.IntN(10) < 3 {
		b.legs = 2
	}
	return b
}

// Placed returns the stakes of the bets numbered from to upTo, each with its record.
func (h *History) Placed(from, upTo int) ([]ledger.Transfer, error) {
	return h.transfers(from, upTo, func(n int) (ledger.Transfer, error) {
		b := h.bet(n)
		legs := make([]stream.BetLeg, b.legs)
		for i := range legs {
			market := fmt.Sprintf("mkt_%026d", 4*b.game+i)
			legs[i] = stream.BetLeg{EventID: fmt.Sprintf("2019_05_AWAY%02d_HOME%02d", b.game, b.game), EventName: "Buffalo at Tennessee",
				StartsAtMS: 1_570_381_200_000, MarketID: market, Market: "moneyline", SelectionID: market + ":home", Selection: "home",
				SelectionName: "Tennessee", Price: "-110"}
		}
		return h.transfer("p", &b, ledger.KindStake, stream.TypeBetPlaced, -b.stake, stream.BetPlaced{BetID: b.id, PlayerID: b.player.id,
			Jurisdiction: b.player.territory.Code, Product: "sportsbook", Currency: string(b.player.territory.Currency),
			StakeMinor: b.stake, PotentialPayoutMinor: 2 * b.stake, Legs: legs})
	})
}

// Settled returns the settlements from to upTo, in the order of the games: the stake comes back.
func (h *History) Settled(from, upTo int) ([]ledger.Transfer, error) {
	ofGame := h.bets / HistoryGames
	return h.transfers(from, upTo, func(n int) (ledger.Transfer, error) {
		b := h.bet(n%ofGame*HistoryGames + n/ofGame)
		outcomes := make([]string, b.legs)
		for i := range outcomes {
			outcomes[i] = stream.OutcomePush
		}
		return h.transfer("s", &b, ledger.KindSettlement, stream.TypeBetSettled, b.stake, stream.BetSettled{BetID: b.id, PlayerID: b.player.id,
			Jurisdiction: b.player.territory.Code, Version: 1, Outcome: stream.OutcomePush, PayoutMinor: b.stake,
			Currency: string(b.player.territory.Currency), LegOutcomes: outcomes})
	})
}

func (h *History) transfers(from, upTo int, make1 func(n int) (ledger.Transfer, error)) ([]ledger.Transfer, error) {
	out := make([]ledger.Transfer, 0, upTo-from)
	for n := from; n < min(upTo, h.bets); n++ {
		t, err := make1(n)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// transfer moves minor from the escrow to the player's cash, with a record.
func (h *History) transfer(prefix string, b *historyBet, kind ledger.Kind, recordType string, minor int64, payload any) (ledger.Transfer, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return ledger.Transfer{}, fmt.Errorf("record of bet %s: %w", b.id, err)
	}
	return transfer(prefix+string(b.id), kind, b.player, &stream.Draft{Type: recordType, Subject: string(b.id), Data: data},
		ledger.Posting{Account: ledger.Bets(b.player.territory.Code, "sportsbook"), AmountMinor: -minor},
		ledger.Posting{Account: b.player.cash, AmountMinor: minor}), nil
}
