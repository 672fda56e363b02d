package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/internal/sqltime"
)

//go:embed migrations/*.sql
var migrations embed.FS

// sqliteStore keeps a shard in one SQLite file. Writes go through the driver's own connection with
// statements prepared once: at a dozen rows per transfer the conversions of database/sql would cost
// more than the inserts.
type sqliteStore struct {
	lookups // over conn
	tableReads
	db      *sqldb.DB
	current *sql.Stmt // reads a balance; prepared, because parsing it takes longer than running it
	conn    *sql.Conn // the only writing connection; nil when only reading
	w       *sqliteWriter
	wal     *walKeeper
}

// shardFile returns the file of a shard.
func shardFile(dir string, shard int) string {
	return filepath.Join(dir, fmt.Sprintf("shard-%03d.db", shard))
}

// openSQLite opens or creates the file and brings its schema up to date.
func openSQLite(ctx context.Context, c Config, shard int, now time.Time, watch *walWatch) (*sqliteStore, error) {
	durability := sqldb.Durable
	if c.relaxed {
		durability = sqldb.Rebuildable
	}
	db, err := sqldb.Open(shardFile(c.Dir, shard), sqldb.Options{
		Durability: durability, Readers: max(c.readers(), keeperReads), CacheKiB: c.PageCacheKiB,
		WALPages: walPages, PageSize: pageSize, MaxPages: c.maxPages, BusyTimeout: c.lockWait(),
	})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, migrations, now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s, err := newSQLiteReads(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	conn, err := db.Write.Conn(ctx)
	if err != nil {
		return nil, errors.Join(sqldb.Wrap("take writing connection", err), db.Close())
	}
	s.conn, s.lookups = conn, lookups{on: conn, sql: &sqliteSQL}
	err = s.raw(func(c driver.Conn) error {
		s.w, err = newSQLiteWriter(ctx, c)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	s.wal = keepWAL(ctx, db, watch)
	return s, nil
}

const pageSize = 4096

func (s *sqliteStore) close() error {
	s.wal.close()
	err := s.raw(func(driver.Conn) error { return s.w.close() })
	if errors.Is(err, sql.ErrConnDone) {
		err = nil // closed before
	}
	closed := s.conn.Close()
	if errors.Is(closed, sql.ErrConnDone) {
		closed = nil
	}
	return errors.Join(err, closed, s.db.Close())
}

// raw lends fn the driver's connection, bare: the stopwatch times its batches, not each statement.
func (s *sqliteStore) raw(fn func(driver.Conn) error) error {
	return s.conn.Raw(func(c any) error {
		dc, ok := c.(driver.Conn)
		if !ok {
			return errs.New(errs.CodeInternal, "driver connection is a %T", c)
		}
		return fn(sqltime.Unwrap(dc))
	})
}

// takeOver implements writerStore.
func (s *sqliteStore) takeOver(ctx context.Context, t takeover) (shardState, error) {
	const begin = `
		INSERT INTO shard (id, shard, shards, epoch, seq, accounts, at_us)
		VALUES (1, ?, ?, 0, 0, 0, 0)
		ON CONFLICT (id) DO NOTHING`
	exec := func(op, q string, args ...any) error {
		_, err := s.conn.ExecContext(ctx, q, args...)
		return sqldb.Wrap(op, err)
	}
	if err := exec("begin take-over", "BEGIN IMMEDIATE"); err != nil {
		return shardState{}, err
	}
	state, err := t.run(ctx, s.lookups, begin, exec)
	if err == nil {
		if err = exec("commit take-over", "COMMIT"); err == nil {
			return state, nil
		}
	}
	_, undone := s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	if undone != nil && !isNoTx(undone) {
		err = errors.Join(err, sqldb.Wrap("roll back take-over", undone))
	}
	return shardState{}, err
}

// raiseEpoch implements writerStore.
func (s *sqliteStore) raiseEpoch(ctx context.Context, from, to int64) error {
	const q = `
		UPDATE shard
		SET epoch = ?
		WHERE id = 1 AND epoch = ?`
	done, err := s.conn.ExecContext(ctx, q, to, from)
	if err != nil {
		return sqldb.Wrap("raise epoch", err)
	}
	if changed, err := done.RowsAffected(); err != nil || changed != 1 {
		return errors.Join(errFenced, err)
	}
	return nil
}

// settled implements writerStore: a file has one writing connection, and it has ended when it answers.
func (s *sqliteStore) settled(ctx context.Context, _ shardState) (shardState, error) {
	return s.state(ctx)
}

// passing implements writerStore: a file that cannot be written says so at once.
func (s *sqliteStore) passing(error) bool { return false }

// sqliteSQL is what SQLite answers with look-ups.
var sqliteSQL = dialect{
	accounts: `
		SELECT a.id, a.address, a.currency, p.balance_minor, p.held_minor, p.rule
		FROM account a
		LEFT JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(seq)
			FROM posting
			WHERE account_id = a.id)
		WHERE a.address IN `,
	balance: `
		SELECT s.seq, a.currency, p.balance_minor, p.held_minor
		FROM shard s
		LEFT JOIN account a ON a.address = ?
		LEFT JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(seq)
			FROM posting
			WHERE account_id = a.id)
		WHERE s.id = 1`,
	balances: `
		SELECT s.seq, COALESCE(a.address, ''), COALESCE(a.currency, ''), COALESCE(p.balance_minor, 0), COALESCE(p.held_minor, 0)
		FROM shard s
		LEFT JOIN account a ON a.address IN %s
		LEFT JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(seq)
			FROM posting
			WHERE account_id = a.id)
		WHERE s.id = 1`,
	balanceAt: `
		SELECT s.seq, a.currency, p.balance_minor, p.held_minor
		FROM (
			SELECT COALESCE((
				SELECT last_seq
				FROM batch
				WHERE at_us <= ?
				ORDER BY at_us DESC, last_seq DESC
				LIMIT 1), 0) AS seq) s
		LEFT JOIN account a ON a.address = ?
		LEFT JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(o.seq)
			FROM posting o
			JOIN transfer t ON t.seq = o.seq
			WHERE o.account_id = a.id AND (o.seq <= s.seq OR (? AND t.origin_at_us <= ?)))`,
}

// newSQLiteReads returns the reading side of a shard's file.
func newSQLiteReads(db *sqldb.DB) (*sqliteStore, error) {
	current, err := db.Read.Prepare(sqliteSQL.balance)
	if err != nil {
		return nil, sqldb.Wrap("prepare balance", err)
	}
	return &sqliteStore{tableReads: tableReads{on: db.Read, sql: &sqliteSQL}, db: db, current: current}, nil
}

// balance implements readerStore.
func (s *sqliteStore) balance(ctx context.Context, a Address) (balanceRow, error) {
	return scanBalance("read balance", oneRow(s.current.QueryContext(ctx, string(a))))
}
