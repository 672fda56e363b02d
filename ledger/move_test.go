package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
)

// moved starts a move and waits until it is done.
func (w *world) moved(from, to int, list ...int) Move {
	w.t.Helper()
	m, err := w.StartMove(context.Background(), MoveRequest{Buckets: list, From: from, To: to, By: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.until(m.ID, MoveDone)
}

// until waits until the move has come to the step.
func (w *world) until(moveID, step string) Move {
	w.t.Helper()
	limit := time.NewTimer(5 * time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := w.directory.move(context.Background(), moveID)
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Step == step {
			return m
		}
		select {
		case <-tick.C:
		case <-limit.C:
			w.t.Fatalf("move is %s (%s), not %s", m.Step, m.Problem, step)
		}
	}
}

// sound stops the ledger and audits it.
func (w *world) sound() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
	if err != nil || len(report.Findings) > 0 {
		w.t.Fatalf("audit: %v, %v", report.Findings, err)
	}
}

func (w *world) posted(a Address) int64 {
	w.t.Helper()
	b, err := w.Balance(context.Background(), a)
	if err != nil {
		w.t.Fatal(err)
	}
	return b.PostedMinor
}

// aLife commits every kind of thing for a player, and returns what it sent.
func (w *world) aLife(p id.Player, prefix string) []Transfer {
	list := []Transfer{
		deposit(prefix+"d1", p, 1000),
		stake(prefix+"s1", p, 100),
		stake(prefix+"s2", p, 99_999), // refused
		hold(prefix+"h1", p, 200, start.Add(time.Hour)),
		hold(prefix+"h2", p, 50, start.Add(time.Hour)),
		end(prefix+"h1-post", KindPost, p, prefix+"h1", 150),
	}
	for _, t := range list {
		_, _ = w.Commit(context.Background(), LaneInteractive, t)
	}
	return list
}

func TestABucketMovesWithEverythingItsPlayersDid(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	p := playersOn(t, w.Service, 2)[0]
	other := playersOn(t, w.Service, 2)[1]
	ctx := context.Background()
	sent := w.aLife(p, "a")
	w.aLife(other, "b")
	before := make([]Result, len(sent))
	for i, tr := range sent {
		before[i], _ = w.Commit(ctx, LaneInteractive, tr)
	}
	statement, err := w.Statement(ctx, PlayerCash(p, nj), StatementQuery{})
	if err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Minute)
	escrow := w.posted(Bets(nj, "sportsbook"))
	w.moved(0, 1, bucketOf(p))

	if got := w.ShardOf(p); got != 1 {
		t.Fatalf("the player is on shard %d", got)
	}
	for i, tr := range sent {
		got, _ := w.Commit(ctx, LaneInteractive, tr)
		if !got.Replayed || got.Position.Shard != 1 || errs.CodeOf(got.Err) != errs.CodeOf(before[i].Err) || !got.At.Equal(before[i].At) {
			t.Errorf("%s: got %+v, want the answer %+v", tr.Key, got, before[i])
		}
	}
	if got := w.posted(Bets(nj, "sportsbook")); got != escrow {
		t.Errorf("the escrow is %d, was %d", got, escrow)
	}
	got, err := w.Statement(ctx, PlayerCash(p, nj), StatementQuery{})
	if err != nil || len(got) != len(statement) {
		t.Fatalf("got %d lines, %v, want %d", len(got), err, len(statement))
	}
	for i := range got {
		if got[i].Key != statement[i].Key || got[i].BalanceMinor != statement[i].BalanceMinor || !got[i].At.Equal(statement[i].At) {
			t.Errorf("line %d: got %+v, want %+v", i, got[i], statement[i])
		}
	}
	if at, err := w.BalanceAt(ctx, PlayerCash(p, nj), start); err != nil || at.PostedMinor != 750 || at.HeldMinor != 50 {
		t.Errorf("balance at the start: got %+v, %v", at, err)
	}
	w.must(end("h2-release", KindRelease, p, "ah2", 0))
	w.must(stake("s9", p, 750))
	if got := w.posted(PlayerCash(p, nj)); got != 0 {
		t.Errorf("cash is %d", got)
	}
	w.moved(1, 0, bucketOf(p))
	w.must(deposit("d9", p, 30))
	w.moved(0, 1, bucketOf(p))
	if got := w.posted(PlayerCash(p, nj)); got != 30 {
		t.Errorf("cash is %d after moving back and forth", got)
	}
	w.sound()
}

// TestMovesUnderLoad moves buckets back and forth while their players deposit, and sends many
// requests twice: nothing may be lost or doubled, and nobody may see that anything moved.
func TestMovesUnderLoad(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	const callers = 8
	var acknowledged [callers]int
	var stop atomic.Bool
	var wg sync.WaitGroup
	player := func(n int) id.Player { return id.Player(fmt.Sprintf("mover-%d", n%4)) }
	for n := range callers {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				tr := deposit(fmt.Sprintf("k/%d/%d", n, i), player(n), 1)
				if n%2 == 0 {
					tr = stake(tr.Key, player(n), 1)
				}
				for range 1 + i%2 {
					r, err := w.Commit(context.Background(), Lane(n%3/2), tr) // #nosec: 0 or 1
					if err != nil && !errs.Is(err, errs.CodeInsufficientFunds) {
						t.Errorf("%s: %v", tr.Key, err)
					}
					if err == nil && !r.Replayed {
						acknowledged[n]++
					}
				}
			}
		})
	}
	for round := range 9 {
		from := w.ShardOf(player(round))
		w.moved(from, (from+1)%3, bucketOf(player(round)))
	}
	stop.Store(true)
	wg.Wait()
	for n := range 4 {
		var want int64
		for c := n; c < callers; c += 4 {
			if c%2 == 0 {
				want -= int64(acknowledged[c])
			} else {
				want += int64(acknowledged[c])
			}
		}
		if got := w.posted(PlayerCash(player(n), nj)); got != want {
			t.Errorf("%s has %d, want %d", player(n), got, want)
		}
	}
	w.sound()
}

func TestAnAbortedMoveLeavesTheBucketServed(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	p := playersOn(t, w.Service, 2)[0]
	ctx := context.Background()
	rows := make([]Transfer, closeEnough+120) // fewer would change sides at once, before it is aborted
	for i := range rows {
		rows[i] = deposit(fmt.Sprintf("d%d", i), p, 1)
	}
	if _, err := w.CommitBatch(ctx, LaneBulk, rows); err != nil {
		t.Fatal(err)
	}
	m, err := w.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(p)}, From: 0, To: 1, Rate: 1}) // copied for many minutes
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(p)}, From: 0, To: 1}); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("a second move of the bucket: got %v, want conflict", err)
	}
	if _, err := w.AbortMove(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	w.until(m.ID, MoveAborted)
	if got := w.ShardOf(p); got != 0 {
		t.Errorf("the player is on shard %d", got)
	}
	w.must(deposit("after", p, 1))
	if _, err := w.AbortMove(ctx, m.ID); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("aborting it again: got %v, want conflict", err)
	}
	w.moved(0, 1, bucketOf(p))
	if got := w.posted(PlayerCash(p, nj)); got != int64(len(rows)+1) {
		t.Errorf("cash is %d", got)
	}
	w.sound()
}

// TestABucketWaitsForGroupsLeftAtAnyStep: what a group reserved is looked for where it was reserved, so the
// bucket moves when the group has ended, and not before.
func TestABucketWaitsForGroupsLeftAtAnyStep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ steps, mover int }{{1, 0}, {2, 0}, {2, 1}, {3, 1}, {4, 0}} {
		t.Run(fmt.Sprintf("after %d steps, player %d", tt.steps, tt.mover), func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
			players := w.onShards(2)
			w.must(deposit("d", players[1], 100))
			list := gift("g", players[1], players[0], 30)
			list[0], list[1] = list[1], list[0] // the first decides, the second reserves
			w.leaveGroup("g", list, tt.steps)
			p := players[tt.mover]
			m, err := w.StartMove(t.Context(), MoveRequest{Buckets: []int{bucketOf(p)}, From: tt.mover, To: 1 - tt.mover})
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the move is held up", func() bool {
				now, err := w.directory.move(t.Context(), m.ID)
				if err != nil || now.Step == MoveDone {
					t.Fatalf("the move is %s, %v", now.Step, err)
				}
				return strings.Contains(now.Problem, errOpenGroup.Error())
			})
			w.must(deposit("meanwhile", p, 1)) // it is served where it is
			w.group("g", list, "", "")
			w.until(m.ID, MoveDone)
			w.group("g", list, "", "") // a replay, from another shard
			w.must(stake("s", players[0], 30))
			want := []int64{0, 70}
			want[tt.mover]++
			for i, minor := range want {
				w.wantBalance(PlayerCash(players[i], nj), minor, 0)
			}
			w.wantBalance(Transit(nj), 0, 0)
			w.sound()
		})
	}
}

// TestAKeyThatTwoPlayersUsed moves a player to a shard where another has the same key.
func TestAKeyThatTwoPlayersUsed(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	players := playersOn(t, w.Service, 2)
	w.must(deposit("same", players[0], 100))
	w.must(hold("held", players[0], 40, start.Add(time.Hour)))
	w.must(deposit("same", players[1], 7))
	w.must(hold("held", players[1], 5, start.Add(time.Hour)))
	w.must(end("release", KindRelease, players[0], "held", 0))
	w.moved(0, 1, bucketOf(players[0]))
	w.wantCode(deposit("same", players[0], 100), errs.CodeConflict)
	if got := w.posted(PlayerCash(players[0], nj)); got != 100 {
		t.Errorf("cash is %d", got)
	}
	w.must(stake("all", players[0], 100))
	w.moved(1, 0, bucketOf(players[0]))
	if r := w.must(deposit("same", players[0], 100)); !r.Replayed {
		t.Error("the key is unknown where it was used first")
	}
	w.sound()
}

// TestASecondKeyIsNoSecondTransfer takes a player round three shards on each of which somebody has one of the
// player's keys, holds included.
func TestASecondKeyIsNoSecondTransfer(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	players := playersOn(t, w.Service, 3)
	p := players[0]
	w.must(deposit("a", p, 100))
	w.must(deposit("b", p, 10))
	w.must(hold("held", p, 40, start.Add(time.Hour)))
	w.must(deposit("a", players[1], 1))
	w.must(deposit("b", players[2], 1))
	w.must(deposit("held", players[1], 1))
	for _, to := range []int{1, 2, 1, 0, 2, 0, 1, 2} {
		w.moved(w.ShardOf(p), to, bucketOf(p))
	}
	if r := w.must(deposit("a", p, 100)); !r.Replayed {
		t.Error("a key that is free here is unknown")
	}
	w.wantCode(deposit("b", p, 10), errs.CodeConflict)
	w.must(end("release", KindRelease, p, "held", 0))
	w.moved(2, 1, bucketOf(p))
	w.wantBalance(PlayerCash(p, nj), 110, 0)
	w.sound()
}

func TestExpiredHoldsEndOnceAcrossAMove(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Millisecond })
	p := playersOn(t, w.Service, 2)[0]
	w.must(deposit("d", p, 100))
	w.must(hold("h", p, 40, start.Add(time.Minute)))
	w.moved(0, 1, bucketOf(p))
	w.clock.Advance(2 * time.Minute)
	head := w.Head(0)
	w.must(stake("s", p, 100)) // the hold ends now at the latest
	w.moved(1, 0, bucketOf(p))
	if got := w.posted(PlayerCash(p, nj)); got != 0 {
		t.Errorf("cash is %d", got)
	}
	if w.Head(0) == head {
		t.Error("nothing came back")
	}
	w.sound()
}

// TestABucketWithAnOpenGroupStays begins a group over two shards and leaves it half done: its players'
// buckets are served where they are until it has ended.
func TestABucketWithAnOpenGroupStays(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d", players[0], 100))
	w.must(deposit("d", players[1], 100))
	ctx := context.Background()
	defer w.groups.take("g")() // or the sweeper's first pass may end it
	p, err := planGroup(Group{Key: "g", Transfers: gift("g", players[1], players[0], 30)})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := w.spread(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.groupStep(ctx, LaneInteractive, p, groupStep{do: groupBegin}, parts[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := w.groupStep(ctx, LaneInteractive, p, groupStep{do: groupPrepare}, parts[1]); err != nil {
		t.Fatal(err)
	}
	for _, player := range players { // the one whose shard decides, and the other
		v := newMover(w.Service, Move{ID: "m", From: w.ShardOf(player), To: 2})
		if err := v.inGroup(ctx, bucketOf(player)); !errors.Is(err, errOpenGroup) {
			t.Errorf("%s: got %v, want %v", player, err, errOpenGroup)
		}
	}
	moves := make([]Move, 2)
	for i, player := range players {
		if moves[i], err = w.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(player)}, From: i, To: 2}); err != nil {
			t.Fatal(err)
		}
	}
	w.until(moves[0].ID, MoveSwitching)
	w.must(deposit("meanwhile", players[0], 1))
	w.group("g", p.list, "", "")
	for i, player := range players {
		w.until(moves[i].ID, MoveDone)
		if got := w.ShardOf(player); got != 2 {
			t.Errorf("%s is on shard %d", player, got)
		}
	}
	w.group("g", p.list, "", "") // now both are on one shard
	if a, b := w.posted(PlayerCash(players[0], nj)), w.posted(PlayerCash(players[1], nj)); a != 131 || b != 70 {
		t.Errorf("cash is %d and %d", a, b)
	}
	w.sound()
}

// TestABucketGoesRound moves a player over three shards and back to each, where older rows of theirs are.
func TestABucketGoesRound(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	p := w.onShards(1)[0]
	w.aLife(p, "before/")
	want := w.posted(PlayerCash(p, nj))
	for i, to := range []int{1, 2, 0, 2, 1, 0, 1} {
		w.moved(w.ShardOf(p), to, bucketOf(p))
		w.must(deposit(fmt.Sprintf("d%d", i), p, 1))
		want++
	}
	if got := w.posted(PlayerCash(p, nj)); got != want {
		t.Errorf("cash is %d, want %d", got, want)
	}
	w.sound()
}

// TestABucketThatTakesTooLongIsServedAndTriedAgain has a mover that at first has no patience at all with a fenced
// bucket: the move ends all the same, and the bucket was served in between.
func TestABucketThatTakesTooLongIsServedAndTriedAgain(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	p := w.onShards(1)[0]
	w.must(deposit("d", p, 10))
	v := newMover(w.Service, Move{ID: "mov_slow", Buckets: []int{bucketOf(p)}, From: 0, To: 1})
	v.fenced = time.Nanosecond
	if err := v.resume(ctx); err != nil {
		t.Fatal(err)
	}
	if err := v.switchNow(ctx, bucketOf(p)); !errors.Is(err, errTooSlow) {
		t.Fatalf("a bucket that could not change sides in time: %v, want %v", err, errTooSlow)
	}
	w.must(deposit("meanwhile", p, 1))
	if err := v.switchBucket(ctx, bucketOf(p)); err != nil {
		t.Fatal(err)
	}
	if got := w.ShardOf(p); got != 1 {
		t.Errorf("the player is on shard %d", got)
	}
	if got := w.posted(PlayerCash(p, nj)); got != 11 {
		t.Errorf("cash is %d", got)
	}
	w.sound()
}

// TestACopyThatDoesNotGainHurries: it goes before what callers ask, unless its rate says that it may not; then
// somebody is told.
func TestACopyThatDoesNotGainHurries(t *testing.T) {
	t.Parallel()
	v := mover{}
	v.gained(true)
	if v.hurry {
		t.Error("a copy that gains hurries")
	}
	v.gained(false)
	if !v.hurry {
		t.Error("a copy that does not gain does not hurry")
	}
	v = mover{Move: Move{Rate: 10}}
	v.gained(false)
	if v.hurry || v.Problem == "" {
		t.Errorf("a copy with a rate: hurries %v, problem %q", v.hurry, v.Problem)
	}
	if v.gained(true); v.Problem != "" {
		t.Errorf("a copy that gains has the problem %q", v.Problem)
	}
}

// TestCopyRowsLooksNoFurtherThanItMust reads a log in which all, some or none are wanted.
func TestCopyRowsLooksNoFurtherThanItMust(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
	for i := range 60 {
		w.must(deposit(fmt.Sprintf("d%d", i), id.Player(fmt.Sprintf("p%d", i%2)), 1))
	}
	head := w.Head(0)
	none, one := bucketOf("p7"), bucketOf("p1")
	for _, tt := range []struct {
		after  int64
		limit  int
		wanted map[int]int64
		rows   int
		upTo   int64
	}{
		{0, 5, map[int]int64{none: 0}, 0, head},
		{0, 5, map[int]int64{one: 0}, 5, 10},
		{0, 5, map[int]int64{one: 0, bucketOf("p0"): 0}, 5, 5},
		{0, 5, map[int]int64{one: 50, bucketOf("p0"): 52}, 5, 56},
		{58, 5, map[int]int64{one: 0}, 1, head},
		{head, 5, map[int]int64{one: 0}, 0, head},
	} {
		rows, upTo, err := w.shards[0].store.copyRows(t.Context(), 0, tt.after, head, tt.limit, tt.wanted)
		if err != nil || len(rows) != tt.rows || upTo != tt.upTo {
			t.Errorf("after %d, at most %d of %v: %d rows up to %d, %v, want %d up to %d",
				tt.after, tt.limit, tt.wanted, len(rows), upTo, err, tt.rows, tt.upTo)
		}
	}
}
