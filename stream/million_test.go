package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"matchday/stream"
)

// tally is a store that keeps only where it is, and notes what it was asked to commit at once.
type tally struct {
	t       *testing.T
	at      int64
	records int
	largest int           // commit, in records
	live    atomic.Uint64 // most bytes in use at a commit, garbage left out
}

// Load implements stream.Store.
func (s *tally) Load(context.Context) (int64, time.Time, error) { return s.at, time.Time{}, nil }

// Commit implements stream.Store.
func (s *tally) Commit(_ context.Context, from int64, batches []stream.Batch) error {
	if from != s.at {
		return stream.ErrFenced
	}
	records := 0
	for _, b := range batches {
		if b.First != s.at+1 {
			s.t.Errorf("batch %d..%d follows %d", b.First, b.Last, s.at)
		}
		for i := range b.Records {
			seq := b.Records[i].Position.Seq
			if seq != b.First+int64(i) || b.Records[i].Subject != fmt.Sprint("bet_", seq) {
				s.t.Fatalf("record %s at %d, place %d of a batch from %d", b.Records[i].Subject, seq, i, b.First)
			}
		}
		records += len(b.Records)
		s.at = b.Last
	}
	if (s.records+records)/100_000 > s.records/100_000 {
		s.live.Store(max(s.live.Load(), liveBytes()))
	}
	s.records += records
	s.largest = max(s.largest, records)
	return nil
}

// liveBytes are those in use.
func liveBytes() uint64 {
	runtime.GC()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

// carriesOneBatchOf has relay and sink carry one DBTx of the log with so many records. It reports the memory that was
// in use beside the log, which holds the batch, and fails if that is more than most.
func (w *world) carriesOneBatchOf(n int, most uint64) {
	w.t.Helper()
	records := make([]stream.Record, n)
	data := json.RawMessage(`{"text":"Buffalo at Tennessee"}`) // one for all: only what is copied counts
	for i := range records {
		records[i] = record(i + 1)
		records[i].Data = data
	}
	w.log.Append(0, w.deps.Clock.Now(), 1, records...)
	records = nil
	before := liveBytes()
	store := &tally{t: w.t}
	s := w.sink(nil, func(c *stream.SinkConfig) { c.Store, c.DB, c.Apply = store, nil, nil })
	w.start(w.relay().Run)
	stop := w.start(s.Run)
	if err := s.WaitFor(within(w.t, 20*time.Minute), w.log.Head(0)); err != nil {
		w.t.Fatal(err)
	}
	if err := stop(); err != nil {
		w.t.Fatal(err)
	}
	if store.records != n || store.largest > 2*stream.SinkRecords {
		w.t.Errorf("the sink has %d records, %d at once; want %d, at most %d at once", store.records, store.largest, n, 2*stream.SinkRecords)
	}
	beside := max(store.live.Load(), before) - before
	w.t.Logf("%d records in one DBTx: %d MiB in use beside the log, %d records at once", n, beside>>20, store.largest)
	if beside > most {
		w.t.Errorf("%d MiB in use beside the log, want at most %d", beside>>20, most>>20)
	}
}

// Besides its log a process may use besideMost for a DBTx of a million records: messages of relay and sink, and what the
// client library has on the way.
const besideMost = 96 << 20

// TestAMillionRecordsInOneBatch runs beside no other test: memory is counted for the whole process.
func TestAMillionRecordsInOneBatch(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: a million records over each transport")
	}
	for i, of := range []struct {
		n    int
		most uint64
	}{
		{1_000_000, besideMost + 512<<20}, // it keeps what was written in the last seconds in memory, which is at most all
		{1_000_000, besideMost},
		{100_000, 1 << 40}, // brokers in this process keep everything in its memory: that counts none
		{1_000_000, besideMost},
	} {
		t.Run(transports[i].name, func(t *testing.T) { transports[i].start(t).world(t).carriesOneBatchOf(of.n, of.most) })
	}
}
