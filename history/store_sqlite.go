package history

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/internal/sqltime"
	"matchday/stream"
)

//go:embed migrations/*.sql
var migrations embed.FS

// sqliteStore keeps a shard in a SQLite file. A DBTx goes through the driver's own prepared statements:
// the calls between them and the program were a third of a row's cost.
type sqliteStore struct {
	db        *sqldb.DB
	clock     clock.Clock
	row       stream.PositionRow
	projector projector

	bare driver.Conn // the connection that w is prepared on
	w    *sqliteWriter

	mu      sync.Mutex
	queries map[string]*sql.Stmt
}

// filePath names a shard's file.
func filePath(dir string, shard int) string {
	return filepath.Join(dir, fmt.Sprintf("history-%03d.db", shard))
}

// fileOptions are how a shard's file is opened. The write-ahead log may grow to 64 MB, because a
// surge writes the same pages over and over and each checkpoint copies a page once.
func fileOptions(cacheKiB int) sqldb.Options {
	return sqldb.Options{Durability: sqldb.Rebuildable, CacheKiB: cacheKiB, WALPages: 16_000}
}

// openSQLite opens or creates a shard's file.
func openSQLite(path string, o sqldb.Options, at clock.Clock, p projector) (*sqliteStore, error) {
	db, err := sqldb.Open(path, o)
	if err != nil {
		return nil, err
	}
	return &sqliteStore{db: db, clock: at, row: stream.PositionRow{Name: sinkName, Shard: p.shard}, projector: p,
		queries: make(map[string]*sql.Stmt)}, nil
}

// prepare implements store.
func (s *sqliteStore) prepare(ctx context.Context) error {
	return s.db.Migrate(ctx, migrations, s.clock.Now())
}

// close implements store. It may be called twice.
func (s *sqliteStore) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []error
	for _, q := range s.queries {
		list = append(list, q.Close())
	}
	clear(s.queries)
	if s.w != nil {
		list = append(list, s.w.close())
		s.w, s.bare = nil, nil
	}
	return errors.Join(append(list, s.db.Close())...)
}

// sameBet implements store.
func (s *sqliteStore) sameBet() string { return "" }

// plainLimit is a bound that SQLite does not look at when it plans. It would plan a statement again each time the
// bound is set, to the same number too, which costs as much as a short read.
const plainLimit = "LIMIT (? + 0)"

// QueryContext implements reader; each text is prepared once.
func (s *sqliteStore) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	prepared, err := s.prepared(ctx, q)
	if err != nil {
		return nil, err
	}
	return prepared.QueryContext(ctx, args...)
}

func (s *sqliteStore) prepared(ctx context.Context, q string) (*sql.Stmt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.queries[q]; ok {
		return p, nil
	}
	p, err := s.db.Read.PrepareContext(ctx, strings.ReplaceAll(q, "LIMIT ?", plainLimit))
	if err != nil {
		return nil, err
	}
	s.queries[q] = p
	return p, nil
}

// Load implements stream.Store.
func (s *sqliteStore) Load(ctx context.Context) (int64, time.Time, error) {
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		return errors.Join(s.row.Create(ctx, tx), s.projector.digests.checkZones(ctx, tx))
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	if err := s.projector.digests.load(ctx, s.db.Write); err != nil {
		return 0, time.Time{}, err
	}
	return s.row.Read(ctx, s.db.Write)
}

// extendDigest implements store.
func (s *sqliteStore) extendDigest(ctx context.Context, player id.Player) (more bool, err error) {
	err = s.inTx(ctx, func(tx *sqliteTx) error {
		more, err = s.projector.digests.extend(ctx, tx, player)
		return err
	})
	return more, err
}

// Commit implements stream.Store.
func (s *sqliteStore) Commit(ctx context.Context, from int64, batches []stream.Batch) error {
	last := &batches[len(batches)-1]
	err := s.inTx(ctx, func(tx *sqliteTx) error {
		if err := s.projector.apply(ctx, tx, batches); err != nil {
			return fmt.Errorf("apply %d..%d: %w", from+1, last.Last, err)
		}
		return s.row.Move(ctx, tx, from, last)
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.row.Verdict(ctx, s.db.Write, err, from, last.Last)
}

// inTx runs fn in one DBTx of the writing connection.
func (s *sqliteStore) inTx(ctx context.Context, fn func(tx *sqliteTx) error) error {
	conn, err := s.db.Write.Conn(ctx)
	if err != nil {
		return sqldb.Wrap("begin", err)
	}
	defer conn.Close() //nolint:errcheck // gives it back
	tx := &sqliteTx{Conn: conn, store: s}
	// A DBTx is short and ends as a whole: under a context that can end, the driver starts a goroutine
	// for each statement.
	plain := context.WithoutCancel(ctx)
	if _, err := conn.ExecContext(plain, "BEGIN IMMEDIATE"); err != nil {
		return sqldb.Wrap("begin", err)
	}
	if err = fn(tx); err == nil {
		if _, err = conn.ExecContext(plain, "COMMIT"); err == nil {
			return nil
		}
		err = sqldb.Wrap("commit", err)
	}
	if _, undone := conn.ExecContext(plain, "ROLLBACK"); undone != nil && !strings.Contains(undone.Error(), "no transaction is active") {
		return errors.Join(err, sqldb.Wrap("roll back", undone))
	}
	return err
}

// sameBet implements tables.
func (t *sqliteTx) sameBet() string { return "" }

// sqliteTx is tables over the connection of one DBTx.
type sqliteTx struct {
	*sql.Conn
	store *sqliteStore
}

// write lends fn the prepared statements of the connection.
func (t *sqliteTx) write(ctx context.Context, fn func(ctx context.Context, w *sqliteWriter) error) error {
	ctx = context.WithoutCancel(ctx)
	return t.Raw(func(c any) error {
		timed, ok := c.(driver.Conn)
		if !ok {
			return errs.New(errs.CodeInternal, "driver connection is a %T", c)
		}
		s, bare := t.store, sqltime.Unwrap(timed)
		if s.bare != bare {
			w, err := newSQLiteWriter(ctx, bare)
			if err != nil {
				return err
			}
			s.bare, s.w = bare, w
		}
		return fn(ctx, s.w)
	})
}

// insertBets implements tables.
func (t *sqliteTx) insertBets(ctx context.Context, list []*change) error {
	return t.write(ctx, func(ctx context.Context, w *sqliteWriter) error { return w.insert(ctx, list) })
}

// settleBets implements tables.
func (t *sqliteTx) settleBets(ctx context.Context, list []*change) (changed int64, err error) {
	err = t.write(ctx, func(ctx context.Context, w *sqliteWriter) error {
		changed, err = w.settle(ctx, list)
		return err
	})
	return changed, err
}

// noteBucket implements tables.
func (t *sqliteTx) noteBucket(ctx context.Context, bucket int, left bool) error {
	const (
		note = `
			INSERT INTO left_bucket (bucket)
			VALUES (?)
			ON CONFLICT (bucket) DO NOTHING`
		forget = `
			DELETE FROM left_bucket
			WHERE bucket = ?`
	)
	q := forget
	if left {
		q = note
	}
	_, err := t.ExecContext(ctx, q, bucket)
	return sqldb.Wrap("note bucket", err)
}

// forgetPlayer implements tables.
func (t *sqliteTx) forgetPlayer(ctx context.Context, player id.Player) error {
	const (
		slips = `
			DELETE FROM slip
			WHERE seq IN (
				SELECT slip_seq
				FROM bet
				WHERE player_id = ?)`
		bets = `
			DELETE FROM bet
			WHERE player_id = ?`
	)
	for _, q := range []string{slips, bets} {
		if _, err := t.ExecContext(ctx, q, string(player)); err != nil {
			return sqldb.Wrap("delete bets of a player", err)
		}
	}
	return nil
}

// hasLeft implements store.
func (s *sqliteStore) hasLeft(ctx context.Context, _ id.Player, bucket int) (bool, error) {
	const q = `
		SELECT COUNT(*)
		FROM left_bucket
		WHERE bucket = ?`
	var n int
	err := scanOne(ctx, s, &n, q, bucket)
	return n > 0, err
}
