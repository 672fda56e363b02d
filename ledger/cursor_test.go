package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// TestAStatementIsReadAcrossMoves reads a statement a line or two at a time, and moves the account between two
// pages: away, on to a third shard, back, and with a key that another player has there.
func TestAStatementIsReadAcrossMoves(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	players := playersOn(t, w.Service, 3)
	p, cash, ctx := players[0], PlayerCash(players[0], nj), context.Background()
	var want []string
	for i := range 12 {
		w.must(deposit(fmt.Sprintf("d%d", i), p, 1))
		want = append(want, fmt.Sprintf("d%d", i))
	}
	w.must(deposit("d5", players[1], 7))
	w.must(deposit("d8", players[2], 7))
	w.moved(0, 2, bucketOf(p)) // d8 gets another key there
	w.must(deposit("there", p, 1))
	w.moved(2, 0, bucketOf(p))
	want = append(want, "there")
	slices.Reverse(want)
	for _, path := range [][]int{{1}, {2}, {1, 2}, {1, 2, 0}, {2, 1, 0, 1}} {
		var got []string
		q := StatementQuery{Limit: 2}
		for page := 0; ; page++ {
			lines, err := w.Statement(ctx, cash, q)
			if err != nil {
				t.Fatalf("by way of %v, after %v: %v", path, q.Before, err)
			}
			for _, l := range lines {
				key := l.Key
				if l.Key == originKey(origin{shard: 0, seq: w.seqOf("d8")}) {
					key = "d8"
				} else if l.Key == originKey(origin{shard: 0, seq: w.seqOf("d5")}) {
					key = "d5"
				}
				got = append(got, key)
				q.Before = l.Position
			}
			if len(lines) < q.Limit {
				break
			}
			if page < len(path) {
				w.moved(w.ShardOf(p), path[page], bucketOf(p))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by way of %v: got %v, want %v", path, got, want)
		}
	}
	if _, err := w.Statement(ctx, cash, StatementQuery{Before: stream.Position{Shard: (w.ShardOf(p) + 1) % 3, Seq: 1 << 40}}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a position that is none: %v, want invalid", err)
	}
	w.sound()
}

// seqOf returns the sequence of a key on the first shard.
func (w *world) seqOf(key string) int64 {
	w.t.Helper()
	old, found, err := w.shards[0].store.answered(context.Background(), key)
	if err != nil || !found {
		w.t.Fatalf("key %s: %v, %v", key, found, err)
	}
	return old.seq
}

// TestOpenHoldsAreListedAcrossAMove: a page goes on after the hold that the one before ended with.
func TestOpenHoldsAreListedAcrossAMove(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	p := w.onShards(1)[0]
	cash, ctx := PlayerCash(p, nj), context.Background()
	w.must(deposit("d", p, 100))
	for i := range 3 {
		w.must(hold(fmt.Sprintf("h%d", i), p, 10, start.Add(time.Hour)))
	}
	first, err := w.OpenHolds(ctx, cash, stream.Position{}, 1)
	if err != nil || len(first) != 1 {
		t.Fatal(first, err)
	}
	w.moved(0, 1, bucketOf(p))
	rest, err := w.OpenHolds(ctx, cash, first[0].Position, 5)
	if err != nil || len(rest) != 2 || rest[0].Key != "h1" || rest[1].Key != "h2" {
		t.Errorf("after %v: %+v, %v, want h1 and h2", first[0].Position, rest, err)
	}
	w.sound()
}

// TestHoldsLeftBehindAreLookedAtOnce: open copies of holds that ran out do not hide those of players who live
// here, and cost a sweep nothing after the first.
func TestHoldsLeftBehindAreLookedAtOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	gone := playersOn(t, w.Service, 2)[0]
	stays := id.Player("stays")
	for i := 0; w.ShardOf(stays) != 0 || bucketOf(stays) == bucketOf(gone); i++ {
		stays = id.Player(fmt.Sprintf("stays-%d", i))
	}
	w.must(deposit("d", gone, 10_000))
	w.must(deposit("d2", stays, 100))
	for i := range maxSwept + 5 {
		w.must(hold(fmt.Sprintf("h%d", i), gone, 1, start.Add(time.Minute)))
	}
	w.must(hold("mine", stays, 1, start.Add(2*time.Minute)))
	w.moved(0, 1, bucketOf(gone))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), w.config, quiet(w.clock))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	w.clock.Advance(3 * time.Minute)
	one := s.shards[0]
	counted := &countingHolds{store: one.store}
	one.store = counted
	for i, reads := range []int{2, 1} {
		counted.read = 0
		list, err := one.ranOut(context.Background())
		if err != nil || len(list) != 1 || list[0].key != "mine" {
			t.Fatalf("sweep %d: %+v, %v, want the hold of who lives here", i, list, err)
		}
		if counted.calls != reads {
			t.Errorf("sweep %d read %d pages with %d holds, want %d pages", i, counted.calls, counted.read, reads)
		}
		counted.calls = 0
	}
	one.builder.buckets.put(bucketRow{bucket: bucketOf(gone), state: bucketLive})
	if list, err := one.ranOut(context.Background()); err != nil || len(list) != maxSwept {
		t.Errorf("after the bucket has come back: %d holds, %v, want a page", len(list), err)
	}
}

// countingHolds counts the holds that sweeps read.
type countingHolds struct {
	store
	calls, read int
}

func (c *countingHolds) expired(ctx context.Context, account int64, after holdMark, now time.Time, limit int) ([]storedHold, error) {
	list, err := c.store.expired(ctx, account, after, now, limit)
	c.calls++
	c.read += len(list)
	return list, err
}
