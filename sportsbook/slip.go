package sportsbook

import (
	"context"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

// QuoteRequest asks what a bet would pay now.
type QuoteRequest struct {
	Jurisdiction id.Jurisdiction
	Stake        money.Money
	Legs         []LegRequest
}

// Quote is what a bet would pay now, and where the offer differs from what the player saw.
type Quote struct {
	Stake           money.Money
	PotentialPayout money.Money
	Legs            []stream.BetLeg
	Changes         []LegChange
}

// Quote prices a slip at the prices of this moment without placing it. It promises nothing.
//
// Errors: invalid, suspended, limit_reached.
func (s *Service) Quote(_ context.Context, req QuoteRequest) (Quote, error) {
	var check errs.Check
	rules := s.checkSlip(&check, req.Jurisdiction, req.Stake, req.Legs)
	if err := check.Err(); err != nil {
		return Quote{}, err
	}
	legs, changes, err := s.priceLegs(req.Jurisdiction, req.Legs, s.deps.Clock.Now())
	if err != nil {
		return Quote{}, err
	}
	payout, err := priceBet(req.Stake, legs, rules.Limits)
	if err != nil {
		return Quote{}, err
	}
	return Quote{
		Stake: req.Stake, PotentialPayout: money.New(payout, rules.Currency), Legs: betLegs(legs), Changes: changes,
	}, nil
}

// pricedLeg is a leg with the offer it was found in.
type pricedLeg struct {
	event     *eventState
	market    *marketState
	selection *selectionState
	price     odds.Price
}

// priceLegs finds the legs in the offer of a jurisdiction at this moment, and lists where they
// differ from what the player saw. Legs that do not go together, or that nobody can bet on, are
// errors that name every such leg.
func (s *Service) priceLegs(j id.Jurisdiction, asked []LegRequest, now time.Time) ([]pricedLeg, []LegChange, error) {
	var check errs.Check
	var suspended []errs.Field
	var changes []LegChange
	legs := make([]pricedLeg, 0, len(asked))
	for i := range asked {
		e, m, k, ok := s.catalogue.selection(asked[i].SelectionID)
		if !ok || !e.offeredIn(j) {
			check.Add(legField(i, "selection_id"), "no such selection")
			continue
		}
		for n := range legs {
			if legs[n].event.id == e.id {
				check.Add(legField(i, "selection_id"), "is on the same event as another leg")
				break
			}
		}
		if m.status != MarketOpen || !now.Before(e.startsAt) {
			suspended = append(suspended, errs.Field{Location: legField(i, "selection_id"), Message: closedText(m, e, now)})
		}
		leg := pricedLeg{event: e, market: m, selection: &m.selections[k], price: m.selections[k].priceIn(j)}
		legs = append(legs, leg)
		line := m.linePtr(k)
		if leg.price != asked[i].Price || !sameLine(line, asked[i].Line) {
			changes = append(changes, LegChange{
				SelectionID: leg.selection.id, Asked: asked[i].Price, AskedLine: asked[i].Line, Now: leg.price, NowLine: line,
			})
		}
	}
	if err := check.Err(); err != nil {
		return nil, nil, err
	}
	if suspended != nil {
		return nil, nil, &errs.Error{Code: errs.CodeSuspended, Detail: "a market takes no bets now", Fields: suspended}
	}
	return legs, changes, nil
}

func closedText(m *marketState, e *eventState, now time.Time) string {
	switch {
	case !now.Before(e.startsAt):
		return "the event has started"
	case m.status == MarketSuspended:
		return "the market is suspended"
	}
	return "the market is closed"
}

func sameLine(a, b *odds.Line) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// refusedChanges returns the changes that a policy does not accept.
func refusedChanges(changes []LegChange, policy PriceChangePolicy) []LegChange {
	var refused []LegChange
	for _, c := range changes {
		better := sameLine(c.AskedLine, c.NowLine) && c.Now.Better(c.Asked)
		if policy == PriceChangeAny || (policy == PriceChangeBetter && better) {
			continue
		}
		refused = append(refused, c)
	}
	return refused
}

// priceBet returns the potential payout, within the jurisdiction's limits.
//
// Rounding: down, once.
// Errors: limit_reached.
func priceBet(stake money.Money, legs []pricedLeg, limits jurisdiction.Limits) (int64, error) {
	limit := func(field, format string, minor int64) error {
		wrong := errs.Field{Location: field, Message: fmt.Sprintf(format, money.New(minor, stake.Currency()))}
		return &errs.Error{Code: errs.CodeLimitReached, Detail: "the bet is outside a limit", Fields: []errs.Field{wrong}}
	}
	if stake.Minor() < limits.MinStakeMinor {
		return 0, limit("stake.amount", "must be at least %s", limits.MinStakeMinor)
	}
	if stake.Minor() > limits.MaxStakeMinor {
		return 0, limit("stake.amount", "must be at most %s", limits.MaxStakeMinor)
	}
	prices := make([]odds.Price, len(legs))
	for i := range legs {
		prices[i] = legs[i].price
	}
	payout, err := odds.Payout(stake.Minor(), prices)
	if err != nil || payout > limits.MaxPayoutMinor {
		return 0, limit("stake.amount", "the potential payout must be at most %s", limits.MaxPayoutMinor)
	}
	return payout, nil
}

// betLegs writes the legs as records carry them.
func betLegs(legs []pricedLeg) []stream.BetLeg {
	out := make([]stream.BetLeg, len(legs))
	for i := range legs {
		l := &legs[i]
		out[i] = stream.BetLeg{
			EventID: l.event.id, EventName: l.event.name, StartsAtMS: l.event.startsAt.UnixMilli(),
			MarketID: l.market.id, Market: string(l.market.kind), SelectionID: l.selection.id,
			Selection: l.selection.code, SelectionName: l.selection.name, Line: l.selection.lineText,
			Price: l.price.String(), Sport: l.event.sport, Competition: l.event.competition,
		}
	}
	return out
}
