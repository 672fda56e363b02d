package history

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"matchday/internal/mysqldb"
	"matchday/stream"
)

// share makes the store one that writes only under an epoch that it has claimed.
func (s *mysqlStore) share() { s.tenure.Share() }

// Claim implements stream.SharedStore.
func (s *mysqlStore) Claim(ctx context.Context, epoch int64) error {
	err := s.on(ctx, func(conn *sql.Conn) error { return s.tenure.Claim(ctx, conn, epoch) })
	if err != nil {
		return fmt.Errorf("claim %s: %w", s.database, err)
	}
	return nil
}

// guard returns what to put before an ALTER in one packet: it fails, and the server goes no further, if
// another process has claimed the database. An ALTER has no DBTx that could be fenced.
func (s *mysqlStore) guard() string {
	mine := s.tenure.Epoch()
	if mine == stream.EpochAlone {
		return ""
	}
	return fmt.Sprintf("INSERT INTO tenure (one, epoch) SELECT one, 0 FROM tenure AS t WHERE t.epoch <> %d;", mine)
}

// Follow implements stream.SharedStore.
func (s *mysqlStore) Follow(ctx context.Context) (seq int64, at time.Time, err error) {
	const q = `
		SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MIN(at_us), 0)
		FROM sink_position`
	rows, err := s.QueryContext(ctx, q)
	if err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read positions", err)
	}
	defer rows.Close()
	var writers int
	var us int64
	if rows.Next() {
		err = rows.Scan(&writers, &seq, &us)
	}
	if err == nil {
		err = rows.Err()
	}
	if err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read positions", err)
	}
	s.mu.Lock()
	s.divided = writers
	s.mu.Unlock()
	if us > 0 {
		at = time.UnixMicro(us).UTC()
	}
	return seq, at, nil
}
