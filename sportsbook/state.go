package sportsbook

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"matchday/id"
	"matchday/odds"
)

// eventState is an event as the catalogue holds it: every jurisdiction's prices in one value. It is
// never changed once published; a change publishes a new one.
type eventState struct {
	id            string
	sport         string
	competition   string
	name          string
	home          string
	away          string
	homeCode      string
	awayCode      string
	stadium       string
	startsAt      time.Time
	status        EventStatus
	homeScore     int
	awayScore     int
	week          int
	season        int
	jurisdictions []id.Jurisdiction
	markets       []marketState
	version       int64
	resultVersion int
}

// marketState is a market with its two selections: home and away, or over and under.
type marketState struct {
	id         string
	kind       MarketType
	status     MarketStatus
	closedAt   time.Time
	line       odds.Line // of selection 0; meaningless for a moneyline
	selections [2]selectionState
	version    int64
}

// selectionState is a selection with its price everywhere and the prices of single jurisdictions.
type selectionState struct {
	id       string
	code     string
	name     string
	price    odds.Price
	own      map[id.Jurisdiction]odds.Price // replaced, never edited
	lineText *string                        // as records spell it; nil for a moneyline
	version  int64
}

// slot is where the current state of an event is read. Slots live as long as the process.
type slot struct{ state atomic.Pointer[eventState] }

// selectionCodes returns the codes of a market type's two selections, or false for no such type.
func selectionCodes(kind MarketType) ([2]string, bool) {
	switch kind {
	case Moneyline, Spread:
		return [2]string{CodeHome, CodeAway}, true
	case Total:
		return [2]string{CodeOver, CodeUnder}, true
	}
	return [2]string{}, false
}

// newMarketState builds an open market of an event; prices and line have been checked.
func newMarketState(e *eventState, n NewMarket) marketState {
	codes, _ := selectionCodes(n.Type)
	m := marketState{id: e.id + ":" + string(n.Type), kind: n.Type, status: MarketOpen}
	for i, code := range codes {
		m.selections[i] = selectionState{
			id: m.id + ":" + code, code: code, name: e.selectionName(code), price: n.Prices[code],
		}
	}
	if n.Line != nil {
		m.setLine(*n.Line)
	}
	return m
}

// selectionName returns what a bettor calls the selection.
func (e *eventState) selectionName(code string) string {
	switch code {
	case CodeHome:
		return e.home
	case CodeAway:
		return e.away
	case CodeOver:
		return "Over"
	}
	return "Under"
}

// setLine moves the line of both selections.
func (m *marketState) setLine(l odds.Line) {
	m.line = l
	for i := range m.selections {
		text := m.lineOf(i).String()
		m.selections[i].lineText = &text
	}
}

// lineOf returns the line of selection i: a spread's away line mirrors the home line.
func (m *marketState) lineOf(i int) odds.Line {
	if m.kind == Spread && i == 1 {
		return -m.line
	}
	return m.line
}

// linePtr returns a fresh pointer to the line of selection i, nil for a moneyline.
func (m *marketState) linePtr(i int) *odds.Line {
	if m.kind == Moneyline {
		return nil
	}
	l := m.lineOf(i)
	return &l
}

// takesBets reports whether the market may still take bets, now or after a suspension.
func (m *marketState) takesBets() bool {
	return m.status == MarketOpen || m.status == MarketSuspended
}

// close ends betting at the time, unless it ended before.
func (m *marketState) close(at time.Time, status MarketStatus) {
	if m.closedAt.IsZero() {
		m.closedAt = at
	}
	m.status = status
}

// priceIn returns the selection's price in a jurisdiction.
func (x *selectionState) priceIn(j id.Jurisdiction) odds.Price {
	if p, ok := x.own[j]; ok {
		return p
	}
	return x.price
}

// offeredIn reports whether a jurisdiction is offered the event. The empty jurisdiction, most likely
// a mistake of the caller, is offered nothing.
func (e *eventState) offeredIn(j id.Jurisdiction) bool {
	if j == "" || j == Everywhere {
		return j == Everywhere
	}
	return len(e.jurisdictions) == 0 || slices.Contains(e.jurisdictions, j)
}

// clone returns a copy that can be changed without touching the original.
func (e *eventState) clone() *eventState {
	c := *e
	c.markets = slices.Clone(e.markets)
	return &c
}

// market returns the market with the id, nil if there is none.
func (e *eventState) market(marketID string) *marketState {
	for i := range e.markets {
		if e.markets[i].id == marketID {
			return &e.markets[i]
		}
	}
	return nil
}

// closingTime is when betting on the event ends if it ends now: at the start once that has passed.
func (e *eventState) closingTime(now time.Time) time.Time {
	if now.After(e.startsAt) {
		return e.startsAt
	}
	return now
}

// view returns the event as a jurisdiction sees it.
func (e *eventState) view(j id.Jurisdiction) Event {
	v := Event{
		ID: e.id, Sport: e.sport, Competition: e.competition, Name: e.name, Home: e.home, Away: e.away,
		HomeCode: e.homeCode, AwayCode: e.awayCode, Stadium: e.stadium, StartsAt: e.startsAt, Status: e.status,
		HomeScore: e.homeScore, AwayScore: e.awayScore, Week: e.week, Season: e.season,
		Jurisdictions: slices.Clone(e.jurisdictions), Version: e.version, ResultVersion: e.resultVersion,
		Markets: make([]Market, len(e.markets)),
	}
	for i := range e.markets {
		m := &e.markets[i]
		v.Markets[i] = Market{
			ID: m.id, EventID: e.id, Type: m.kind, Status: m.status, ClosedAt: m.closedAt, Version: m.version,
			Selections: make([]Selection, len(m.selections)),
		}
		for k := range m.selections {
			x := &m.selections[k]
			v.Markets[i].Selections[k] = Selection{
				ID: x.id, MarketID: m.id, Name: x.name, Code: x.code, Line: m.linePtr(k),
				Price: x.priceIn(j), Version: x.version,
			}
		}
	}
	return v
}

// withOwn returns own with the jurisdiction's price set, or taken out for the zero price.
func withOwn(own map[id.Jurisdiction]odds.Price, j id.Jurisdiction, p odds.Price) map[id.Jurisdiction]odds.Price {
	next := maps.Clone(own)
	if p.IsZero() {
		delete(next, j)
		return next
	}
	if next == nil {
		next = make(map[id.Jurisdiction]odds.Price, 1)
	}
	next[j] = p
	return next
}
