package stream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"matchday/internal/sqldb"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// fromTheLog starts a sink to which no stream brings anything.
func (w *world) fromTheLog(name string, fill *stream.Pace) (*stream.Sink, *sqldb.DB) {
	w.t.Helper()
	w.over = streamtest.Silent{}
	db := openDB(w.t, w.t.TempDir())
	s := w.sink(db, func(c *stream.SinkConfig) { c.Name, c.DB, c.Fill = name, db, fill })
	w.start(s.Run)
	return s, db
}

// TestALogIsReadToItsEndAtOnce in a bubble whose time passes only while everybody waits: for the stream to be silent for two
// turns, and then no more, however long the log is.
func TestALogIsReadToItsEndAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare(t)
		for range 5 {
			w.commit(stream.SinkRecords)
		}
		began := time.Now()
		s, db := w.fromTheLog("copy", nil)
		w.caughtUp(s, db)
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("it waited for %s", took)
		}
	})
}

// TestOldRecordsAreFilledInAtAPace by two sinks together, the records of one large batch as those of many small ones. What is new is
// followed at once.
func TestOldRecordsAreFilledInAtAPace(t *testing.T) {
	t.Parallel()
	const rate, records = 100, 1000
	synctest.Test(t, func(t *testing.T) {
		w := bare(t)
		w.commit(records / 2)
		for range records / 2 {
			w.commit(1)
		}
		<-time.After(stream.FillAge + time.Second)
		began, pace := time.Now(), stream.NewPace(rate, w.deps.Clock)
		one, oneDB := w.fromTheLog("one", pace)
		two, twoDB := w.fromTheLog("two", pace)
		if err := one.WaitFor(within(t, time.Hour), records/2); err != nil {
			t.Fatal(err)
		}
		if lag := one.Lag(); lag < stream.FillAge {
			t.Errorf("in the middle of what is older than %s it is %s behind", stream.FillAge, lag)
		}
		w.caughtUp(one, oneDB)
		w.caughtUp(two, twoDB)
		whole := 2 * records * time.Second / rate
		if took := time.Since(began); took < whole-time.Second || took > whole+2*time.Second {
			t.Errorf("%d records twice at %d a second took %s, want %s", records, rate, took, whole)
		}
		for range 2 { // after what is new nobody rests either
			began = time.Now()
			w.commit(records)
			w.caughtUp(one, oneDB)
			if took := time.Since(began); took > 1100*time.Millisecond {
				t.Errorf("what is new took %s", took)
			}
		}
	})
}

// TestWhatIsNineMinutesOldIsFollowedAtOnce: so much is what people may wait for after a stop.
func TestWhatIsNineMinutesOldIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare(t)
		for range 5 {
			w.commit(10)
		}
		<-time.After(9 * time.Minute)
		began := time.Now()
		s, db := w.fromTheLog("copy", stream.NewPace(1, w.deps.Clock))
		w.caughtUp(s, db)
		if took := time.Since(began); took > 1100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
	})
}

// TestASinkThatBeginsSaysHowOldIsWhatItShows: also of one that was asked before it had anything.
func TestASinkThatBeginsSaysHowOldIsWhatItShows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := bare(t)
		w.commit(10)
		<-time.After(stream.FillAge + time.Second)
		w.commit(10)
		w.over = streamtest.Silent{}
		db := openDB(t, w.dir)
		s := w.sink(db, func(c *stream.SinkConfig) { c.Fill = stream.NewPace(1, w.deps.Clock) })
		if lag := s.Lag(); lag != 0 {
			t.Errorf("asked for the first time, behind for %s", lag)
		}
		<-time.After(3 * time.Second)
		if lag := s.Lag(); lag != 3*time.Second {
			t.Errorf("asked three seconds later, behind for %s", lag)
		}
		w.start(s.Run)
		if err := s.WaitFor(within(t, time.Hour), 5); err != nil {
			t.Fatal(err)
		}
		if lag := s.Lag(); lag < stream.FillAge {
			t.Errorf("what it shows is older than %s, and it is %s behind", stream.FillAge, lag)
		}
		w.caughtUp(s, db)
	})
}
