// Package sqldb opens the embedded SQLite databases of the rooms with safe settings, applies their
// numbered migrations, and is the one place where driver errors become codes.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"matchday/errs"
	"matchday/internal/mysqldb"
	"matchday/internal/sqltime"
)

// Durability says what a commit means after a power loss.
type Durability int

const (
	// Durable commits are on disk when they return: money, identity, catalogue.
	Durable Durability = iota
	// Rebuildable commits may be lost at the end after a power loss, never torn: projections, which
	// keep their position in the same transaction and read the lost part again.
	Rebuildable
)

// Options of Open; the zero value is a durable database with 4 readers.
type Options struct {
	Durability  Durability
	Readers     int           // concurrent read connections, default 4
	CacheKiB    int           // bound of the writer's page cache, default 16 MiB
	WALPages    int           // pages of write-ahead log before a checkpoint, default 4,000
	PageSize    int           // bytes, only for a new file, default 4,096
	MaxPages    int           // bounds the file, for disk-full tests; 0 is no bound
	BusyTimeout time.Duration // how long to wait for another process's lock, default 10 s
	ReadOnly    bool
	WithoutSync bool // no fsync at all: measurements only
}

// DB is one SQLite file: a single writing connection and a pool of reading ones.
type DB struct {
	Write *sql.DB // exactly one connection: writers queue in Go, not on a file lock
	Read  *sql.DB // read-only connections; each statement sees the last commit
	path  string
}

// Open opens or creates the database file.
func Open(path string, o Options) (*DB, error) {
	if o.Readers == 0 {
		o.Readers = 4
	}
	separateCaches()
	write, err := openTimed(path, dsn(path, o, false))
	if err != nil {
		return nil, Wrap("open "+filepath.Base(path), err)
	}
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	if err := write.Ping(); err != nil {
		_ = write.Close()
		return nil, Wrap("open "+filepath.Base(path), err)
	}
	read, err := openTimed(path, dsn(path, o, true))
	if err != nil {
		_ = write.Close()
		return nil, Wrap("open "+filepath.Base(path), err)
	}
	read.SetMaxOpenConns(o.Readers)
	read.SetMaxIdleConns(o.Readers)
	return &DB{Write: write, Read: read, path: path}, nil
}

// openTimed opens a pool whose statements are timed, under the name of the file without its number.
func openTimed(path, dsn string) (*sql.DB, error) {
	bare, err := sql.Open("sqlite", dsn) // the registered driver is to be had only so; nothing is opened yet
	if err != nil {
		return nil, err
	}
	kind := strings.TrimRight(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), "-0123456789")
	return sql.OpenDB(sqltime.Process().Connector(connector{bare.Driver(), dsn}, kind)), bare.Close()
}

// connector opens connections of one file.
type connector struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// Path returns the file's path.
func (d *DB) Path() string { return d.path }

// Close closes all connections. It may be called twice.
func (d *DB) Close() error { return errors.Join(d.Read.Close(), d.Write.Close()) }

// dsn builds the driver's connection string. Pragmas run on each new connection.
func dsn(path string, o Options, reader bool) string {
	q := url.Values{}
	pragma := func(name string, value any) { q.Add("_pragma", fmt.Sprintf("%s(%v)", name, value)) }
	busy := 10 * time.Second
	if o.BusyTimeout > 0 {
		busy = o.BusyTimeout
	}
	pragma("busy_timeout", busy.Milliseconds())
	if o.PageSize > 0 {
		pragma("page_size", o.PageSize)
	}
	pragma("journal_mode", "WAL")
	pragma("foreign_keys", 1)
	switch {
	case o.WithoutSync:
		pragma("synchronous", "OFF")
	case o.Durability == Durable:
		pragma("synchronous", "FULL")
	default:
		pragma("synchronous", "NORMAL")
	}
	if reader || o.ReadOnly {
		pragma("query_only", 1)
		cache := 4096
		if o.CacheKiB > 0 {
			cache = min(cache, max(256, o.CacheKiB/4)) // a small writer has small readers
		}
		pragma("cache_size", -cache)
	} else {
		cache := 16 << 10
		if o.CacheKiB > 0 {
			cache = o.CacheKiB
		}
		pragma("cache_size", -cache)
		pragma("wal_autocheckpoint", max(o.WALPages, 4000))
		q.Set("_txlock", "immediate")
	}
	if o.MaxPages > 0 {
		pragma("max_page_count", o.MaxPages)
	}
	pragma("temp_store", "MEMORY")
	return "file:" + path + "?" + q.Encode()
}

// InTx runs fn in one transaction of the writing connection: committed if fn returns nil, rolled
// back otherwise.
func (d *DB) InTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := d.Write.BeginTx(ctx, nil)
	if err != nil {
		return Wrap("begin", err)
	}
	if err := fn(tx); err != nil {
		if rollbackErr := tx.Rollback(); rollbackErr != nil && !errors.Is(rollbackErr, sql.ErrTxDone) {
			return errors.Join(err, Wrap("roll back", rollbackErr))
		}
		return err
	}
	return Wrap("commit", tx.Commit())
}

// Wrap adds the operation and turns a driver error into a code, by its number: constraint
// violations are conflict; busy, full, read-only and I/O errors are unavailable; sql.ErrNoRows is
// not_found. nil stays nil; what already has a code keeps it. Errors of MySQL are classified by
// [mysqldb.Wrap], so that SQL which both engines run need not know where it runs.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	if coder, ok := errors.AsType[errs.Coder](err); ok {
		return fmt.Errorf("%s: %w", op, coder)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return errs.Wrap(err, errs.CodeNotFound, "%s", op)
	}
	if coded, ok := errors.AsType[*sqlite.Error](err); ok {
		switch coded.Code() & 0xff {
		case sqlite3.SQLITE_CONSTRAINT:
			return errs.Wrap(err, errs.CodeConflict, "%s", op)
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_INTERRUPT:
			return errs.Wrap(err, errs.CodeUnavailable, "%s", op)
		}
	}
	return mysqldb.Wrap(op, err)
}

// IsUnique reports whether err is a violated unique or primary key.
func IsUnique(err error) bool {
	coded, ok := errors.AsType[*sqlite.Error](err)
	return ok && (coded.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || coded.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
