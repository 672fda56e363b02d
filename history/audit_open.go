package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
)

// snapshot is a shard's database at one moment.
type snapshot struct {
	on interface {
		QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
		QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
	}
	positions marks  // of each writer
	sameBet   string // as of the store
	floors    map[id.Jurisdiction]id.Bet
	close     func() error
}

// position returns how far the history of a player is.
func (s *snapshot) position(p id.Player) int64 { return s.positions.of(p) }

// keeper returns the snapshot's floors as those who keep digests have them.
func (s *snapshot) keeper() *keeper {
	k := &keeper{}
	k.floors.Store(&s.floors)
	return k
}

// isOver reports whether a bet is one that goes once it is settled.
func (s *snapshot) isOver(j id.Jurisdiction, bet id.Bet) bool { return bet < s.floors[j] }

// openSnapshot returns nil where the shard has no database yet.
func (o AuditOptions) openSnapshot(ctx context.Context, clusters fleet, number int) (*snapshot, error) {
	if cluster := clusters[number]; cluster != nil {
		return clusterSnapshot(ctx, cluster, number)
	}
	path := filePath(o.Dir, number)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // said above
	}
	db, err := sqldb.Open(path, sqldb.Options{ReadOnly: true, Readers: 1})
	if err != nil {
		return nil, err
	}
	return fileSnapshot(ctx, db, db.Close)
}

// fileSnapshot is the snapshot of a file; it is closed with done, also after an error.
func fileSnapshot(ctx context.Context, db *sqldb.DB, done func() error) (*snapshot, error) {
	tx, err := db.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, errors.Join(sqldb.Wrap("begin", err), done())
	}
	const q = `
		SELECT seq
		FROM sink_position
		WHERE name = ?`
	s := &snapshot{on: tx, positions: make([]int64, 1), close: func() error {
		_ = tx.Rollback()
		return done()
	}}
	if err := tx.QueryRowContext(ctx, q, sinkName).Scan(&s.positions[0]); err != nil {
		return nil, errors.Join(sqldb.Wrap("read position", err), s.close())
	}
	return s, nil
}

// clusterSnapshot is openSnapshot of a shard on a cluster.
func clusterSnapshot(ctx context.Context, cluster *mysqldb.Cluster, number int) (*snapshot, error) {
	store := &mysqlStore{cluster: cluster, database: cluster.Config().DatabaseOf(number)}
	if there, err := store.exists(ctx); err != nil || !there {
		return nil, err
	}
	return store.snapshot(ctx)
}

// serverSnapshot is the snapshot of a database of a server. The connection is the snapshot's, but after an
// error the caller's.
func serverSnapshot(ctx context.Context, conn *sql.Conn, database, sameBet string) (*snapshot, error) {
	const q = `
		SELECT seq
		FROM sink_position
		ORDER BY part`
	begin := fmt.Sprintf("USE %s;SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
		mysqldb.Quote(database))
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return nil, mysqldb.Wrap("begin", err)
	}
	s := &snapshot{on: conn, sameBet: sameBet, close: func() error {
		mysqldb.Release(ctx, conn, errors.New("read to its end")) // the snapshot ends with a roll-back
		return nil
	}}
	rows, err := conn.QueryContext(ctx, q)
	if err != nil {
		return nil, mysqldb.Wrap("read positions", err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, mysqldb.Wrap("read positions", err)
		}
		s.positions = append(s.positions, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, mysqldb.Wrap("read positions", err)
	}
	if len(s.positions) == 0 {
		return nil, errs.New(errs.CodeUnavailable, "%s has no position yet", database)
	}
	return s, nil
}
