package stream

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"matchday/internal/mysqldb"
)

// Epochs of a [Tenure] that has not claimed.
const (
	EpochAlone int64 = 0  // no other process writes: nothing is checked
	EpochNone  int64 = -1 // others may: nothing is written before a claim
)

// Tenure is this process's right to write a shard's projection in a database on a MySQL-protocol cluster: the
// epoch that it has claimed, and the row of table tenure there that has the highest one. It is safe for
// concurrent use. See docs/decisions/0017.
type Tenure struct {
	row   string // what finds the row
	epoch atomic.Int64
}

// NewTenure returns the tenure of a process that is alone. Row is the condition that finds the row in table
// tenure, such as "one = 1" where the database is one shard's.
func NewTenure(row string) *Tenure { return &Tenure{row: row} }

// Share makes it one of several processes', which write only under an epoch that they have claimed.
func (t *Tenure) Share() { t.epoch.Store(EpochNone) }

// Epoch returns the epoch that this process claimed last, or [EpochAlone] or [EpochNone].
func (t *Tenure) Epoch() int64 { return t.epoch.Load() }

// Claim makes the epoch the only one that commits, or returns [ErrFenced] if a higher one has claimed. A DBTx
// of before that is still open either has passed the check, and the claim waits for its end, or will find the
// epoch. The server ends one that its process has left alone after a few seconds, with all its locks.
func (t *Tenure) Claim(ctx context.Context, conn *sql.Conn, epoch int64) error {
	const (
		read = `
			SELECT epoch
			FROM tenure
			WHERE %s
			FOR UPDATE`
		raise = `
			UPDATE tenure
			SET epoch = ?
			WHERE %s`
	)
	err := mysqldb.InDBTx(ctx, conn, func() error {
		var now int64
		if err := conn.QueryRowContext(ctx, fmt.Sprintf(read, t.row)).Scan(&now); err != nil {
			return mysqldb.Wrap("read tenure", err)
		}
		if now > epoch {
			return fmt.Errorf("it was claimed under epoch %d, this process has %d: %w", now, epoch, ErrFenced)
		}
		_, err := conn.ExecContext(ctx, fmt.Sprintf(raise, t.row), epoch)
		return mysqldb.Wrap("raise tenure", err)
	})
	if err == nil {
		t.epoch.Store(epoch)
	}
	return err
}

// Check fails with [ErrFenced] unless the projection is this process's to write, and keeps it so until the DBTx
// ends. It comes last in one: a process that stops while it holds the lock has written, and the server ends
// its DBTx.
func (t *Tenure) Check(ctx context.Context, on Conn) error {
	const q = `
		SELECT epoch
		FROM tenure
		WHERE %s
		LOCK IN SHARE MODE`
	mine := t.epoch.Load()
	if mine == EpochAlone {
		return nil
	}
	var now int64
	if err := on.QueryRowContext(ctx, fmt.Sprintf(q, t.row)).Scan(&now); err != nil {
		return mysqldb.Wrap("read tenure", err)
	}
	if now != mine {
		return fmt.Errorf("written under epoch %d, not %d: %w", now, mine, ErrFenced)
	}
	return nil
}

// InDBTx runs fn in a DBTx that commits only while the projection is this process's to write.
func (t *Tenure) InDBTx(ctx context.Context, conn *sql.Conn, fn func() error) error {
	return mysqldb.InDBTx(ctx, conn, func() error {
		if err := fn(); err != nil {
			return err
		}
		return t.Check(ctx, conn)
	})
}

// Commit is Commit of a [Store]: it runs apply and moves the position from a sequence to the end of the batch
// last, both or neither, while the projection is this process's to write. On runs a function on a connection to
// the projection's database.
func (t *Tenure) Commit(ctx context.Context, on func(context.Context, func(*sql.Conn) error) error, row *PositionRow, from int64, last *Batch,
	apply func(conn *sql.Conn) error) error {
	err := on(ctx, func(conn *sql.Conn) error {
		err := t.InDBTx(ctx, conn, func() error {
			if err := apply(conn); err != nil {
				return fmt.Errorf("apply %d..%d: %w", from+1, last.Last, err)
			}
			return row.Move(ctx, conn, from, last)
		})
		if err == nil || ctx.Err() != nil || mysqldb.IsLost(err) {
			return err
		}
		return row.Verdict(ctx, conn, err, from, last.Last)
	})
	if err != nil && ctx.Err() == nil && mysqldb.IsLost(err) { // on a new connection
		cause := err
		err = on(ctx, func(conn *sql.Conn) error { return row.Verdict(ctx, conn, cause, from, last.Last) })
	}
	return err
}
