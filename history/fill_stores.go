package history

import (
	"context"
	"database/sql"

	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
)

// createFill implements store.
func (s *sqliteStore) createFill(ctx context.Context) error {
	_, err := s.db.Write.ExecContext(ctx, fillTable)
	return sqldb.Wrap("create fill", err)
}

// fillWith implements store.
func (s *sqliteStore) fillWith(f *fill) { s.projector.fill = f }

// inTables implements store.
func (s *sqliteStore) inTables(ctx context.Context, fn func(on tables) error) error {
	return s.inTx(ctx, func(tx *sqliteTx) error { return fn(tx) })
}

// snapshot implements store.
func (s *sqliteStore) snapshot(ctx context.Context) (*snapshot, error) {
	return fileSnapshot(ctx, s.db, func() error { return nil })
}

// createFill implements store.
func (s *mysqlStore) createFill(ctx context.Context) error {
	return s.on(ctx, func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, fillTableMySQL)
		return mysqldb.Wrap("create fill", err)
	})
}

// fillWith implements store.
func (s *mysqlStore) fillWith(f *fill) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fill = f
	for _, p := range s.parts {
		p.projector.fill = f
	}
}

// inTables implements store. The DBTx is of no writer: it may write bets of all of them, while none commits. Nor does another
// process that has claimed the database: the DBTx is fenced as theirs are.
func (s *mysqlStore) inTables(ctx context.Context, fn func(on tables) error) error {
	return s.on(ctx, func(conn *sql.Conn) error {
		return s.tenure.InDBTx(ctx, conn, func() error { return fn(&mysqlTx{Conn: conn}) })
	})
}

// snapshot implements store.
func (s *mysqlStore) snapshot(ctx context.Context) (*snapshot, error) {
	pool, node, err := s.cluster.PrimaryReads(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		s.cluster.Forget(node)
		return nil, mysqldb.Wrap("connect", err)
	}
	out, err := serverSnapshot(ctx, conn, s.database, s.sameBet())
	if err != nil {
		if mysqldb.IsLost(err) {
			s.cluster.Forget(node)
		}
		mysqldb.Release(ctx, conn, err)
	}
	return out, err
}
