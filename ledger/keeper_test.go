package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/stream"
)

// member is one of the ledgers that share a folder.
type member struct {
	*Service
	stop func() error // ends Run and closes; may be called twice
}

// startMember opens a ledger that shares the folder and runs it, after the hooks.
func startMember(t testing.TB, c Config, hooks ...func(*Service)) *member {
	t.Helper()
	if c.InternalListen == "" {
		c.InternalListen = "127.0.0.1:0"
	}
	if c.Lease == 0 {
		c.Lease = 300 * time.Millisecond
	}
	s, err := Open(context.Background(), c, quiet(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		hook(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	m := &member{Service: s}
	m.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		if closed := s.Close(); err == nil {
			err = closed
		}
		return err
	})
	t.Cleanup(func() { _ = m.stop() })
	return m
}

// owned returns the shards that a member writes.
func (m *member) owned() []int {
	var out []int
	for _, one := range m.shards {
		if one.isOpen() {
			out = append(out, one.number)
		}
	}
	return out
}

// eventually waits until fn is true.
func eventually(t testing.TB, what string, fn func() bool) {
	t.Helper()
	for range 15_000 {
		if fn() {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// wantSpread waits until the members write the shards evenly between them.
func wantSpread(t testing.TB, shards int, members ...*member) {
	t.Helper()
	eventually(t, "an even spread", func() bool {
		var all []int
		for _, m := range members {
			own := m.owned()
			if len(own) < shards/len(members) || len(own) > (shards+len(members)-1)/len(members) {
				return false
			}
			all = append(all, own...)
		}
		slices.Sort(all)
		return len(all) == shards && len(slices.Compact(all)) == shards
	})
}

func TestProcessesShareTheShards(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 5, SweepEvery: time.Hour}
	first := startMember(t, c)
	wantSpread(t, 5, first)
	second, third := startMember(t, c), startMember(t, c)
	wantSpread(t, 5, first, second, third)
	ctx := context.Background()
	for n, m := range []*member{first, second, third} {
		for shard, p := range playersOn(t, m.Service, 5) {
			r, err := m.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d/%s/%d", p, n), p, 100))
			if err != nil || r.Position.Shard != shard {
				t.Fatalf("member %d, shard %d: %+v, %v", n, shard, r, err)
			}
			if err := m.WaitFor(ctx, r.Position); err != nil {
				t.Fatal(err)
			}
			b, err := m.Balance(ctx, PlayerCash(p, nj))
			if err != nil || b.PostedMinor != int64(100*(n+1)) {
				t.Fatalf("balance read by member %d: %+v, %v", n, b, err)
			}
		}
	}
	for _, m := range []*member{second, first} { // gracefully: the next takes over at once
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	}
	wantSpread(t, 5, third)
	for _, p := range playersOn(t, third.Service, 5) {
		if r, err := third.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d/%s/0", p), p, 100)); err != nil || !r.Replayed {
			t.Errorf("an acknowledged transfer again: %+v, %v", r, err)
		}
	}
	if err := third.stop(); err != nil {
		t.Fatal(err)
	}
	wantSound(t, c.Dir)
}

// TestTheEndOfADistantLogHasAnAge: who writes a shard knows its end, another process what it last read of it.
func TestTheEndOfADistantLogHasAnAge(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
	first := startMember(t, c)
	wantSpread(t, 2, first)
	second := startMember(t, c)
	wantSpread(t, 2, first, second)
	there, here := first.owned()[0], second.owned()[0]
	eventually(t, "the end of a log of one's own, from now", func() bool {
		_, age, known := second.HeadAge(here)
		return age == 0 && known
	})
	if _, _, known := second.HeadAge(7); known {
		t.Error("the end of a shard that is not there is known")
	}
	r, err := first.Commit(context.Background(), LaneInteractive, deposit("d", playersOn(t, first.Service, 2)[there], 100))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end in the other process", func() bool {
		seq, age, known := second.HeadAge(there)
		return known && age > 0 && seq == r.Position.Seq
	})
	before := second.shards[there].looked.Load()
	eventually(t, "another look", func() bool { return second.shards[there].looked.Load() > before })
}

// TestAProcessThatSleptKnowsItsLogFromBefore: whether it was replaced it learns when it shows again that it lives.
func TestAProcessThatSleptKnowsItsLogFromBefore(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC))
	s := &Service{clock: now, config: Config{Lease: 3 * time.Second}, keeper: &keeper{}, shards: []*shard{{shared: true}}}
	s.shards[0].head.Store(7)
	want := func(what string, age time.Duration) {
		t.Helper()
		if seq, got, known := s.HeadAge(0); seq != 7 || got != age || !known {
			t.Errorf("%s: end %d, %s old, known: %t, want 7, %s old", what, seq, got, known, age)
		}
	}
	beat := func() { s.keeper.beatUS.Store(now.Now().UnixMicro()) }
	beat()
	want("it shows that it lives", 0)
	now.Advance(2 * time.Second)
	want("nobody has taken it for dead", 0)
	now.Advance(time.Minute)
	want("it slept", 62*time.Second)
	beat()
	want("it lives again and has its shard", 0)
	s.keeper = nil
	now.Advance(time.Hour)
	want("it is alone", 0)
}

// wantSound audits the books.
func wantSound(t testing.TB, dir string) {
	t.Helper()
	if report, err := Audit(context.Background(), AuditOptions{Dir: dir}); err != nil || len(report.Findings) > 0 {
		t.Errorf("audit: %v, %v", report.Findings, err)
	}
}

// TestForwardedAnswersAreTheOwnersAnswers sends every kind of answer over the internal listener.
func TestForwardedAnswersAreTheOwnersAnswers(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
	owner := startMember(t, c)
	wantSpread(t, 2, owner)
	other := startMember(t, c)
	wantSpread(t, 2, owner, other)
	shard := owner.owned()[0]
	p := playersOn(t, other.Service, 2)[shard]
	ctx := context.Background()
	withHTML := stake("s1", p, 300)
	withHTML.Record = &stream.Draft{Type: stream.TypeBetPlaced, Subject: "s1", Data: []byte(`{ "note": "a < b & c" }`)}
	other1, direct := deposit("d1", p, 1000), withHTML
	list := []Transfer{other1, direct, stake("s2", p, 5000), {Key: "bad"}, deposit("d1", p, 999)}
	got, err := other.CommitBatch(ctx, LaneBulk, list)
	if err != nil {
		t.Fatal(err)
	}
	wants := []errs.Code{"", "", errs.CodeInsufficientFunds, errs.CodeInvalid, errs.CodeConflict}
	for i, want := range wants {
		if errs.CodeOf(got[i].Err) != want {
			t.Errorf("transfer %d: got %v, want %q", i, got[i].Err, want)
		}
	}
	if got[1].Balances[0] != 700 || string(got[1].Data) != `{ "note": "a < b & c" }` {
		t.Errorf("got %+v", got[1])
	}
	// The owner knows the same requests: every byte of them arrived.
	again, err := owner.CommitBatch(ctx, LaneBulk, list[:3])
	if err != nil {
		t.Fatal(err)
	}
	for i := range again {
		if errs.CodeOf(again[i].Err) != wants[i] || !again[i].Replayed || !again[i].At.Equal(got[i].At) || again[i].Position != got[i].Position {
			t.Errorf("transfer %d at the owner: %+v, was %+v", i, again[i], got[i])
		}
	}
	if err := other.Barrier(ctx, shard); err != nil {
		t.Errorf("barrier: %v", err)
	}
	if r, found, err := other.Lookup(ctx, p, "s1", nil); err != nil || !found || r.Position != got[1].Position {
		t.Errorf("lookup: %+v, %v, %v", r, found, err)
	}
}

// TestGroupsOverShardsOfOtherProcesses: a group that nobody writes all of ends the same whoever takes it.
func TestGroupsOverShardsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: 20 * time.Millisecond}
	one := startMember(t, c)
	wantSpread(t, 2, one)
	two := startMember(t, c)
	wantSpread(t, 2, one, two)
	players := playersOn(t, one.Service, 2)
	ctx := context.Background()
	for i, p := range players {
		if r, err := one.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", i), p, 100)); err != nil || r.Err != nil {
			t.Fatal(r, err)
		}
	}
	both := []*member{one, two}
	for i, from := range []int{0, 1, 0, 1} { // each member, out of its own shard and out of the other's
		taker, other := both[i/2], both[1-i/2]
		key := fmt.Sprintf("g%d", i)
		g := Group{key, gift(key, players[from], players[1-from], int64(10+i))}
		got, err := taker.CommitGroup(ctx, LaneInteractive, g)
		if err != nil || len(got) != 2 { // a sweep may have ended it before this call did
			t.Fatalf("group %s: %+v, %v", key, got, err)
		}
		again, err := other.CommitGroup(ctx, LaneInteractive, g)
		for n := range again {
			if !again[n].Replayed || again[n].Position != got[n].Position || !again[n].At.Equal(got[n].At) {
				t.Errorf("group %s at the other process, transfer %d: %+v, was %+v", key, n, again[n], got[n])
			}
		}
		if err != nil {
			t.Errorf("group %s at the other process: %v", key, err)
		}
		tooMuch := Group{key + "/too-much", gift(key+"/too-much", players[from], players[1-from], 1000)}
		if _, err := taker.CommitGroup(ctx, LaneInteractive, tooMuch); !errs.Is(err, errs.CodeInsufficientFunds) {
			t.Errorf("group %s: got %v, want insufficient_funds", tooMuch.Key, err)
		}
	}
	for i, want := range []int64{100 - 10 + 11 - 12 + 13, 100 + 10 - 11 + 12 - 13} {
		if b, err := one.Balance(ctx, PlayerCash(players[i], nj)); err != nil || b.PostedMinor != want || b.HeldMinor != 0 {
			t.Errorf("balance of player %d: %+v, %v, want %d", i, b, err, want)
		}
	}
	for _, m := range both {
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	}
	wantSound(t, c.Dir)
}

// TestAWriterThatWasReplacedHandsItsWorkOn takes a shard away behind the keeper's back: the writer
// notices at its next commit, stops, and the call is answered all the same.
func TestAWriterThatWasReplacedHandsItsWorkOn(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 1, SweepEvery: time.Hour}
	m := startMember(t, c)
	wantSpread(t, 1, m)
	ctx := context.Background()
	if _, err := m.Commit(ctx, LaneInteractive, deposit("d1", "p", 100)); err != nil {
		t.Fatal(err)
	}
	thief, err := openSQLite(ctx, c, 0, start, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = thief.close() }()
	if _, err := thief.takeOver(ctx, takeover{shards: 1, writer: "thief"}); err != nil {
		t.Fatal(err)
	}
	before := m.shards[0].epoch.Load()
	r, err := m.Commit(ctx, LaneInteractive, deposit("d2", "p", 100)) // fenced, then taken back by the keeper
	if err != nil || r.Balances[1] != 200 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if after := m.shards[0].epoch.Load(); after != before+2 {
		t.Errorf("epoch %d after %d: want the thief's and one of our own", after, before)
	}
}

func TestTwoProcessesOfOneName(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 1, Process: "a", InternalListen: "127.0.0.1:0", Lease: 300 * time.Millisecond}
	first := startMember(t, c)
	wantSpread(t, 1, first)
	ran := make(chan error, 1)
	go func() {
		eventually(t, "the first gives up", func() bool { return len(first.owned()) == 0 })
		ran <- first.stop()
	}()
	second := startMember(t, c)
	wantSpread(t, 1, second)
	if err := <-ran; !errs.Is(err, errs.CodeConflict) {
		t.Errorf("the first ended with %v, want a conflict", err)
	}
}

func TestAloneAmongOthersIsRefused(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 1, Lease: 300 * time.Millisecond, InternalListen: "127.0.0.1:0"}
	m := startMember(t, c)
	wantSpread(t, 1, m)
	alone := Config{Dir: c.Dir, Shards: 1}
	if _, err := Open(context.Background(), alone, quiet(clock.System{})); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := m.stop(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(context.Background(), alone, quiet(clock.System{}))
	if err != nil {
		t.Fatalf("after the others have left: %v", err)
	}
	_ = s.Close()
}

func TestPeersNeedTheSecret(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 1}
	m := startMember(t, c)
	wantSpread(t, 1, m)
	var answer barrierAnswer
	address := m.keeper.self.address
	stranger := newPeers("not the secret, though as long as one", clock.System{}, nil)
	if err := stranger.call(context.Background(), address, 0, opBarrier, &barrierCall{}, &answer); !errs.Is(err, errs.CodeUnavailable) || answer.Done {
		t.Errorf("a stranger: got %v, %v", answer, err)
	}
	if err := m.peers.call(context.Background(), address, 0, opBarrier, &barrierCall{}, &answer); err != nil || !answer.Done {
		t.Errorf("a peer: got %v, %v", answer, err)
	}
	if err := m.peers.call(context.Background(), address, 7, opBarrier, &barrierCall{}, &answer); err == nil {
		t.Error("a shard that does not exist: no error")
	}
}

// TestAShardOwnedAndNotWrittenIsGivenFree leaves behind what a claim leaves whose answer was lost: the
// directory names an owner that has its fair share already and does not know of this one.
func TestAShardOwnedAndNotWrittenIsGivenFree(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
	a, b := startMember(t, c), startMember(t, c)
	wantSpread(t, 2, a, b)
	shard, from, to := b.owned()[0], b.keeper.self.name, a.keeper.self.name
	before := b.shards[shard].epoch.Load()
	if won, err := a.directory.claim(t.Context(), shard, from, to); err != nil || !won {
		t.Fatal(won, err)
	}
	eventually(t, "the shard is taken over again", func() bool {
		now, err := b.shards[shard].store.state(t.Context())
		return err == nil && now.epoch > before
	})
	wantSpread(t, 2, a, b)
	for n, p := range playersOn(t, a.Service, 2) {
		if _, err := a.Commit(t.Context(), LaneInteractive, deposit("after", p, 1)); err != nil {
			t.Errorf("shard %d: %v", n, err)
		}
	}
}

// TestFairShares: every living process gets as many, and nothing moves without need.
func TestFairShares(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		owners []string // by shard
		alive  []string // beside me
		want   int      // shards for me
	}{
		{"alone", []string{"", "", ""}, nil, 3},
		{"what the dead have is mine", []string{"x", "x", "me"}, nil, 3},
		{"half", []string{"b", "b", "b", "b"}, []string{"b"}, 2},
		{"the odd one stays where it is", []string{"b", "b", "me"}, []string{"b"}, 1},
		{"the odd one is mine", []string{"me", "me", "b"}, []string{"b"}, 2},
		{"more processes than shards, and I came late", []string{"a", "b"}, []string{"a", "b"}, 0},
	}
	for _, tt := range tests {
		k := &keeper{self: &process{name: "me"}, patience: 3, peers: map[string]*peer{}}
		seen := &owners{processes: map[string]process{"me": {}}}
		for _, name := range tt.alive {
			k.peers[name] = &peer{}
			seen.processes[name] = process{name: name}
		}
		for _, owner := range tt.owners {
			seen.shards = append(seen.shards, tenancy{owner: owner})
		}
		if got := k.fair(seen); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestDeathIsJudgedByPolls: a process that was itself asleep has missed no polls, so it takes nobody
// for dead when it wakes.
func TestDeathIsJudgedByPolls(t *testing.T) {
	t.Parallel()
	k := &keeper{self: &process{name: "me"}, patience: 3, peers: map[string]*peer{}, rests: map[int]int{}}
	look := func(beat int64, run string) bool {
		k.count(&owners{processes: map[string]process{"b": {name: "b", run: run, beat: beat}}})
		return k.isAlive("b")
	}
	steps := []struct {
		beat int64
		run  string
		want bool
	}{
		{7, "r1", true}, {7, "r1", true}, {7, "r1", true}, {8, "r1", true}, {8, "r1", true}, {8, "r1", true}, {8, "r1", false},
		{8, "r1", false}, {1, "r2", true}, {2, "r2", true},
	}
	for i, step := range steps {
		if got := look(step.beat, step.run); got != step.want {
			t.Errorf("poll %d: alive %v, want %v", i, got, step.want)
		}
	}
	if k.count(&owners{}); k.isAlive("b") {
		t.Error("a process that left is alive")
	}
}

// TestWorkOfAnOwnerEndsWithItsEpoch raises a shard's epoch behind its owner's back. What the owner runs then fails,
// as a loser's would; it is run again, under a higher epoch, once the owner has the shard back.
func TestWorkOfAnOwnerEndsWithItsEpoch(t *testing.T) {
	t.Parallel()
	m := startMember(t, Config{Dir: t.TempDir(), Shards: 1, SweepEvery: time.Hour})
	wantSpread(t, 1, m)
	p := playersOn(t, m.Service, 1)[0]
	began, failed := make(chan int64, 8), errors.New("a loser's error")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fail, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		first := true
		ended <- m.WhileOwned(ctx, 0, func(ctx context.Context, epoch int64) error {
			began <- epoch
			if !first {
				<-ctx.Done()
				return ctx.Err()
			}
			first = false
			<-fail
			return failed
		})
	}()
	epoch := <-began
	if now, err := m.shards[0].store.standing(ctx); err != nil || now.epoch != epoch {
		t.Fatalf("began under epoch %d, the shard has %d, %v", epoch, now.epoch, err)
	}
	if err := m.shards[0].store.raiseEpoch(ctx, epoch, epoch+5); err != nil {
		t.Fatal(err)
	}
	close(fail)
	for n := 0; ; n++ { // the owner finds out as it commits
		if _, err := m.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", n), p, 1)); err == nil {
			break
		}
	}
	select {
	case again := <-began:
		if again <= epoch+5 {
			t.Errorf("began again under epoch %d, want one above %d", again, epoch+5)
		}
	case err := <-ended:
		t.Fatalf("the owner's work ended: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("after the end: %v", err)
	}
}
