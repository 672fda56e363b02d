package history

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
)

// Summarise adds up a player's bets by period. With At it waits until the history shows that position. With an
// error Freshness.History says which history was asked, "" if none was.
//
// Errors: invalid; unavailable when the position is not shown in time.
func (s *Service) Summarise(ctx context.Context, q SummaryQuery) (Summary, error) {
	if err := q.Validate(); err != nil {
		return Summary{}, err
	}
	h, err := s.shardFor(ctx, q.Player, q.At)
	if err != nil {
		return Summary{Freshness: h.asked()}, fmt.Errorf("summarise bets: %w", err)
	}
	out := Summary{Freshness: h.freshness(), Zone: h.zone(q.Jurisdiction).String()}
	a := adder{on: h, zone: h.zone, q: q}
	if err := a.read(ctx); err != nil {
		return Summary{Freshness: h.asked()}, fmt.Errorf("summarise bets of %s: %w", q.Player, err)
	}
	if a.looked >= digestChunk+digestKeep {
		s.askForDigest(h, q.Player)
	}
	if len(a.sums) == 0 {
		if again, err := s.hasLeft(ctx, h, q.Player); err != nil {
			return Summary{Freshness: h.asked()}, err
		} else if again {
			return s.Summarise(ctx, q)
		}
	}
	out.Lines, out.Next = a.lines()
	return out, nil
}

// adder adds up the bets of a player: the digest, and those that are not in it one by one.
type adder struct {
	on   *shard
	zone Zone
	q    SummaryQuery

	sums   map[lineKey]*lineSums
	looked int // bets that were not in the digest
}

// lines returns as many lines as are asked for, and the rest of the last period.
func (a *adder) lines() (out []SummaryLine, next string) {
	limit := cmp.Or(a.q.Limit, DefaultLines)
	for _, k := range slices.SortedFunc(maps.Keys(a.sums), lineKey.compare) {
		if len(out) >= limit && out[len(out)-1].Period != k.period {
			return out, out[len(out)-1].Period
		}
		out = append(out, a.sums[k].line(k))
	}
	return out, ""
}

// digestMoves bounds how often a digest may grow while somebody reads it.
const digestMoves = 20

// read reads the digest and the bets behind it as they were at one moment.
func (a *adder) read(ctx context.Context) error {
	for range digestMoves {
		last, err := markOf(ctx, a.on.store, a.q.Player)
		if err != nil {
			return err
		}
		whole, err := a.readBehind(ctx, last)
		if err != nil || whole {
			return err
		}
	}
	return errs.New(errs.CodeUnavailable, "the player's digest is being made")
}

// newestDays returns the first of the days that are enough for a page of days, "from" where all are: the page
// has at least one line of the day that it begins with beyond what it can show.
func (a *adder) newestDays(ctx context.Context, from, upTo int) (int, error) {
	const q = `
		SELECT COALESCE(MAX(period), ?)
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND grain = 1
		  AND period >= ?
		  AND period < (
			SELECT period
			FROM digest
			WHERE player_id = ?
			  AND jurisdiction = ?
			  AND grain = 1
			  AND period BETWEEN ? AND ?
			ORDER BY period DESC
			LIMIT 1 OFFSET ?)`
	if a.q.By != GrainDay {
		return from, nil
	}
	player, j := string(a.q.Player), string(a.q.Jurisdiction)
	err := scanOne(ctx, a.on.store, &from, q, from, player, j, from, player, j, from, upTo, cmp.Or(a.q.Limit, DefaultLines))
	return from, sqldb.Wrap("summarise bets", err)
}

// wholeMonths divides days into the whole months among them, and the days before and behind those. What is not
// there ends before it begins.
func wholeMonths(from, upTo int) (first, last, before, behind int) {
	first, last = monthNumber(from), monthNumber(upTo+1)-1
	if firstDay(first) < from {
		first++
	}
	if first > last {
		return first, last, upTo, upTo + 1
	}
	return first, last, firstDay(first) - 1, firstDay(last + 1)
}

// The kinds of rows of readBehind.
const (
	rowDay   = iota + 1 // of the digest: at is its day
	rowMonth            // of the digest: at is its month
	rowBet              // not in the digest: at is its time
	rowMark             // where the digest ends, in product
	rowKept             // from where settled bets are kept, in product
)

// readBehind adds up the digest and the bets behind the mark; false where the digest ends elsewhere by now, or where settled
// bets are kept from later on than this process knew: the digest leaves out those before, and open ones are looked for by
// what it knew.
func (a *adder) readBehind(ctx context.Context, last id.Bet) (whole bool, err error) {
	const digest = `
		SELECT grain, period, product, currency, bets_open + bets_won + bets_lost + bets_push + bets_void, bets_open,
		       staked_minor, at_stake_minor, returned_minor
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND grain = ?
		  AND period BETWEEN ? AND ?
		UNION ALL`
	const bets = `
		SELECT 3, s.placed_us, s.product, s.currency, 1, CASE WHEN b.status = 1 THEN 1 ELSE 0 END, s.stake_minor,
		       CASE WHEN b.status = 1 THEN s.stake_minor ELSE 0 END, b.payout_minor` + betTables
	const behind = `
		WHERE b.player_id = ?
		  AND b.bet_id > ?
		  AND (b.bet_id >= ? OR b.status = 1)
		  AND b.jurisdiction = ?
		  AND s.placed_us >= ?
		  AND s.placed_us < ?
		UNION ALL`
	const below = `
		WHERE b.player_id = ?
		  AND b.bet_id < ?
		  AND b.status = 1
		  AND b.jurisdiction = ?
		  AND s.placed_us >= ?
		  AND s.placed_us < ?
		UNION ALL
		SELECT 4, 0, bet_id, '', 0, 0, 0, 0, 0
		FROM digested
		WHERE player_id = ?
		UNION ALL
		SELECT 5, 0, bet_id, '', 0, 0, 0, 0, 0
		FROM kept_from
		WHERE jurisdiction = ?`
	player, j := string(a.q.Player), string(a.q.Jurisdiction)
	from, upTo := a.q.dayRange()
	if from, err = a.newestDays(ctx, from, upTo); err != nil {
		return false, err
	}
	month, lastMonth, before, after := wholeMonths(from, upTo)
	if a.q.By == GrainDay {
		lastMonth, before, after = month-1, upTo, upTo+1
	}
	zone := a.zone(a.q.Jurisdiction)
	floor, same := string(a.on.kept.floor(a.q.Jurisdiction)), a.on.store.sameBet()
	belowBoth := min(floor, string(justBehind(last))) // open bets whose like is over are in no digest
	since, until := dayBegins(from, zone).UnixMicro(), dayBegins(upTo+1, zone).UnixMicro()
	rows, err := a.on.store.QueryContext(ctx, digest+digest+digest+bets+same+behind+bets+same+below,
		player, j, grainMonth, month, lastMonth, player, j, grainDay, from, before, player, j, grainDay, after, upTo,
		player, string(last), floor, j, since, until, player, belowBoth, j, since, until, player, j)
	if err != nil {
		return false, sqldb.Wrap("summarise bets", err)
	}
	defer rows.Close()
	now, kept, err := a.addRows(rows, zone)
	if err == nil && string(kept) > floor {
		a.on.kept.lift(map[id.Jurisdiction]id.Bet{a.q.Jurisdiction: kept})
		return false, nil
	}
	return now == last, err
}

// addRows adds up the rows of readBehind, and returns where the digest ends, and from where settled bets are kept.
func (a *adder) addRows(rows *sql.Rows, zone *time.Location) (last, kept id.Bet, err error) {
	a.sums, a.looked = map[lineKey]*lineSums{}, 0
	periods := map[int]string{}
	for rows.Next() {
		var kind int
		var at int64
		var product, currency string
		var one lineSums
		if err := rows.Scan(&kind, &at, &product, &currency, &one.bets, &one.open, &one.staked, &one.atStake, &one.returned); err != nil {
			return "", "", sqldb.Wrap("summarise bets", err)
		}
		day := int(at)
		switch kind {
		case rowMark:
			last = id.Bet(product)
			continue
		case rowKept:
			kept = id.Bet(product)
			continue
		case rowMonth:
			day = firstDay(int(at))
		case rowBet:
			a.looked++
			day = dayNumber(at, zone)
		}
		if periods[day] == "" {
			periods[day] = a.q.By.periodOf(day)
		}
		k := lineKey{periods[day], product, currency}
		if a.sums[k] == nil {
			a.sums[k] = &lineSums{}
		}
		a.sums[k].add(one)
	}
	return last, kept, sqldb.Wrap("summarise bets", rows.Err())
}
