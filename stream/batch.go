package stream

import (
	"context"
	"fmt"
	"iter"
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

// pieces divides batches that follow one another into parts of at most so many records each, a larger batch between
// two of its records: whoever commits a part at a time needs no memory for the largest batch.
func pieces(batches []Batch, most int) iter.Seq[[]Batch] {
	return func(yield func([]Batch) bool) {
		var part []Batch
		room := most
		for _, b := range batches {
			for len(b.Records) > room {
				if room > 0 {
					head := b
					head.Records, head.Last, head.Source = b.Records[:room:room], b.Records[room-1].Position.Seq, "" // no place: the batch is not over
					part, b = append(part, head), b.After(head.Last)
				}
				if !yield(part) {
					return
				}
				part, room = nil, most
			}
			part, room = append(part, b), room-len(b.Records)
		}
		if len(part) > 0 {
			yield(part)
		}
	}
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
