package sportsbook

import (
	"context"
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
)

// EnterResult decides an event: its markets close, its score is final, and its bets are settled. A
// result that differs from the last one is a correction and settles again. A correction must name
// the number of decisions it was made from: without it a first result that is sent again, because
// its answer was lost, would undo a correction that somebody entered meanwhile.
//
// Idempotency: the result that stands once more returns its decision.
// Errors: not_found, invalid; conflict if the event has another number of decisions than expected,
// or none is expected, or the first result is too old to correct.
func (s *Service) EnterResult(ctx context.Context, r Result) (Decision, error) {
	var check errs.Check
	checkText(&check, "entered_by", r.EnteredBy, 1)
	checkScores(&check, r.HomeScore, r.AwayScore)
	if err := check.Err(); err != nil {
		return Decision{}, err
	}
	return s.decide(ctx, r.EnteredBy, func(d *draft) (Decision, error) {
		e, err := d.event(r.EventID)
		if err != nil {
			return Decision{}, err
		}
		if e.status == EventEnded && e.homeScore == r.HomeScore && e.awayScore == r.AwayScore {
			return s.standing(ctx, e.id, func(d Decision) bool { return d.Kind == DecisionResult })
		}
		if err := expectDecisions(e, r.ExpectedResultVersion); err != nil {
			return Decision{}, err
		}
		if err := s.checkCorrectable(ctx, e, d.at); err != nil {
			return Decision{}, err
		}
		e.closeMarkets(e.closingTime(d.at))
		e.status, e.homeScore, e.awayScore = EventEnded, r.HomeScore, r.AwayScore
		return Decision{
			EventID: e.id, Kind: DecisionResult, HomeScore: r.HomeScore, AwayScore: r.AwayScore, EnteredBy: r.EnteredBy,
		}, nil
	})
}

// expectDecisions is the optimistic check of a result: optional for the first, required for each
// that corrects it.
func expectDecisions(e *eventState, expected *int) error {
	switch {
	case expected == nil && e.status == EventEnded:
		return errs.New(errs.CodeConflict, "event %s ended %d-%d already; to correct that, name its result version, which is %d",
			e.id, e.homeScore, e.awayScore, e.resultVersion)
	case expected != nil && *expected != e.resultVersion:
		return errs.New(errs.CodeConflict, "event %s has result version %d by now, not %d", e.id, e.resultVersion, *expected)
	}
	return nil
}

// retentionMargin is how much earlier than the first settled bets retire corrections end, so that
// one entered in time is settled in time.
const retentionMargin = 24 * time.Hour

// checkCorrectable refuses a decision that would settle bets of a result again when some of them may
// have been retired: those would keep their old outcome, and nobody would notice.
func (s *Service) checkCorrectable(ctx context.Context, e *eventState, now time.Time) error {
	if e.status != EventEnded {
		return nil
	}
	all, err := s.catalogue.store.decisions(ctx, e.id)
	if err != nil {
		return err
	}
	first := slices.IndexFunc(all, func(d Decision) bool { return d.Kind == DecisionResult })
	if first < 0 {
		return errs.New(errs.CodeInternal, "event %s has ended without a result", e.id)
	}
	retention := s.settler.cfg.Retention
	last := all[first].EnteredAt.Add(retention - min(retentionMargin, retention/2))
	if now.After(last) {
		return errs.New(errs.CodeConflict, "the first result of event %s is of %s and could be corrected until %s: its bets cannot be settled again",
			e.id, all[first].EnteredAt.Format(time.DateTime), last.Format(time.DateTime))
	}
	return nil
}

// VoidMarket declares a market void for good: its legs count as if they were never struck, and bets
// that were settled on it are settled again.
//
// Idempotency: a market that is void already returns the decision that stands.
// Errors: not_found, invalid; conflict if the market has another version than By expects, or the
// event's first result is too old to correct.
func (s *Service) VoidMarket(ctx context.Context, marketID, reason string, by By) (Decision, error) {
	var check errs.Check
	checkActor(&check, by.Actor)
	checkText(&check, "reason", reason, 1)
	if err := check.Err(); err != nil {
		return Decision{}, err
	}
	return s.decide(ctx, by.Actor, func(d *draft) (Decision, error) {
		e, m, err := d.market(marketID)
		if err != nil {
			return Decision{}, err
		}
		if m.status == MarketVoid {
			return s.standing(ctx, e.id, func(d Decision) bool { return d.MarketID == marketID })
		}
		if err := expectVersion("market", by.ExpectedVersion, m.version); err != nil {
			return Decision{}, err
		}
		if err := s.checkCorrectable(ctx, e, d.at); err != nil {
			return Decision{}, err
		}
		m.close(e.closingTime(d.at), MarketVoid)
		return Decision{EventID: e.id, Kind: DecisionVoid, MarketID: m.id, Reason: reason, EnteredBy: by.Actor}, nil
	})
}

// standing returns the last decision of an event that matches, which must exist.
func (s *Service) standing(ctx context.Context, eventID string, matches func(Decision) bool) (Decision, error) {
	all, err := s.catalogue.store.decisions(ctx, eventID)
	if err != nil {
		return Decision{}, err
	}
	for _, d := range slices.Backward(all) {
		if matches(d) {
			return d, nil
		}
	}
	return Decision{}, errs.New(errs.CodeInternal, "event %s is decided without a decision", eventID)
}

// decide makes a change that ends in a decision, numbers it, and hands it to settlement once it is
// durable and visible. fn may return a decision that stands already.
func (s *Service) decide(ctx context.Context, actor string, fn func(*draft) (Decision, error)) (Decision, error) {
	var decision Decision
	fresh := false
	err := s.change(ctx, actor, func(d *draft) error {
		made, err := fn(d)
		if err != nil {
			return err
		}
		if made.Version != 0 {
			decision = made
			return nil
		}
		e, err := d.event(made.EventID)
		if err != nil {
			return err
		}
		e.resultVersion++
		made.Version, made.EnteredAt = e.resultVersion, d.at
		made.SettlementID = s.ids.New(id.KindSettlement)
		d.decisions = append(d.decisions, made)
		decision, fresh = made, true
		return nil
	})
	if err != nil {
		return Decision{}, err
	}
	if fresh {
		s.deps.Log.InfoContext(ctx, "decision entered", "event_id", decision.EventID, "version", decision.Version,
			"settlement_id", decision.SettlementID, "market_id", decision.MarketID, "entered_by", decision.EnteredBy)
		s.settler.decided(decision)
	}
	return decision, nil
}

// Decisions lists the decisions of an event, oldest first.
func (s *Service) Decisions(ctx context.Context, eventID string) ([]Decision, error) {
	if s.catalogue.event(eventID) == nil {
		return nil, errs.New(errs.CodeNotFound, "no event %.80q", eventID)
	}
	return s.catalogue.store.decisions(ctx, eventID)
}

// decisions lists all decisions, oldest first, for settlement to go on after a restart.
func (s *Service) decisions(ctx context.Context) ([]Decision, error) {
	return s.catalogue.store.decisions(ctx, "")
}

// marketFact is what settlement needs to know about a market.
type marketFact struct {
	MarketID  string
	EventID   string
	Type      MarketType
	Status    MarketStatus
	ClosedAt  time.Time // zero while it may take bets
	Void      bool
	Decided   bool // the result is known, or the market is void
	HomeScore int
	AwayScore int
	Version   int // number of decisions of the event
}

// marketFact returns the facts of a market; false if there is no such market.
func (s *Service) marketFact(marketID string) (marketFact, bool) {
	return s.catalogue.marketFact(marketID)
}

// marketFact returns the facts of a market; false if there is no such market.
func (c *catalogue) marketFact(marketID string) (marketFact, bool) {
	e, m := c.marketEvent(marketID)
	if m == nil {
		return marketFact{}, false
	}
	return factOf(e, m), true
}

// eventMarkets returns the facts of all markets of an event.
func (s *Service) eventMarkets(eventID string) []marketFact {
	e := s.catalogue.event(eventID)
	if e == nil {
		return nil
	}
	facts := make([]marketFact, len(e.markets))
	for i := range e.markets {
		facts[i] = factOf(e, &e.markets[i])
	}
	return facts
}

func factOf(e *eventState, m *marketState) marketFact {
	void := m.status == MarketVoid
	return marketFact{
		MarketID: m.id, EventID: e.id, Type: m.kind, Status: m.status, ClosedAt: m.closedAt, Void: void,
		Decided: void || e.status == EventEnded, HomeScore: e.homeScore, AwayScore: e.awayScore, Version: e.resultVersion,
	}
}

// marketsSettled shows the closed markets of a decided event as settled, unless a later decision
// has been entered meanwhile.
func (s *Service) marketsSettled(ctx context.Context, eventID string, version int) error {
	return s.change(ctx, "settlement", func(d *draft) error {
		e, err := d.event(eventID)
		if err != nil {
			return err
		}
		if e.resultVersion != version || e.status != EventEnded {
			return nil
		}
		for i := range e.markets {
			if e.markets[i].status == MarketClosed {
				e.markets[i].status = MarketSettled
			}
		}
		return nil
	})
}
