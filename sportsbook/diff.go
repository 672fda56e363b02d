package sportsbook

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"matchday/id"
	"matchday/odds"
)

// difference is what a change did to one event: the lines of the change log, the parts to write and
// what subscribers are told.
type difference struct {
	old     *eventState // nil for a new event
	next    *eventState
	lines   []MarketChange
	markets []int // indexes of changed markets
	updates []Update
}

// compare finds what differs between old and next, and gives every changed part of next the version.
// It is the only place that writes the change log, so nothing changes without a line in it.
func compare(old, next *eventState, version int64, at time.Time, actor string) difference {
	d := difference{old: old, next: next}
	before := old
	if before == nil {
		before = &eventState{}
		d.note(MarketChange{Field: "event", New: next.name})
	}
	d.compareEvent(before)
	for i := range next.markets {
		var was *marketState
		if i < len(before.markets) {
			was = &before.markets[i]
		}
		d.compareMarket(i, was, version)
	}
	if len(d.lines) == 0 {
		return d
	}
	next.version = version
	for i := range d.lines {
		l := &d.lines[i]
		l.At, l.Actor, l.EventID, l.Version = at, actor, next.id, version
	}
	for i := range d.updates {
		u := &d.updates[i]
		u.At, u.EventID, u.Version = at, next.id, version
	}
	return d
}

// note adds a line to the change log.
func (d *difference) note(l MarketChange) { d.lines = append(d.lines, l) }

// tell adds an update, unless it is there already.
func (d *difference) tell(kind UpdateKind, marketID string) {
	u := Update{Kind: kind, MarketID: marketID}
	if !slices.Contains(d.updates, u) {
		d.updates = append(d.updates, u)
	}
}

func (d *difference) compareEvent(was *eventState) {
	next := d.next
	if facts := next.facts(); facts != was.facts() {
		if d.old != nil {
			d.note(MarketChange{Field: "facts", Old: was.facts(), New: facts})
		}
		d.tell(UpdateEvent, "")
	}
	if !next.startsAt.Equal(was.startsAt) {
		d.note(MarketChange{Field: "starts_at", Old: timeText(was.startsAt), New: timeText(next.startsAt)})
		d.tell(UpdateEvent, "")
	}
	if next.status != was.status {
		d.note(MarketChange{Field: "status", Old: string(was.status), New: string(next.status)})
		d.tell(UpdateStatus, "")
	}
	if next.homeScore != was.homeScore || next.awayScore != was.awayScore {
		d.note(MarketChange{Field: "score", Old: was.scoreText(), New: next.scoreText()})
		d.tell(UpdateScore, "")
	}
	if next.resultVersion != was.resultVersion {
		d.note(MarketChange{Field: "result", Old: strconv.Itoa(was.resultVersion), New: strconv.Itoa(next.resultVersion)})
		d.tell(UpdateResult, "")
	}
}

func (d *difference) compareMarket(i int, was *marketState, version int64) {
	m := &d.next.markets[i]
	lines := len(d.lines)
	if was == nil {
		was = &marketState{}
	}
	if m.status != was.status {
		d.note(MarketChange{MarketID: m.id, Field: "status", Old: string(was.status), New: string(m.status)})
		d.tell(UpdateStatus, m.id)
	}
	moved := m.kind != Moneyline && (m.line != was.line || was.id == "")
	if moved {
		old := ""
		if was.id != "" {
			old = was.line.String()
		}
		d.note(MarketChange{MarketID: m.id, Field: "line", Old: old, New: m.line.String()})
		d.tell(UpdatePrice, m.id)
	}
	for k := range m.selections {
		before := len(d.lines)
		d.compareSelection(m, k, &was.selections[k])
		if len(d.lines) > before || moved {
			m.selections[k].version = version
		}
	}
	if len(d.lines) > lines {
		m.version = version
		d.markets = append(d.markets, i)
	}
}

func (d *difference) compareSelection(m *marketState, k int, was *selectionState) {
	x := &m.selections[k]
	note := func(j id.Jurisdiction, old, next odds.Price) {
		if old != next {
			d.note(MarketChange{
				MarketID: m.id, SelectionID: x.id, Jurisdiction: j, Field: "price", Old: old.String(), New: next.String(),
			})
			d.tell(UpdatePrice, m.id)
		}
	}
	note("", was.price, x.price)
	for _, j := range slices.Sorted(maps.Keys(x.own)) {
		note(j, was.own[j], x.own[j])
	}
	for _, j := range slices.Sorted(maps.Keys(was.own)) {
		if _, still := x.own[j]; !still {
			note(j, was.own[j], odds.Price{})
		}
	}
}

// facts joins what rarely changes about an event, for comparing and for the change log.
func (e *eventState) facts() string {
	text := e.sport + "|" + e.competition + "|" + e.name + "|" + e.homeCode + "|" + e.awayCode + "|" + e.stadium +
		"|" + strconv.Itoa(e.season) + "|" + strconv.Itoa(e.week)
	for _, j := range e.jurisdictions {
		text += "|" + string(j)
	}
	return text
}

func (e *eventState) scoreText() string {
	return strconv.Itoa(e.homeScore) + "-" + strconv.Itoa(e.awayScore)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
