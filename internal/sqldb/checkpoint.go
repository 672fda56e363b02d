package sqldb

import (
	"context"
	"database/sql"
)

// Querier is what a checkpoint runs on: a connection, or a pool that lends one.
type Querier interface {
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

// Checkpoint copies from the write-ahead log into the database file what no reader needs there any
// more, without waiting for anybody, and returns how many pages the log has and how many of them are
// copied. The log starts again from its beginning at the first write that finds all of it copied.
// Another checkpoint under way is no error: then nothing is known, and both are zero.
func Checkpoint(ctx context.Context, on Querier) (logged, copied int, err error) {
	const q = `PRAGMA wal_checkpoint(PASSIVE)`
	var busy int
	if err := on.QueryRowContext(ctx, q).Scan(&busy, &logged, &copied); err != nil {
		return 0, 0, Wrap("checkpoint", err)
	}
	if busy != 0 || logged < 0 {
		return 0, 0, nil
	}
	return logged, copied, nil
}
