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
	begin, commit, rollback, advance, seal, resolve *sqldb.Statement
	place, copiedTo, addShare, setShare             *sqldb.Statement
	limit, note, beginGroup, endGroup               *sqldb.Statement

	accounts, transfers, wide, postings, holds *sqldb.Inserter
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
	p := sqldb.NewPreparer(ctx, c)
	w := &sqliteWriter{
		begin: p.Statement("BEGIN IMMEDIATE"), commit: p.Statement("COMMIT"), rollback: p.Statement("ROLLBACK"),
		advance: p.Statement(advance), seal: p.Statement(seal), resolve: p.Statement(resolve),
		place: p.Statement(place), copiedTo: p.Statement(copiedTo), addShare: p.Statement(addShare), setShare: p.Statement(setShare),
		accounts: p.Inserter(accounts, 4), transfers: p.Inserter(transfers, 15), wide: p.Inserter(wide, 19),
		postings: p.Inserter(postings, 6), holds: p.Inserter(holds, 10),
	}
	w.prepareChanges(p)
	if err := p.Err(); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// prepareChanges prepares what few batches need.
func (w *sqliteWriter) prepareChanges(p *sqldb.Preparer) {
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
	w.limit, w.note = p.Statement(limit), p.Statement(note)
	w.beginGroup, w.endGroup = p.Statement(beginGroup), p.Statement(endGroup)
}

// close finalises the statements that were prepared.
func (w *sqliteWriter) close() error {
	var list []error
	all := []*sqldb.Statement{
		w.begin, w.commit, w.rollback, w.advance, w.seal, w.resolve, w.place, w.copiedTo, w.addShare, w.setShare,
		w.limit, w.note, w.beginGroup, w.endGroup,
	}
	for _, s := range all {
		list = append(list, s.Close())
	}
	for _, i := range []*sqldb.Inserter{w.accounts, w.transfers, w.wide, w.postings, w.holds} {
		list = append(list, i.Close())
	}
	return errors.Join(list...)
}

// urgentRows is up to how many rows a batch comes before everything else. Its callers wait, and it needs the processor for half a
// millisecond, but several times: after each answer of the disk a thread otherwise waits until another has used up its
// turn. Larger batches are bulk work, which would leave nothing to those who answer calls.
const urgentRows = 128

// commit implements writerStore.
func (s *sqliteStore) commit(ctx context.Context, b *batch) error {
	s.wal.finish(ctx, s.conn)
	write := func() error {
		return s.raw(func(driver.Conn) error { return s.w.write(ctx, b) })
	}
	var err error
	if len(b.rows) <= urgentRows {
		err = sqldb.Urgently(write)
	} else {
		err = write()
	}
	if err == nil {
		s.wal.wrote(len(b.rows))
	}
	return err
}

// write runs the whole DBTx of a batch.
func (w *sqliteWriter) write(ctx context.Context, b *batch) error {
	if _, err := w.begin.Run(ctx); err != nil {
		return sqldb.Wrap("begin batch", err)
	}
	err := w.insert(ctx, b)
	if err == nil {
		b.statementsDone()
		if _, err = w.commit.Run(ctx); err == nil {
			return nil
		}
		err = sqldb.Wrap("commit batch", err)
	}
	if _, rollbackErr := w.rollback.Run(ctx); rollbackErr != nil && !isNoTx(rollbackErr) {
		return errors.Join(err, sqldb.Wrap("roll back batch", rollbackErr))
	}
	return err
}

// isNoTx reports SQLite's complaint that there is nothing to roll back: some errors, a full disk
// among them, have rolled back already.
func isNoTx(err error) bool { return strings.Contains(err.Error(), "no transaction is active") }

// insert writes the rows of a batch inside its DBTx.
func (w *sqliteWriter) insert(ctx context.Context, b *batch) error {
	changed, err := w.advance.Run(ctx, b.last, b.accounts, b.at.UnixMicro(), b.epoch, b.first-1)
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
	_, err = w.seal.Run(ctx, b.last, b.first, b.at.UnixMicro(), b.writtenEpoch(), b.accounts, int64(b.records), b.seal[:])
	return sqldb.Wrap("seal batch", err)
}

func (w *sqliteWriter) insertAccounts(ctx context.Context, list []*account) error {
	in := w.accounts
	in.Begin()
	for _, a := range list {
		in.Add(a.id)
		in.Add(string(a.address))
		in.Add(string(a.parts.jurisdiction))
		in.Add(string(a.currency))
		if err := in.Next(ctx); err != nil {
			return err
		}
	}
	return in.Flush(ctx)
}

func (w *sqliteWriter) insertTransfers(ctx context.Context, rows []row) error {
	w.transfers.Begin()
	w.wide.Begin()
	for i := range rows {
		r := &rows[i]
		in := w.transfers
		wide := r.origin.copied() || r.extra != nil
		if wide {
			in = w.wide
		}
		in.Add(r.seq)
		in.Add(r.key)
		in.Add(int64(r.kind))
		if r.code == "" {
			in.Add(int64(1))
			in.Add(nil)
			in.Add(nil)
		} else {
			in.Add(int64(2))
			in.Add(string(r.code))
			in.Add(r.detail)
		}
		in.Add(string(r.player))
		in.Add(string(r.jurisdiction))
		in.Add(string(r.currency))
		in.Add(r.print[:])
		if r.holdSeq == 0 {
			in.Add(nil)
		} else {
			in.Add(r.holdSeq)
		}
		in.Add(r.lines)
		if r.record == nil {
			in.Add(nil)
			in.Add(nil)
			in.Add(nil)
		} else {
			in.Add(r.record.Type)
			in.Add(r.record.Subject)
			in.Add(string(r.record.Data))
		}
		if wide {
			r.wide(in)
		}
		if err := in.Next(ctx); err != nil {
			return err
		}
	}
	if err := w.transfers.Flush(ctx); err != nil {
		return err
	}
	return w.wide.Flush(ctx)
}

// wide sets the columns that few rows have.
func (r *row) wide(in *sqldb.Inserter) {
	if r.origin.copied() {
		in.Add(int64(r.origin.shard))
		in.Add(r.origin.seq)
		in.Add(r.origin.atUS)
	} else {
		in.Add(nil)
		in.Add(nil)
		in.Add(nil)
	}
	if r.extra == nil {
		in.Add(nil)
	} else {
		in.Add(string(r.extra))
	}
}

func (w *sqliteWriter) insertPostings(ctx context.Context, list []posting) error {
	in := w.postings
	in.Begin()
	for i := range list {
		p := &list[i]
		in.Add(p.account)
		in.Add(p.seq)
		in.Add(p.amount)
		in.Add(p.balance)
		in.Add(p.held)
		in.Add(int64(p.rule))
		if err := in.Next(ctx); err != nil {
			return err
		}
	}
	return in.Flush(ctx)
}

func (w *sqliteWriter) writeHolds(ctx context.Context, b *batch) error {
	in := w.holds
	in.Begin()
	for _, h := range b.newHolds {
		in.Add(h.seq)
		in.Add(h.account)
		in.Add(h.counter)
		in.Add(string(h.jurisdiction))
		in.Add(string(h.currency))
		in.Add(h.amount)
		in.Add(h.expires.UnixMicro())
		in.Add(int64(h.state))
		in.Add(h.posted)
		if h.resolved == 0 {
			in.Add(nil)
		} else {
			in.Add(h.resolved)
		}
		if err := in.Next(ctx); err != nil {
			return err
		}
	}
	if err := in.Flush(ctx); err != nil {
		return err
	}
	for _, h := range b.oldHolds {
		changed, err := w.resolve.Run(ctx, int64(h.state), h.posted, h.resolved, h.seq)
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
		if _, err := w.limit.Run(ctx, l.account, l.seq, l.Version, orNull(l.MinMinor), orNull(l.MaxMinor), int64(l.Freeze)); err != nil {
			return err
		}
	}
	for i := range b.notes {
		n := &b.notes[i]
		if _, err := w.note.Run(ctx, n.account, n.seq, string(n.data)); err != nil {
			return err
		}
	}
	for _, seq := range b.begun {
		if _, err := w.beginGroup.Run(ctx, seq); err != nil {
			return err
		}
	}
	for _, g := range b.ended {
		if _, err := w.endGroup.Run(ctx, g.seq, g.began); err != nil {
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
