package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// sqliteStore keeps a shard in one SQLite file. Writes go through the driver's own connection with
// statements prepared once: at a dozen rows per transfer the conversions of database/sql would cost
// more than the inserts.
type sqliteStore struct {
	db      *sqldb.DB
	current *sql.Stmt // reads a balance; prepared, because parsing it takes longer than running it
	conn    *sql.Conn // the only writing connection; nil when only reading
	w       *sqliteWriter
}

// shardFile returns the file of a shard.
func shardFile(dir string, shard int) string {
	return filepath.Join(dir, fmt.Sprintf("shard-%03d.db", shard))
}

// openSQLite opens or creates the file and brings its schema up to date.
func openSQLite(ctx context.Context, c Config, shard int, now time.Time) (*sqliteStore, error) {
	durability := sqldb.Durable
	if c.relaxed {
		durability = sqldb.Rebuildable
	}
	db, err := sqldb.Open(shardFile(c.Dir, shard), sqldb.Options{
		Durability: durability, Readers: c.readers(), CacheKiB: c.PageCacheKiB,
		WALPages: walPages, PageSize: pageSize, MaxPages: c.maxPages,
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
	s.conn = conn
	err = s.raw(func(c driver.Conn) error {
		s.w, err = newSQLiteWriter(ctx, c)
		return err
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close(), db.Close())
	}
	return s, nil
}

const (
	pageSize = 4096
	walPages = 8000
)

func (s *sqliteStore) close() error {
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

// raw lends fn the driver's connection.
func (s *sqliteStore) raw(fn func(driver.Conn) error) error {
	return s.conn.Raw(func(c any) error {
		dc, ok := c.(driver.Conn)
		if !ok {
			return errs.New(errs.CodeInternal, "driver connection is a %T", c)
		}
		return fn(dc)
	})
}

// takeOver implements writerStore.
func (s *sqliteStore) takeOver(ctx context.Context, shard, shards int) (shardState, error) {
	const raise = `
		INSERT INTO shard (id, shard, shards, epoch, seq, accounts, at_us)
		VALUES (1, ?, ?, 1, 0, 0, 0)
		ON CONFLICT (id) DO UPDATE SET epoch = epoch + 1`
	const placed = `
		SELECT shard, shards
		FROM shard
		WHERE id = 1`
	if _, err := s.conn.ExecContext(ctx, raise, shard, shards); err != nil {
		return shardState{}, sqldb.Wrap("raise epoch", err)
	}
	var isShard, ofShards int
	if err := s.conn.QueryRowContext(ctx, placed).Scan(&isShard, &ofShards); err != nil {
		return shardState{}, sqldb.Wrap("read placement", err)
	}
	if isShard != shard || ofShards != shards {
		return shardState{}, errs.New(errs.CodeInvalid, "the file is shard %d of %d, not %d of %d", isShard, ofShards, shard, shards)
	}
	return s.state(ctx)
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

// state implements writerStore.
func (s *sqliteStore) state(ctx context.Context) (shardState, error) {
	const q = `
		SELECT s.shards, s.epoch, s.seq, s.accounts, s.at_us, b.seal
		FROM shard s
		LEFT JOIN batch b ON b.last_seq = s.seq
		WHERE s.id = 1`
	var out shardState
	var atUS int64
	var sealed []byte
	err := s.conn.QueryRowContext(ctx, q).Scan(&out.shards, &out.epoch, &out.seq, &out.accounts, &atUS, &sealed)
	if err != nil {
		return shardState{}, sqldb.Wrap("read shard state", err)
	}
	if out.seq > 0 && len(sealed) != len(out.seal) {
		return shardState{}, errs.New(errs.CodeInternal, "sequence %d has no batch", out.seq)
	}
	copy(out.seal[:], sealed)
	out.at = fromMicros(atUS)
	return out, nil
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// maxParameters bounds the look-ups of one statement.
const maxParameters = 500

// accounts implements writerStore.
func (s *sqliteStore) accounts(ctx context.Context, addresses []Address) ([]storedAccount, error) {
	const q = `
		SELECT a.id, a.address, a.currency, p.balance_minor, p.held_minor
		FROM account a
		LEFT JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(seq)
			FROM posting
			WHERE account_id = a.id)
		WHERE a.address IN `
	out := make([]storedAccount, 0, len(addresses))
	err := eachChunk(addresses, func(args []any) error {
		return s.query(ctx, q+placeholders(len(args)), args, func(rows *sql.Rows) error {
			var a storedAccount
			var posted, held sql.NullInt64
			err := rows.Scan(&a.id, &a.address, &a.currency, &posted, &held)
			a.posted, a.held = posted.Int64, held.Int64
			out = append(out, a)
			return err
		})
	})
	return out, sqldb.Wrap("read accounts", err)
}

// addresses implements writerStore.
func (s *sqliteStore) addresses(ctx context.Context, ids []int64) (map[int64]Address, error) {
	return addressesOn(ctx, s.conn, ids)
}

func addressesOn(ctx context.Context, on querier, ids []int64) (map[int64]Address, error) {
	const q = `
		SELECT id, address
		FROM account
		WHERE id IN `
	out := make(map[int64]Address, len(ids))
	err := eachChunk(ids, func(args []any) error {
		return eachRow(on.QueryContext(ctx, q+placeholders(len(args)), args...))(func(rows *sql.Rows) error {
			var account int64
			var address Address
			err := rows.Scan(&account, &address)
			out[account] = address
			return err
		})
	})
	return out, sqldb.Wrap("read addresses", err)
}

// transfers implements writerStore.
func (s *sqliteStore) transfers(ctx context.Context, keys []string) ([]storedTransfer, error) {
	return transfersOn(ctx, s.conn, keys)
}

// querier is the writing connection or the readers.
type querier interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// transfersOn returns those of the keys that exist, as the connection sees them.
func transfersOn(ctx context.Context, on querier, keys []string) ([]storedTransfer, error) {
	const q = `
		SELECT t.seq, t.key, t.kind, COALESCE(t.code, ''), COALESCE(t.detail, ''), t.player, t.jurisdiction,
			t.currency, t.fingerprint, COALESCE(t.hold_seq, 0), t.lines, COALESCE(t.record_type, ''),
			COALESCE(t.subject, ''), t.data, COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= t.seq
				ORDER BY b.last_seq
				LIMIT 1)), COALESCE(t.origin_shard, 0), COALESCE(t.origin_seq, 0), COALESCE(t.origin_at_us, 0)
		FROM transfer t
		WHERE t.key IN `
	var out []storedTransfer
	err := eachChunk(keys, func(args []any) error {
		return eachRow(on.QueryContext(ctx, q+placeholders(len(args)), args...))(func(rows *sql.Rows) error {
			var t storedTransfer
			var lines, print []byte
			var atUS int64
			err := rows.Scan(&t.seq, &t.key, &t.kind, &t.code, &t.detail, &t.player, &t.jurisdiction,
				&t.currency, &print, &t.holdSeq, &lines, &t.recordType, &t.subject, &t.data, &atUS,
				&t.origin.shard, &t.origin.seq, &t.origin.atUS)
			if err != nil {
				return err
			}
			t.at = fromMicros(atUS)
			copy(t.print[:], print)
			if t.lines, err = decodeLines(nil, lines); err != nil {
				return fmt.Errorf("transfer %d: %w", t.seq, err)
			}
			out = append(out, t)
			return nil
		})
	})
	return out, sqldb.Wrap("read transfers by key", err)
}

// holdColumns are what scanHold reads.
const holdColumns = `
		SELECT t.key, h.seq, h.account_id, h.counter_id, t.player, h.jurisdiction, h.currency,
			h.amount_minor, h.expires_us, h.state, h.posted_minor, COALESCE(h.resolved_seq, 0)
		FROM hold h
		JOIN transfer t ON t.seq = h.seq`

func scanHold(scan func(...any) error) (storedHold, error) {
	var h storedHold
	var expiresUS int64
	err := scan(&h.key, &h.seq, &h.account, &h.counter, &h.player, &h.jurisdiction, &h.currency,
		&h.amount, &expiresUS, &h.state, &h.posted, &h.resolved)
	h.expires = fromMicros(expiresUS)
	return h, err
}

// hold implements writerStore.
func (s *sqliteStore) hold(ctx context.Context, key string) (storedHold, error) {
	const q = holdColumns + `
		WHERE t.key = ?`
	h, err := scanHold(s.conn.QueryRowContext(ctx, q, key).Scan)
	return h, sqldb.Wrap("read hold", err)
}

// expired implements writerStore.
func (s *sqliteStore) expired(ctx context.Context, account int64, now time.Time, limit int) ([]storedHold, error) {
	const ofAny = holdColumns + `
		WHERE h.state = 1 AND h.expires_us <= ?
		ORDER BY h.expires_us
		LIMIT ?`
	const ofOne = holdColumns + `
		WHERE h.state = 1 AND h.account_id = ? AND h.expires_us <= ?
		ORDER BY h.expires_us
		LIMIT ?`
	q, args := ofAny, []any{now.UnixMicro(), limit}
	if account != 0 {
		q, args = ofOne, []any{account, now.UnixMicro(), limit}
	}
	var out []storedHold
	err := s.query(ctx, q, args, func(rows *sql.Rows) error {
		h, err := scanHold(rows.Scan)
		out = append(out, h)
		return err
	})
	return out, sqldb.Wrap("read expired holds", err)
}

// query runs q on the writing connection and hands each row to scan.
func (s *sqliteStore) query(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error {
	return eachRow(s.conn.QueryContext(ctx, q, args...))(scan)
}

// eachRow wraps the loop over a result.
func eachRow(rows *sql.Rows, err error) func(func(*sql.Rows) error) error {
	return func(scan func(*sql.Rows) error) error {
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// eachChunk calls fn with list as arguments, at most maxParameters at a time.
func eachChunk[T any](list []T, fn func(args []any) error) error {
	for len(list) > 0 {
		n := min(len(list), maxParameters)
		args := make([]any, n)
		for i := range n {
			args[i] = argument(list[i])
		}
		if err := fn(args); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func argument[T any](v T) any {
	switch x := any(v).(type) {
	case Address:
		return string(x)
	default:
		return x
	}
}

// placeholders returns "(?, ?, ...)" with n marks.
func placeholders(n int) string {
	return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")"
}
