package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// onShards returns one player for each shard.
func (w *world) onShards(n int) []id.Player {
	w.t.Helper()
	out := make([]id.Player, n)
	for i, left := 0, n; left > 0; i++ {
		p := id.Player(fmt.Sprintf("p%d", i))
		if shard := w.ShardOf(p); shard < n && out[shard] == "" {
			out[shard] = p
			left--
		}
	}
	return out
}

// gift moves money from one player to another: the two transfers of a group.
func gift(key string, from, to id.Player, minor int64) []Transfer {
	half := func(key string, p id.Player, postings ...Posting) Transfer {
		return Transfer{
			Key: key, Kind: KindPlayerTransfer, Player: p, Jurisdiction: nj, Currency: money.USD, Postings: postings,
		}
	}
	return []Transfer{
		half(key+"/out", from, Posting{PlayerCash(from, nj), -minor}, Posting{Transit(nj), minor}),
		half(key+"/in", to, Posting{Transit(nj), -minor}, Posting{PlayerCash(to, nj), minor}),
	}
}

// group commits a group and checks its error and the codes of its results.
func (w *world) group(key string, list []Transfer, want ...errs.Code) []Result {
	w.t.Helper()
	results, err := w.CommitGroup(context.Background(), LaneInteractive, Group{Key: key, Transfers: list})
	var first errs.Code
	for i := range want {
		if i >= len(results) {
			w.t.Fatalf("group %s: got %d results (%v), want %d", key, len(results), err, len(want))
		}
		if got := errs.CodeOf(results[i].Err); got != want[i] {
			w.t.Fatalf("group %s, transfer %d: got %q (%v), want %q", key, i, got, results[i].Err, want[i])
		}
		if want[i] != "" && want[i] != errs.CodeLinkedFailed {
			first = want[i]
		}
	}
	if got := errs.CodeOf(err); got != first {
		w.t.Fatalf("group %s: got %q (%v), want %q", key, got, err, first)
	}
	return results
}

// wantDrained waits until no group is open, and checks that nothing is in transit.
func (w *world) wantDrained() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		open := 0
		for _, one := range w.shards {
			list, err := one.store.openGroups(ctx, 100)
			if err != nil {
				w.t.Fatal(err)
			}
			open += len(list)
		}
		if open == 0 {
			break
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			w.t.Fatalf("%d groups are still open", open)
		}
	}
	w.wantBalance(Transit(nj), 0, 0)
}

const linked = errs.CodeLinkedFailed

// TestGroups runs the same story with both players on one shard and on two.
func TestGroups(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = shards })
			players := []id.Player{"p1", "p2", "p3"}
			if shards > 1 {
				copy(players, w.onShards(shards))
			}
			storyOfGroups(w, players[0], players[1])
			w.wantDrained()
			w.restart()
			w.group("g1", gift("g1", players[0], players[1], 40), "", "")
			w.group("g2", gift("g2", players[0], players[1], 100), errs.CodeInsufficientFunds, linked)
			w.wantSound()
		})
	}
}

func storyOfGroups(w *world, a, b id.Player) {
	w.must(deposit("d1", a, 100))
	first := w.group("g1", gift("g1", a, b, 40), "", "")
	w.wantBalance(PlayerCash(a, nj), 60, 0)
	w.wantBalance(PlayerCash(b, nj), 40, 0)
	again := w.group("g1", gift("g1", a, b, 40), "", "")
	for i := range again {
		if !again[i].Replayed || first[i].Replayed || again[i].Position != first[i].Position || again[i].Balances[0] != first[i].Balances[0] {
			w.t.Errorf("transfer %d: got %+v, want a replay of %+v", i, again[i], first[i])
		}
	}
	if _, err := w.CommitGroup(context.Background(), LaneInteractive, Group{"g1", gift("g1", a, b, 41)}); !errs.Is(err, errs.CodeConflict) {
		w.t.Errorf("another group under the key: got %v, want conflict", err)
	}

	w.group("g2", gift("g2", a, b, 100), errs.CodeInsufficientFunds, linked)
	w.must(deposit("d2", a, 1000))
	w.group("g2", gift("g2", a, b, 100), errs.CodeInsufficientFunds, linked) // for good
	w.group("g3", gift("g2", a, b, 100), errs.CodeConflict, linked)          // its keys were used
	refusedLast := append(gift("g4", a, b, 10), stake("g4/stake", b, 5000))
	w.group("g4", refusedLast, linked, linked, errs.CodeInsufficientFunds)
	w.wantCode(stake("g4/stake", b, 5000), errs.CodeInsufficientFunds)

	w.must(deposit("used", b, 1))
	w.group("g5", append(gift("g5", a, b, 10), deposit("used", b, 1)), linked, linked, errs.CodeConflict)
	w.must(deposit("g5/in", b, 1)) // the conflict left no trace

	w.group("g6", append(gift("g6", b, a, 42), stake("g6/stake", a, 1002)), "", "", "")
	w.wantBalance(PlayerCash(a, nj), 100, 0)
	w.wantBalance(PlayerCash(b, nj), 0, 0)
	w.wantBalance(Bets(nj, "sportsbook"), 1002, 0)
}

func TestGroupsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	ctx := context.Background()
	w.must(deposit("d", "p1", 100))
	unbalanced := gift("g", "p1", "p2", 10)
	unbalanced[1].Postings[0].AmountMinor, unbalanced[1].Postings[1].AmountMinor = -5, 5
	tests := []struct {
		name string
		g    Group
		want errs.Code
	}{
		{"no transfers", Group{Key: "g"}, errs.CodeInvalid},
		{"no key", Group{Transfers: gift("g", "p1", "p2", 10)}, errs.CodeInvalid},
		{"too many", Group{"g", make([]Transfer, MaxGroup+1)}, errs.CodeTooLarge},
		{"a key twice", Group{"g", append(gift("g", "p1", "p2", 10), gift("g", "p1", "p2", 10)...)}, errs.CodeInvalid},
		{"money left in transit", Group{"g", unbalanced}, errs.CodeInvalid},
		{"half of it", Group{"g", gift("g", "p1", "p2", 10)[:1]}, errs.CodeInvalid},
		{"a hold among several players", Group{"g", append(gift("g", "p1", "p2", 10), hold("h", "p1", 1, start.Add(time.Hour)))}, errs.CodeInvalid},
		{"a key of the ledger's", Group{"group:x", gift("g", "p1", "p2", 10)}, errs.CodeInvalid},
	}
	for _, tt := range tests {
		if _, err := w.CommitGroup(ctx, LaneInteractive, tt.g); !errs.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %s", tt.name, err, tt.want)
		}
	}
	w.wantCode(gift("g", "p1", "p2", 10)[0], errs.CodeInvalid)
	w.wantBalance(PlayerCash("p1", nj), 100, 0)
	w.group("g", []Transfer{hold("h", "p1", 60, start.Add(time.Hour)), stake("s", "p1", 50)}, linked, errs.CodeInsufficientFunds)
	w.wantBalance(PlayerCash("p1", nj), 100, 0)
	w.group("g2", []Transfer{hold("h2", "p1", 60, start.Add(time.Hour)), stake("s2", "p1", 40)}, "", "")
	w.wantBalance(PlayerCash("p1", nj), 60, 60)
	w.wantSound()
}

// TestAnOpenGroupIsEndedByTheSweeper leaves groups at each step, as a caller that dies does.
func TestAnOpenGroupIsEndedByTheSweeper(t *testing.T) {
	t.Parallel()
	for steps := 1; steps <= 4; steps++ {
		for _, refused := range []bool{false, true} {
			t.Run(fmt.Sprintf("after %d steps, refused %t", steps, refused), func(t *testing.T) {
				t.Parallel()
				w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
				players := w.onShards(2)
				w.must(deposit("d", players[1], 100))
				minor := int64(30)
				if refused {
					minor = 130
				}
				list := gift("g", players[0], players[1], -minor) // the first has nothing: it receives
				list[0].Postings[0].AmountMinor, list[0].Postings[1].AmountMinor = minor, -minor
				list[1].Postings[0].AmountMinor, list[1].Postings[1].AmountMinor = minor, -minor
				w.leaveGroup("g", list, steps)
				w.config.SweepEvery = 5 * time.Millisecond
				w.restart()
				w.wantDrained()
				if refused {
					w.group("g", list, linked, errs.CodeInsufficientFunds)
					minor = 0
				} else {
					w.group("g", list, "", "")
				}
				w.wantBalance(PlayerCash(players[0], nj), minor, 0)
				w.wantBalance(PlayerCash(players[1], nj), 100-minor, 0)
				w.wantSound()
			})
		}
	}
}

// leaveGroup does the first steps of a group only. The sweeper, whose first pass may be still to come, takes it
// for a group that a caller drives, until a restart.
func (w *world) leaveGroup(key string, list []Transfer, steps int) {
	w.t.Helper()
	w.groups.take(key)
	p, err := planGroup(Group{key, list})
	if err != nil {
		w.t.Fatal(err)
	}
	parts, err := w.spread(p)
	if err != nil || len(parts) != 2 {
		w.t.Fatalf("got %d parts (%v), want 2", len(parts), err)
	}
	var refusal *groupRefusal
	for i, step := range []struct {
		do   groupAction
		part groupPart
	}{{groupBegin, parts[0]}, {groupPrepare, parts[1]}, {groupDecide, parts[0]}, {groupFinish, parts[1]}} {
		if i == steps {
			return
		}
		reply, err := w.groupStep(context.Background(), LaneInteractive, p, groupStep{do: step.do, refusal: refusal}, step.part)
		if err != nil {
			w.t.Fatal(err)
		}
		refusal = reply.refusal
	}
}

func TestReservedMoneyCannotBeUsed(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d0", players[0], 100))
	w.must(deposit("d1", players[1], 100))
	list := append(gift("g", players[1], players[0], 70), stake("g/stake", players[0], 20))
	list[0], list[2] = list[2], list[0] // the first decides
	w.leaveGroup("g", list, 2)
	w.wantBalance(PlayerCash(players[1], nj), 100, 70)
	w.wantCode(stake("s", players[1], 40), errs.CodeInsufficientFunds)
	w.wantCode(Transfer{
		Key: "r", Kind: KindRelease, Player: players[1], Jurisdiction: nj, Currency: money.USD, HoldKey: reservationKey("g", 2),
	}, errs.CodeInvalid)
	w.group("g", list, "", "", "")
	w.wantBalance(PlayerCash(players[1], nj), 30, 0)
	w.wantBalance(PlayerCash(players[0], nj), 150, 0)
	w.wantSound()
}

func TestAKeyTakenWhileItsGroupIsOpen(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d1", players[1], 100))
	list := []Transfer{deposit("home", players[0], 5), stake("taken", players[1], 60)}
	w.leaveGroup("g", list, 2)
	w.must(deposit("taken", players[1], 1))
	first := w.group("g", list, "", "")
	w.wantBalance(PlayerCash(players[1], nj), 41, 0)
	again := w.group("g", list, "", "")
	if again[1].Position != first[1].Position {
		t.Errorf("got %+v, want a replay of %+v", again[1], first[1])
	}
	w.wantSound()
}

func TestACallerThatGivesUpDuringAGroup(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	players := w.onShards(2)
	w.must(deposit("d", players[0], 100))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.CommitGroup(ctx, LaneInteractive, Group{"g", gift("g", players[0], players[1], 10)})
	if err != nil && !errs.Is(err, errs.CodeUnavailable) {
		t.Fatalf("got %v", err)
	}
	taken := !errors.Is(err, ErrNotTaken)
	w.wantDrained()
	if !taken {
		w.wantBalance(PlayerCash(players[1], nj), 0, 0)
	}
	w.group("g", gift("g", players[0], players[1], 10), "", "")
	w.wantBalance(PlayerCash(players[1], nj), 10, 0)
	w.wantDrained()
	w.wantSound()
}
