package sportsbook

import (
	"context"
	"encoding/base64"
	"sort"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
)

// Bounds of lists.
const (
	defaultPage = 50
	maxPage     = 200
)

// ListEvents lists the events that a jurisdiction is offered, by start time, and the cursor of the
// next page, empty at the end.
//
// Errors: invalid.
func (s *Service) ListEvents(_ context.Context, q EventQuery) ([]Event, string, error) {
	var check errs.Check
	if q.Jurisdiction == "" {
		check.Add("jurisdiction", "is required")
	}
	if q.Limit < 0 || q.Limit > maxPage {
		check.Add("limit", "must be 1 to %d", maxPage)
	}
	if q.Limit == 0 {
		q.Limit = defaultPage
	}
	switch q.Status {
	case "", EventScheduled, EventLive, EventEnded:
	default:
		check.Add("status", "must be scheduled, live or ended")
	}
	after, err := parseCursor(q.Cursor)
	if err != nil {
		check.Add("cursor", "is not a cursor of this list")
	}
	if err := check.Err(); err != nil {
		return nil, "", err
	}
	order := s.catalogue.listed()
	first := sort.Search(len(order), func(i int) bool { return compareOrder(order[i].state.Load(), after) > 0 })
	page := make([]Event, 0, min(q.Limit, len(order)-first))
	for _, slot := range order[first:] {
		e := slot.state.Load()
		if (q.Status != "" && e.status != q.Status) || !e.offeredIn(q.Jurisdiction) {
			continue
		}
		if len(page) == q.Limit {
			return page, cursorAfter(page[len(page)-1]), nil
		}
		page = append(page, e.view(q.Jurisdiction))
	}
	return page, "", nil
}

// cursorAfter names the place after an event in the order of listing.
func cursorAfter(e Event) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(e.StartsAt.UnixMicro(), 10) + " " + e.ID))
}

// parseCursor reads a cursor; the empty one is the place before all events.
func parseCursor(cursor string) (*eventState, error) {
	if cursor == "" {
		return &eventState{}, nil
	}
	const longest = 200
	raw, err := base64.RawURLEncoding.DecodeString(cursor[:min(len(cursor), longest)])
	if err != nil {
		return nil, err
	}
	starts, eventID, _ := strings.Cut(string(raw), " ")
	us, err := strconv.ParseInt(starts, 10, 64)
	if err != nil {
		return nil, err
	}
	return &eventState{startsAt: time.UnixMicro(us).UTC(), id: eventID}, nil
}

// FindEvent returns one event as the jurisdiction sees it. An event that it is not offered does not
// exist for it.
//
// Errors: not_found.
func (s *Service) FindEvent(_ context.Context, j id.Jurisdiction, eventID string) (Event, error) {
	e := s.catalogue.event(eventID)
	if e == nil || !e.offeredIn(j) {
		return Event{}, errs.New(errs.CodeNotFound, "no event %.80q", eventID)
	}
	return e.view(j), nil
}

// Changes lists the change log of an event, newest first, at most limit lines (1 to 500).
//
// Errors: not_found, invalid.
func (s *Service) Changes(ctx context.Context, eventID string, limit int) ([]MarketChange, error) {
	const most = 500
	if limit < 1 || limit > most {
		var check errs.Check
		check.Add("limit", "must be 1 to %d", most)
		return nil, check.Err()
	}
	if s.catalogue.event(eventID) == nil {
		return nil, errs.New(errs.CodeNotFound, "no event %.80q", eventID)
	}
	return s.catalogue.store.changes(ctx, eventID, limit)
}

// Subscribe calls fn for each change of the offer, after it committed, in order. fn must be quick
// and must not change the offer. The returned function ends the subscription.
func (s *Service) Subscribe(fn func(Update)) (cancel func()) { return s.catalogue.subscribers.add(fn) }
