package stream

import (
	"context"
	"fmt"
	"slices"
)

// readAfter reads what follows a sequence in the log, which may lie inside a batch: a large batch
// is published in several messages. A log that does not go on right after the sequence is an error.
func readAfter(ctx context.Context, log Log, shard int, after int64, maxRecords int) ([]Batch, error) {
	batches, err := log.ReadLog(ctx, shard, after, maxRecords)
	if err != nil {
		return nil, fmt.Errorf("read log %d after %d: %w", shard, after, err)
	}
	if len(batches) == 0 {
		return nil, nil
	}
	if first := batches[0].First; first > after+1 {
		return nil, fmt.Errorf("read log %d after %d: it goes on at %d", shard, after, first)
	}
	batches[0] = batches[0].After(after)
	return batches, nil
}

// After returns the part of the batch that follows the sequence seq: the whole of it if it starts
// later.
func (b Batch) After(seq int64) Batch {
	if seq < b.First {
		return b
	}
	b.First = seq + 1
	b.Records = b.Records[firstAfter(b.Records, seq):]
	return b
}

// firstAfter returns the index of the first record after seq.
func firstAfter(records []Record, seq int64) int {
	i, _ := slices.BinarySearchFunc(records, seq+1, func(r Record, want int64) int {
		switch {
		case r.Position.Seq < want:
			return -1
		case r.Position.Seq > want:
			return 1
		}
		return 0
	})
	return i
}
