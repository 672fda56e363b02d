package faults

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"matchday/internal/sqldb"
)

// unlocked reports whether no process holds the write lock of a shard's file, or of the directory's: a
// writer notes there each second how far its shards are.
func (s *stage) unlocked(ctx context.Context) (bool, error) {
	files, err := filepath.Glob(filepath.Join(s.books, "shard-*.db"))
	if err != nil || len(files) == 0 {
		return false, errors.Join(err, errors.New("there are no shard files"))
	}
	for _, file := range append(files, filepath.Join(s.books, "directory.db")) {
		free, err := writable(ctx, file)
		if !free || err != nil {
			return false, err
		}
	}
	return true, nil
}

// writable takes the write lock of one file for a moment.
func writable(ctx context.Context, file string) (free bool, err error) {
	db, err := sqldb.Open(file, sqldb.Options{BusyTimeout: time.Nanosecond})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Write.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false, nil //nolint:nilerr // held: that is the answer
	}
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	return true, err
}
