package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
)

// watchedStore tells of every look-up of keys by the writer.
type watchedStore struct {
	store
	looked func(keys int)
}

func (s *watchedStore) transfers(ctx context.Context, keys []string) ([]storedTransfer, error) {
	s.looked(len(keys))
	return s.store.transfers(ctx, keys)
}

// watch has the writer of shard 0 tell of its look-ups from the next open on.
func (w *world) watch(looked func(keys int)) {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	w.hook = func(s *Service) {
		watched := &watchedStore{store: s.shards[0].store, looked: looked}
		s.shards[0].store, s.shards[0].builder.store = watched, watched
	}
	w.open()
}

// TestADryRunComesInShortJobsOfTheBulkLane: a debit that arrives meanwhile waits for one of them at most,
// and the writer's pace knows of the time they take.
func TestADryRunComesInShortJobsOfTheBulkLane(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	var result Result
	e, err := prepare(new(deposit("debit", "p0", 1)))
	if err != nil {
		t.Fatal(err)
	}
	e.out = &result
	debit := &job{entries: []entry{e}, done: make(chan struct{})}
	var sizes []int // of the writer's goroutine
	before := 0     // jobs of the dry run that began before the debit was answered
	w.watch(func(keys int) {
		sizes = append(sizes, keys)
		w.clock.Advance(time.Millisecond)
		if len(sizes) == 1 {
			if err := w.shards[0].submit(LaneInteractive, debit); err != nil {
				t.Error(err)
			}
		}
		select {
		case <-debit.done:
		default:
			before++
		}
	})
	list := make([]Transfer, 0, MaxDryRun)
	for i := range MaxDryRun {
		list = append(list, deposit(fmt.Sprintf("try-%d", i), id.Player(fmt.Sprintf("p%d", i%20)), 1))
	}
	results, err := w.DryRun(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || r.Balances[1] < int64(1+i/20) || r.Balances[1] > int64(2+i/20) {
			t.Fatalf("transfer %d: %+v, want it on top of those of its player before it", i, r)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, n := range sizes {
		sum += n
		if n > MaxDryRunOfPlayer {
			t.Errorf("a job of %d transfers, at most %d", n, MaxDryRunOfPlayer)
		}
	}
	if sum != MaxDryRun {
		t.Errorf("%d keys looked up in %v, want every transfer's", sum, sizes)
	}
	if before > 2 || result.Err != nil || result.Position.Seq != 1 {
		t.Errorf("the debit waited for %d jobs of the dry run: %+v", before, result)
	}
	if rows := w.shards[0].pace.rows; rows == MaxDryRunOfPlayer {
		t.Error("the pace has learnt nothing from the dry run")
	}
}

func TestADryRunIsBounded(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	list := make([]Transfer, 0, MaxDryRun+1)
	for i := range MaxDryRunOfPlayer + 1 {
		list = append(list, deposit(fmt.Sprintf("a-%d", i), "greedy", 1))
	}
	list = append(list, deposit("b", "modest", 1), stake("c", "modest", 1), stake("d", "modest", 1))
	results, err := w.DryRun(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		var want errs.Code
		switch {
		case i <= MaxDryRunOfPlayer:
			want = errs.CodeTooLarge
		case i == len(list)-1:
			want = errs.CodeInsufficientFunds
		}
		if got := errs.CodeOf(r.Err); got != want {
			t.Errorf("transfer %d: got %q (%v), want %q", i, got, r.Err, want)
		}
	}
	for len(list) <= MaxDryRun {
		list = append(list, list[0])
	}
	if _, err := w.DryRun(t.Context(), list); !errs.Is(err, errs.CodeTooLarge) {
		t.Errorf("%d transfers: %v, want too_large", len(list), err)
	}
	if _, err := dryRunForPeer(t.Context(), w.Service, 0, func(v any) error {
		v.(*commitCall).Transfers = list[:MaxDryRunOfPlayer+1] //nolint:forcetypeassert // ours
		return nil
	}); !errs.Is(err, errs.CodeTooLarge) {
		t.Errorf("a part of %d transfers: %v, want too_large", MaxDryRunOfPlayer+1, err)
	}
}
