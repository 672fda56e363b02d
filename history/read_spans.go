package history

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// maxSpans bounds the rows that a list takes from a digest at a time. Where there are more, all bets are looked at
// one by one.
const maxSpans = 4000

// newest returns the range to look at first, and whether there are older bets, which are in a digest.
func (l *lister) newest(ctx context.Context) (spans []betSpan, isDigested bool, err error) {
	if l.q.Bet != "" {
		return []betSpan{{low: l.q.Bet, high: l.q.Bet, bets: 1}}, false, nil
	}
	all := betSpan{high: lastBet}
	if !l.q.isFiltered() {
		return []betSpan{all}, false, nil
	}
	last, isLong, err := l.sinceDigest(ctx)
	if err != nil {
		return nil, false, err
	}
	if !isLong {
		all.bets = newestMost
	}
	if last != "" {
		l.mark, all.low = last, justBehind(last)
	}
	return []betSpan{all}, last != "", nil
}

// newestMost is more than the bets that are in no digest usually are: then they are looked at all at once.
const newestMost = digestChunk + digestKeep

// sinceDigest returns where the digest ends, "" where there is none, and whether there are more than newestMost bets
// behind.
func (l *lister) sinceDigest(ctx context.Context) (last id.Bet, isLong bool, err error) {
	const q = `
		SELECT COALESCE(MAX(bet_id), ''), (
			SELECT COUNT(*)
			FROM (
				SELECT bet_id
				FROM bet
				WHERE player_id = ?
				  AND bet_id < ?
				  AND bet_id > COALESCE((
					SELECT bet_id
					FROM digested
					WHERE player_id = ?), '')
				LIMIT 1 OFFSET ?
			) AS beyond)
		FROM digested
		WHERE player_id = ?`
	player := string(l.q.Player)
	rows, err := l.on.store.QueryContext(ctx, q, player, string(l.before), player, newestMost, player)
	if err != nil {
		return "", false, sqldb.Wrap("read digest", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&last, &isLong); err != nil {
			return "", false, sqldb.Wrap("read digest", err)
		}
	}
	return last, isLong, sqldb.Wrap("read digest", rows.Err())
}

// markOf is mark for readers.
func markOf(ctx context.Context, on reader, player id.Player) (last id.Bet, err error) {
	const q = `
		SELECT COALESCE(MAX(bet_id), '')
		FROM digested
		WHERE player_id = ?`
	err = scanOne(ctx, on, &last, q, string(player))
	return last, sqldb.Wrap("read digest", err)
}

// months returns the ranges of months that may have bets that fit, newest first.
func (l *lister) months(ctx context.Context) ([]betSpan, error) {
	from, upTo := l.period()
	rows, err := l.spans(ctx, grainMonth, monthNumber(from), monthNumber(upTo))
	if err != nil {
		return nil, err
	}
	if len(rows) == maxSpans {
		rows[0].low, rows[0].from = "", 0
	}
	return joined(rows, 0), nil
}

// days returns the ranges of days in some months that may have bets that fit, newest first.
func (l *lister) days(ctx context.Context, months betSpan) ([]betSpan, error) {
	from, upTo := l.period()
	rows, err := l.spans(ctx, grainDay, max(from, firstDay(months.from)), min(upTo, firstDay(months.to+1)-1))
	if err != nil {
		return nil, err
	}
	if len(rows) == maxSpans {
		rows[0].low, rows[0].bets = months.low, 0
	}
	rows = slices.DeleteFunc(rows, func(d betSpan) bool { return d.high < months.low || d.low > months.high }) // of the same months elsewhere
	return joined(rows, 1), nil                                                                                // looking at neighbours at once is cheaper than another query
}

// joined makes one range of those that overlap or that are of periods so far apart at most. They come and go
// newest first.
func joined(rows []betSpan, apart int) (out []betSpan) {
	for _, row := range rows {
		if len(out) == 0 {
			out = append(out, row)
			continue
		}
		if before := &out[len(out)-1]; row.high >= before.low || apart > 0 && row.to+apart >= before.from {
			before.low, before.bets = min(before.low, row.low), 0
			before.from, before.to = min(before.from, row.from), max(before.to, row.to)
		} else {
			out = append(out, row)
		}
	}
	return out
}

// paired joins each two months that follow each other: a list that reads outlines gets far with one query of each kind.
func paired(months []betSpan) (out []betSpan) {
	for _, m := range months {
		if len(out) > 0 {
			if newer := &out[len(out)-1]; m.to+1 == newer.from && newer.to == newer.from && m.from == m.to {
				newer.low, newer.from = min(newer.low, m.low), m.from
				continue
			}
		}
		out = append(out, m)
	}
	return out
}

// errLessDigest means that the digest has no longer all bets that it had when the list began.
var errLessDigest = errors.New("the digest was deleted")

// rise takes over a floor that was read with a digest, or with a part of it, and returns errLessDigest if the list began with
// a lower one: the digest leaves out the bets in between, and those of them that are open are shown. Another process
// raised it, and this one would otherwise learn of it later.
func (l *lister) rise(floor id.Bet) error {
	if floor <= l.floor {
		return nil
	}
	l.floor = floor
	l.on.kept.lift(map[id.Jurisdiction]id.Bet{l.q.Jurisdiction: floor})
	return errLessDigest
}

// spans returns the rows of the digest that may have bets that fit, newest first, and errLessDigest where they are
// not of all bets up to the mark that were kept when the list began: how far they reach, and from where bets are kept, is read
// with them, at the same moment. The database gives them in the order of its key: MariaDB would read each row twice to
// sort them.
func (l *lister) spans(ctx context.Context, grain, from, upTo int) ([]betSpan, error) {
	const q = `
		SELECT period, first_bet, last_bet, bets
		FROM (
			SELECT period, first_bet, last_bet, bets_open + bets_won + bets_lost + bets_push + bets_void AS bets
			FROM digest
			WHERE player_id = ?
			  AND jurisdiction = ?
			  AND grain = ?
			  AND period BETWEEN ? AND ?
			  AND first_bet < ?
			  AND (product = ? OR ? = '')
			  AND (currency = ? OR ? = '')
			  AND most_minor >= ?
			  AND least_minor <= ?
			  AND bets_open * ? + bets_won * ? + bets_lost * ? + bets_push * ? + bets_void * ? > 0
			  AND (tags = '*' OR INSTR(tags, ?) > 0 AND INSTR(tags, ?) > 0 AND INSTR(tags, ?) > 0)
			ORDER BY period DESC
			LIMIT ?
		) AS fitting
		UNION ALL
		SELECT 0, '', bet_id, 0
		FROM digested
		WHERE player_id = ?
		UNION ALL
		SELECT 0, bet_id, '', 0
		FROM kept_from
		WHERE jurisdiction = ?`
	least, most := l.q.stakes()
	low, high, _ := l.q.Status.span()
	var counts [stateVoid + 1]int
	for s := low; s <= high; s++ {
		counts[s] = 1
	}
	rows, err := l.on.store.QueryContext(ctx, q, string(l.q.Player), string(l.q.Jurisdiction), grain, from, upTo, string(l.before), l.q.Product, l.q.Product,
		string(l.q.Currency), string(l.q.Currency), least, most,
		counts[stateOpen], counts[stateWon], counts[stateLost], counts[statePush], counts[stateVoid],
		inTags(eventTag(l.q.Event)), inTags(sportTag(l.q.Sport)), inTags(competitionTag(l.q.Competition)), maxSpans, string(l.q.Player), string(l.q.Jurisdiction))
	if err != nil {
		return nil, sqldb.Wrap("read digest", err)
	}
	return l.scanSpans(rows)
}

// scanSpans reads and closes rows of spans. Those without bets say how far the digest reaches, and from where bets are kept.
func (l *lister) scanSpans(rows *sql.Rows) (out []betSpan, err error) {
	defer rows.Close()
	var reaches, floor id.Bet
	for rows.Next() {
		var one betSpan
		if err := rows.Scan(&one.from, &one.low, &one.high, &one.bets); err != nil {
			return nil, sqldb.Wrap("read digest", err)
		}
		if one.bets == 0 {
			reaches, floor = max(reaches, one.high), max(floor, one.low)
			continue
		}
		one.to = one.from
		out = append(out, one)
	}
	if err := rows.Err(); err != nil {
		return nil, sqldb.Wrap("read digest", err)
	}
	if err := l.rise(floor); err != nil {
		return nil, err
	}
	if reaches < l.mark {
		return nil, errLessDigest
	}
	slices.SortFunc(out, func(a, b betSpan) int { return cmp.Compare(b.high, a.high) })
	return out, nil
}

// period returns the days that the query's period touches.
func (l *lister) period() (from, upTo int) {
	zone := l.zone(l.q.Jurisdiction)
	from, upTo = earliestDay, latestDay
	if !l.q.From.IsZero() {
		from = dayNumber(l.q.From.UnixMicro(), zone)
	}
	if !l.q.To.IsZero() {
		upTo = dayNumber(l.q.To.Add(-time.Microsecond).UnixMicro(), zone)
	}
	return from, upTo
}
