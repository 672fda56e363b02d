package ledger

import (
	"context"
	"database/sql"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// atHome reads something of a player on the shard that has the player's bucket. Of processes that share the
// shards one may not have heard of a move that another has just made. So the shard is asked after the
// read whether it had the bucket still: then nothing newer was committed elsewhere before the read.
func atHome[T any](ctx context.Context, s *Service, p id.Player, read func() (T, error)) (T, error) {
	if s.keeper == nil || p == "" {
		return read()
	}
	var out T
	err := s.retryHere(ctx, func() error {
		one, err := s.home(p)
		if err != nil {
			return err
		}
		if out, err = read(); err != nil {
			return err
		}
		is, err := one.store.serves(ctx, bucketOf(p))
		if err == nil && !is {
			err = errElsewhere
		}
		return err
	})
	return out, err
}

// serves implements readerStore.
func (r tableReads) serves(ctx context.Context, bucket int) (bool, error) {
	const q = `
		SELECT state
		FROM bucket
		WHERE bucket = ?`
	is := true // nobody has written the shard yet, so nothing has moved
	err := eachRow(r.on.QueryContext(ctx, q, bucket))(func(rows *sql.Rows) error {
		var state bucketState
		err := rows.Scan(&state)
		is = state == bucketLive || state == bucketFenced
		return err
	})
	return is, sqldb.Wrap("read bucket", err)
}

// knowHome makes sure that this process knows where a player lives whose position is on another shard than
// it believes: a bucket may have changed sides while another process moved it.
func (s *Service) knowHome(ctx context.Context, p id.Player, at stream.Position) error {
	if s.keeper == nil || at.Seq == 0 || p == "" || s.ShardOf(p) == at.Shard {
		return nil
	}
	return s.refreshPlacement(ctx)
}
