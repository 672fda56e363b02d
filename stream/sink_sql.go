package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"matchday/internal/sqldb"
)

// ErrFenced means that someone else moved the sink's position. Two writers of one projection would
// undo each other's work, so the one that notices stops.
var ErrFenced = errors.New("another writer moves this sink")

// ErrRewound means that the sink's database has lost commits that it had answered: a server came back from a
// power loss, or another node without them took over. The sink goes back and applies the records again.
var ErrRewound = errors.New("the sink's database has lost commits")

// Store is where a sink keeps what it projects, and its position with it.
type Store interface {
	// Load makes a place for the position if there is none and returns the position; the time is zero if
	// it is not known.
	Load(ctx context.Context) (seq int64, at time.Time, err error)
	// Commit applies batches that follow the sequence from without a hole, and moves the position to
	// their end, both or neither. What has failed may come again, perhaps with more. ErrFenced means
	// that the position was beyond from, ErrRewound that it was before.
	Commit(ctx context.Context, from int64, batches []Batch) error
}

// Conn is a connection, or a DBTx, that a position is read and written on.
type Conn interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

// PositionRow is the row of a sink's position in its own database.
type PositionRow struct {
	Name  string // of the sink; it is the row's key
	Shard int

	tried int64 // where Move was last to go: the answer to that commit may have been lost
}

// errElsewhere means that the row is not where Move expected it, after an attempt whose commit may have succeeded
// unheard. [PositionRow.Verdict] tells the two apart.
var errElsewhere = errors.New("the position has moved, perhaps by the attempt before")

const createPositions = `
	CREATE TABLE IF NOT EXISTS sink_position (
		name  TEXT    NOT NULL PRIMARY KEY,
		shard INTEGER NOT NULL CHECK (shard >= 0),
		seq   INTEGER NOT NULL CHECK (seq >= 0),
		at_us INTEGER NOT NULL
	) STRICT`

// Create makes the table and the row in a SQLite file where they are missing.
func (r *PositionRow) Create(ctx context.Context, on Conn) error {
	const insert = `
		INSERT INTO sink_position (name, shard, seq, at_us)
		VALUES (?, ?, 0, 0)
		ON CONFLICT (name) DO NOTHING`
	if _, err := on.ExecContext(ctx, createPositions); err != nil {
		return sqldb.Wrap("create sink_position", err)
	}
	_, err := on.ExecContext(ctx, insert, r.Name, r.Shard)
	return sqldb.Wrap("insert sink_position", err)
}

// Read returns the position. A row of another shard is an error: the file is not the sink's.
func (r *PositionRow) Read(ctx context.Context, on Conn) (seq int64, at time.Time, err error) {
	const q = `
		SELECT shard, seq, at_us
		FROM sink_position
		WHERE name = ?`
	var shard int
	var us int64
	if err := on.QueryRowContext(ctx, q, r.Name).Scan(&shard, &seq, &us); err != nil {
		return 0, time.Time{}, sqldb.Wrap("read sink_position", err)
	}
	if shard != r.Shard {
		return 0, time.Time{}, fmt.Errorf("sink %s: its database is of shard %d, not %d", r.Name, shard, r.Shard)
	}
	if us > 0 {
		at = time.UnixMicro(us).UTC()
	}
	return seq, at, nil
}

// Move moves the position behind the batch last, inside the DBTx of the data. ErrFenced means that it
// was not at from. An error of the DBTx belongs before [PositionRow.Verdict], at once or, when the database
// cannot be asked, after the same move was tried again: a server that dies may have committed the first.
func (r *PositionRow) Move(ctx context.Context, on Conn, from int64, last *Batch) error {
	const q = `
		UPDATE sink_position
		SET seq = ?, at_us = ?
		WHERE name = ? AND shard = ? AND seq = ?`
	missed := ErrFenced
	if r.tried == last.Last {
		missed = errElsewhere
	}
	r.tried = last.Last
	result, err := on.ExecContext(ctx, q, last.Last, last.At.UnixMicro(), r.Name, r.Shard, from)
	if err != nil {
		return sqldb.Wrap("move sink_position", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(missed, err)
	}
	return nil
}

// Verdict finds out what became of a commit that was to move the position from one sequence to another
// and answered with an error: an error on the way back from the disk, or from the server, may hide a
// success.
func (r *PositionRow) Verdict(ctx context.Context, on Conn, cause error, from, to int64) error {
	seq, _, err := r.Read(ctx, on)
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case seq == to && !errors.Is(cause, ErrFenced):
		return nil
	case seq < from:
		return fmt.Errorf("sink %s expects %d, its row says %d: %w", r.Name, from, seq, ErrRewound)
	case seq != from:
		return fmt.Errorf("sink %s expects %d, its row says %d: %w", r.Name, from, seq, ErrFenced)
	}
	return cause
}

// sqlStore is the store of a projection in a SQLite file.
type sqlStore struct {
	row   PositionRow
	db    *sqldb.DB
	apply Projection
}

// Load implements Store.
func (s *sqlStore) Load(ctx context.Context) (int64, time.Time, error) {
	if err := s.db.InTx(ctx, func(tx *sql.Tx) error { return s.row.Create(ctx, tx) }); err != nil {
		return 0, time.Time{}, err
	}
	return s.row.Read(ctx, s.db.Write)
}

// Commit implements Store.
func (s *sqlStore) Commit(ctx context.Context, from int64, batches []Batch) error {
	last := &batches[len(batches)-1]
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.apply(ctx, tx, batches); err != nil {
			return fmt.Errorf("apply %d..%d: %w", from+1, last.Last, err)
		}
		return s.row.Move(ctx, tx, from, last)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.row.Verdict(ctx, s.db.Write, err, from, last.Last)
}

// SkipTo lets the sink of that name begin after the sequence, as if it had applied everything before:
// for a projection in a SQLite file that is asked for from now on. It belongs before the sink's first Load.
func SkipTo(ctx context.Context, on Conn, name string, shard int, seq int64) error {
	const q = `
		INSERT INTO sink_position (name, shard, seq, at_us)
		VALUES (?, ?, ?, 0)
		ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`
	if _, err := on.ExecContext(ctx, createPositions); err != nil {
		return sqldb.Wrap("create sink_position", err)
	}
	_, err := on.ExecContext(ctx, q, name, shard, seq)
	return sqldb.Wrap("skip to a sequence", err)
}
