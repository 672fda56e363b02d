package history

import (
	"context"
	"math"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// maxSpans bounds the days that a list takes from a digest. Where there are more, the bets of the oldest
// are looked at one by one.
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
	last, err := markOf(ctx, l.on.store, l.q.Player)
	if err != nil || last == "" {
		return []betSpan{all}, false, err
	}
	all.low = justBehind(last)
	return []betSpan{all}, true, nil
}

// digestSpans returns the ranges of bets that may have some that fit, newest first.
func (l *lister) digestSpans(ctx context.Context) ([]betSpan, error) {
	days, err := l.days(ctx)
	if err != nil {
		return nil, err
	}
	if len(days) == maxSpans {
		days[maxSpans-1].low, days[maxSpans-1].bets = "", 0
	}
	if floor := l.on.kept.floor(l.q.Jurisdiction); floor != "" { // open ones below it are in no digest
		days = append(days, betSpan{high: floor})
	}
	var out []betSpan
	for _, d := range days {
		if len(out) == 0 || d.high < out[len(out)-1].low {
			out = append(out, d)
			continue
		}
		before := &out[len(out)-1]
		before.low, before.bets = min(before.low, d.low), 0
	}
	return out, nil
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

// days returns the days of the digest that may have bets that fit.
func (l *lister) days(ctx context.Context) ([]betSpan, error) {
	const q = `
		SELECT first_bet, last_bet, bets_open + bets_won + bets_lost + bets_push + bets_void
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND day BETWEEN ? AND ?
		  AND first_bet < ?
		  AND (product = ? OR ? = '')
		  AND (currency = ? OR ? = '')
		  AND most_minor >= ?
		  AND least_minor <= ?
		  AND bets_open * ? + bets_won * ? + bets_lost * ? + bets_push * ? + bets_void * ? > 0
		  AND (tags = '*' OR INSTR(tags, ?) > 0 AND INSTR(tags, ?) > 0 AND INSTR(tags, ?) > 0)
		ORDER BY last_bet DESC
		LIMIT ?`
	from, upTo := l.period()
	least, most := l.q.stakes()
	low, high, _ := l.q.Status.span()
	var counts [stateVoid + 1]int
	for s := low; s <= high; s++ {
		counts[s] = 1
	}
	rows, err := l.on.store.QueryContext(ctx, q, string(l.q.Player), string(l.q.Jurisdiction), from, upTo, string(l.before), l.q.Product, l.q.Product,
		string(l.q.Currency), string(l.q.Currency), least, most,
		counts[stateOpen], counts[stateWon], counts[stateLost], counts[statePush], counts[stateVoid],
		inTags(eventTag(l.q.Event)), inTags(sportTag(l.q.Sport)), inTags(competitionTag(l.q.Competition)), maxSpans)
	if err != nil {
		return nil, sqldb.Wrap("read digest", err)
	}
	defer rows.Close()
	var out []betSpan
	for rows.Next() {
		var one betSpan
		if err := rows.Scan(&one.low, &one.high, &one.bets); err != nil {
			return nil, sqldb.Wrap("read digest", err)
		}
		out = append(out, one)
	}
	return out, sqldb.Wrap("read digest", rows.Err())
}

// period returns the days that the query's period touches.
func (l *lister) period() (from, upTo int) {
	zone := l.zone(l.q.Jurisdiction)
	from, upTo = math.MinInt32, math.MaxInt32
	if !l.q.From.IsZero() {
		from = dayNumber(l.q.From.UnixMicro(), zone)
	}
	if !l.q.To.IsZero() {
		upTo = dayNumber(l.q.To.Add(-time.Microsecond).UnixMicro(), zone)
	}
	return from, upTo
}
