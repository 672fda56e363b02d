package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
)

// tryGroup tries a group and checks its codes, and that no log has grown.
func (w *world) tryGroup(key string, list []Transfer, want ...errs.Code) []Result {
	w.t.Helper()
	before := w.heads()
	results, err := w.DryRunGroup(context.Background(), Group{Key: key, Transfers: list})
	if after := w.heads(); !slices.Equal(after, before) {
		w.t.Fatalf("group %s tried: the logs end at %v, before at %v", key, after, before)
	}
	var first errs.Code
	for i := range want {
		if i >= len(results) {
			w.t.Fatalf("group %s tried: got %d results (%v), want %d", key, len(results), err, len(want))
		}
		if got := errs.CodeOf(results[i].Err); got != want[i] {
			w.t.Fatalf("group %s tried, transfer %d: got %q (%v), want %q", key, i, got, results[i].Err, want[i])
		}
		if want[i] != "" && want[i] != linked {
			first = want[i]
		}
	}
	if got := errs.CodeOf(err); got != first {
		w.t.Fatalf("group %s tried: got %q (%v), want %q", key, got, err, first)
	}
	return results
}

// heads returns where the logs end, with the ends of groups that no caller waits for.
func (w *world) heads() []int64 {
	w.t.Helper()
	out := make([]int64, w.Shards())
	for shard := range out {
		if err := w.Barrier(context.Background(), shard); err != nil {
			w.t.Fatal(err)
		}
		out[shard] = w.Head(shard)
	}
	return out
}

func TestADryRunOfAGroupChangesNothing(t *testing.T) {
	t.Parallel()
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d shards", shards), func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = shards, time.Hour })
			a, b := w.twoPlayers()
			w.must(deposit("d", a, 100))
			for range 2 {
				got := w.tryGroup("g", gift("g", a, b, 40), "", "")
				if got[0].Balances[0] != 60 || got[1].Balances[1] != 40 || got[0].Replayed || got[0].Position.Seq != 0 {
					t.Errorf("tried: %+v, want the balances alone", got)
				}
			}
			w.wantBalance(PlayerCash(a, nj), 100, 0) // and nothing is reserved
			w.tryGroup("g", gift("g", a, b, 101), errs.CodeInsufficientFunds, linked)
			w.tryGroup("g", append(gift("g", a, b, 10), stake("g/stake", b, 5000)), linked, linked, errs.CodeInsufficientFunds)
			w.tryGroup("g", append(gift("g", a, b, 10), deposit("d", a, 100)), linked, linked, errs.CodeConflict)
			w.wantDrained()

			made := w.group("g", gift("g", a, b, 60), "", "") // every key is free
			again := w.tryGroup("g", gift("g", a, b, 60), "", "")
			for i := range again {
				if !again[i].Replayed || again[i].Position != made[i].Position {
					t.Errorf("tried again, transfer %d: %+v, want a replay of %+v", i, again[i], made[i])
				}
			}
			if _, err := w.DryRunGroup(t.Context(), Group{"g", gift("g", a, b, 61)}); !errs.Is(err, errs.CodeConflict) {
				t.Errorf("another group under the key: got %v, want conflict", err)
			}
			w.group("poor", gift("poor", a, b, 100), errs.CodeInsufficientFunds, linked)
			w.must(deposit("d2", a, 1000))
			w.tryGroup("poor", gift("poor", a, b, 100), errs.CodeInsufficientFunds, linked) // for good
			if _, err := w.DryRunGroup(t.Context(), Group{"half", gift("half", a, b, 1)[:1]}); !errs.Is(err, errs.CodeInvalid) {
				t.Errorf("half a gift: got %v, want invalid", err)
			}
			w.wantSound()
		})
	}
}

// TestADryRunOfAnOpenGroup tries a group at each step that a caller may have left it at: it says what the
// group will answer and neither helps nor hinders it.
func TestADryRunOfAnOpenGroup(t *testing.T) {
	t.Parallel()
	for steps := 1; steps <= 4; steps++ {
		for _, minor := range []int64{30, 130} { // the payee is the first and decides
			t.Run(fmt.Sprintf("%d after %d steps", minor, steps), func(t *testing.T) {
				t.Parallel()
				w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 2, time.Hour })
				players := w.onShards(2)
				w.must(deposit("d", players[1], 100))
				list := gift("g", players[1], players[0], minor)
				slices.Reverse(list)
				w.leaveGroup("g", list, steps)
				want := []errs.Code{"", ""}
				if minor > 100 {
					want = []errs.Code{linked, errs.CodeInsufficientFunds}
				}
				for range 2 {
					got := w.tryGroup("g", list, want...)
					if decided := steps > 2; got[0].Replayed != decided || got[1].Replayed != decided {
						t.Errorf("tried: %+v, want replayed %t", got, decided)
					}
					if minor < 100 && (got[0].Balances[1] != minor || got[1].Balances[0] != 100-minor) {
						t.Errorf("tried: balances %v and %v", got[0].Balances, got[1].Balances)
					}
				}
				w.group("g", list, want...)
				w.wantDrained()
				w.wantSound()
			})
		}
	}
}

// TestADryRunOfAGroupOverProcesses: what another process writes is tried there.
func TestADryRunOfAGroupOverProcesses(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
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
	for i, m := range []*member{one, two} {
		g := Group{"g", gift("g", players[i], players[1-i], 70)}
		got, err := m.DryRunGroup(ctx, g)
		if err != nil || len(got) != 2 || got[0].Balances[0] != 30 || got[1].Balances[1] != 170 || got[0].Position.Seq != 0 || got[1].Position.Seq != 0 {
			t.Errorf("tried: %+v, %v", got, err)
		}
		g.Transfers = gift("g", players[i], players[1-i], 170)
		if _, err := m.DryRunGroup(ctx, g); !errs.Is(err, errs.CodeInsufficientFunds) {
			t.Errorf("tried without the money: %v", err)
		}
	}
	for _, p := range players {
		if b, err := one.Balance(ctx, PlayerCash(p, nj)); err != nil || b.PostedMinor != 100 || b.HeldMinor != 0 {
			t.Errorf("%s has %+v, %v, want 100 and nothing reserved", p, b, err)
		}
	}
	for _, do := range []groupAction{0, groupEnd + 1} {
		call := groupCall{Lane: LaneBulk, Do: do, Group: Group{"g", gift("g", players[0], players[1], 1)}, Indexes: []int{0}}
		if _, err := one.groupCalled(ctx, 0, &call, true); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("step %d: got %v, want invalid", do, err)
		}
	}
}

// twoPlayers returns players of shards 0 and 1, if there are two.
func (w *world) twoPlayers() (a, b id.Player) {
	if w.Shards() == 1 {
		return "p1", "p2"
	}
	players := w.onShards(2)
	return players[0], players[1]
}
