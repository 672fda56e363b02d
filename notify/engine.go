package notify

import (
	"context"
	"database/sql"
	"embed"
	"path/filepath"
	"time"

	"matchday/internal/sqldb"
	"matchday/stream"
)

//go:embed migrations/*.sql
var migrations embed.FS

// conn is a connection, or a DBTx.
type conn interface {
	stream.Conn
	reader
}

// reader is where rows are read.
type reader interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// engine is the kind of database that the room's tables are in. What all of them understand alike is in
// [store].
type engine interface {
	reader // of what is committed
	// inDBTx runs fn in a DBTx, after a deadlock again.
	inDBTx(ctx context.Context, fn func(on conn) error) error
	// inTenure is inDBTx for what is for the process that writes the shard: stream.ErrFenced means that it
	// is another one, and nothing has changed.
	inTenure(ctx context.Context, shard int, fn func(on conn) error) error
	// look returns stream.ErrFenced if another process writes the shard.
	look(ctx context.Context, shard int) error
	// wrap gives an error of the driver its code.
	wrap(op string, err error) error
	// keepFirst ends an INSERT of deliveries: one that is there already stays as it is.
	keepFirst() string
	// hold ends a SELECT whose rows must not change before the DBTx ends.
	hold() string
	close() error
}

// file is a SQLite file, which is of one process.
type file struct{ db *sqldb.DB }

func openFile(ctx context.Context, dir string, now time.Time) (*file, error) {
	db, err := sqldb.Open(filepath.Join(dir, "notify.db"), sqldb.Options{Readers: 2})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, migrations, now); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &file{db: db}, nil
}

// QueryContext implements reader.
func (f *file) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return f.db.Read.QueryContext(ctx, q, args...)
}

// inDBTx implements engine.
func (f *file) inDBTx(ctx context.Context, fn func(on conn) error) error {
	return f.db.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
}

// inTenure implements engine: nobody else writes.
func (f *file) inTenure(ctx context.Context, _ int, fn func(on conn) error) error {
	return f.inDBTx(ctx, fn)
}

// look implements engine.
func (f *file) look(context.Context, int) error { return nil }

// wrap implements engine.
func (f *file) wrap(op string, err error) error { return sqldb.Wrap(op, err) }

// keepFirst implements engine.
func (f *file) keepFirst() string { return " ON CONFLICT (subscription_id, event_id) DO NOTHING" }

// hold implements engine: nothing else writes beside a DBTx that does.
func (f *file) hold() string { return "" }

// close implements engine.
func (f *file) close() error { return f.db.Close() }
