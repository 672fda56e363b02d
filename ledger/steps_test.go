package ledger

import (
	"context"
	"testing"
	"time"

	"matchday/internal/clock"
)

// timedStore makes the statements and the commit of every batch take a known time.
type timedStore struct {
	store
	clock     *clock.Manual
	sql, sync time.Duration
}

func (s *timedStore) commit(ctx context.Context, b *batch) error {
	s.clock.Advance(s.sql)
	err := s.store.commit(ctx, b)
	s.clock.Advance(s.sync)
	return err
}

func TestTheStepsOfACommitSayWhereItsTimeWent(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	timed := &timedStore{clock: w.clock, sql: 3 * time.Millisecond, sync: 5 * time.Millisecond}
	w.hook = func(s *Service) {
		timed.store = s.shards[0].store
		s.shards[0].store, s.shards[0].builder.store = timed, timed
		for _, l := range []Lane{LaneInteractive, LaneBulk} { // two empty jobs that wait 10 ms
			if err := s.shards[0].submit(l, &job{done: make(chan struct{})}); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Advance(10 * time.Millisecond)
	}
	w.open()
	for _, key := range []string{"d1", "d2"} {
		if _, err := w.Commit(t.Context(), LaneInteractive, deposit(key, "p1", 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Barrier(t.Context(), 0); err != nil { // the writer has filed both batches
		t.Fatal(err)
	}
	got := w.CommitSteps()[0]
	if got.Batches != 2 || got.Rows != 2 {
		t.Errorf("got %d batches of %d rows, want 2 of 2", got.Batches, got.Rows)
	}
	want := map[Step]time.Duration{
		StepQueueInteractive: 10 * time.Millisecond, StepQueueBulk: 10 * time.Millisecond,
		StepSQL: 6 * time.Millisecond, StepSync: 10 * time.Millisecond,
	}
	for _, s := range got.Steps {
		if s.Total != want[s.Step] {
			t.Errorf("%s: got %s in %d, want %s", s.Step, s.Total, s.Count, want[s.Step])
		}
	}
	if p := got.Steps[StepSync].P99; p != 5*time.Millisecond {
		t.Errorf("p99 of sync: got %s, want 5ms: never above the largest", p)
	}
	if slow := w.SlowBatches(); len(slow) != 0 {
		t.Errorf("got %d slow batches, want none below 50 ms", len(slow))
	}
	w.clock.Advance(2 * time.Minute)
	if got := w.CommitSteps()[0]; got.Batches != 0 || got.Steps[StepSync].Count != 0 {
		t.Errorf("after two minutes: got %+v, want nothing", got)
	}
}

func TestSlowBatchesAreRememberedNewestFirst(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery, c.SlowBatch = 1, time.Hour, 20*time.Millisecond })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	timed := &timedStore{clock: w.clock, sync: 30 * time.Millisecond}
	w.hook = func(s *Service) {
		timed.store = s.shards[0].store
		s.shards[0].store, s.shards[0].builder.store = timed, timed
	}
	w.open()
	const batches = keptSlow + 3
	list := deposits("d", batches)
	for i := range list {
		if _, err := w.Commit(t.Context(), LaneInteractive, list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Barrier(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	slow := w.SlowBatches()
	if len(slow) != keptSlow {
		t.Fatalf("got %d slow batches, want the last %d", len(slow), keptSlow)
	}
	for i, b := range slow {
		if want := int64(batches - i); b.First != want || b.Last != want || b.Took != 30*time.Millisecond || b.Steps[StepSync] != b.Took {
			t.Errorf("%d: got %+v, want sequence %d with 30 ms of sync", i, b, want)
		}
	}
}

func TestEveryDurationFallsIntoItsBucket(t *testing.T) {
	t.Parallel()
	for d := time.Duration(0); d < 2*time.Second; d = d + d/7 + time.Microsecond {
		i := stepBucket(d)
		if i < stepBuckets-1 && d >= bucketEnd(i) {
			t.Fatalf("%s is in bucket %d, which ends at %s", d, i, bucketEnd(i))
		}
		if i > 0 && d < bucketEnd(i-1) {
			t.Fatalf("%s is in bucket %d, but %d ends at %s", d, i, i-1, bucketEnd(i-1))
		}
	}
	if i := stepBucket(-time.Second); i != 0 {
		t.Errorf("a clock that stepped back: bucket %d, want 0", i)
	}
}
