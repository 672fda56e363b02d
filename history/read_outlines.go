package history

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"matchday/id"
	"matchday/internal/sqldb"
)

const (
	fewOutlines  = 3   // that are read at first where the newest bets have some that fit: then others are near
	maxOutlines  = 12  // that are read at a time
	outlinePrice = 200 // bets that an answer looks at less for each, so that it looks at no more of them this way
	pickedPrice  = 2   // bets that could be looked at in the time that one by its id takes
)

// pickedBets are how many bets are looked at by their ids in one query, so that there are few different ones: the
// first time, and where that was not enough.
var pickedBets = [2]int{32, 256}

// lookBehind looks at the first outlines behind the newest bets where some of those fit: months and days would say
// that there are more.
func (l *lister) lookBehind(ctx context.Context) (done bool, err error) {
	filter, ok := l.q.outlineFilter()
	if !ok || len(l.found) == 0 || l.before <= l.floor {
		return false, nil
	}
	done, _, err = l.lookAtOutlines(ctx, []betSpan{{low: l.floor, high: l.mark}}, &filter, fewOutlines)
	return done, err
}

// lookInDigest looks at spans that are in the digest: at outlines, and then only at bets that may fit, if those tell
// anything; otherwise at the bets.
func (l *lister) lookInDigest(ctx context.Context, spans []betSpan) (done bool, err error) {
	filter, ok := l.q.outlineFilter()
	if !ok || len(spans) == 0 {
		return l.look(ctx, spans)
	}
	for whole := true; whole && l.before > spans[len(spans)-1].low; {
		if l.isSpent() {
			return true, nil
		}
		if done, whole, err = l.lookAtOutlines(ctx, spans, &filter, min(maxOutlines, l.budget/outlinePrice+1)); done || err != nil {
			return done, err
		}
	}
	return l.look(ctx, spans) // what no outline is of: a process that made it did not know of them
}

// lookAtOutlines looks at the next outlines of the spans, so many at most, and reports whether the page is done, and
// whether there was one of the next bets.
func (l *lister) lookAtOutlines(ctx context.Context, spans []betSpan, filter *outlineFilter, most int) (done, whole bool, err error) {
	low, top := spans[len(spans)-1].low, min(l.before, spans[0].high)
	list, err := l.outlines(ctx, low, top, most)
	if err != nil {
		return false, false, err
	}
	l.budget -= spanPrice + outlinePrice*len(list)
	if list = unbroken(list, min(top, l.mark)); len(list) == 0 {
		return false, false, nil
	}
	was := l.before
	var picked []id.Bet
	for _, o := range list {
		picked = o.pick(picked, spans, l.before, filter)
	}
	if done, err := l.lookAt(ctx, picked); done || err != nil {
		return done, true, err
	}
	l.before = min(l.before, max(low, justBehind(list[len(list)-1].after)))
	return false, l.before < was, nil
}

// outlines returns the outlines of the bets from low to top, newest first, so many at most, and errLessDigest where bets
// are kept from later on than when the list began: those that are not have no line, open or not.
func (l *lister) outlines(ctx context.Context, low, top id.Bet, most int) ([]outline, error) {
	const q = `
		SELECT after_bet, last_bet, bets
		FROM (
			SELECT after_bet, last_bet, bets
			FROM outline
			WHERE player_id = ?
			  AND last_bet >= ?
			  AND last_bet <= COALESCE((
				SELECT MIN(last_bet)
				FROM outline
				WHERE player_id = ?
				  AND last_bet >= ?), ?)
			ORDER BY last_bet DESC
			LIMIT ?
		) AS newest
		UNION ALL
		SELECT bet_id, '', ''
		FROM kept_from
		WHERE jurisdiction = ?`
	player := string(l.q.Player)
	rows, err := l.on.store.QueryContext(ctx, q, player, string(low), player, string(top), string(top), most, string(l.q.Jurisdiction))
	if err != nil {
		return nil, sqldb.Wrap("read outlines", err)
	}
	list, err := scanOutlines(rows)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b outline) int { return strings.Compare(string(b.last), string(a.last)) })
	if n := len(list) - 1; n >= 0 && list[n].last == "" { // where bets are kept from
		return list[:n], l.rise(list[n].after)
	}
	return list, nil
}

// scanOutlines reads and closes rows of outlines.
func scanOutlines(rows *sql.Rows) (out []outline, err error) {
	defer rows.Close()
	for rows.Next() {
		var o outline
		if err := rows.Scan(&o.after, &o.last, &o.lines); err != nil {
			return nil, sqldb.Wrap("read outlines", err)
		}
		out = append(out, o)
	}
	return out, sqldb.Wrap("read outlines", rows.Err())
}

// unbroken returns those of the outlines that have every bet from top down between them.
func unbroken(list []outline, top id.Bet) []outline {
	for i, o := range list {
		if o.last < top {
			return list[:i]
		}
		top = o.after
	}
	return list
}

// pick adds the bets below one that are in the spans and may fit, newest first.
func (o *outline) pick(to []id.Bet, spans []betSpan, below id.Bet, filter *outlineFilter) []id.Bet {
	for line := range strings.Lines(o.lines) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		bet := id.Bet(name)
		for len(spans) > 0 && bet < spans[0].low {
			spans = spans[1:]
		}
		if len(spans) == 0 {
			break
		}
		if bet < below && bet <= spans[0].high && filter.fits(rest) {
			to = append(to, bet)
		}
	}
	return to
}

// lookAt looks at bets that may fit, which come newest first, and reports whether the page is done.
func (l *lister) lookAt(ctx context.Context, picked []id.Bet) (done bool, err error) {
	size := pickedBets[0]
	for len(picked) > 0 {
		l.before = min(l.before, justBehind(picked[0]))
		if l.isSpent() {
			return true, nil
		}
		some, need := picked[:min(size, len(picked))], l.need()
		bets, err := l.fittingAmong(ctx, some, size, need)
		if err != nil {
			return false, err
		}
		l.budget -= spanPrice + pickedPrice*len(some)
		if l.take(bets); l.isFull() {
			return true, nil
		}
		if picked = picked[len(some):]; len(bets) == need { // names that stand elsewhere in the legs: go on behind them
			behind, _ := slices.BinarySearchFunc(some, bets[need-1].ID, func(a, b id.Bet) int { return strings.Compare(string(b), string(a)) })
			picked = append(slices.Clip(some[behind+1:]), picked...)
		}
		size = pickedBets[1]
	}
	return false, nil
}

// fittingAmong returns the newest of the bets that fit, given so many at most.
func (l *lister) fittingAmong(ctx context.Context, bets []id.Bet, size, need int) ([]Bet, error) {
	q := `
		WHERE b.player_id = ?
		  AND b.bet_id IN (?` + strings.Repeat(", ?", size-1) + `)`
	args := make([]any, 0, size+20)
	args = append(args, string(l.q.Player))
	for i := range size {
		args = append(args, string(bets[min(i, len(bets)-1)]))
	}
	return l.fittingOf(ctx, q, need, args...)
}
