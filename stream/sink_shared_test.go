package stream_test

import (
	"testing"
	"time"

	"matchday/internal/clock"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// distantLog is a log that another process writes.
type distantLog struct {
	*streamtest.Log
	age   time.Duration
	known bool
}

func (l *distantLog) HeadAge(shard int) (int64, time.Duration, bool) {
	return l.Head(shard), l.age, l.known
}

// TestNothingIsFresherThanWhatIsKnownOfItsLog: a sink at the end of a log that was read a while ago does not say
// that it shows everything up to now.
func TestNothingIsFresherThanWhatIsKnownOfItsLog(t *testing.T) {
	t.Parallel()
	w := setup(t)
	now := clock.NewManual(time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC))
	w.deps.Clock = now
	log := &distantLog{Log: w.log}
	s, err := stream.NewSink(stream.SinkConfig{Name: "copy", DB: openDB(t, w.dir), Apply: copyRecords}, w.transport(), log, w.deps)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, lag time.Duration) {
		t.Helper()
		if got := s.Lag(); got != lag {
			t.Errorf("%s: lag %s, want %s", what, got, lag)
		}
		if got := s.ShownAt(); !got.Equal(now.Now().Add(-lag)) {
			t.Errorf("%s: fresh at %s, want %s ago", what, got, lag)
		}
	}
	want("never asked", 0)
	now.Advance(time.Minute)
	want("the log's end was not found yet", time.Minute)
	log.age, log.known = 2*time.Second, true
	want("the log's end was looked for", 2*time.Second)
	now.Advance(time.Second)
	log.age = 3 * time.Second
	want("and not again", 3*time.Second)
	w.commit(1)
	now.Advance(time.Second)
	log.age = 0
	want("the log has moved on", 4*time.Second)
	log.Log = streamtest.NewLog(1)
	want("written here, and everything is shown", 0)
}
