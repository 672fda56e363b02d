package ledger

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
)

// forced moves a player's bucket whatever is open: what a move does, without its mover's patience.
func (w *world) forced(p id.Player, to int) {
	w.t.Helper()
	from, bucket, ctx := w.ShardOf(p), bucketOf(p), context.Background()
	if from == to {
		return
	}
	v := newMover(w.Service, Move{ID: w.ids.New("mov"), Buckets: []int{bucket}, From: from, To: to})
	try := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatalf("move %s from %d to %d: %v", p, from, to, err)
		}
	}
	try(v.resume(ctx))
	at := &fence{move: v.ID, to: to, bucket: bucket}
	try(v.lead(ctx, at))
	for v.Copied < at.seq {
		try(v.copySome(ctx, LaneInteractive, at.seq))
	}
	sums := &readShares{bucket: bucket}
	try(w.shards[to].do(ctx, LaneInteractive, 0, sums))
	out := &moveOut{move: v.ID, to: to, bucket: bucket, shares: sums.shares}
	try(v.lead(ctx, out))
	try(v.arrive(ctx, bucket, out.seq))
}

// stepped drives a group over the parts that it has now, and calls between before each step, which is told how many
// went before; false leaves the group where it stands. A step that finds a player gone leaves it too.
func (w *world) stepped(g Group, between func(step int) bool) {
	w.t.Helper()
	p, err := planGroup(g)
	if err != nil {
		w.t.Fatal(err)
	}
	parts, err := w.spread(p)
	if err != nil {
		w.t.Fatal(err)
	}
	done := 0
	step := func(st groupStep, part groupPart) (groupReply, bool) {
		if !between(done) {
			return groupReply{}, false
		}
		done++
		reply, err := w.groupStep(context.Background(), LaneInteractive, p, st, part)
		if err != nil && !isElsewhere(err) {
			w.t.Fatalf("group %s, step %d: %v", g.Key, done, err)
		}
		return reply, err == nil
	}
	reply, ok := step(groupStep{do: groupBegin}, parts[0])
	for _, part := range parts[1:] {
		if ok && reply.refusal == nil {
			reply, ok = step(groupStep{do: groupPrepare}, part)
		}
	}
	if ok {
		reply, ok = step(groupStep{do: groupDecide, refusal: reply.refusal}, parts[0])
	}
	for _, part := range parts[1:] {
		if ok {
			refusal := reply.refusal
			_, ok = step(groupStep{do: groupFinish, refusal: refusal}, part)
		}
	}
}

// TestAGroupWhosePlayersMove moves the players of a group over three shards after each of its steps, each to
// where it hurts, and then has it ended by a caller.
func TestAGroupWhosePlayersMove(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		minor int64
		code  errs.Code
	}{{"covered once", 60, ""}, {"not covered", 130, errs.CodeInsufficientFunds}} {
		for steps := range 7 {
			if testing.Short() && steps%2 == 1 {
				continue
			}
			for move := range 6 {
				who, to := move/2, (move/2+1+move%2)%3
				t.Run(fmt.Sprintf("%s, %d steps, %d to %d", tt.name, steps, who, to), func(t *testing.T) {
					t.Parallel()
					w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
					w.groupAcrossMove(w.onShards(3), tt.minor, steps, who, to, tt.code)
				})
			}
		}
	}
}

func (w *world) groupAcrossMove(players []id.Player, minor int64, steps, who, to int, code errs.Code) {
	w.t.Helper()
	w.must(deposit("d1", players[1], 100))
	w.must(deposit("d2", players[2], 100))
	home := []Transfer{deposit("home", players[0], 1)}
	g := Group{"g", append(home, append(gift("a", players[1], players[0], minor), gift("b", players[2], players[0], 7)...)...)}
	w.stepped(g, func(step int) bool { return step < steps })
	w.forced(players[who], to)
	results, err := w.CommitGroup(context.Background(), LaneInteractive, g)
	if errs.CodeOf(err) != code || len(results) != 5 || errs.CodeOf(results[1].Err) != code {
		w.t.Fatalf("got %+v, %v, want %q", results, err, code)
	}
	want := []int64{1 + minor + 7, 100 - minor, 93}
	if code != "" {
		want = []int64{0, 100, 100}
	}
	for i, p := range players {
		w.wantBalance(PlayerCash(p, nj), want[i], 0)
	}
	w.must(deposit("after", players[0], 1)) // nobody else's transfers suffer
	w.sound()
}

// TestAPlayerMovesToWhereAGroupPrepares has the third player come to the shard on which the second's
// transfer is reserved already.
func TestAPlayerMovesToWhereAGroupPrepares(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	players := w.onShards(3)
	w.groupAcrossMove(players, 40, 2, 2, 1, "") // begun, prepared on shard 1, not on 2
}

// TestAGroupOfOneShardWhosePlayersPart asks again for a group after its players moved apart.
func TestAGroupOfOneShardWhosePlayersPart(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.forced(players[1], 0)
	w.must(deposit("d", players[0], 50))
	w.group("g", gift("g", players[0], players[1], 30), "", "")
	w.group("refused", gift("refused", players[0], players[1], 30), errs.CodeInsufficientFunds, linked)
	w.forced(players[1], 1)
	for _, r := range w.group("g", gift("g", players[0], players[1], 30), "", "") {
		if !r.Replayed {
			t.Errorf("got %+v, want a replay", r)
		}
	}
	w.group("refused", gift("refused", players[0], players[1], 30), errs.CodeInsufficientFunds, linked)
	w.wantBalance(PlayerCash(players[1], nj), 30, 0)
	w.sound()
}

// TestRandomGroupsAndMoves leaves random groups after random steps while their players move between three
// shards at random moments, asks for all of them in the end, and compares with what their outcomes add up to.
func TestRandomGroupsAndMoves(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
			w.randomGroups(rand.New(rand.NewPCG(seed, 0))) // #nosec G404: a test's dice
		})
	}
}

func (w *world) randomGroups(dice *rand.Rand) {
	w.t.Helper()
	players := append(w.onShards(3), "q1", "q2", "q3")
	want := map[id.Player]int64{}
	for _, p := range players {
		w.must(deposit("d/"+string(p), p, 100))
		want[p] = 100
	}
	move := func() { w.forced(players[dice.IntN(len(players))], dice.IntN(3)) }
	var groups []Group
	for i := range 12 {
		g := Group{Key: fmt.Sprintf("g%d", i)}
		for n := range 1 + dice.IntN(3) {
			from := dice.IntN(len(players))
			to := (from + 1 + dice.IntN(len(players)-1)) % len(players)
			g.Transfers = append(g.Transfers, gift(fmt.Sprintf("%s/%d", g.Key, n), players[from], players[to], 1+dice.Int64N(90))...)
		}
		dice.Shuffle(len(g.Transfers), func(a, b int) {
			g.Transfers[a], g.Transfers[b] = g.Transfers[b], g.Transfers[a]
		})
		groups = append(groups, g)
		leave := dice.IntN(8)
		w.stepped(g, func(step int) bool {
			if dice.IntN(4) == 0 {
				move()
			}
			return step < leave
		})
		if dice.IntN(3) == 0 {
			again := groups[dice.IntN(len(groups))]
			w.stepped(again, func(step int) bool { return step < dice.IntN(10) })
		}
	}
	committed := 0
	for _, g := range groups {
		results, err := w.CommitGroup(context.Background(), LaneInteractive, g)
		if err != nil && !errs.Is(err, errs.CodeInsufficientFunds) {
			w.t.Fatalf("group %s: %v", g.Key, err)
		}
		if err == nil {
			committed++
		}
		for i, r := range results {
			if (r.Err == nil) != (err == nil) {
				w.t.Fatalf("group %s, transfer %d: got %v, the group %v", g.Key, i, r.Err, err)
			}
			for _, post := range g.Transfers[i].Postings {
				if post.Account == PlayerCash(g.Transfers[i].Player, nj) && err == nil {
					want[g.Transfers[i].Player] += post.AmountMinor
				}
			}
		}
	}
	for _, p := range players {
		w.wantBalance(PlayerCash(p, nj), want[p], 0)
	}
	w.t.Logf("%d of %d groups committed", committed, len(groups))
	w.sound()
}
