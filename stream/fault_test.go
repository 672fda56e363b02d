package stream_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"matchday/stream"
)

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
