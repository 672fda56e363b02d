// Package sqldb opens the embedded SQLite databases of the rooms with safe settings, applies their
// numbered migrations, and is the one place where driver errors become codes.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

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

	flushed, ahead held // of Flush the file, of ReadAhead the write-ahead log
}

// Open opens or creates the database file.
func Open(path string, o Options) (*DB, error) {
	if o.Readers == 0 {
		o.Readers = 4
	}
	write := openTimed(path, o, false)
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	if err := write.Ping(); err != nil {
		_ = write.Close()
		return nil, Wrap("open "+filepath.Base(path), err)
	}
	read := openTimed(path, o, true)
	read.SetMaxOpenConns(o.Readers)
	read.SetMaxIdleConns(o.Readers)
	return &DB{Write: write, Read: read, path: path}, nil
}

// openTimed opens a pool whose statements are timed, under the name of the file without its number.
func openTimed(path string, o Options, reader bool) *sql.DB {
	kind := strings.TrimRight(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), "-0123456789")
	c := &connector{uri: uri(path, reader || o.ReadOnly), setup: pragmas(o, reader)}
	return sql.OpenDB(sqltime.Process().Connector(c, kind))
}

// connector opens connections of one file.
type connector struct{ uri, setup string }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := engine.Open(c.uri)
	if err != nil {
		return nil, err
	}
	exec, ok := conn.(driver.ExecerContext)
	if !ok {
		err = errs.New(errs.CodeInternal, "driver connection %T cannot execute", conn)
	} else {
		_, err = exec.ExecContext(context.WithoutCancel(ctx), c.setup, nil)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return engine }

// Path returns the file's path.
func (d *DB) Path() string { return d.path }

// Flush waits until the disk has what checkpoints have written into the file. It changes nothing that counts, it only saves time: SQLite itself
// flushes the file before it begins the log again, and has less to wait for then. After each part that the disk took some time for,
// rest is called with that time: it may wait, and leave the disk to others. Nil does not rest, and takes larger parts.
func (d *DB) Flush(rest func(took time.Duration)) error {
	err := d.flushed.use(d.path, os.O_RDWR, func(f *os.File) error { return flush(f, rest) })
	return Wrap("flush", err)
}

// ReadAhead asks the system to have part of the write-ahead log in memory, in bytes from its beginning, and does not wait for it.
// It only saves time, and where the system does not do that it does nothing. A log that begins again is written over, and no
// page of it ends where one of the system's does: one that the system has put out of memory meanwhile is read from the disk
// first, in the middle of a commit, and so is the next.
func (d *DB) ReadAhead(from, length int64) error {
	err := d.ahead.use(d.path+"-wal", os.O_RDONLY, func(f *os.File) error { return readAhead(f, from, length) })
	return Wrap("read ahead", err)
}

// Close closes all connections. It may be called twice.
func (d *DB) Close() error {
	err := errors.Join(d.Read.Close(), d.Write.Close())
	return errors.Join(err, d.flushed.close(), d.ahead.close()) // last: to close any descriptor of a file takes the process's locks off it
}

// uri names the file for the driver. A writer's DBTx takes the write lock when it begins.
func uri(path string, reader bool) string {
	q := url.Values{}
	maps.Copy(q, engineOptions)
	if !reader {
		q.Set("_txlock", "immediate")
	}
	return "file:" + path + "?" + q.Encode()
}

// pragmas returns the settings of each new connection.
func pragmas(o Options, reader bool) string {
	var b strings.Builder
	pragma := func(name string, value any) { fmt.Fprintf(&b, "PRAGMA %s = %v;", name, value) }
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
	}
	if o.MaxPages > 0 {
		pragma("max_page_count", o.MaxPages)
	}
	pragma("temp_store", "MEMORY")
	return b.String()
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
	if code, ok := resultCode(err); ok {
		switch code & 0xff {
		case codeConstraint:
			return errs.Wrap(err, errs.CodeConflict, "%s", op)
		case codeBusy, codeLocked, codeFull, codeReadOnly, codeIOErr, codeCantOpen, codeInterrupt:
			return errs.Wrap(err, errs.CodeUnavailable, "%s", op)
		}
	}
	return mysqldb.Wrap(op, err)
}

// IsUnique reports whether err is a violated unique or primary key.
func IsUnique(err error) bool {
	code, ok := resultCode(err)
	return ok && (code == codeUnique || code == codePrimaryKey)
}

// SQLite's result codes, as sqlite.org/rescode.html has them.
const (
	codeBusy       = 5
	codeLocked     = 6
	codeReadOnly   = 8
	codeInterrupt  = 9
	codeIOErr      = 10
	codeFull       = 13
	codeCantOpen   = 14
	codeConstraint = 19
	codePrimaryKey = codeConstraint | 6<<8
	codeUnique     = codeConstraint | 8<<8
)
