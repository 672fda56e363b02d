package api

import (
	"context"
	"fmt"

	"matchday/errs"
	"matchday/sportsbook"
)

func (a *API) offerRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/events", id: "events", tag: "Offer", who: whoPublic,
			params:  []param{paramJurisdiction, paramStatus, paramCursor, paramLimit},
			summary: "Events with markets and prices, by start time",
			detail:  "Prices are those of the session's jurisdiction; without a session the parameter jurisdiction is required.", end: reading(a.listEvents)},
		{method: "GET", path: "/v1/events/{id}", id: "event-by-id", tag: "Offer", who: whoPublic, params: []param{paramJurisdiction},
			summary: "One event with markets and prices", end: reading(a.findEvent)},
		{method: "GET", path: "/v1/live", id: "live", tag: "Offer", who: whoPublic, params: []param{paramJurisdiction}, endless: true,
			summary: "Changes as they happen, as server-sent events",
			detail: "First hello; then price, market and score, and for a signed-in player balance and bet. Nothing missed while away is " +
				"replayed: after hello, read again what you show. A client that reads too slowly is disconnected.",
			end: answering(a.serveLive)},
	}
}

func (a *API) listEvents(ctx context.Context, c *call) (List[Event], error) {
	j, err := c.jurisdiction()
	if err != nil {
		return List[Event]{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return List[Event]{}, err
	}
	events, next, err := a.deps.Sportsbook.ListEvents(ctx, sportsbook.EventQuery{Jurisdiction: j,
		Status: sportsbook.EventStatus(c.query.Get("status")), Cursor: c.query.Get("cursor"), Limit: limit})
	if err != nil {
		return List[Event]{}, fmt.Errorf("list events: %w", err)
	}
	return listOf(events, next, eventOf), nil
}

func (a *API) findEvent(ctx context.Context, c *call) (Event, error) {
	j, err := c.jurisdiction()
	if err != nil {
		return Event{}, err
	}
	which, err := c.eventID()
	if err != nil {
		return Event{}, err
	}
	e, err := a.deps.Sportsbook.FindEvent(ctx, j, which)
	if err != nil {
		return Event{}, fmt.Errorf("find event %s: %w", which, err)
	}
	return eventOf(e), nil
}

// eventID returns the path's id of an event, market or selection, bounded.
func (c *call) eventID() (string, error) {
	which := c.r.PathValue("id")
	if len(which) > 200 {
		return "", errs.New(errs.CodeNotFound, "no such %s", c.route.tag)
	}
	return which, nil
}
