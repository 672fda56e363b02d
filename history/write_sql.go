package history

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// sqliteWriter is the prepared statements of one writing connection.
type sqliteWriter struct {
	slips, bets *inserter
	settlement  *statement
	args        []driver.NamedValue // of settlement
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
	w := &sqliteWriter{args: numbered(9)}
	var err1, err2, err3 error
	w.slips, err1 = newInserter(ctx, c, slips, 8)
	w.bets, err2 = newInserter(ctx, c, bets, 10)
	w.settlement, err3 = prepare(ctx, c, settle)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, errors.Join(sqldb.Wrap("prepare", err), w.close())
	}
	return w, nil
}

func (w *sqliteWriter) close() error {
	return errors.Join(w.slips.close(), w.bets.close(), w.settlement.close())
}

// insert adds bets that come in log order: the slips in that order, at the end of their tree, and the
// narrow rows by key, so that neighbours are written together.
func (w *sqliteWriter) insert(ctx context.Context, list []*change) error {
	for _, c := range list {
		i := w.slips
		i.add(c.placedSeq)
		i.add(string(c.jurisdiction))
		i.add(c.slip.Product)
		i.add(c.slip.Currency)
		i.add(c.placedAt.UnixMicro())
		i.add(c.slip.StakeMinor)
		i.add(c.slip.PotentialPayoutMinor)
		i.add(string(c.legs))
		if err := i.next(ctx); err != nil {
			return sqldb.Wrap("insert slips", err)
		}
	}
	if err := w.slips.flush(ctx); err != nil {
		return sqldb.Wrap("insert slips", err)
	}
	sortByKey(list)
	for _, c := range list {
		s, i := c.shown(), w.bets
		i.add(string(c.player))
		i.add(string(c.bet))
		i.add(string(c.jurisdiction))
		i.add(c.placedSeq)
		i.add(s.seq)
		i.add(int64(s.state))
		i.add(int64(s.version))
		i.add(s.settledUS)
		i.add(s.payout)
		i.add(s.outcomes)
		if err := i.next(ctx); err != nil {
			return sqldb.Wrap("insert bets", err)
		}
	}
	return sqldb.Wrap("insert bets", w.bets.flush(ctx))
}

// settle writes one row a statement: SQLite finds each once so. A multi-row UPDATE … FROM finds the rows,
// keeps them in a table of its own and finds them again, at twice the cost.
func (w *sqliteWriter) settle(ctx context.Context, list []*change) (changed int64, err error) {
	sortByKey(list)
	for _, c := range list {
		s := &c.settlement
		a := w.args
		a[0].Value, a[1].Value, a[2].Value = s.seq, int64(s.state), int64(s.version)
		a[3].Value, a[4].Value, a[5].Value = s.settledUS, s.payout, s.outcomes
		a[6].Value, a[7].Value, a[8].Value = string(c.player), string(c.bet), string(c.jurisdiction)
		result, err := w.settlement.exec.ExecContext(ctx, a)
		if err != nil {
			return 0, sqldb.Wrap("settle bet", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, sqldb.Wrap("settle bet", err)
		}
		changed += n
	}
	return changed, nil
}

// sortByKey sorts as the tree of bets is sorted.
func sortByKey(list []*change) {
	slices.SortFunc(list, func(a, b *change) int { return a.betKey.compare(b.betKey) })
}

// statement is a prepared statement of the driver.
type statement struct {
	stmt driver.Stmt
	exec driver.StmtExecContext
}

func prepare(ctx context.Context, c driver.Conn, q string) (*statement, error) {
	p, ok := c.(driver.ConnPrepareContext)
	if !ok {
		return nil, errs.New(errs.CodeInternal, "driver connection %T cannot prepare", c)
	}
	s, err := p.PrepareContext(ctx, q)
	if err != nil {
		return nil, err
	}
	exec, ok := s.(driver.StmtExecContext)
	if !ok {
		return nil, errors.Join(errs.New(errs.CodeInternal, "driver statement %T cannot execute", s), s.Close())
	}
	return &statement{stmt: s, exec: exec}, nil
}

func (s *statement) close() error {
	if s == nil {
		return nil
	}
	return s.stmt.Close()
}

// numbered returns n arguments with their ordinals set.
func numbered(n int) []driver.NamedValue {
	args := make([]driver.NamedValue, n)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	return args
}

// rowsPerInsert is how many rows one statement inserts: from here on more gain nothing.
const rowsPerInsert = 16

// inserter inserts rows, rowsPerInsert at a time as far as they reach and the rest singly.
type inserter struct {
	columns   int
	one, many *statement
	args      []driver.NamedValue
	filled    int
}

func newInserter(ctx context.Context, c driver.Conn, head string, columns int) (*inserter, error) {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	one, err1 := prepare(ctx, c, head+row)
	many, err2 := prepare(ctx, c, head+row+strings.Repeat(", "+row, rowsPerInsert-1))
	return &inserter{columns: columns, one: one, many: many, args: numbered(columns * rowsPerInsert)}, errors.Join(err1, err2)
}

func (i *inserter) close() error {
	if i == nil {
		return nil
	}
	return errors.Join(i.one.close(), i.many.close())
}

// add sets the next column.
func (i *inserter) add(v any) {
	i.args[i.filled].Value = v
	i.filled++
}

// next ends a row. After an error nothing is left over for the next DBTx.
func (i *inserter) next(ctx context.Context) error {
	if i.filled < len(i.args) {
		return nil
	}
	i.filled = 0
	_, err := i.many.exec.ExecContext(ctx, i.args)
	return err
}

// flush inserts the rows that did not fill a statement.
func (i *inserter) flush(ctx context.Context) error {
	filled := i.filled
	i.filled = 0
	head := i.args[:i.columns]
	for at := 0; at < filled; at += i.columns {
		for c := range head {
			head[c].Value = i.args[at+c].Value
		}
		if _, err := i.one.exec.ExecContext(ctx, head); err != nil {
			return err
		}
	}
	return nil
}
