package history

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// projector turns records into bets on a store's tables.
type projector struct {
	shard int
	moves stream.BucketLog // nil: no bucket can come or go
}

// apply writes bets as records make them, and whole buckets of players that leave for another shard or
// come from one.
func (p *projector) apply(ctx context.Context, on tables, batches []stream.Batch) error {
	if !stream.AnyMove(batches) {
		return project(ctx, on, batches)
	}
	if p.moves == nil {
		return errs.New(errs.CodeInternal, "history: buckets move, and the log cannot list a bucket's records")
	}
	write := func(list []stream.Record) error { return project(ctx, on, []stream.Batch{{Records: list}}) }
	m := stream.Moves{
		Records: write,
		Left:    func(bucket int) error { return p.left(ctx, on, bucket) },
		Came: func(bucket int, seq int64) error {
			const q = `
				DELETE FROM left_bucket
				WHERE bucket = ?`
			if _, err := on.ExecContext(ctx, q, bucket); err != nil {
				return sqldb.Wrap("note bucket", err)
			}
			return p.moves.BucketRecords(ctx, p.shard, bucket, seq, write)
		},
	}
	return m.Each(batches)
}

// left deletes the bets of a bucket's players: they are on another shard now, and come back from the
// log if the bucket does.
func (p *projector) left(ctx context.Context, on tables, bucket int) error {
	const (
		note = `
			INSERT INTO left_bucket (bucket)
			VALUES (?)
			ON CONFLICT (bucket) DO NOTHING`
		next = `
			SELECT player_id
			FROM bet
			WHERE player_id > ?
			ORDER BY player_id
			LIMIT 1`
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
	if _, err := on.ExecContext(ctx, note, bucket); err != nil {
		return sqldb.Wrap("note bucket", err)
	}
	for last := ""; ; {
		err := on.QueryRowContext(ctx, next, last).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return sqldb.Wrap("find players of a bucket", err)
		}
		if p.moves.BucketOf(id.Player(last)) != bucket {
			continue
		}
		for _, q := range []string{slips, bets} {
			if _, err := on.ExecContext(ctx, q, last); err != nil {
				return sqldb.Wrap("delete bets of a bucket", err)
			}
		}
	}
}

// lookAgain is how often a reader asks where a player's bucket has gone.
const lookAgain = 2 * time.Millisecond

// hasLeft reports whether a read that found nothing looked on a shard that the player has left. Then
// it waits until it is known where the player is.
func (s *Service) hasLeft(ctx context.Context, h *shard, player id.Player) (bool, error) {
	if h.moves == nil {
		return false, nil
	}
	const q = `
		SELECT COUNT(*)
		FROM left_bucket
		WHERE bucket = ?`
	var n int
	if err := scanOne(ctx, h.store, &n, q, h.moves.BucketOf(player)); err != nil {
		return false, sqldb.Wrap("look for a bucket", err)
	}
	if n == 0 {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.ReadWait)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for s.deps.ShardOf(player) == h.number {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false, errs.Wrap(ctx.Err(), errs.CodeUnavailable, "the player's bets are moving to another shard")
		}
	}
	return true, nil
}

// scanOne reads the one value of a query's only row.
func scanOne(ctx context.Context, from reader, into any, q string, args ...any) error {
	rows, err := from.QueryContext(ctx, q, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(sql.ErrNoRows, rows.Err())
	}
	if err := rows.Scan(into); err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}
