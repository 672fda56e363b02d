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
	moves stream.BucketLog     // nil: no bucket can come or go
	mine  func(id.Player) bool // whose records count; nil is everybody's
	kept  *keeper              // nil: nothing is over
	fill  *fill                // of a second history; nil: all of it is there

	digests *digests
}

// apply writes bets as records make them, and whole buckets of players that leave for another shard or
// come from one.
func (p *projector) apply(ctx context.Context, on tables, batches []stream.Batch) error {
	if !stream.AnyMove(batches) {
		return p.project(ctx, on, batches, 0)
	}
	if p.moves == nil {
		return errs.New(errs.CodeInternal, "history: buckets move, and the log cannot list a bucket's records")
	}
	write := func(list []stream.Record, came int64) error {
		return p.project(ctx, on, []stream.Batch{{Records: list}}, came)
	}
	m := stream.Moves{
		Records: func(list []stream.Record) error { return write(list, 0) },
		Left:    func(bucket int) error { return p.left(ctx, on, bucket) },
		Came: func(bucket int, seq int64) error {
			if err := on.noteBucket(ctx, bucket, false); err != nil {
				return err
			}
			return p.moves.BucketRecords(ctx, p.shard, bucket, seq, func(list []stream.Record) error { return write(list, seq) })
		},
	}
	return m.Each(batches)
}

// left deletes the bets of a bucket's players: they are on another shard now, and come back from the
// log if the bucket does.
func (p *projector) left(ctx context.Context, on tables, bucket int) error {
	const next = `
		SELECT player_id
		FROM bet
		WHERE player_id > ?
		ORDER BY player_id
		LIMIT 1`
	if err := on.noteBucket(ctx, bucket, true); err != nil {
		return err
	}
	for last := ""; ; {
		err := on.QueryRowContext(ctx, next, last).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return sqldb.Wrap("find players of a bucket", err)
		}
		player := id.Player(last)
		if p.moves.BucketOf(player) != bucket || p.mine != nil && !p.mine(player) {
			continue
		}
		if err := on.forgetPlayer(ctx, player); err != nil {
			return err
		}
		if err := forgetBeside(ctx, on, player); err != nil {
			return err
		}
	}
}

// forgetBeside deletes what follows from a player's bets, which are deleted.
func forgetBeside(ctx context.Context, on tables, player id.Player) error {
	const changes = `
		DELETE FROM bet_change
		WHERE player_id = ?`
	if _, err := on.ExecContext(ctx, changes, string(player)); err != nil {
		return sqldb.Wrap("delete settlements of a player", err)
	}
	return forgetDigest(ctx, on, player)
}

// lookAgain is how often a reader asks where a player's bucket has gone.
const lookAgain = 2 * time.Millisecond

// hasLeft reports whether a read that found nothing looked on a shard that the player has left. Then
// it waits until it is known where the player is.
func (s *Service) hasLeft(ctx context.Context, h *shard, player id.Player) (bool, error) {
	if h.moves == nil {
		return false, nil
	}
	left, err := h.store.hasLeft(ctx, player, h.moves.BucketOf(player))
	if err != nil || !left {
		return false, sqldb.Wrap("look for a bucket", err)
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
