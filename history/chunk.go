package history

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// chunk is a run of bets in the order of their keys, as of a sequence or of a little later.
type chunk struct {
	bets []*change
	at   marks // of the history that they are from
	last bool  // there are no bets behind it
}

// readChunk reads bets behind a key, at most so many.
func readChunk(ctx context.Context, from store, after betKey, limit int) (c chunk, err error) {
	at, err := from.snapshot(ctx)
	if err != nil {
		return c, err
	}
	defer func() {
		if closed := at.close(); err == nil {
			err = closed
		}
	}()
	c.at = at.positions
	c.bets, err = at.bets(ctx, after, limit)
	c.last = len(c.bets) < limit
	return c, err
}

// bets reads bets behind a key, in two steps: a server finds the rest of a player's bets by a part of the
// key, and the bets of players behind it by another, but not both at once.
func (s *snapshot) bets(ctx context.Context, after betKey, limit int) ([]*change, error) {
	const (
		from = `
			SELECT b.player_id, b.bet_id, b.jurisdiction, b.slip_seq, b.seq, b.status, b.version, b.settled_us, b.payout_minor, b.outcomes,
			       s.product, s.currency, s.placed_us, s.stake_minor, s.potential_minor, s.legs
			FROM bet AS b
			LEFT JOIN slip AS s ON s.seq = b.slip_seq`
		rest = `
			WHERE b.player_id = ?
			  AND b.bet_id > ?
			ORDER BY b.bet_id
			LIMIT ?`
		others = `
			WHERE b.player_id > ?
			ORDER BY b.player_id, b.bet_id
			LIMIT ?`
	)
	out := make([]*change, 0, limit)
	read := func(q string, args ...any) error {
		rows, err := s.on.QueryContext(ctx, from+s.sameBet+q, args...)
		if err != nil {
			return sqldb.Wrap("read chunk", err)
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scanChange(rows)
			if err != nil {
				return sqldb.Wrap("scan bet", err)
			}
			out = append(out, c)
		}
		return sqldb.Wrap("read chunk", rows.Err())
	}
	if after.player != "" {
		if err := read(rest, string(after.player), string(after.bet), limit); err != nil {
			return nil, err
		}
	}
	if len(out) < limit {
		if err := read(others, string(after.player), limit-len(out)); err != nil {
			return nil, err
		}
	}
	return out, s.readEarlier(ctx, out)
}

// readEarlier gives bets, which are in order, the settlements that are kept beside them.
func (s *snapshot) readEarlier(ctx context.Context, list []*change) error {
	const q = `
		SELECT player_id, bet_id, version, seq, status, at_us, payout_minor, outcomes
		FROM bet_change
		WHERE player_id >= ?
		  AND player_id <= ?
		ORDER BY player_id, bet_id, version`
	if len(list) == 0 {
		return nil
	}
	rows, err := s.on.QueryContext(ctx, q, string(list[0].player), string(list[len(list)-1].player))
	if err != nil {
		return sqldb.Wrap("read earlier settlements", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k betKey
		var one settlement
		if err := rows.Scan(&k.player, &k.bet, &one.version, &one.seq, &one.state, &one.atUS, &one.payout, &one.outcomes); err != nil {
			return sqldb.Wrap("read earlier settlements", err)
		}
		n, found := slices.BinarySearchFunc(list, k, func(c *change, k betKey) int { return c.betKey.compare(k) })
		switch {
		case !found: // of another chunk
		case one.version < list[n].settlement.version:
			list[n].earlier = append(list[n].earlier, one)
		default:
			list[n].settlement.atUS = one.atUS
		}
	}
	return sqldb.Wrap("read earlier settlements", rows.Err())
}

// scanChange reads a bet as the change that makes it. One without its slip has no legs.
func scanChange(rows *sql.Rows) (*change, error) {
	var c change
	var s settlement
	var product, currency sql.NullString
	var placedUS, stake, potential sql.NullInt64
	err := rows.Scan(&c.player, &c.bet, &c.jurisdiction, &c.placedSeq, &s.seq, &s.state, &s.version, &s.settledUS, &s.payout, &s.outcomes,
		&product, &currency, &placedUS, &stake, &potential, &c.legs)
	if err != nil {
		return nil, err
	}
	s.atUS = s.settledUS
	c.settlement = s
	c.slip.BetID, c.slip.PlayerID, c.slip.Jurisdiction = c.bet, c.player, c.jurisdiction
	c.slip.Product, c.slip.Currency = product.String, currency.String
	c.slip.StakeMinor, c.slip.PotentialPayoutMinor = stake.Int64, potential.Int64
	c.placedAt = time.UnixMicro(placedUS.Int64).UTC()
	return &c, nil
}

// insert adds the bets of a chunk to a history that has none of them. Those that are over there are left out.
func (c *chunk) insert(ctx context.Context, on tables, kept *keeper) error {
	kept.mark(c.bets)
	list := slices.DeleteFunc(slices.Clone(c.bets), func(b *change) bool { return b.late && b.settlement.state != stateOpen })
	if len(list) == 0 {
		return nil
	}
	for _, b := range list {
		if b.legs == nil {
			return errs.New(errs.CodeInternal, "bet %s of %s has no slip", b.bet, b.player)
		}
	}
	slices.SortFunc(list, func(a, b *change) int { return int(min(max(a.placedSeq-b.placedSeq, -1), 1)) }) // in log order
	if err := on.insertBets(ctx, list); err != nil {
		return err
	}
	return keepEarlier(ctx, on, list)
}
