package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"matchday/errs"
)

// layout is what a directory that is new, or was lost, is filled with.
type layout struct {
	first int // shards the books began with
	home  *placement
	moves []Move // of buckets that no shard serves until the move goes on
}

// evenLayout is that of books in which no bucket has moved.
func evenLayout(first int) *layout { return &layout{first: first, home: newPlacement(first)} }

// layout tells from the shards' own tables where every bucket lives, and makes the moves again that have
// left a bucket between two shards. The shards decide: a bucket lives where it is live or fenced.
//
// Errors: conflict if two shards have a bucket, or none.
func (s *Service) layout(ctx context.Context) (*layout, error) {
	first, err := s.first(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]map[int]bucketRow, len(s.shards))
	err = s.each(ctx, func(ctx context.Context, one *shard) error {
		list, err := one.store.buckets(ctx)
		rows[one.number] = map[int]bucketRow{}
		for _, r := range list {
			rows[one.number][r.bucket] = r
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read where buckets live: %w", err)
	}
	out := evenLayout(first)
	moves := map[string]*Move{}
	for bucket := range buckets {
		at, err := ownerOf(rows, bucket, int(out.home.shards[bucket]))
		if err != nil {
			return nil, err
		}
		out.home.shards[bucket] = uint16(at) // #nosec: below maxShards
		if r := rows[at][bucket]; r.state == bucketFenced || r.state == bucketAway {
			resumeMove(moves, r, at, s.clock.Now())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(moves)) {
		out.moves = append(out.moves, *moves[name])
	}
	return out, nil
}

// ownerOf returns the shard that has a bucket. One that has left its shard and has not arrived belongs to
// the shard it left until its move goes on. A bucket of which no shard says anything, as in books from
// before buckets could move, is where the books began with it.
func ownerOf(rows []map[int]bucketRow, bucket, began int) (int, error) {
	owner, left := -1, -1
	for n := range rows {
		r, known := rows[n][bucket]
		switch {
		case !known:
		case r.state == bucketLive || r.state == bucketFenced:
			if owner >= 0 {
				return 0, errs.New(errs.CodeConflict,
					"bucket %d lives on shard %d and on shard %d, by their own tables: one of them is older than the other, restore it", bucket, owner, n)
			}
			owner = n
		case r.state == bucketAway && r.peer < len(rows):
			if there := rows[r.peer][bucket]; there.state == bucketCopying && there.move == r.move {
				left = n
			}
		}
	}
	switch {
	case owner >= 0:
		return owner, nil
	case left >= 0:
		return left, nil
	case began < len(rows) && len(rows[began]) == 0:
		return began, nil
	}
	return 0, errs.New(errs.CodeConflict, "bucket %d lives on no shard, by their own tables: one of them is older than the others, restore it", bucket)
}

// resumeMove adds the bucket to its move, which goes on from what the shards say.
func resumeMove(moves map[string]*Move, r bucketRow, from int, now time.Time) {
	m := moves[r.move]
	if m == nil {
		m = &Move{
			ID: r.move, From: from, To: r.peer, Step: MoveSwitching,
			By: "made again with the directory", CreatedAt: now.UTC(), UpdatedAt: now.UTC(),
		}
		moves[r.move] = m
	}
	m.Buckets = append(m.Buckets, r.bucket)
}
