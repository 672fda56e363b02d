// Package streamtest holds a log in memory, turns at applying it, and a stream in which nothing comes, where streams are
// tested, here and in the rooms above.
//
// Not guaranteed: any durability, and any speed with long logs.
package streamtest

import (
	"context"
	"sync"
	"time"

	"matchday/stream"
)

// Log is a stream.Log in memory. It is safe for concurrent use.
type Log struct {
	mu      sync.Mutex
	batches [][]stream.Batch
	changed []chan struct{}
}

// NewLog returns an empty log of so many shards.
func NewLog(shards int) *Log {
	l := &Log{batches: make([][]stream.Batch, shards), changed: make([]chan struct{}, shards)}
	for i := range l.changed {
		l.changed[i] = make(chan struct{})
	}
	return l
}

// Append commits one batch: a sequence for each record and then bare more without one. It fills in
// position and time of the records and returns the batch.
func (l *Log) Append(shard int, at time.Time, bare int, records ...stream.Record) stream.Batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.head(shard) + 1
	b := stream.Batch{Shard: shard, First: first, Last: first + int64(len(records)+bare) - 1, At: at}
	for i, r := range records {
		r.Position = stream.Position{Shard: shard, Seq: first + int64(i)}
		r.Time = at
		b.Records = append(b.Records, r)
	}
	l.batches[shard] = append(l.batches[shard], b)
	close(l.changed[shard])
	l.changed[shard] = make(chan struct{})
	return b
}

// head returns the last sequence; the caller holds the lock.
func (l *Log) head(shard int) int64 {
	if n := len(l.batches[shard]); n > 0 {
		return l.batches[shard][n-1].Last
	}
	return 0
}

// Shards implements stream.Log.
func (l *Log) Shards() int { return len(l.batches) }

// Head implements stream.Log.
func (l *Log) Head(shard int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head(shard)
}

// ReadLog implements stream.Log.
func (l *Log) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all := l.batches[shard]
	low, high := 0, len(all)
	for low < high { // the first batch that ends after the sequence
		if middle := (low + high) / 2; all[middle].Last > after {
			high = middle
		} else {
			low = middle + 1
		}
	}
	var out []stream.Batch
	for records := 0; low < len(all) && (len(out) == 0 || records < maxRecords); low++ {
		out = append(out, all[low])
		records += len(all[low].Records)
	}
	return out, nil
}

// Changed implements stream.Log.
func (l *Log) Changed(shard int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed[shard]
}

// Records returns all records of a shard, in order.
func (l *Log) Records(shard int) []stream.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []stream.Record
	for _, b := range l.batches[shard] {
		out = append(out, b.Records...)
	}
	return out
}
