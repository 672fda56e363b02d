package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"matchday/id"
	"matchday/internal/sqldb"
)

// logPages returns how many pages the write-ahead log of a store has.
func logPages(t *testing.T, s *sqliteStore) int {
	t.Helper()
	logged, _, err := sqldb.Checkpoint(t.Context(), s.db.Read)
	if err != nil {
		t.Fatal(err)
	}
	return logged
}

// fileOf returns the store of shard 0, which is a file.
func fileOf(t *testing.T, w *world) *sqliteStore {
	t.Helper()
	store, ok := w.shards[0].store.(*sqliteStore)
	if !ok {
		t.Fatal("shard 0 is not in SQLite")
	}
	return store
}

// figure reads a counter or a gauge.
func figure(m prometheus.Metric) float64 {
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		return -1
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func TestTheWriteAheadLogIsCopiedBesideTheWriterAndBeginsAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	var store *sqliteStore
	var tails atomic.Int64 // copies by the writer
	w.hook = func(s *Service) {
		store, _ = s.shards[0].store.(*sqliteStore)
		store.wal.attempt = func(ctx context.Context, on sqldb.Querier) (logged, copied int, err error) {
			logged, copied, err = sqldb.Checkpoint(ctx, on)
			if on == sqldb.Querier(store.conn) && err == nil && copied == logged {
				tails.Add(1)
			}
			return logged, copied, err
		}
	}
	w.open()
	const perBatch = 100
	sent := 0
	for tails.Load() == 0 { // the keeper comes by itself, and then the writer copies what is left
		list := make([]Transfer, perBatch)
		for i := range list {
			list[i] = deposit(fmt.Sprintf("d%07d", sent), id.Player(fmt.Sprintf("p%d", sent%500)), 1)
			sent++
		}
		if _, err := w.CommitBatch(t.Context(), LaneInteractive, list); err != nil {
			t.Fatal(err)
		}
		if sent > 500_000 {
			t.Fatal("half a million transfers, and the keeper never came")
		}
	}
	// That batch began the log again.
	w.must(deposit("again", "p1", 1))
	// Not by what the log had just before: the keeper may have come twice, and it had begun again by then.
	if now, written := logPages(t, store), store.wal.written.Load(); now == 0 || now > tailPages || written < keptPages {
		t.Errorf("the log has %d pages after some %d were written, want it to have begun again", now, written)
	}
	if at := store.wal.written.Load() - store.wal.begun.Load(); at <= 0 || at > 1000 {
		t.Errorf("the writer is said to be at page %d of a log that has just begun again", at)
	}
	w.wantSound()
	if got := w.Head(0); got != int64(sent)+1 {
		t.Errorf("head is %d, want %d", got, sent+1)
	}
}

// TestCheckpointsThatFailAreToldOnce: the books go on, the log grows, and whoever runs them learns of it at
// the beginning and at the end.
func TestCheckpointsThatFailAreToldOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	store := fileOf(t, w)
	if err := w.stop(); err != nil { // neither writer nor keeper is at work, so that the test may be
		t.Fatal(err)
	}
	var logged strings.Builder
	full := errors.New("database or disk is full")
	w.hook = func(s *Service) {
		store, _ = s.shards[0].store.(*sqliteStore)
		store.wal.watch.log = slog.New(slog.NewTextHandler(&logged, nil))
		store.wal.attempt = func(context.Context, sqldb.Querier) (int, int, error) { return 0, 0, full }
	}
	w.open()
	wal, figures := store.wal, store.wal.watch.figures
	for i := range 3 {
		w.must(deposit(fmt.Sprintf("d%d", i), "p1", 1))
		wal.copy(t.Context())
		if wal.nearly.Load() {
			t.Fatal("a copy that failed sends the writer")
		}
	}
	w.must(deposit("more", "p1", 1))
	if n, pages := figure(figures.failed), figure(figures.pages); n != 3 || pages < 4 {
		t.Errorf("%v failures and %v pages, want 3 and the file's", n, pages)
	}
	if got := logged.String(); strings.Count(got, "level=ERROR") != 1 || strings.Count(got, "\n") != 1 || !strings.Contains(got, full.Error()) {
		t.Errorf("the log says %q, want one error", got)
	}
	wal.attempt = sqldb.Checkpoint
	for range 2 {
		wal.copy(t.Context())
	}
	if got := logged.String(); strings.Count(got, "checkpoints work again") != 1 || !strings.Contains(got, "failed=3") || strings.Count(got, "\n") != 2 {
		t.Errorf("the log says %q, want one more line", got)
	}
	if pages := figure(figures.pages); !wal.nearly.Load() || pages < 4 || int(pages) != logPages(t, store) {
		t.Errorf("%v pages after a copy, the log has %d", pages, logPages(t, store))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	wal.attempt = func(ctx context.Context, _ sqldb.Querier) (int, int, error) { return 0, 0, ctx.Err() }
	wal.copy(gone)
	if n := figure(figures.failed); n != 3 {
		t.Errorf("%v failures: the end of the process is none", n)
	}
	w.wantSound()
}

// TestACopyWhileOthersWriteStopsBeforeTheEnd: after one to the end SQLite flushes the file itself, all at once.
func TestACopyWhileOthersWriteStopsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery, c.Readers = 1, time.Hour, 1 })
	store := fileOf(t, w)
	rest := func() (left int) {
		logged, copied, err := sqldb.Checkpoint(t.Context(), store.db.Read)
		if err != nil || logged == 0 {
			t.Fatalf("%d pages, %v", logged, err)
		}
		return logged - copied
	}
	held := 0
	for try := 0; try < 20 && held == 0; try++ { // the commit that ends the wait may have been before it
		release := make(chan func())
		go func() { release <- store.wal.hold(t.Context()) }()
		for sent, let := 0, (func())(nil); let == nil; sent++ {
			w.must(deposit(fmt.Sprintf("d%d-%d", try, sent), "p1", 1))
			select {
			case let = <-release:
				held = rest()
				let()
			default:
			}
		}
	}
	if held == 0 {
		t.Error("a copy while others write went to the end of the log")
	}
	if left := rest(); left != 0 {
		t.Errorf("%d pages are left after nothing holds them", left)
	}
	store.wal.hold(t.Context())() // nobody writes: it ends by itself
	store.wal.came = make(chan struct{})
	forgotten := make(chan func())
	go func() { forgotten <- store.wal.hold(t.Context()) }()
	var release func()
	for release == nil {
		select {
		case store.wal.came <- struct{}{}: // as if there had been a commit
		case release = <-forgotten:
		}
	}
	for began := time.Now(); store.db.Read.Stats().InUse > 0; {
		if time.Since(began) > time.Minute {
			t.Fatal("a hold that nobody releases does not end")
		}
		runtime.Gosched()
	}
	release()
	w.wantSound()
}

// TestTheKeeperEndsBeforeTheLogIsTooLong: where more comes than it can copy, the writer copies the rest while it is no more
// than half of what has SQLite copy all of it in the middle of a commit.
func TestTheKeeperEndsBeforeTheLogIsTooLong(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	store := fileOf(t, w)
	w.must(deposit("d", "p1", 1))
	const meanwhile = walPages / 8 // as if the writer were that quick
	copies := 0
	store.wal.attempt = func(context.Context, sqldb.Querier) (logged, copied int, err error) {
		store.wal.written.Add(meanwhile)
		copies++
		return max(1, (copies-1)*meanwhile), 0, nil
	}
	store.wal.copy(t.Context())
	if copies != longPages/meanwhile || !store.wal.nearly.Load() {
		t.Errorf("%d copies, the writer's turn: %t; want %d and true", copies, store.wal.nearly.Load(), longPages/meanwhile)
	}
	store.wal.attempt = sqldb.Checkpoint
	w.must(deposit("again", "p1", 1))
	w.wantSound()
}

// TestTheKeeperKnowsAboutWhereTheWriterIs: in the log, from what copies found in it.
func TestTheKeeperKnowsAboutWhereTheWriterIs(t *testing.T) {
	t.Parallel()
	k := &walKeeper{}
	for _, step := range []struct {
		name           string
		logged, copied int
		want           int64 // where it is, when 10 more pages have been written
	}{
		{"before any copy", 0, 0, 10},
		{"a copy of some of it", 25, 20, 35},
		{"a copy of which nothing is known", 0, 0, 45},
		{"a copy to the end", 60, 60, 10},
		{"the first one since", 12, 5, 22},
	} {
		k.learn(k.written.Load(), step.logged, step.copied)
		if at := k.written.Add(10) - k.begun.Load(); at != step.want {
			t.Errorf("%s: at page %d, want %d", step.name, at, step.want)
		}
	}
}

func TestAFlushRestsUnlessItIsBehind(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		took  time.Duration
		grown int64
		want  time.Duration
	}{
		"a part that was quick":         {time.Millisecond, 0, restTimes * time.Millisecond},
		"as much as may come meanwhile": {time.Millisecond, restPages, restTimes * time.Millisecond},
		"more than that":                {time.Millisecond, restPages + 1, 0},
		"a disk that stood still":       {time.Minute, 0, maxFlushRest},
	} {
		if got := flushRest(tt.took, tt.grown); got != tt.want {
			t.Errorf("%s: rests %s, want %s", name, got, tt.want)
		}
	}
}
