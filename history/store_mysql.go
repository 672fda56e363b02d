package history

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/stream"
)

//go:embed migrations_mysql/*.sql
var mysqlMigrations embed.FS

// mysqlStore keeps a shard in one database of a cluster. Its players are divided between several writers,
// each with a position of its own that moves in the DBTx of its bets: a server commits several at a time.
// The shard's position is the least of theirs. It keeps no connection, so it follows the primary.
type mysqlStore struct {
	cluster  *mysqldb.Cluster
	database string
	clock    clock.Clock
	shard    int
	moves    stream.BucketLog
	kept     *keeper
	writers  int // as configured; what the database was begun with counts until all of them are level

	digests *digests

	// writing is held for reading by writers that commit, and alone by who makes digests: what those are made
	// from stands still meanwhile.
	writing sync.RWMutex

	tenure *stream.Tenure // under which it writes

	mu      sync.RWMutex
	parts   []*part
	divided int   // between so many writers, as the database says
	fill    *fill // of the projections
}

// part is one writer: its players, its position.
type part struct {
	number, of int
	row        stream.PositionRow
	projector  projector
	at         int64
}

// openMySQL names the shard's database. Nothing is read before prepare.
func openMySQL(cluster *mysqldb.Cluster, at clock.Clock, p projector, writers int) *mysqlStore {
	return &mysqlStore{cluster: cluster, database: cluster.Config().DatabaseOf(p.shard), clock: at, shard: p.shard, moves: p.moves, kept: p.kept, writers: writers,
		digests: p.digests, tenure: stream.NewTenure("one = 1")}
}

// prepare implements store.
func (s *mysqlStore) prepare(ctx context.Context) error {
	return s.cluster.Migrate(ctx, s.database, mysqlMigrations, "migrations_mysql", s.clock.Now())
}

// close implements store: the cluster belongs to the service.
func (s *mysqlStore) close() error { return nil }

// sameBet implements store: so the server looks into one month for a slip, not into all.
func (s *mysqlStore) sameBet() string { return sameBetID }

const sameBetID = " AND s.bet_id = b.bet_id"

// QueryContext implements reader.
func (s *mysqlStore) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return s.cluster.Reads().QueryContext(ctx, "USE "+mysqldb.Quote(s.database)+";"+q, args...)
}

// hasLeft implements store.
func (s *mysqlStore) hasLeft(ctx context.Context, player id.Player, bucket int) (left bool, err error) {
	const q = `
		SELECT COUNT(*)
		FROM left_bucket
		WHERE part = ? AND bucket = ?`
	s.mu.RLock()
	number := partOf(player, s.divided)
	s.mu.RUnlock()
	var n int
	err = scanOne(ctx, s, &n, q, number, bucket)
	return n > 0, err
}

// partOf returns the writer of a player among so many.
func partOf(player id.Player, writers int) int {
	if writers < 2 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(player)) // it has no error to return
	return int(h.Sum32() % uint32(writers))
}

// partName is the name of a writer's position. It says among how many, so that players who are divided
// otherwise never go by it.
func partName(number, of int) string { return fmt.Sprintf("%s %d/%d", sinkName, number+1, of) }

// Load implements stream.Store.
func (s *mysqlStore) Load(ctx context.Context) (seq int64, at time.Time, err error) {
	err = s.on(ctx, func(conn *sql.Conn) error {
		seq, at, err = s.load(ctx, conn)
		return err
	})
	return seq, at, err
}

// load reads the positions, makes them where there are none, and divides the players anew if the
// configuration asks for another number of writers and all are level.
func (s *mysqlStore) load(ctx context.Context, conn *sql.Conn) (int64, time.Time, error) {
	const q = `
		SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0), COALESCE(MIN(at_us), 0)
		FROM sink_position`
	var have int
	var least, most, us int64
	if err := conn.QueryRowContext(ctx, q).Scan(&have, &least, &most, &us); err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read positions", err)
	}
	if have != s.writers && least == most {
		if err := s.divide(ctx, conn, have, least, us); err != nil {
			return 0, time.Time{}, err
		}
		have = s.writers
	}
	if err := mysqldb.InDBTx(ctx, conn, func() error { return s.digests.checkZones(ctx, conn) }); err != nil {
		return 0, time.Time{}, err
	}
	if err := s.digests.load(ctx, conn); err != nil {
		return 0, time.Time{}, err
	}
	parts := make([]*part, have)
	for n := range parts {
		p := &part{number: n, of: have, row: stream.PositionRow{Name: partName(n, have), Shard: s.shard}}
		p.projector = projector{shard: s.shard, moves: s.moves, mine: p.mine, kept: s.kept, fill: s.fill, digests: s.digests}
		var err error
		if p.at, _, err = p.row.Read(ctx, conn); err != nil {
			return 0, time.Time{}, err
		}
		parts[n] = p
	}
	s.mu.Lock()
	s.parts, s.divided = parts, have
	s.mu.Unlock()
	at := time.Time{}
	if us > 0 {
		at = time.UnixMicro(us).UTC()
	}
	return least, at, nil
}

// divide makes the positions of the configured writers, all at the sequence, instead of those that are
// there. The notes of buckets that left are of writers too: each gets those that any had.
func (s *mysqlStore) divide(ctx context.Context, conn *sql.Conn, have int, seq, us int64) error {
	const (
		forget = `DELETE FROM sink_position`
		insert = `
			INSERT INTO sink_position (name, shard, part, seq, at_us)
			VALUES (?, ?, ?, ?, ?)`
		notes = `
			INSERT IGNORE INTO left_bucket (part, bucket)
			SELECT ?, bucket
			FROM left_bucket`
	)
	return s.tenure.InDBTx(ctx, conn, func() error {
		done, err := conn.ExecContext(ctx, forget)
		if err != nil {
			return mysqldb.Wrap("divide players", err)
		}
		if n, err := done.RowsAffected(); err != nil || n != int64(have) {
			return errors.Join(stream.ErrFenced, err)
		}
		for n := range s.writers {
			if _, err := conn.ExecContext(ctx, insert, partName(n, s.writers), s.shard, n, seq, us); err != nil {
				return mysqldb.Wrap("divide players", err)
			}
			if _, err := conn.ExecContext(ctx, notes, n); err != nil {
				return mysqldb.Wrap("divide players", err)
			}
		}
		return nil
	})
}

// mine reports whether the writer has the player.
func (p *part) mine(player id.Player) bool { return partOf(player, p.of) == p.number }

// Commit implements stream.Store. Writers that had committed before another failed are ahead of from: they
// take only what they lack.
func (s *mysqlStore) Commit(ctx context.Context, from int64, batches []stream.Batch) error {
	s.mu.RLock()
	parts := s.parts
	s.mu.RUnlock()
	if s.kept != nil {
		s.kept.gate.RLock()
		defer s.kept.gate.RUnlock()
	}
	s.writing.RLock()
	defer s.writing.RUnlock()
	var g errgroup.Group // not one that ends the others: each is a DBTx of its own
	for _, p := range parts {
		g.Go(func() error { return s.commit(ctx, p, max(from, p.at), batches) })
	}
	return g.Wait()
}

// commit brings one writer to the end of the batches.
func (s *mysqlStore) commit(ctx context.Context, p *part, from int64, batches []stream.Batch) error {
	last := &batches[len(batches)-1]
	if p.at >= last.Last {
		return nil
	}
	mine := make([]stream.Batch, 0, len(batches))
	for _, b := range batches {
		if b.Last > from {
			mine = append(mine, b.After(from))
		}
	}
	err := s.tenure.Commit(ctx, s.on, &p.row, from, last, func(conn *sql.Conn) error {
		return p.projector.apply(ctx, &mysqlTx{Conn: conn, part: p.number}, mine)
	})
	if err == nil {
		p.at = last.Last
	}
	return err
}

// extendDigest implements store. A process that no longer writes the shard makes no digests either.
func (s *mysqlStore) extendDigest(ctx context.Context, player id.Player) (more bool, err error) {
	const q = `
		SELECT seq
		FROM sink_position
		WHERE name = ?
		FOR UPDATE`
	if s.tenure.Epoch() == stream.EpochNone {
		return false, nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.RLock()
	if len(s.parts) == 0 {
		s.mu.RUnlock()
		return false, nil
	}
	p := s.parts[partOf(player, len(s.parts))]
	s.mu.RUnlock()
	err = s.on(ctx, func(conn *sql.Conn) error {
		return s.tenure.InDBTx(ctx, conn, func() error {
			if more, err = s.digests.extend(ctx, &mysqlTx{Conn: conn, part: p.number}, player); err != nil {
				return err
			}
			var at int64
			if err := conn.QueryRowContext(ctx, q, p.row.Name).Scan(&at); err != nil {
				return mysqldb.Wrap("read position", err)
			}
			if at != p.at {
				return stream.ErrFenced
			}
			return nil
		})
	})
	return more, err
}

// on runs fn on a connection to the primary that uses the shard's database.
func (s *mysqlStore) on(ctx context.Context, fn func(conn *sql.Conn) error) error {
	return s.cluster.On(ctx, s.database, fn)
}

// exists reports whether the shard has a database.
func (s *mysqlStore) exists(ctx context.Context) (bool, error) {
	return hasTable(ctx, s.cluster, s.database, "sink_position")
}

// hasTable reports whether a database, which may not be there, has a table.
func hasTable(ctx context.Context, cluster *mysqldb.Cluster, database, table string) (bool, error) {
	const q = `
		SELECT COUNT(*)
		FROM information_schema.tables
		WHERE table_schema = ? AND table_name = ?`
	rows, err := cluster.Reads().QueryContext(ctx, q, database, table)
	if err != nil {
		return false, mysqldb.Wrap("look for "+database, err)
	}
	defer rows.Close()
	var n int
	if !rows.Next() {
		return false, errors.Join(errs.New(errs.CodeInternal, "no answer"), rows.Err())
	}
	if err := rows.Scan(&n); err != nil {
		return false, mysqldb.Wrap("look for "+database, err)
	}
	return n > 0, rows.Err()
}
