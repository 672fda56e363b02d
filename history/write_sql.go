package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"matchday/internal/sqldb"
)

// sqliteWriter is the prepared statements of one writing connection.
type sqliteWriter struct {
	slips, bets *sqldb.Inserter
	settlement  *sqldb.Statement
	changes     *sqldb.Statement
}

// newSQLiteWriter prepares them.
func newSQLiteWriter(ctx context.Context, c driver.Conn) (*sqliteWriter, error) {
	const slips = `
		INSERT INTO slip (seq, jurisdiction, product, currency, placed_us, stake_minor, potential_minor, legs)
		VALUES `
	const bets = `
		INSERT INTO bet (player_id, bet_id, jurisdiction, slip_seq, seq, status, version, settled_us, payout_minor, outcomes)
		VALUES `
	const settle = `
		UPDATE bet
		SET seq = ?1, status = ?2, version = ?3, settled_us = ?4, payout_minor = ?5, outcomes = ?6
		WHERE player_id = ?7
		  AND bet_id = ?8
		  AND jurisdiction = ?9
		  AND version < ?3
		  AND seq < ?1`
	const changes = `SELECT total_changes()`
	p := sqldb.NewPreparer(ctx, c)
	w := &sqliteWriter{slips: p.Inserter(slips, 8), bets: p.Inserter(bets, 10), settlement: p.Statement(settle), changes: p.Statement(changes)}
	if err := p.Err(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *sqliteWriter) close() error {
	return errors.Join(w.slips.Close(), w.bets.Close(), w.settlement.Close(), w.changes.Close())
}

// insert adds bets that come in log order: the slips in that order, at the end of their tree, and the
// narrow rows by key, so that neighbours are written together.
func (w *sqliteWriter) insert(ctx context.Context, list []*change) error {
	w.slips.Begin()
	w.bets.Begin()
	for _, c := range list {
		i := w.slips
		i.Add(c.placedSeq)
		i.Add(string(c.jurisdiction))
		i.Add(c.slip.Product)
		i.Add(c.slip.Currency)
		i.Add(c.placedAt.UnixMicro())
		i.Add(c.slip.StakeMinor)
		i.Add(c.slip.PotentialPayoutMinor)
		i.Add(string(c.legs))
		if err := i.Next(ctx); err != nil {
			return sqldb.Wrap("insert slips", err)
		}
	}
	if err := w.slips.Flush(ctx); err != nil {
		return sqldb.Wrap("insert slips", err)
	}
	sortByKey(list)
	for _, c := range list {
		s, i := c.shown(), w.bets
		i.Add(string(c.player))
		i.Add(string(c.bet))
		i.Add(string(c.jurisdiction))
		i.Add(c.placedSeq)
		i.Add(s.seq)
		i.Add(int64(s.state))
		i.Add(int64(s.version))
		i.Add(s.settledUS)
		i.Add(s.payout)
		i.Add(s.outcomes)
		if err := i.Next(ctx); err != nil {
			return sqldb.Wrap("insert bets", err)
		}
	}
	return sqldb.Wrap("insert bets", w.bets.Flush(ctx))
}

// settle writes one row a statement: SQLite finds each once so. A multi-row UPDATE … FROM finds the rows,
// keeps them in a table of its own and finds them again, at twice the cost.
func (w *sqliteWriter) settle(ctx context.Context, list []*change) (changed int64, err error) {
	sortByKey(list)
	before, err := w.changes.Number(ctx)
	if err != nil {
		return 0, sqldb.Wrap("count changes", err)
	}
	for _, c := range list {
		s := &c.settlement
		values := []any{s.seq, int64(s.state), int64(s.version), s.settledUS, s.payout, s.outcomes,
			string(c.player), string(c.bet), string(c.jurisdiction)}
		if !c.late {
			err = w.settlement.Do(ctx, values...)
		} else if n, late := w.settlement.Run(ctx, values...); n == 0 { // dropped, or newer: there is nothing to look into
			changed, err = changed+1, late
		}
		if err != nil {
			return 0, sqldb.Wrap("settle bet", err)
		}
	}
	after, err := w.changes.Number(ctx)
	return changed + after - before, sqldb.Wrap("count changes", err)
}

// sortByKey sorts as the tree of bets is sorted.
func sortByKey(list []*change) {
	slices.SortFunc(list, func(a, b *change) int { return a.betKey.compare(b.betKey) })
}
