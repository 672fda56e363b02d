package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// lastBet sorts behind every bet id.
const lastBet = "\U0010FFFF"

// List returns a page of the player's bets, newest first. With At it waits until the history
// shows that position. However few bets fit, an answer looks at a bounded number: see Page. With an error
// Freshness.History of the page says which history was asked, "" if none was.
//
// Errors: invalid; unavailable when the position is not shown in time.
func (s *Service) List(ctx context.Context, q Query) (Page, error) {
	if err := q.Validate(); err != nil {
		return Page{}, err
	}
	h, err := s.shardFor(ctx, q.Player, q.At)
	if err != nil {
		return Page{Freshness: h.asked()}, fmt.Errorf("list bets: %w", err)
	}
	page, err := s.list(ctx, h, q)
	if err != nil || len(page.Bets) > 0 || page.Next != "" {
		return page, err
	}
	if again, err := s.hasLeft(ctx, h, q.Player); err != nil || !again {
		return page, err
	}
	return s.List(ctx, q)
}

// list reads a page on a shard.
func (s *Service) list(ctx context.Context, h *shard, q Query) (Page, error) {
	// Read first: the rows may be newer than what the page promises, never older.
	page := Page{Freshness: h.freshness()}
	l := lister{on: h, q: q, zone: h.zone, limit: cmp.Or(q.Limit, DefaultLimit), before: cmp.Or(q.Before, lastBet), budget: listRows}
	err := l.read(ctx)
	if err != nil {
		return Page{Freshness: h.asked()}, fmt.Errorf("list bets of %s: %w", q.Player, err)
	}
	if l.lacksDigest {
		s.askForDigest(h, q.Player)
	}
	page.Bets, page.Next = l.found, l.next
	return page, nil
}

// asked is what an error tells of where it comes from; h is nil where none was asked.
func (h *shard) asked() Freshness {
	if h == nil {
		return Freshness{}
	}
	return Freshness{History: h.which}
}

// freshness reads what the shard shows. It comes before the rows.
func (h *shard) freshness() Freshness {
	return Freshness{Position: stream.Position{Shard: h.number, Seq: h.sink.Position()}, FreshAt: h.sink.ShownAt(), History: h.which}
}

const (
	listRows  = 3000 // bets that one answer looks at
	stepRows  = 200  // bets that its first step looks at; each further step looks at four times as many
	spanPrice = 50   // bets that could be looked at in the time that one more query takes
)

// betSpan is a range of bets, both ends included.
type betSpan struct {
	low, high id.Bet
	bets      int // how many it has, if that is known
	from, to  int // of a digest: the first and the last period that it is of
}

// lister finds a page of bets, in steps that each look at a bounded range.
type lister struct {
	on     *shard
	q      Query
	zone   Zone
	limit  int
	before id.Bet // all from here on are looked at
	budget int    // how many bets may still be looked at
	mark   id.Bet // where the digest ends
	floor  id.Bet // from where settled bets are kept
	rows   int    // how many the next step looks at

	found       []Bet
	next        id.Bet
	lacksDigest bool // the next reader should not have to look at as many bets
}

// read looks at bets until the page is full, the player has no more or the budget is spent: first at the
// newest, which are in no digest, then at the days that may have some that fit, in the months that may. A digest
// that is deleted meanwhile says nothing about the bets that it had: the rest of them are looked at one by one.
func (l *lister) read(ctx context.Context) error {
	l.floor = l.on.kept.floor(l.q.Jurisdiction)
	spans, isDigested, err := l.newest(ctx)
	if err != nil {
		return err
	}
	l.rows = max(stepRows, l.limit+1)
	if done, err := l.look(ctx, spans); done || err != nil || !isDigested {
		return err
	}
	done, err := l.lookBehind(ctx)
	if !done && err == nil {
		err = l.lookInMonths(ctx)
	}
	if errors.Is(err, errLessDigest) {
		l.lacksDigest = true
		_, err = l.look(ctx, []betSpan{{high: lastBet}})
	}
	return err
}

// lookInMonths looks at what the digest has, and at the open bets that are too old to be in it.
func (l *lister) lookInMonths(ctx context.Context) error {
	months, err := l.months(ctx)
	if err != nil {
		return err
	}
	if _, ok := l.q.outlineFilter(); ok {
		months = paired(months)
	}
	for _, m := range months {
		if l.before <= m.low {
			continue
		}
		if l.isSpent() {
			return nil
		}
		spans, err := l.days(ctx, m)
		if err != nil {
			return err
		}
		l.budget -= spanPrice
		if done, err := l.lookInDigest(ctx, spans); done || err != nil {
			return err
		}
		l.before = min(l.before, m.low)
	}
	if l.floor != "" { // open ones below it are in no digest
		_, err = l.look(ctx, []betSpan{{high: l.floor}})
	}
	return err
}

// isSpent ends the page where the budget is spent.
func (l *lister) isSpent() bool {
	if l.budget > 0 {
		return false
	}
	l.next, l.lacksDigest = l.before, true
	return true
}

// look looks at the spans, and reports whether the page is done.
func (l *lister) look(ctx context.Context, spans []betSpan) (done bool, err error) {
	for _, span := range spans {
		if l.before <= span.low {
			continue
		}
		for more := true; more; {
			if l.isSpent() {
				return true, nil
			}
			if more, err = l.step(ctx, span, min(l.rows, l.budget)); err != nil || l.isFull() {
				return true, err
			}
			if more { // never in the last step of a range: a list may have any number of ranges
				l.rows = min(l.rows*4, listRows)
			}
		}
		l.before = min(l.before, span.low)
	}
	return false, nil
}

// isFull cuts the page when there is more than it holds.
func (l *lister) isFull() bool {
	if len(l.found) <= l.limit {
		return false
	}
	l.found = l.found[:l.limit]
	l.next = l.found[l.limit-1].ID
	return true
}

// step looks at the newest bets of the span, and reports whether there are older ones in it.
func (l *lister) step(ctx context.Context, span betSpan, rows int) (more bool, err error) {
	low := span.low
	if span.bets > 0 && span.bets <= l.budget {
		l.budget -= span.bets + spanPrice
	} else if l.q.isFiltered() {
		seen, last, err := l.edge(ctx, span, rows)
		if err != nil {
			return false, err
		}
		l.budget -= seen + spanPrice
		if seen == 0 {
			return false, nil
		}
		if more = seen == rows; more {
			low = last
		}
	}
	need := l.need()
	bets, err := l.fitting(ctx, low, span.high, need)
	if err != nil {
		return false, err
	}
	l.take(bets)
	switch {
	case len(l.found) <= l.limit && len(bets) == need: // names that stand elsewhere in the legs: go on behind them
		l.before, more = bets[need-1].ID, true
	case more:
		l.before = low
	}
	return more, nil
}

// need returns how many bets the page lacks, with the one that says that there is another page.
func (l *lister) need() int { return l.limit + 1 - len(l.found) }

// take adds those of the bets that fit to the page.
func (l *lister) take(bets []Bet) {
	for i := range bets {
		if l.q.fits(&bets[i]) {
			l.found = append(l.found, bets[i])
		}
	}
}

// below returns the bound below which the bets up to high are that are yet to be looked at. A query has one
// bound only: SQLite would go by the first of two, whichever is closer.
func (l *lister) below(high id.Bet) string {
	return string(min(l.before, justBehind(high)))
}

// justBehind sorts behind the id and before every other that sorts behind it: no id has a character as low.
func justBehind(bet id.Bet) id.Bet { return bet + "!" }

// edge returns how many bets the span has, rows at most, and the oldest of those.
func (l *lister) edge(ctx context.Context, span betSpan, rows int) (seen int, last id.Bet, err error) {
	const q = `
		SELECT COUNT(*), COALESCE(MIN(newest.bet_id), '')
		FROM (
			SELECT bet_id
			FROM bet
			WHERE player_id = ?
			  AND bet_id < ?
			  AND bet_id >= ?
			ORDER BY bet_id DESC
			LIMIT ?
		) AS newest`
	found, err := l.on.store.QueryContext(ctx, q, string(l.q.Player), l.below(span.high), string(span.low), rows)
	if err != nil {
		return 0, "", sqldb.Wrap("count bets", err)
	}
	defer found.Close()
	for found.Next() {
		if err := found.Scan(&seen, &last); err != nil {
			return 0, "", sqldb.Wrap("count bets", err)
		}
	}
	return seen, last, sqldb.Wrap("count bets", found.Err())
}

// fitting returns the newest bets of the range that fit, so many at most.
func (l *lister) fitting(ctx context.Context, from, upTo id.Bet, need int) ([]Bet, error) {
	const q = `
		WHERE b.player_id = ?
		  AND b.bet_id < ?
		  AND b.bet_id >= ?`
	return l.fittingOf(ctx, q, need, string(l.q.Player), l.below(upTo), string(from))
}

// fittingOf returns the newest of some bets that fit.
func (l *lister) fittingOf(ctx context.Context, which string, need int, args ...any) ([]Bet, error) {
	const q = `
		  AND (b.bet_id >= ? OR b.status = 1)
		  AND b.jurisdiction = ?
		  AND b.status BETWEEN ? AND ?
		  AND s.placed_us >= ?
		  AND s.placed_us < ?
		  AND s.stake_minor BETWEEN ? AND ?
		  AND (s.currency = ? OR ? = '')
		  AND (s.product = ? OR ? = '')
		  AND INSTR(s.legs, ?) > 0
		  AND INSTR(s.legs, ?) > 0
		  AND INSTR(s.legs, ?) > 0
		ORDER BY b.bet_id DESC
		LIMIT ?`
	low, high, _ := l.q.Status.span()
	since, until := period(l.q.From, l.q.To)
	least, most := l.q.stakes()
	currency := string(l.q.Currency)
	rows, err := l.on.store.QueryContext(ctx, l.on.bets(which+q), append(args,
		string(l.floor), string(l.q.Jurisdiction), int(low), int(high), since, until, least, most, currency, currency, l.q.Product, l.q.Product,
		inLegs(l.q.Event), inLegs(l.q.Sport), inLegs(l.q.Competition), need)...)
	if err != nil {
		return nil, sqldb.Wrap("list bets", err)
	}
	return scanBets(rows)
}
