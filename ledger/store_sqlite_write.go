package ledger

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// sqliteWriter holds the prepared statements of one shard's writing connection.
type sqliteWriter struct {
	begin, commit, rollback, advance, seal, resolve *statement
	place, copiedTo, addShare, setShare             *statement
	limit, note, beginGroup, endGroup               *statement

	accounts, transfers, wide, postings, holds *inserter
}

// newSQLiteWriter prepares every statement of a commit.
func newSQLiteWriter(ctx context.Context, c driver.Conn) (*sqliteWriter, error) {
	const advance = `
		UPDATE shard
		SET seq = ?, accounts = ?, at_us = ?
		WHERE id = 1 AND epoch = ? AND seq = ?`
	const seal = `
		INSERT INTO batch (last_seq, first_seq, at_us, epoch, accounts, records, seal)
		VALUES (?, ?, ?, ?, ?, ?, ?)`
	const resolve = `
		UPDATE hold
		SET state = ?, posted_minor = ?, resolved_seq = ?
		WHERE seq = ? AND state = 1`
	const place = `
		INSERT INTO bucket (bucket, state, peer, move_id, seq)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (bucket) DO UPDATE SET state = excluded.state, peer = excluded.peer,
			move_id = excluded.move_id, seq = excluded.seq`
	const copiedTo = `
		UPDATE bucket
		SET seq = ?
		WHERE state = 4 AND move_id = ? AND seq < ?`
	const addShare = `
		INSERT INTO bucket_share (bucket, account_id, amount_minor)
		VALUES (?, ?, ?)
		ON CONFLICT (bucket, account_id) DO UPDATE SET amount_minor = amount_minor + excluded.amount_minor`
	const setShare = `
		INSERT INTO bucket_share (bucket, account_id, amount_minor)
		VALUES (?, ?, ?)
		ON CONFLICT (bucket, account_id) DO UPDATE SET amount_minor = excluded.amount_minor`
	const accounts = `
		INSERT INTO account (id, address, jurisdiction, currency)
		VALUES `
	const transfers = `
		INSERT INTO transfer (seq, key, kind, state, code, detail, player, jurisdiction, currency,
			fingerprint, hold_seq, lines, record_type, subject, data)
		VALUES `
	const wide = `
		INSERT INTO transfer (seq, key, kind, state, code, detail, player, jurisdiction, currency,
			fingerprint, hold_seq, lines, record_type, subject, data, origin_shard, origin_seq, origin_at_us, extra)
		VALUES `
	const postings = `
		INSERT INTO posting (account_id, seq, amount_minor, balance_minor, held_minor, rule)
		VALUES `
	const holds = `
		INSERT INTO hold (seq, account_id, counter_id, jurisdiction, currency, amount_minor, expires_us,
			state, posted_minor, resolved_seq)
		VALUES `
	p := preparer{ctx: ctx, conn: c}
	w := &sqliteWriter{
		begin: p.prepare("BEGIN IMMEDIATE"), commit: p.prepare("COMMIT"), rollback: p.prepare("ROLLBACK"),
		advance: p.prepare(advance), seal: p.prepare(seal), resolve: p.prepare(resolve),
		place: p.prepare(place), copiedTo: p.prepare(copiedTo), addShare: p.prepare(addShare), setShare: p.prepare(setShare),
		accounts: p.inserter(accounts, 4), transfers: p.inserter(transfers, 15), wide: p.inserter(wide, 19),
		postings: p.inserter(postings, 6), holds: p.inserter(holds, 10),
	}
	w.prepareChanges(&p)
	if p.err != nil {
		return nil, errors.Join(sqldb.Wrap("prepare", p.err), w.close())
	}
	return w, nil
}

// prepareChanges prepares what few batches need.
func (w *sqliteWriter) prepareChanges(p *preparer) {
	const limit = `
		INSERT INTO account_limit (account_id, seq, version, min_minor, max_minor, freeze)
		VALUES (?, ?, ?, ?, ?, ?)`
	const note = `
		INSERT INTO account_metadata (account_id, seq, data)
		VALUES (?, ?, ?)`
	const beginGroup = `
		INSERT INTO grp (seq, state)
		VALUES (?, 1)`
	const endGroup = `
		UPDATE grp
		SET state = 2, ended_seq = ?
		WHERE state = 1 AND seq = (
				SELECT t.seq
				FROM transfer t
				WHERE t.key = ?)`
	w.limit, w.note = p.prepare(limit), p.prepare(note)
	w.beginGroup, w.endGroup = p.prepare(beginGroup), p.prepare(endGroup)
}

// close finalises the statements that were prepared.
func (w *sqliteWriter) close() error {
	var list []error
	all := []*statement{
		w.begin, w.commit, w.rollback, w.advance, w.seal, w.resolve, w.place, w.copiedTo, w.addShare, w.setShare,
		w.limit, w.note, w.beginGroup, w.endGroup,
	}
	for _, s := range all {
		list = append(list, s.close())
	}
	for _, i := range []*inserter{w.accounts, w.transfers, w.wide, w.postings, w.holds} {
		list = append(list, i.one.close(), i.many.close())
	}
	return errors.Join(list...)
}

// preparer gathers the first error of many preparations.
type preparer struct {
	ctx  context.Context //nolint:containedctx // lives for one call
	conn driver.Conn
	err  error
}

func (p *preparer) prepare(q string) *statement {
	if p.err != nil {
		return &statement{}
	}
	pc, ok := p.conn.(driver.ConnPrepareContext)
	if !ok {
		p.err = errs.New(errs.CodeInternal, "driver connection %T cannot prepare", p.conn)
		return &statement{}
	}
	s, err := pc.PrepareContext(p.ctx, q)
	if err != nil {
		p.err = err
		return &statement{}
	}
	exec, ok := s.(driver.StmtExecContext)
	if !ok {
		p.err = errs.New(errs.CodeInternal, "driver statement %T cannot execute", s)
	}
	return &statement{stmt: s, exec: exec}
}

func (p *preparer) inserter(q string, columns int) *inserter {
	marks := "(" + strings.TrimSuffix(strings.Repeat("?, ", columns), ", ") + ")"
	many := strings.TrimSuffix(strings.Repeat(marks+", ", rowsPerInsert), ", ")
	i := &inserter{columns: columns, one: p.prepare(q + marks), many: p.prepare(q + many)}
	i.args = numbered(columns * rowsPerInsert)
	return i
}

// numbered returns n arguments with their ordinals set.
func numbered(n int) []driver.NamedValue {
	args := make([]driver.NamedValue, n)
	for i := range args {
		args[i].Ordinal = i + 1
	}
	return args
}

// statement is a prepared statement of the driver.
type statement struct {
	stmt driver.Stmt
	exec driver.StmtExecContext
}

func (s *statement) close() error {
	if s == nil || s.stmt == nil {
		return nil
	}
	return s.stmt.Close()
}

// run executes with few arguments and returns the number of changed rows.
func (s *statement) run(ctx context.Context, values ...any) (int64, error) {
	args := numbered(len(values))
	for i := range values {
		args[i].Value = values[i]
	}
	result, err := s.exec.ExecContext(ctx, args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// rowsPerInsert is how many rows one execution inserts.
const rowsPerInsert = 16

// inserter inserts rows, rowsPerInsert at a time as far as they reach and the rest singly.
type inserter struct {
	columns   int
	one, many *statement
	args      []driver.NamedValue
	filled    int
}

// value sets the next column.
func (i *inserter) value(v any) {
	i.args[i.filled].Value = v
	i.filled++
}

// next ends a row.
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

// commit implements writerStore.
func (s *sqliteStore) commit(ctx context.Context, b *batch) error {
	s.wal.finish(ctx, s.conn)
	err := s.raw(func(driver.Conn) error { return s.w.write(ctx, b) })
	if err == nil {
		s.wal.wrote(len(b.rows))
	}
	return err
}

// write runs the whole DBTx of a batch.
func (w *sqliteWriter) write(ctx context.Context, b *batch) error {
	if _, err := w.begin.run(ctx); err != nil {
		return sqldb.Wrap("begin batch", err)
	}
	err := w.insert(ctx, b)
	if err == nil {
		b.statementsDone()
		if _, err = w.commit.run(ctx); err == nil {
			return nil
		}
		err = sqldb.Wrap("commit batch", err)
	}
	if _, rollbackErr := w.rollback.run(ctx); rollbackErr != nil && !isNoTx(rollbackErr) {
		return errors.Join(err, sqldb.Wrap("roll back batch", rollbackErr))
	}
	return err
}

// isNoTx reports SQLite's complaint that there is nothing to roll back: some errors, a full disk
// among them, have rolled back already.
func isNoTx(err error) bool { return strings.Contains(err.Error(), "no transaction is active") }

// insert writes the rows of a batch inside its DBTx.
func (w *sqliteWriter) insert(ctx context.Context, b *batch) error {
	changed, err := w.advance.run(ctx, b.last, b.accounts, b.at.UnixMicro(), b.epoch, b.first-1)
	if err != nil {
		return sqldb.Wrap("advance position", err)
	}
	if changed != 1 {
		return errFenced
	}
	if err := w.insertAccounts(ctx, b.opened); err != nil {
		return sqldb.Wrap("open accounts", err)
	}
	if err := w.insertTransfers(ctx, b.rows); err != nil {
		if sqldb.IsUnique(err) {
			return errDuplicate
		}
		return sqldb.Wrap("append transfers", err)
	}
	if err := w.insertPostings(ctx, b.postings); err != nil {
		return sqldb.Wrap("append postings", err)
	}
	if err := w.writeHolds(ctx, b); err != nil {
		return sqldb.Wrap("write holds", err)
	}
	if err := w.placeBuckets(ctx, b); err != nil {
		return sqldb.Wrap("place buckets", err)
	}
	if err := w.writeChanges(ctx, b); err != nil {
		return sqldb.Wrap("write limits, metadata and groups", err)
	}
	_, err = w.seal.run(ctx, b.last, b.first, b.at.UnixMicro(), b.writtenEpoch(), b.accounts, int64(b.records), b.seal[:])
	return sqldb.Wrap("seal batch", err)
}

func (w *sqliteWriter) insertAccounts(ctx context.Context, list []*account) error {
	in := w.accounts
	in.filled = 0
	for _, a := range list {
		in.value(a.id)
		in.value(string(a.address))
		in.value(string(a.parts.jurisdiction))
		in.value(string(a.currency))
		if err := in.next(ctx); err != nil {
			return err
		}
	}
	return in.flush(ctx)
}

func (w *sqliteWriter) insertTransfers(ctx context.Context, rows []row) error {
	w.transfers.filled, w.wide.filled = 0, 0
	for i := range rows {
		r := &rows[i]
		in := w.transfers
		wide := r.origin.copied() || r.extra != nil
		if wide {
			in = w.wide
		}
		in.value(r.seq)
		in.value(r.key)
		in.value(int64(r.kind))
		if r.code == "" {
			in.value(int64(1))
			in.value(nil)
			in.value(nil)
		} else {
			in.value(int64(2))
			in.value(string(r.code))
			in.value(r.detail)
		}
		in.value(string(r.player))
		in.value(string(r.jurisdiction))
		in.value(string(r.currency))
		in.value(r.print[:])
		if r.holdSeq == 0 {
			in.value(nil)
		} else {
			in.value(r.holdSeq)
		}
		in.value(r.lines)
		if r.record == nil {
			in.value(nil)
			in.value(nil)
			in.value(nil)
		} else {
			in.value(r.record.Type)
			in.value(r.record.Subject)
			in.value(string(r.record.Data))
		}
		if wide {
			r.wide(in)
		}
		if err := in.next(ctx); err != nil {
			return err
		}
	}
	if err := w.transfers.flush(ctx); err != nil {
		return err
	}
	return w.wide.flush(ctx)
}

// wide sets the columns that few rows have.
func (r *row) wide(in *inserter) {
	if r.origin.copied() {
		in.value(int64(r.origin.shard))
		in.value(r.origin.seq)
		in.value(r.origin.atUS)
	} else {
		in.value(nil)
		in.value(nil)
		in.value(nil)
	}
	if r.extra == nil {
		in.value(nil)
	} else {
		in.value(string(r.extra))
	}
}

func (w *sqliteWriter) insertPostings(ctx context.Context, list []posting) error {
	in := w.postings
	in.filled = 0
	for i := range list {
		p := &list[i]
		in.value(p.account)
		in.value(p.seq)
		in.value(p.amount)
		in.value(p.balance)
		in.value(p.held)
		in.value(int64(p.rule))
		if err := in.next(ctx); err != nil {
			return err
		}
	}
	return in.flush(ctx)
}

func (w *sqliteWriter) writeHolds(ctx context.Context, b *batch) error {
	in := w.holds
	in.filled = 0
	for _, h := range b.newHolds {
		in.value(h.seq)
		in.value(h.account)
		in.value(h.counter)
		in.value(string(h.jurisdiction))
		in.value(string(h.currency))
		in.value(h.amount)
		in.value(h.expires.UnixMicro())
		in.value(int64(h.state))
		in.value(h.posted)
		if h.resolved == 0 {
			in.value(nil)
		} else {
			in.value(h.resolved)
		}
		if err := in.next(ctx); err != nil {
			return err
		}
	}
	if err := in.flush(ctx); err != nil {
		return err
	}
	for _, h := range b.oldHolds {
		changed, err := w.resolve.run(ctx, int64(h.state), h.posted, h.resolved, h.seq)
		if err != nil {
			return err
		}
		if changed != 1 {
			return errs.New(errs.CodeInternal, "hold %d had ended already", h.seq)
		}
	}
	return nil
}

// writeChanges writes what few batches have: limits, metadata and the state of groups.
func (w *sqliteWriter) writeChanges(ctx context.Context, b *batch) error {
	for i := range b.limits {
		l := &b.limits[i]
		if _, err := w.limit.run(ctx, l.account, l.seq, l.Version, orNull(l.MinMinor), orNull(l.MaxMinor), int64(l.Freeze)); err != nil {
			return err
		}
	}
	for i := range b.notes {
		n := &b.notes[i]
		if _, err := w.note.run(ctx, n.account, n.seq, string(n.data)); err != nil {
			return err
		}
	}
	for _, seq := range b.begun {
		if _, err := w.beginGroup.run(ctx, seq); err != nil {
			return err
		}
	}
	for _, g := range b.ended {
		if _, err := w.endGroup.run(ctx, g.seq, g.began); err != nil {
			return err
		}
	}
	return nil
}

func orNull(v *int64) any {
	if v == nil {
		return nil
	}
	return *v
}
