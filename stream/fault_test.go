package stream_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"matchday/stream"
)

// jet returns the server's administration: what an operator, or an accident, does to a stream.
func (w *world) jet() jetstream.JetStream { return stream.JetStreamForTest(w.emb) }

// faults are the ways in which the stream is harmed; each leaves the log as it was.
var faults = []struct {
	name string
	harm func(context.Context, *world) error
}{
	{"stream deleted", func(ctx context.Context, w *world) error { return w.jet().DeleteStream(ctx, "ledger-0") }},
	{"stream emptied", func(ctx context.Context, w *world) error {
		s, err := w.jet().Stream(ctx, "ledger-0")
		if err != nil {
			return err
		}
		return s.Purge(ctx)
	}},
	{"oldest messages dropped", func(ctx context.Context, w *world) error {
		s, err := w.jet().Stream(ctx, "ledger-0")
		if err != nil {
			return err
		}
		return s.Purge(ctx, jetstream.WithPurgeKeep(1))
	}},
	{"last message deleted", func(ctx context.Context, w *world) error {
		s, err := w.jet().Stream(ctx, "ledger-0")
		if err != nil {
			return err
		}
		last, err := s.GetLastMsgForSubject(ctx, "matchday.ledger.0")
		if err != nil {
			return err
		}
		return s.DeleteMsg(ctx, last.Sequence)
	}},
}

func TestNoSinkNoticesWhatHappensToTheStream(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			db := openDB(t, w.dir)
			relay := w.relay()
			w.start(relay.Run)
			s := w.sink(db, nil)
			stop := w.start(s.Run)
			for range 5 {
				w.commit(3)
				w.caughtUp(s, db)
			}
			harm := func() {
				if err := fault.harm(context.Background(), w); err != nil {
					t.Fatalf("harm: %v", err)
				}
			}
			harm() // while the sink runs
			w.commit(2, 1)
			w.caughtUp(s, db)
			w.onStream()
			if err := stop(); err != nil {
				t.Fatalf("sink: %v", err)
			}
			w.commit(4)
			w.onStream()
			harm() // while it does not, and the relay is idle
			w.onStream()
			s = w.sink(db, nil)
			w.start(s.Run)
			w.caughtUp(s, db)
		})
	}
}

// onStream waits until the stream ends where the log does.
func (w *world) onStream() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if tail, err := w.transport().Tail(ctx, 0); err == nil && tail.Last == w.log.Head(0) {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatal("the relay did not bring the stream up to the log")
		}
	}
}

// positions returns the batches that a stream holds, by their sequences.
func (w *world) positions() []string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	head := w.log.Head(0)
	stop := errors.New("read it all")
	for tick := time.NewTicker(100 * time.Millisecond); ; { // a cluster that has just changed may break off
		var out []string
		err := w.transport().Consume(ctx, 0, 0, func(m stream.Message) error {
			out = append(out, fmt.Sprintf("%d-%d", m.First, m.Last))
			if m.Last >= head {
				return stop
			}
			return nil
		})
		if errors.Is(err, stop) {
			tick.Stop()
			return out
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("Consume: %v", err)
		}
	}
}

func TestServerThatLostItsFolderIsFilledAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	stopRelay := w.start(w.relay().Run)
	s := w.sink(db, nil)
	stopSink := w.start(s.Run)
	w.commit(5, 5)
	w.caughtUp(s, db)
	if err := errors.Join(stopSink(), stopRelay(), w.emb.Close(), os.RemoveAll(filepath.Join(w.dir, "streams"))); err != nil {
		t.Fatal(err)
	}
	w.commit(1) // the new stream hands out the numbers of the old one for other batches
	w.startServer()
	w.start(w.relay().Run)
	s = w.sink(db, nil)
	w.start(s.Run)
	w.commit(2)
	w.caughtUp(s, db)
	w.onStream()
}

func TestServerGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	stopRelay := w.start(w.relay().Run)
	w.commit(5, 5)
	w.onStream()
	before := w.positions()
	if err := errors.Join(stopRelay(), w.emb.Close(), w.emb.Close()); err != nil {
		t.Fatal(err)
	}
	w.startServer()
	w.start(w.relay().Run)
	w.commit(2)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
	if after := w.positions(); len(after) != len(before)+1 {
		t.Errorf("stream holds %v after the restart, %v before", after, before)
	}
}

func TestTwoRelaysPublishEveryBatchOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.start(w.relay().Run)
	w.start(w.relay().Run)
	for range 40 {
		w.commit(2)
		if w.log.Head(0)%5 == 0 {
			w.onStream()
		}
	}
	w.onStream()
	var end int64
	for _, p := range w.positions() {
		var first, last int64
		if _, err := fmt.Sscanf(p, "%d-%d", &first, &last); err != nil || first != end+1 {
			t.Fatalf("batch %s follows %d", p, end)
		}
		end = last
	}
}

func TestRelayGoesOnInsideABatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	big := make([]stream.Record, 1500)
	for i := range big {
		big[i] = record(i)
		big[i].Data = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
	}
	w.log.Append(0, w.deps.Clock.Now(), 3, big...)
	stop := w.start(w.relay().Run)
	w.onStream()
	whole := w.positions()
	if len(whole) < 4 {
		t.Fatalf("a batch of 1.5 MB is published as %v, want several messages", whole)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := faults[3].harm(context.Background(), w); err != nil {
			t.Fatal(err)
		}
	}
	w.commit(1)
	w.start(w.relay().Run)
	w.onStream()
	db := openDB(t, w.dir)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
	var end int64
	for _, p := range w.positions() {
		var first, last int64
		if _, err := fmt.Sscanf(p, "%d-%d", &first, &last); err != nil || first != end+1 {
			t.Fatalf("batch %s follows %d", p, end)
		}
		end = last
	}
}

func TestPublishNamesTheEndItExpects(t *testing.T) {
	t.Parallel()
	w := setup(t)
	transport, ctx := w.transport(), context.Background()
	tail, err := transport.Tail(ctx, 0)
	if err != nil || tail != (stream.Tail{}) {
		t.Fatalf("Tail of a new stream = %+v, %v", tail, err)
	}
	m := stream.Message{Shard: 0, First: 1, Last: 4, At: time.UnixMicro(1), Source: "0-1-17", Body: []byte("[]")}
	if err := transport.Publish(ctx, m, tail.Fence)(ctx); err != nil {
		t.Fatalf("Publish: %v", err)
	}
	if err := transport.Publish(ctx, m, tail.Fence)(ctx); err == nil {
		t.Error("the same publication again: want a refusal")
	}
	if err := transport.Publish(ctx, stream.Message{First: 5, Last: 9, Body: []byte("[]")}, 7)(ctx); err == nil {
		t.Error("publication that expects another end: want a refusal")
	}
	if tail, err = transport.Tail(ctx, 0); err != nil || tail != (stream.Tail{Last: 4, Fence: 1, Source: "0-1-17"}) {
		t.Errorf("Tail = %+v, %v, want the first message only, with its source", tail, err)
	}
}

func TestRelayStopsWhenTheStreamKnowsMoreThanTheLog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	transport := w.transport()
	tail, err := transport.Tail(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := transport.Publish(ctx, stream.Message{First: 1, Last: 9, Body: []byte("[]")}, tail.Fence)(ctx); err != nil {
		t.Fatal(err)
	}
	w.commit(1)
	if err := w.relay().Run(ctx); !errors.Is(err, stream.ErrAhead) {
		t.Errorf("Run = %v, want ErrAhead", err)
	}
}

func TestSinkStopsWhenItIsAheadOfTheLog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	if err := w.sink(db, nil).Load(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Write.Exec(`UPDATE sink_position SET seq = 7`); err != nil {
		t.Fatal(err)
	}
	if err := w.sink(db, nil).Run(context.Background()); !errors.Is(err, stream.ErrAhead) {
		t.Errorf("Run = %v, want ErrAhead", err)
	}
}

func TestSinkStopsWhenAnotherWriterMovesItsPosition(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	w.start(w.relay().Run)
	s := w.sink(db, nil)
	ended := make(chan error, 1)
	w.start(func(ctx context.Context) error { ended <- s.Run(ctx); return nil })
	w.commit(1)
	w.caughtUp(s, db)
	if _, err := db.Write.Exec(`UPDATE sink_position SET seq = seq + 1`); err != nil {
		t.Fatal(err)
	}
	rows := func() (n int) {
		if err := db.Write.QueryRow(`SELECT COUNT(*) FROM copy`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := rows()
	w.commit(1)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Run = nil, want the reason why it stopped")
		}
	case <-time.After(2 * time.Minute):
		t.Error("the sink went on")
	}
	if after := rows(); after != before {
		t.Errorf("the sink wrote %d rows under another writer's position", after-before)
	}
}

func TestSinkTriesAgainWhatCannotBeApplied(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	w.start(w.relay().Run)
	poison := make(chan struct{})
	tried := make(chan struct{}, 100)
	s := w.sink(db, func(c *stream.SinkConfig) {
		c.Apply = func(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
			if err := copyRecords(ctx, tx, batches); err != nil {
				return err
			}
			select {
			case <-poison:
				return nil
			default:
				tried <- struct{}{}
				return errors.New("not now")
			}
		}
	})
	w.start(s.Run)
	w.commit(3)
	for range 3 {
		<-tried
	}
	if got := s.Position(); got != 0 {
		t.Errorf("position = %d while nothing could be applied, want 0", got)
	}
	close(poison)
	w.caughtUp(s, db)
}

func TestSinkTellsOfEachBatchOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	w.start(w.relay().Run)
	told := make(chan stream.Batch, 1000)
	s := w.sink(db, func(c *stream.SinkConfig) { c.OnApplied = func(b stream.Batch) { told <- b } })
	w.start(s.Run)
	for range 30 {
		w.commit(2)
	}
	w.caughtUp(s, db)
	for end := int64(0); end < w.log.Head(0); {
		b := <-told
		if b.First != end+1 {
			t.Fatalf("told of %d..%d after %d", b.First, b.Last, end)
		}
		end = b.Last
	}
}

func TestSinkWithoutAStreamReadsTheLog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	w.commit(4, 4) // and no relay
	s := w.sink(db, nil)
	w.start(s.Run)
	w.caughtUp(s, db)
}

func TestSinkReadsTheLogWhereAMessageIsDamaged(t *testing.T) {
	t.Parallel()
	w := setup(t)
	db := openDB(t, w.dir)
	w.commit(4)
	ctx, transport := context.Background(), w.transport()
	tail, err := transport.Tail(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := stream.Message{First: 1, Last: w.log.Head(0), Body: []byte(`[{"specversion":"1.0"`)}
	if err := transport.Publish(ctx, m, tail.Fence)(ctx); err != nil {
		t.Fatal(err)
	}
	w.start(w.relay().Run)
	s := w.sink(db, nil)
	w.start(s.Run)
	w.commit(2)
	w.caughtUp(s, db)
}

func TestWaitForGivesUpWithTheContext(t *testing.T) {
	t.Parallel()
	w := setup(t)
	s := w.sink(openDB(t, w.dir), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := s.WaitFor(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitFor = %v, want deadline exceeded", err)
	}
	if err := s.WaitFor(ctx, 0); err != nil {
		t.Errorf("WaitFor(0) = %v, want nil", err)
	}
}
