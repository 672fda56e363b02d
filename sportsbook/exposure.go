package sportsbook

import (
	"context"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// ExposureConfig bounds what open bets may cost in one jurisdiction, in minor units of its currency.
// Zero takes the default.
type ExposureConfig struct {
	// SelectionPayoutMinor bounds the sum of potential payouts of the bets with a leg on one
	// selection; default 10 billion.
	SelectionPayoutMinor int64 `yaml:"selection_payout_minor"`
	// MarketPayoutMinor bounds the same sum over all selections of a market; default 20 billion. It is
	// a gross bound: bets on opposite sides do not offset each other.
	MarketPayoutMinor int64 `yaml:"market_payout_minor"`
}

// Default exposure limits.
const (
	defaultSelectionPayout = 10_000_000_000
	defaultMarketPayout    = 20_000_000_000
)

// WithDefaults returns the configuration with everything filled in that was left out.
func (c ExposureConfig) WithDefaults() ExposureConfig {
	if c.SelectionPayoutMinor == 0 {
		c.SelectionPayoutMinor = defaultSelectionPayout
	}
	if c.MarketPayoutMinor == 0 {
		c.MarketPayoutMinor = defaultMarketPayout
	}
	return c
}

// ExposureRow is what open bets on one selection may cost in one jurisdiction.
type ExposureRow struct {
	EventID      string
	MarketID     string
	SelectionID  string
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	Bets         int64
	StakeMinor   int64 // a parlay counts in full on each of its legs
	PayoutMinor  int64 // worst case: every bet with a leg here wins
	LimitMinor   int64 // on PayoutMinor
}

// Exposure lists the exposure of one event, or of all for the empty id, in order of selection id
// and jurisdiction. Selections without open bets are left out.
func (s *Service) Exposure(_ context.Context, eventID string) ([]ExposureRow, error) {
	if eventID != "" && s.catalogue.event(eventID) == nil {
		return nil, errs.New(errs.CodeNotFound, "no event %.80q", eventID)
	}
	return s.exposure.rows(eventID), nil
}

// exposure counts what open bets may cost: per jurisdiction and market, with a tally per selection.
// Every bet counts with its whole potential payout on each of its legs, which is never too little.
//
// Invariants: no tally is below zero; a reservation never takes a tally over its limit, whatever
// runs beside it.
type exposure struct {
	limits ExposureConfig
	mu     sync.RWMutex
	cells  map[exposureKey]*exposureCell
}

// exposureKey is what a limit applies to.
type exposureKey struct {
	market       string
	jurisdiction id.Jurisdiction
}

// exposureCell is one market in one jurisdiction.
type exposureCell struct {
	event    string
	currency money.Currency
	mu       sync.Mutex
	payout   int64 // sum over tallies
	tallies  []exposureTally
}

// exposureTally is one selection.
type exposureTally struct {
	selection string
	bets      int64
	stake     int64
	payout    int64
}

func newExposure(limits ExposureConfig) *exposure {
	return &exposure{limits: limits.WithDefaults(), cells: make(map[exposureKey]*exposureCell)}
}

// reserve counts a bet before its money moves, all legs or none.
//
// Errors: limit_reached, naming the leg.
func (e *exposure) reserve(bet *stream.BetPlaced) error {
	for i := range bet.Legs {
		if err := e.cell(bet, i).add(&bet.Legs[i], bet, e.limits); err != nil {
			e.releaseLegs(bet, i)
			return err
		}
	}
	return nil
}

// restore counts an open bet that was placed before this process started, or that a corrected result
// opened again. It has been accepted, so no limit stops it.
func (e *exposure) restore(bet *stream.BetPlaced) {
	unlimited := ExposureConfig{SelectionPayoutMinor: math.MaxInt64, MarketPayoutMinor: math.MaxInt64}
	for i := range bet.Legs {
		// Without limits only an overflow refuses; accepted bets are bounded far below one.
		_ = e.cell(bet, i).add(&bet.Legs[i], bet, unlimited)
	}
}

// release gives back what a bet reserved, once it is settled or was not accepted.
func (e *exposure) release(bet *stream.BetPlaced) { e.releaseLegs(bet, len(bet.Legs)) }

// releaseLegs gives back the first n legs.
func (e *exposure) releaseLegs(bet *stream.BetPlaced, n int) {
	for i := range n {
		e.cell(bet, i).remove(&bet.Legs[i], bet)
	}
}

// cell returns the cell of a leg, made at first use.
func (e *exposure) cell(bet *stream.BetPlaced, leg int) *exposureCell {
	key := exposureKey{market: bet.Legs[leg].MarketID, jurisdiction: bet.Jurisdiction}
	e.mu.RLock()
	c := e.cells[key]
	e.mu.RUnlock()
	if c != nil {
		return c
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c = e.cells[key]; c == nil {
		c = &exposureCell{event: bet.Legs[leg].EventID, currency: money.Currency(bet.Currency)}
		e.cells[key] = c
	}
	return c
}

// tally returns the tally of a selection, made at first use. The caller holds mu.
func (c *exposureCell) tally(selection string) *exposureTally {
	for i := range c.tallies {
		if c.tallies[i].selection == selection {
			return &c.tallies[i]
		}
	}
	c.tallies = append(c.tallies, exposureTally{selection: selection})
	return &c.tallies[len(c.tallies)-1]
}

func (c *exposureCell) add(leg *stream.BetLeg, bet *stream.BetPlaced, limits ExposureConfig) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally(leg.SelectionID)
	selection, ok := money.AddMinor(t.payout, bet.PotentialPayoutMinor)
	if !ok || selection > limits.SelectionPayoutMinor {
		return errs.New(errs.CodeLimitReached, "no more bets are taken on %s in %s at this stake", leg.SelectionName, leg.EventName)
	}
	market, ok := money.AddMinor(c.payout, bet.PotentialPayoutMinor)
	if !ok || market > limits.MarketPayoutMinor {
		return errs.New(errs.CodeLimitReached, "no more bets are taken on the %s of %s at this stake", leg.Market, leg.EventName)
	}
	t.bets++
	t.stake += bet.StakeMinor // at most the payout, which fits
	t.payout, c.payout = selection, market
	return nil
}

func (c *exposureCell) remove(leg *stream.BetLeg, bet *stream.BetPlaced) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.tally(leg.SelectionID)
	if t.bets == 0 || t.payout < bet.PotentialPayoutMinor || t.stake < bet.StakeMinor {
		return // released twice: keep the books of risk above zero
	}
	t.bets--
	t.stake -= bet.StakeMinor
	t.payout -= bet.PotentialPayoutMinor
	c.payout -= bet.PotentialPayoutMinor
}

// rows lists the tallies of an event, or all for the empty id.
func (e *exposure) rows(eventID string) []ExposureRow {
	e.mu.RLock()
	cells := maps.Clone(e.cells)
	e.mu.RUnlock()
	rows := make([]ExposureRow, 0, 2*len(cells))
	for key, c := range cells {
		if eventID != "" && c.event != eventID {
			continue
		}
		c.mu.Lock()
		for _, t := range c.tallies {
			if t.bets == 0 {
				continue
			}
			rows = append(rows, ExposureRow{
				EventID: c.event, MarketID: key.market, SelectionID: t.selection, Jurisdiction: key.jurisdiction,
				Currency: c.currency, Bets: t.bets, StakeMinor: t.stake, PayoutMinor: t.payout,
				LimitMinor: e.limits.SelectionPayoutMinor,
			})
		}
		c.mu.Unlock()
	}
	slices.SortFunc(rows, func(a, b ExposureRow) int {
		if n := strings.Compare(a.SelectionID, b.SelectionID); n != 0 {
			return n
		}
		return strings.Compare(string(a.Jurisdiction), string(b.Jurisdiction))
	})
	return rows
}
