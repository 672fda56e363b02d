package stream

import (
	"context"
	"encoding/json"
	"fmt"

	"matchday/id"
)

// BucketLog is a log whose players move between shards, a bucket of them at a time. What a bucket's
// players did before is then on two logs: as it was published on the shard it left, and as copies,
// which are never published, on the shard it came to. A projection that keeps rows by shard follows
// with [Moves].
type BucketLog interface {
	Log
	// BucketOf returns the bucket of a player.
	BucketOf(p id.Player) int
	// BucketRecords hands over every record of the bucket's players on the shard's log up to a sequence,
	// copies included, in order and some at a time. Their positions are those on this shard; their
	// times are when they were committed first.
	BucketRecords(ctx context.Context, shard, bucket int, upTo int64, fn func([]Record) error) error
}

// Moves hears what becomes of the records of some batches when buckets come and go. Its functions are
// called in the order of the log.
type Moves struct {
	Records func([]Record) error              // some records, one after the other
	Left    func(bucket int) error            // the bucket's players are on another shard now: forget them
	Came    func(bucket int, seq int64) error // they have come: BucketRecords up to seq has all they did
}

// IsMove reports whether the record says that a bucket came or went.
func (r *Record) IsMove() bool { return r.Type == TypeBucketMovedIn || r.Type == TypeBucketMovedOut }

// Each cuts the batches at the records that say that a bucket came or went.
func (m *Moves) Each(batches []Batch) error {
	for i := range batches {
		list := batches[i].Records
		from := 0
		for j := range list {
			r := &list[j]
			if !r.IsMove() {
				continue
			}
			if j > from {
				if err := m.Records(list[from:j]); err != nil {
					return err
				}
			}
			from = j + 1
			var p BucketMoved
			if err := json.Unmarshal(r.Data, &p); err != nil {
				return fmt.Errorf("record %s: %w", r.Position, err)
			}
			var err error
			if r.Type == TypeBucketMovedOut {
				err = m.Left(p.Bucket)
			} else {
				err = m.Came(p.Bucket, r.Position.Seq)
			}
			if err != nil {
				return fmt.Errorf("record %s: %w", r.Position, err)
			}
		}
		if from < len(list) {
			if err := m.Records(list[from:]); err != nil {
				return err
			}
		}
	}
	return nil
}

// AnyMove reports whether a bucket came or went in the batches.
func AnyMove(batches []Batch) bool {
	for i := range batches {
		for j := range batches[i].Records {
			if batches[i].Records[j].IsMove() {
				return true
			}
		}
	}
	return false
}
