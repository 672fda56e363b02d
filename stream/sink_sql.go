package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"matchday/internal/sqldb"
)

// errFenced means that someone else moved the sink's position. Two writers of one projection would
// undo each other's work, so the one that notices stops.
var errFenced = errors.New("another writer moves this sink")

const createPositions = `
	CREATE TABLE IF NOT EXISTS sink_position (
		name  TEXT    NOT NULL PRIMARY KEY,
		shard INTEGER NOT NULL CHECK (shard >= 0),
		seq   INTEGER NOT NULL CHECK (seq >= 0),
		at_us INTEGER NOT NULL
	) STRICT`

// Load makes the position table if it is missing and reads the position, so that Position and Lag
// are right before Run. Run does it when nobody did.
func (s *Sink) Load(ctx context.Context) error {
	s.load.Lock()
	defer s.load.Unlock()
	if s.loaded {
		return nil
	}
	const insert = `
		INSERT INTO sink_position (name, shard, seq, at_us)
		VALUES (?, ?, 0, 0)
		ON CONFLICT (name) DO NOTHING`
	err := s.config.DB.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, createPositions); err != nil {
			return sqldb.Wrap("create sink_position", err)
		}
		_, err := tx.ExecContext(ctx, insert, s.config.Name, s.config.Shard)
		return sqldb.Wrap("insert sink_position", err)
	})
	if err != nil {
		return fmt.Errorf("load sink %s: %w", s.config.Name, err)
	}
	shard, seq, at, err := s.stored(ctx)
	if err != nil {
		return fmt.Errorf("load sink %s: %w", s.config.Name, err)
	}
	if shard != s.config.Shard {
		return fmt.Errorf("load sink %s: its database is of shard %d, not %d", s.config.Name, shard, s.config.Shard)
	}
	if head := s.source.Head(shard); seq > head {
		return fmt.Errorf("load sink %s: at %d, log at %d: %w", s.config.Name, seq, head, ErrAhead)
	}
	s.advance(seq, at)
	s.metrics.applied(seq, 0)
	s.loaded = true
	return nil
}

// stored reads the position row.
func (s *Sink) stored(ctx context.Context) (shard int, seq int64, at time.Time, err error) {
	const q = `
		SELECT shard, seq, at_us
		FROM sink_position
		WHERE name = ?`
	var us int64
	err = s.config.DB.Write.QueryRowContext(ctx, q, s.config.Name).Scan(&shard, &seq, &us)
	if us > 0 {
		at = time.UnixMicro(us).UTC()
	}
	return shard, seq, at, sqldb.Wrap("read sink_position", err)
}

// commit applies the batches and moves the position in one transaction.
func (s *Sink) commit(ctx context.Context, batches []Batch) error {
	const q = `
		UPDATE sink_position
		SET seq = ?, at_us = ?
		WHERE name = ? AND shard = ? AND seq = ?`
	from, last := batches[0].First-1, batches[len(batches)-1]
	err := s.config.DB.InTx(ctx, func(tx *sql.Tx) error {
		if err := s.config.Apply(ctx, tx, batches); err != nil {
			return fmt.Errorf("apply %d..%d: %w", from+1, last.Last, err)
		}
		result, err := tx.ExecContext(ctx, q, last.Last, last.At.UnixMicro(), s.config.Name, s.config.Shard, from)
		if err != nil {
			return sqldb.Wrap("move sink_position", err)
		}
		if n, err := result.RowsAffected(); err != nil || n != 1 {
			return errors.Join(errFenced, err)
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	return s.verdict(ctx, err, from, last.Last)
}

// verdict finds out what became of a commit that answered with an error: an error on the way back
// from the disk may hide a success.
func (s *Sink) verdict(ctx context.Context, cause error, from, to int64) error {
	_, seq, _, err := s.stored(ctx)
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case seq == to && !errors.Is(cause, errFenced):
		return nil
	case seq != from:
		return fmt.Errorf("sink %s expects %d, its row says %d: %w", s.config.Name, from, seq, errFenced)
	}
	return cause
}

// SkipTo lets the sink of that name begin after the sequence, as if it had applied everything before:
// for a projection that is asked for from now on. It belongs before the sink's first Load.
func SkipTo(ctx context.Context, tx *sql.Tx, name string, shard int, seq int64) error {
	const q = `
		INSERT INTO sink_position (name, shard, seq, at_us)
		VALUES (?, ?, ?, 0)
		ON CONFLICT (name) DO UPDATE SET seq = excluded.seq`
	if _, err := tx.ExecContext(ctx, createPositions); err != nil {
		return sqldb.Wrap("create sink_position", err)
	}
	_, err := tx.ExecContext(ctx, q, name, shard, seq)
	return sqldb.Wrap("skip to a sequence", err)
}
