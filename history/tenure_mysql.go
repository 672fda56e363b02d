package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"matchday/internal/mysqldb"
	"matchday/stream"
)

// Epochs of a store that has not claimed its database.
const (
	epochAlone = 0  // no other process writes: nothing is checked
	epochNone  = -1 // others may: nothing is written before a claim
)

// share makes the store one that writes only under an epoch that it has claimed.
func (s *mysqlStore) share() { s.epoch.Store(epochNone) }

// Claim implements stream.SharedStore. A DBTx of before that is still open either has passed the fence, and
// the claim waits for its end, or will find the epoch. The server ends one that its process has left alone
// after a few seconds, with all its locks.
func (s *mysqlStore) Claim(ctx context.Context, epoch int64) error {
	const (
		read = `
			SELECT epoch
			FROM tenure
			WHERE one = 1
			FOR UPDATE`
		raise = `
			UPDATE tenure
			SET epoch = ?
			WHERE one = 1`
	)
	err := s.on(ctx, func(conn *sql.Conn) error {
		return inDBTx(ctx, conn, func() error {
			var now int64
			if err := conn.QueryRowContext(ctx, read).Scan(&now); err != nil {
				return mysqldb.Wrap("read tenure", err)
			}
			if now > epoch {
				return fmt.Errorf("%s was claimed under epoch %d, this process has %d: %w", s.database, now, epoch, stream.ErrFenced)
			}
			_, err := conn.ExecContext(ctx, raise, epoch)
			return mysqldb.Wrap("raise tenure", err)
		})
	})
	if err == nil {
		s.epoch.Store(epoch)
	}
	return err
}

// fence fails unless the database is this process's to write, and keeps it so until the DBTx ends. It comes
// last in one: a process that stops while it holds the lock has written, and the server ends its DBTx.
func (s *mysqlStore) fence(ctx context.Context, on *sql.Conn) error {
	const q = `
		SELECT epoch
		FROM tenure
		WHERE one = 1
		LOCK IN SHARE MODE`
	mine := s.epoch.Load()
	if mine == epochAlone {
		return nil
	}
	var now int64
	if err := on.QueryRowContext(ctx, q).Scan(&now); err != nil {
		return mysqldb.Wrap("read tenure", err)
	}
	if now != mine {
		return fmt.Errorf("%s is written under epoch %d, not %d: %w", s.database, now, mine, stream.ErrFenced)
	}
	return nil
}

// inFence runs fn in a DBTx that commits only while the database is this process's to write.
func (s *mysqlStore) inFence(ctx context.Context, conn *sql.Conn, fn func() error) error {
	return inDBTx(ctx, conn, func() error {
		if err := fn(); err != nil {
			return err
		}
		return s.fence(ctx, conn)
	})
}

// guard returns what to put before an ALTER in one packet: it fails, and the server goes no further, if
// another process has claimed the database. An ALTER has no DBTx that could be fenced.
func (s *mysqlStore) guard() string {
	mine := s.epoch.Load()
	if mine == epochAlone {
		return ""
	}
	return fmt.Sprintf("INSERT INTO tenure (one, epoch) SELECT one, 0 FROM tenure AS t WHERE t.epoch <> %d;", mine)
}

// Follow implements stream.SharedStore.
func (s *mysqlStore) Follow(ctx context.Context) (seq int64, at time.Time, err error) {
	const q = `
		SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MIN(at_us), 0)
		FROM sink_position`
	rows, err := s.QueryContext(ctx, q)
	if err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read positions", err)
	}
	defer rows.Close()
	var writers int
	var us int64
	if rows.Next() {
		err = rows.Scan(&writers, &seq, &us)
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read positions", err)
	}
	s.mu.Lock()
	s.divided = writers
	s.mu.Unlock()
	if us > 0 {
		at = time.UnixMicro(us).UTC()
	}
	return seq, at, nil
}
