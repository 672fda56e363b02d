package ledger

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
)

// TestManyShards opens as many shards as the largest operators run, commits on each of them, and
// bounds what that costs. It runs beside no other test: it counts memory and files of the process.
func TestManyShards(t *testing.T) {
	shards := 200
	if testing.Short() {
		t.Log("20 shards, not 200")
		shards = 20
	}
	registry := prometheus.NewRegistry()
	before, filesBefore := heap(), openFiles(t)
	s, err := Open(context.Background(), Config{Dir: t.TempDir(), Shards: shards}, Deps{
		Clock: clock.System{}, Log: quiet(clock.System{}).Log, Metrics: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var list []Transfer
	for i := range 20 * shards {
		p := id.Player("p" + strconv.Itoa(i))
		list = append(list, deposit("d"+strconv.Itoa(i), p, 100))
	}
	results, err := s.CommitBatch(ctx, LaneInteractive, list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if results[i].Err != nil {
			t.Fatal(results[i].Err)
		}
		if _, err := s.Balance(ctx, PlayerCash(list[i].Player, nj)); err != nil {
			t.Fatal(err)
		}
	}
	perShard, files := (heap()-before)/shards, openFiles(t)-filesBefore
	t.Logf("%d shards: %d KiB of heap and %.1f files each", shards, perShard>>10, float64(files)/float64(shards))
	if perShard > 1<<20 {
		t.Errorf("%d bytes of heap a shard, want at most 1 MiB", perShard)
	}
	if files > 14*shards {
		t.Errorf("%d files for %d shards, want at most 14 each", files, shards)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if len(f.GetMetric()) > max(shards, 3*maxLabels) {
			t.Errorf("%s has %d series", f.GetName(), len(f.GetMetric()))
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// heap returns the bytes that are in use after a collection.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// openFiles returns how many files this process has open; 0 where that cannot be told.
func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Logf("files are not counted: %v", err)
	}
	return len(entries)
}

func TestSizesAreSharedBetweenShards(t *testing.T) {
	t.Parallel()
	few, many := Config{Shards: 2}.sized(), Config{Shards: 200}.sized()
	if few.CachedAccounts != 200_000 || few.PageCacheKiB != 6<<10 || few.QueuedInteractive != 20_000 || few.QueuedBulk != 100_000 {
		t.Errorf("two shards: %+v", few)
	}
	if total := 200 * many.CachedAccounts; total > 1_000_000 {
		t.Errorf("200 shards cache %d accounts", total)
	}
	if own := (Config{Shards: 200, CachedAccounts: 50_000}).sized(); own.CachedAccounts != 50_000 {
		t.Errorf("what is configured is changed: %d", own.CachedAccounts)
	}
}

func TestLabelsOfManyShards(t *testing.T) {
	t.Parallel()
	few, many := &metrics{shards: 32}, &metrics{shards: 250}
	seen := map[string]bool{}
	for n := range 250 {
		seen[many.label(n)] = true
	}
	if few.label(31) != "31" || many.label(0) != "0-7" || many.label(249) != "248-249" || len(seen) != maxLabels {
		t.Errorf("got %s, %s, %s, %d values", few.label(31), many.label(0), many.label(249), len(seen))
	}
}
