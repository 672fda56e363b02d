package sportsbook

import (
	"context"
	"time"

	"matchday/errs"
	"matchday/odds"
)

// SetPrice changes the price of one selection, and the market's line if one is given.
//
// Errors: not_found, invalid; conflict if the selection has another version than By expects, or its
// market is closed.
func (s *Service) SetPrice(ctx context.Context, c PriceChange) error {
	e, m, k, ok := s.catalogue.selection(c.SelectionID)
	if !ok {
		return errs.New(errs.CodeNotFound, "no selection %.140q", c.SelectionID)
	}
	by := c.By
	by.ExpectedVersion = 0
	all := MarketPrices{
		MarketID: m.id, Jurisdiction: c.Jurisdiction, By: by,
		Prices: map[string]odds.Price{m.selections[k].code: c.Price},
	}
	if c.Line != nil {
		line := *c.Line
		if m.kind == Spread && k == 1 {
			line = -line
		}
		all.Line = &line
	}
	eventID := e.id
	return s.setPrices(ctx, all, func(d *draft) error {
		e, err := d.event(eventID)
		if err != nil {
			return err
		}
		return expectVersion("selection", c.By.ExpectedVersion, e.market(all.MarketID).selections[k].version)
	})
}

// SetPrices changes prices and line of a market in one step. A zero price with a jurisdiction takes
// that jurisdiction's own price away.
//
// Errors: not_found, invalid; conflict if the market has another version than By expects, or is closed.
func (s *Service) SetPrices(ctx context.Context, c MarketPrices) error {
	return s.setPrices(ctx, c, func(d *draft) error {
		_, m, err := d.market(c.MarketID)
		if err != nil {
			return err
		}
		return expectVersion("market", c.By.ExpectedVersion, m.version)
	})
}

func (s *Service) setPrices(ctx context.Context, c MarketPrices, precondition func(*draft) error) error {
	_, m := s.catalogue.marketEvent(c.MarketID)
	if m == nil {
		return errs.New(errs.CodeNotFound, "no market %.120q", c.MarketID)
	}
	if err := s.checkPrices(c, m.kind); err != nil {
		return err
	}
	return s.change(ctx, c.By.Actor, func(d *draft) error {
		if err := precondition(d); err != nil {
			return err
		}
		_, m, err := d.market(c.MarketID)
		if err != nil {
			return err
		}
		if !m.takesBets() {
			return errs.New(errs.CodeConflict, "market %s is %s", m.id, m.status)
		}
		m.setPrices(c)
		return nil
	})
}

// checkPrices checks what can be checked without the market's state.
func (s *Service) checkPrices(c MarketPrices, kind MarketType) error {
	var check errs.Check
	checkActor(&check, c.By.Actor)
	checkCodes(&check, "prices", kind, c.Prices)
	checkLine(&check, "line", kind, c.Line)
	if c.Jurisdiction != "" {
		if _, err := s.deps.Jurisdictions.Find(c.Jurisdiction); err != nil {
			check.Add("jurisdiction", "%.20q is not a jurisdiction here", string(c.Jurisdiction))
		}
		if c.Line != nil {
			check.Add("line", "belongs to the market and cannot differ by jurisdiction")
		}
	}
	for code, p := range c.Prices {
		if p.IsZero() && c.Jurisdiction == "" {
			check.Add("prices."+code, "is required")
		}
	}
	return check.Err()
}

// setPrices applies a checked change.
func (m *marketState) setPrices(c MarketPrices) {
	if c.Line != nil && *c.Line != m.line {
		m.setLine(*c.Line)
	}
	for k := range m.selections {
		x := &m.selections[k]
		price, named := c.Prices[x.code]
		switch {
		case !named:
		case c.Jurisdiction == "":
			x.price = price
		default:
			x.own = withOwn(x.own, c.Jurisdiction, price)
		}
	}
}

// expectVersion is the optimistic check of By.ExpectedVersion.
func expectVersion(what string, expected, now int64) error {
	if expected != 0 && expected != now {
		return errs.New(errs.CodeConflict, "the %s has version %d by now, not %d", what, now, expected)
	}
	return nil
}

// SetMarketStatus opens, suspends or closes a market. Void it with VoidMarket; it becomes settled
// when its bets are.
//
// Errors: not_found, invalid; conflict if the market is settled or void, if it shall take bets after
// its event has started, or if it has another version than By expects.
func (s *Service) SetMarketStatus(ctx context.Context, marketID string, status MarketStatus, by By) error {
	var check errs.Check
	checkActor(&check, by.Actor)
	if status != MarketOpen && status != MarketSuspended && status != MarketClosed {
		check.Add("status", "must be open, suspended or closed")
	}
	if err := check.Err(); err != nil {
		return err
	}
	return s.change(ctx, by.Actor, func(d *draft) error {
		e, m, err := d.market(marketID)
		if err != nil {
			return err
		}
		if err := expectVersion("market", by.ExpectedVersion, m.version); err != nil {
			return err
		}
		return e.setStatus(m, status, d.at)
	})
}

func (e *eventState) setStatus(m *marketState, status MarketStatus, now time.Time) error {
	if m.status == MarketSettled || m.status == MarketVoid {
		return errs.New(errs.CodeConflict, "market %s is %s", m.id, m.status)
	}
	if status == MarketClosed {
		m.close(e.closingTime(now), MarketClosed)
		return nil
	}
	if e.status != EventScheduled || !now.Before(e.startsAt) {
		return errs.New(errs.CodeConflict, "event %s has started", e.id)
	}
	m.status, m.closedAt = status, time.Time{}
	return nil
}

// SuspendEvent suspends all open markets of an event, or opens all suspended ones again.
//
// Errors: not_found, invalid; conflict if the event has another version than By expects.
func (s *Service) SuspendEvent(ctx context.Context, eventID string, suspend bool, by By) error {
	var check errs.Check
	if checkActor(&check, by.Actor); check.Err() != nil {
		return check.Err()
	}
	from, to := MarketOpen, MarketSuspended
	if !suspend {
		from, to = to, from
	}
	return s.change(ctx, by.Actor, func(d *draft) error {
		e, err := d.event(eventID)
		if err != nil {
			return err
		}
		if err := expectVersion("event", by.ExpectedVersion, e.version); err != nil {
			return err
		}
		for i := range e.markets {
			if e.markets[i].status == from {
				e.markets[i].status = to
			}
		}
		return nil
	})
}

// UpdateScore notes the score of an event in play. An event with a score has started, whatever its
// schedule says: its markets close.
//
// Errors: not_found, invalid; conflict if the event has ended or has another version than By expects.
func (s *Service) UpdateScore(ctx context.Context, eventID string, home, away int, by By) error {
	var check errs.Check
	checkActor(&check, by.Actor)
	checkScores(&check, home, away)
	if err := check.Err(); err != nil {
		return err
	}
	return s.change(ctx, by.Actor, func(d *draft) error {
		e, err := d.event(eventID)
		if err != nil {
			return err
		}
		if err := expectVersion("event", by.ExpectedVersion, e.version); err != nil {
			return err
		}
		if e.status == EventEnded {
			return errs.New(errs.CodeConflict, "event %s has ended", eventID)
		}
		e.homeScore, e.awayScore = home, away
		e.start(d.at)
		return nil
	})
}

func checkScores(check *errs.Check, home, away int) {
	if home < 0 || home > maxScore {
		check.Add("home_score", "must be 0 to %d", maxScore)
	}
	if away < 0 || away > maxScore {
		check.Add("away_score", "must be 0 to %d", maxScore)
	}
}

// start makes a scheduled event live and closes its markets.
func (e *eventState) start(now time.Time) {
	if e.status == EventScheduled {
		e.status = EventLive
	}
	e.closeMarkets(e.closingTime(now))
}

// closeMarkets ends betting on every market that may still take bets.
func (e *eventState) closeMarkets(at time.Time) {
	for i := range e.markets {
		if m := &e.markets[i]; m.takesBets() {
			m.close(at, MarketClosed)
		}
	}
}

// closeStarted starts every event whose time has come. Placement looks at the time itself; this
// makes it visible and durable.
func (s *Service) closeStarted(ctx context.Context) error {
	now := s.deps.Clock.Now()
	var due []string
	for _, slot := range s.catalogue.listed() {
		e := slot.state.Load()
		if e.startsAt.After(now) {
			break
		}
		if e.status == EventScheduled {
			due = append(due, e.id)
		}
	}
	if len(due) == 0 {
		return nil
	}
	return s.change(ctx, "clock", func(d *draft) error {
		for _, eventID := range due {
			e, err := d.event(eventID)
			if err != nil {
				return err
			}
			if e.status == EventScheduled && !e.startsAt.After(d.at) {
				e.start(d.at)
			}
		}
		return nil
	})
}
