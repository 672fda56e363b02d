package stream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := s.WaitFor(ctx, w.log.Head(0)); err != nil {
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

// million is the records of the DBTx. Besides its log a process may use besideMost for it: messages of relay and sink,
// and what the client library has on the way. An embedded server keeps what was written in the last seconds in memory
// too, which is at most all of it.
const (
	million      = 1_000_000
	besideMost   = 96 << 20
	embeddedMost = besideMost + 512<<20
)

// None of these runs beside another test: memory is counted for the whole process.

func TestAMillionRecordsInOneBatchOverTheEmbeddedServer(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: a million records")
	}
	setup(t).carriesOneBatchOf(million, embeddedMost)
}

func TestAMillionRecordsInOneBatchOverNATS(t *testing.T) {
	c := setupCluster(t)
	external, err := stream.Open(t.Context(), stream.Config{Transport: stream.TransportNATS,
		EmbeddedConfig: stream.EmbeddedConfig{Dir: filepath.Join(c.dir, "large"), MaxBytes: 1 << 30},
		NATS:           stream.NATSConfig{URLs: c.nodes.URLs(), TLS: "off", Prefix: "large"}}, c.deps.Log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = external.Close() })
	c.over = external.Transport()
	c.carriesOneBatchOf(million, besideMost)
}

// The brokers of this one keep everything in this process's memory, so it is smaller and counts none; the suite with
// real brokers has a million.
func TestAHundredThousandRecordsInOneBatchOverKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: a hundred thousand records")
	}
	setupKafka(t).carriesOneBatchOf(million/10, 1<<40)
}
