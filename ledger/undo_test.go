package ledger

import (
	"context"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// inOneBatch has shard n commit the jobs in one batch, with a deposit of its own before and after them, and
// checks that both deposits are made.
func (w *world) inOneBatch(n int, neighbour id.Player, jobs ...*job) {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	results := make([]Result, 2)
	w.batches++
	one := func(i int) *job {
		tr := deposit("neighbour-"+string(rune('a'+w.batches))+string(rune('0'+i)), neighbour, 1)
		e, err := prepare(&tr)
		if err != nil {
			w.t.Fatal(err)
		}
		e.out = &results[i]
		return &job{entries: []entry{e}, done: make(chan struct{})}
	}
	all := append(append([]*job{one(0)}, jobs...), one(1))
	w.hook = func(s *Service) {
		for _, j := range all {
			if err := s.shards[n].submit(LaneInteractive, j); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.open()
	w.hook = nil
	for _, j := range all {
		<-j.done
	}
	if results[0].Err != nil || results[1].Err != nil || results[0].At != results[1].At {
		w.t.Errorf("the neighbours answer %+v, want both committed in one batch", results)
	}
}

// TestOneBrokenStepFailsAlone: what is wrong with a copied row, a share or a group is answered to who asked
// for it. The bets of the same batch commit, and nothing of the step is left: what comes after it is done
// as if it had never been tried.
func TestOneBrokenStepFailsAlone(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 2, time.Hour })
	ctx := context.Background()
	players := w.onShards(2)
	p, neighbour := players[0], players[1]
	w.aLife(p, "a")
	least := int64(5)
	w.limit(LimitsChange{Key: "limits", Account: PlayerCash(p, nj), Currency: money.USD, MinMinor: &least})
	if err := w.SetMetadata(ctx, MetadataChange{Key: "meta", Account: PlayerCash(p, nj), Currency: money.USD, Set: map[string]string{"tier": "gold"}}); err != nil {
		t.Fatal(err)
	}
	w.must(stake("last", p, 10))

	v := newMover(w.Service, Move{ID: w.ids.New("mov"), Buckets: []int{bucketOf(p)}, From: 0, To: 1})
	if err := v.resume(ctx); err != nil {
		t.Fatal(err)
	}
	rows, upTo, err := v.from.store.copyRows(ctx, 0, v.Copied, v.from.head.Load(), copyRowsAtOnce, v.wanted)
	if err != nil || len(rows) < 9 {
		t.Fatalf("%d rows to copy, %v", len(rows), err)
	}
	step := func(st step) *job { return &job{step: st, done: make(chan struct{})} }
	refused := func(name string, j *job) {
		t.Helper()
		if !errs.Is(j.err, errs.CodeInternal) {
			t.Errorf("%s: got %v, want internal", name, j.err)
		}
	}

	last := &rows[len(rows)-1]
	last.lines[0].balance++
	wrong := step(&copyIn{move: v.ID, from: 0, upTo: upTo, rows: rows})
	w.inOneBatch(1, neighbour, wrong)
	refused("a copied row with another balance", wrong)
	last.lines[0].balance--
	if now := w.shards[1].builder.buckets.rows[bucketOf(p)]; now.state != bucketCopying || now.seq >= upTo {
		t.Errorf("the bucket is %+v after a copy that failed", now)
	}

	right := step(&copyIn{move: v.ID, from: 0, upTo: upTo, rows: rows})
	again := step(&copyIn{move: v.ID, from: 0, upTo: upTo, rows: rows}) // nothing is left to do
	w.inOneBatch(1, neighbour, right, again)
	if right.err != nil || again.err != nil {
		t.Fatalf("the right copy: %v, %v", right.err, again.err)
	}
	v = newMover(w.Service, v.Move) // of the process that runs now
	if err := v.resume(ctx); err != nil {
		t.Fatal(err)
	}
	w.crookedShares(v, p, func(j *job) { refused("shares that are not zero together", j) })
	w.wantBalance(PlayerCash(p, nj), 740, 50)
	if l, err := w.Limits(ctx, PlayerCash(p, nj)); err != nil || l.Version != 1 || *l.MinMinor != least {
		t.Errorf("limits after the move: %+v, %v", l, err)
	}
	w.wantCode(stake("too much", p, 690), errs.CodeInsufficientFunds)
	w.sound()
}

// crookedShares finishes a move whose rows have been copied, after one try with shares that do not add up.
func (w *world) crookedShares(v *mover, p id.Player, refused func(*job)) {
	w.t.Helper()
	ctx, bucket := context.Background(), bucketOf(p)
	try := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	at := &fence{move: v.ID, to: v.To, bucket: bucket}
	try(v.lead(ctx, at))
	for v.Copied < at.seq {
		try(v.copySome(ctx, LaneInteractive, at.seq))
	}
	sums := &readShares{bucket: bucket}
	try(w.shards[v.To].do(ctx, LaneInteractive, 0, sums))
	sums.shares[0].amount++
	crooked := &job{step: &moveOut{move: v.ID, to: v.To, bucket: bucket, shares: sums.shares}, done: make(chan struct{})}
	w.inOneBatch(v.From, w.another(p), crooked)
	refused(crooked)
	sums.shares[0].amount--
	v = newMover(w.Service, v.Move)
	_, err := v.lookHere(ctx)
	try(err)
	out := &moveOut{move: v.ID, to: v.To, bucket: bucket, shares: sums.shares}
	try(v.lead(ctx, out))
	try(v.arrive(ctx, bucket, out.seq))
}

// another returns a player of the same shard and another bucket.
func (w *world) another(p id.Player) id.Player {
	for _, other := range playersOn(w.t, w.Service, 2) {
		if w.ShardOf(other) == w.ShardOf(p) && bucketOf(other) != bucketOf(p) {
			return other
		}
	}
	w.t.Fatal("no other player")
	return ""
}

// TestAGroupThatCannotBeFinishedFailsAlone asks for the end of a group whose reservation is not there.
func TestAGroupThatCannotBeFinishedFailsAlone(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 2, time.Hour })
	players := w.onShards(2)
	w.must(deposit("money", players[0], 100))
	plan, err := planGroup(Group{Key: "g", Transfers: gift("g", players[0], players[1], 10)})
	if err != nil {
		t.Fatal(err)
	}
	finish := func(refusal *groupRefusal) *job {
		st := &groupStep{do: groupFinish, plan: plan, indexes: []int{1}, refusal: refusal, head: plan.head(groupFinish)}
		e := plan.entries[1]
		e.out = &Result{}
		return &job{group: st, entries: []entry{e}, done: make(chan struct{})}
	}
	j := finish(nil)
	w.inOneBatch(1, players[1], j)
	if j.err != nil || !errs.Is(j.group.reply.err, errs.CodeInternal) {
		t.Errorf("got %v, %v, want the step answered internal", j.err, j.group.reply.err)
	}
	w.group("g", gift("g", players[0], players[1], 10), "", "")
	w.wantDrained()
	w.wantSound()
}
