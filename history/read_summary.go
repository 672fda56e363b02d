package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
)

// Summarise adds up a player's bets by period. With At it waits until the history shows that position.
//
// Errors: invalid; unavailable when the position is not shown in time.
func (s *Service) Summarise(ctx context.Context, q SummaryQuery) (Summary, error) {
	if err := q.Validate(); err != nil {
		return Summary{}, err
	}
	h, err := s.shardFor(ctx, q.Player, q.At)
	if err != nil {
		return Summary{}, fmt.Errorf("summarise bets: %w", err)
	}
	out := Summary{Freshness: h.freshness(), Zone: h.zone(q.Jurisdiction).String()}
	a := adder{on: h, zone: h.zone, q: q}
	if err := a.read(ctx); err != nil {
		return Summary{}, fmt.Errorf("summarise bets of %s: %w", q.Player, err)
	}
	if a.looked >= digestChunk+digestKeep {
		s.askForDigest(h, q.Player)
	}
	if len(a.sums) == 0 {
		if again, err := s.hasLeft(ctx, h, q.Player); err != nil {
			return Summary{}, err
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

// The kinds of rows of readBehind.
const (
	rowDay  = iota + 1 // of the digest: at is its day
	rowBet             // not in the digest: at is its time
	rowMark            // where the digest ends, in product
)

// readBehind adds up the digest and the bets behind the mark; false where the digest ends elsewhere by now.
func (a *adder) readBehind(ctx context.Context, last id.Bet) (whole bool, err error) {
	const digest = `
		SELECT 1, MIN(day), product, currency, SUM(bets_open + bets_won + bets_lost + bets_push + bets_void), SUM(bets_open),
		       SUM(staked_minor), SUM(at_stake_minor), SUM(returned_minor)
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND day BETWEEN ? AND ?
		GROUP BY CASE WHEN ? = 'day' THEN day ELSE month END, product, currency
		UNION ALL`
	const bets = `
		SELECT 2, s.placed_us, s.product, s.currency, 1, CASE WHEN b.status = 1 THEN 1 ELSE 0 END, s.stake_minor,
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
		SELECT 3, 0, bet_id, '', 0, 0, 0, 0, 0
		FROM digested
		WHERE player_id = ?`
	player, j := string(a.q.Player), string(a.q.Jurisdiction)
	from, upTo := a.q.dayRange()
	zone := a.zone(a.q.Jurisdiction)
	floor, same := string(a.on.kept.floor(a.q.Jurisdiction)), a.on.store.sameBet()
	belowBoth := min(floor, string(justBehind(last))) // open bets whose like is over are in no digest
	since, until := dayBegins(from, zone).UnixMicro(), dayBegins(upTo+1, zone).UnixMicro()
	rows, err := a.on.store.QueryContext(ctx, digest+bets+same+behind+bets+same+below, player, j, from, upTo, string(a.q.By),
		player, string(last), floor, j, since, until, player, belowBoth, j, since, until, player)
	if err != nil {
		return false, sqldb.Wrap("summarise bets", err)
	}
	defer rows.Close()
	a.sums, a.looked = map[lineKey]*lineSums{}, 0
	var now id.Bet
	for rows.Next() {
		var kind int
		var at int64
		var product, currency string
		var one lineSums
		if err := rows.Scan(&kind, &at, &product, &currency, &one.bets, &one.open, &one.staked, &one.atStake, &one.returned); err != nil {
			return false, sqldb.Wrap("summarise bets", err)
		}
		switch kind {
		case rowMark:
			now = id.Bet(product)
			continue
		case rowBet:
			a.looked++
			at = int64(dayNumber(at, zone))
		}
		k := lineKey{a.q.By.periodOf(int(at)), product, currency}
		if a.sums[k] == nil {
			a.sums[k] = &lineSums{}
		}
		a.sums[k].add(one)
	}
	return now == last, sqldb.Wrap("summarise bets", rows.Err())
}
