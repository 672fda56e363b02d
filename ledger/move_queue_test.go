package ledger

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"matchday/id"
)

func TestWhichMoveWaitsForWhich(t *testing.T) {
	t.Parallel()
	move := func(name string, from, to int) Move { return Move{ID: name, From: from, To: to, Step: MoveCopying} }
	stopped := move("d", 0, 2)
	stopped.Step = MoveAborting
	for _, tt := range []struct {
		name string
		open []Move
		want string
	}{
		{"no shard in common", []Move{move("a", 0, 1), move("b", 2, 3)}, ""},
		{"one source", []Move{move("a", 0, 1), move("b", 0, 2)}, "b:a"},
		{"one destination", []Move{move("a", 0, 2), move("b", 1, 2)}, "b:a"},
		{"from where another goes", []Move{move("a", 0, 1), move("b", 1, 2)}, "b:a"},
		{"behind one that waits itself", []Move{move("a", 0, 1), move("b", 1, 2), move("c", 2, 3)}, "b:a c:b"},
		{"behind two", []Move{move("a", 0, 1), move("b", 2, 3), move("c", 2, 1)}, "c:b"},
		{"one that is to be stopped", []Move{move("a", 0, 1), stopped}, ""},
		{"behind one that is to be stopped", []Move{stopped, move("e", 2, 3)}, "e:d"},
	} {
		waits := turns(tt.open)
		var got []string
		for i := range tt.open {
			if before := waits[tt.open[i].ID]; before != "" {
				got = append(got, tt.open[i].ID+":"+before)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, strings.Join(got, " "), tt.want)
		}
	}
}

// TestASlowMoveHoldsUpItsShardsOnly: moves of other shards go by, one that shares a shard waits and says for
// which.
func TestASlowMoveHoldsUpItsShardsOnly(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 4; c.SweepEvery = time.Hour })
	ctx := t.Context()
	players := w.onShards(4)
	rows := make([]Transfer, closeEnough+1000) // fewer would change sides at once
	for i := range rows {
		rows[i] = deposit(fmt.Sprintf("d%d", i), players[0], 1)
	}
	mustBatch(t, w.Service, rows)
	begin := func(player, from, to, rate int) Move {
		t.Helper()
		m, err := w.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(players[player])}, From: from, To: to, Rate: rate})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	slow := begin(0, 0, 1, 1) // copied for many minutes
	other := begin(2, 2, 3, 0)
	if other.WaitsFor != "" {
		t.Errorf("a move of other shards waits for %s", other.WaitsFor)
	}
	w.until(other.ID, MoveDone)
	waiting := begin(3, 3, 1, 0)
	if waiting.WaitsFor != slow.ID {
		t.Errorf("a move to the same shard waits for %q, want %s", waiting.WaitsFor, slow.ID)
	}
	list, err := w.Moves(ctx, "", 10)
	if err != nil || len(list) != 3 || list[0].WaitsFor != slow.ID || list[1].WaitsFor+list[2].WaitsFor != "" {
		t.Errorf("the list says %+v, %v, want the newest to wait", list, err)
	}
	given := begin(1, 1, 2, 0)
	if _, err := w.AbortMove(ctx, given.ID); err != nil {
		t.Fatal(err)
	}
	w.until(given.ID, MoveAborted) // to be stopped it need not wait
	if now, err := w.FindMove(ctx, waiting.ID); err != nil || now.Rows != 0 || now.WaitsFor != slow.ID {
		t.Errorf("the waiting move: %+v, %v, want it to wait still", now, err)
	}
	if _, err := w.AbortMove(ctx, slow.ID); err != nil {
		t.Fatal(err)
	}
	w.until(waiting.ID, MoveDone)
	for i, want := range []int{0, 1, 3, 1} {
		if got := w.ShardOf(players[i]); got != want {
			t.Errorf("player %d is on shard %d, want %d", i, got, want)
		}
	}
	w.wantBalance(PlayerCash(players[0], nj), int64(len(rows)), 0)
	w.sound()
}

// TestAMoveThatIsTriedAgainPlacesNothingTwice: what a try before it has done is not done again for each bucket,
// while one that nobody serves waits.
func TestAMoveThatIsTriedAgainPlacesNothingTwice(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	ctx := t.Context()
	there := w.onShards(2)[1]
	var here []id.Player // of two buckets, the lower one first, which moves first
	for i := 0; len(here) < 2; i++ {
		p := id.Player(fmt.Sprintf("q%d", i))
		if w.ShardOf(p) == 0 && (len(here) == 0 || bucketOf(p) > bucketOf(here[0])) {
			here = append(here, p)
		}
	}
	w.must(deposit("d0", here[0], 5))
	w.must(deposit("d1", here[1], 100))
	gifts := gift("g", here[1], there, 30)
	w.leaveGroup("g", gifts, 2) // the second bucket cannot leave
	m, err := w.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(here[0]), bucketOf(here[1])}, From: 0, To: 1})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first bucket has changed sides", func() bool {
		m, err = w.FindMove(ctx, m.ID)
		return err == nil && m.Switched == 1
	})
	before, err := w.directory.placement(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	v := newMover(w.Service, m)
	if err := v.resume(ctx); err != nil || v.Switched != 1 || len(v.left) != 1 {
		t.Errorf("another try: %v, %d buckets have changed sides and %d have not, want one each", err, v.Switched, len(v.left))
	}
	if after, err := w.directory.placement(ctx, before.version); err != nil || after != nil {
		t.Errorf("another try wrote the directory: %v", err)
	}
	w.group("g", gifts, "", "")
	w.until(m.ID, MoveDone)
	w.wantBalance(PlayerCash(here[0], nj), 5, 0)
	w.wantBalance(PlayerCash(here[1], nj), 70, 0)
	w.sound()
}

// TestMovesAtOnceUnderLoad moves players of every shard at once, to and fro, while they deposit.
func TestMovesAtOnceUnderLoad(t *testing.T) {
	t.Parallel()
	const shards = 6
	w := setup(t, func(c *Config) { c.Shards = shards; c.SweepEvery = time.Hour })
	players := w.onShards(shards)
	var acknowledged [shards]int64
	var stop atomic.Bool
	var load sync.WaitGroup
	for n, p := range players {
		load.Go(func() {
			for i := 0; !stop.Load(); i++ {
				tr := deposit(fmt.Sprintf("k/%d/%d", n, i), p, 1)
				for range 1 + i%2 {
					if r, err := w.Commit(context.Background(), Lane(i%2), tr); err != nil { // #nosec: 0 or 1
						t.Errorf("%s: %v", tr.Key, err)
					} else if !r.Replayed {
						acknowledged[n]++
					}
				}
			}
		})
	}
	for range 4 {
		var moves []Move
		for _, p := range players {
			from := w.ShardOf(p)
			m, err := w.StartMove(t.Context(), MoveRequest{Buckets: []int{bucketOf(p)}, From: from, To: from ^ 1})
			if err != nil {
				t.Fatal(err)
			}
			moves = append(moves, m)
		}
		for i := range moves {
			w.until(moves[i].ID, MoveDone)
		}
	}
	stop.Store(true)
	load.Wait()
	for n, p := range players {
		w.wantBalance(PlayerCash(p, nj), acknowledged[n], 0)
	}
	w.sound()
}
