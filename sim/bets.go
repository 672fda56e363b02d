package sim

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"matchday/sim/internal/wire"
	"matchday/sim/workload"
)

// trackedBet is an accepted bet as the answer to the player said it.
type trackedBet struct {
	id       string
	player   int32
	stake    int64
	placedAt time.Time
	legs     []gradedLeg
	settled  bool // seen in history
	checked  bool // compared at the end
}

// ledgerOfBets is our side's memory of every accepted bet.
type ledgerOfBets struct {
	mu      sync.Mutex
	byID    map[string]*trackedBet
	strings map[string]string // interned texts of legs
	doubled int               // answers that named a bet already answered for another key
}

func newLedgerOfBets(expected int) *ledgerOfBets {
	return &ledgerOfBets{byID: make(map[string]*trackedBet, expected), strings: make(map[string]string)}
}

// add remembers an accepted bet.
func (l *ledgerOfBets) add(b *trackedBet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range b.legs {
		leg := &b.legs[i]
		leg.Game, leg.Market = l.intern(leg.Game), l.intern(leg.Market)
		leg.Selection, leg.Line = l.intern(leg.Selection), l.intern(leg.Line)
	}
	if _, known := l.byID[b.id]; known {
		l.doubled++
		return
	}
	l.byID[b.id] = b
}

func (l *ledgerOfBets) intern(s string) string {
	if known, ok := l.strings[s]; ok {
		return known
	}
	l.strings[s] = s
	return s
}

// settle marks a bet as seen settled; it returns the bet at its first settlement, otherwise nil.
func (l *ledgerOfBets) settle(id string) *trackedBet {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.byID[id]
	if b == nil || b.settled {
		return nil
	}
	b.settled = true
	return b
}

// count returns how many bets there are.
func (l *ledgerOfBets) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.byID)
}

// receipt is what the generator reads of the answer to POST /v1/bets.
type receipt struct {
	ID       string    `json:"id"`
	PlacedAt time.Time `json:"placed_at"`
	Replayed bool      `json:"replayed"`
	Position string    `json:"position"`
	Legs     []struct {
		EventID   string  `json:"event_id"`
		Market    string  `json:"market"`
		Selection string  `json:"selection"`
		Line      *string `json:"line"`
		Price     string  `json:"price"`
	} `json:"legs"`
}

// tracked returns the bet of a receipt.
func (r *receipt) tracked(player int, stake int64) (*trackedBet, error) {
	b := &trackedBet{id: r.ID, player: int32(player), stake: stake, placedAt: r.PlacedAt, legs: make([]gradedLeg, len(r.Legs))} // #nosec: bounded by options
	for i, leg := range r.Legs {
		price, err := strconv.Atoi(leg.Price)
		if err != nil {
			return nil, err
		}
		b.legs[i] = gradedLeg{Game: leg.EventID, Market: leg.Market, Selection: leg.Selection, Price: price}
		if leg.Line != nil {
			b.legs[i].Line = *leg.Line
		}
	}
	return b, nil
}

// slip is a bet before it is placed.
type slip struct {
	player int
	stake  int64
	legs   []selection
	policy string
	key    string
}

// request writes the body of POST /v1/bets into buf and returns the request.
func (s *slip) request(p *bettor, buf []byte) (wire.Request, []byte) {
	b := append(buf[:0], `{"stake":`...)
	b = appendAmount(b, s.stake, p.territory)
	b = append(b, `,"price_change":"`...)
	b = append(b, s.policy...)
	b = append(b, `","legs":[`...)
	for i, leg := range s.legs {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"selection_id":`...)
		b = strconv.AppendQuote(b, leg.id)
		b = append(b, `,"price":"`...)
		b = append(b, leg.price...)
		b = append(b, '"')
		if leg.line != "" {
			b = append(b, `,"line":"`...)
			b = append(b, leg.line...)
			b = append(b, '"')
		}
		b = append(b, '}')
	}
	b = append(b, `]}`...)
	return wire.Request{Method: "POST", Path: "/v1/bets", Token: p.token, Key: s.key, Body: b}, b
}

// appendAmount appends an amount in the currency of a territory as the API writes it. Both currencies
// of the simulation have cents.
func appendAmount(b []byte, minor int64, territory int) []byte {
	b = append(b, `{"amount":"`...)
	b = strconv.AppendInt(b, minor/100, 10)
	b = append(b, '.', byte('0'+minor/10%10), byte('0'+minor%10))
	b = append(b, `","currency":"`...)
	b = append(b, workload.Territories()[territory].Currency...)
	return append(b, `"}`...)
}

// stakes of singles in minor units, drawn evenly: mostly small, some odd to make rounding matter.
var stakes = []int64{100, 200, 250, 333, 500, 500, 500, 777, 1000, 1000, 1000, 1500, 2000, 2500, 5000}

// drawStake returns a stake; parlays are played for less.
func drawStake(rng *rand.Rand, legs int) int64 {
	if legs > 1 {
		return stakes[rng.IntN(9)]
	}
	return stakes[rng.IntN(len(stakes))]
}

// drawLegs returns how many legs a bet has: singles times in a hundred one, else two to four.
func drawLegs(rng *rand.Rand, singles int) int {
	if rng.IntN(100) < singles {
		return 1
	}
	return [...]int{2, 2, 2, 2, 2, 2, 3, 3, 3, 4}[rng.IntN(10)]
}

// drawPolicy returns which price changes a player accepts.
func drawPolicy(rng *rand.Rand) string {
	switch n := rng.IntN(10); {
	case n < 6:
		return "none"
	case n < 9:
		return "better"
	}
	return "any"
}

// drawSelection returns a selection of a game: moneyline and spread more often than total.
func drawSelection(rng *rand.Rand, open []selection) selection {
	market := [...]string{"moneyline", "moneyline", "spread", "spread", "total"}[rng.IntN(5)]
	start := rng.IntN(len(open))
	for i := range open {
		if s := open[(start+i)%len(open)]; s.market == market {
			return s
		}
	}
	return open[start]
}
