package ledger

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

func minor(v int64) *int64 { return &v }

func cashLimits(key string, p id.Player, version int64, least, most *int64, freeze Freeze) LimitsChange {
	return LimitsChange{
		Key: key, Account: PlayerCash(p, nj), Currency: money.USD, MinMinor: least, MaxMinor: most, Freeze: freeze, IfVersion: version,
	}
}

func (w *world) limit(c LimitsChange) {
	w.t.Helper()
	got, err := w.SetLimits(context.Background(), c)
	if err != nil || got.Version != c.IfVersion+1 {
		w.t.Fatalf("set limits %s: got %+v, %v", c.Key, got, err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1; c.CachedAccounts = 1 })
	ctx := context.Background()
	w.limit(cashLimits("l1", "p1", 0, minor(-50), minor(100), FreezeNone))
	w.must(stake("on credit", "p1", 50))
	w.wantCode(stake("too much", "p1", 1), errs.CodeInsufficientFunds)
	w.must(deposit("d1", "p1", 150))
	w.wantCode(deposit("d2", "p1", 1), errs.CodeLimitReached)
	win := Transfer{
		Key: "win", Kind: KindSettlement, Player: "p1", Jurisdiction: nj, Currency: money.USD,
		Postings: []Posting{{Bets(nj, "sportsbook"), -50}, {Revenue(nj, "sportsbook"), -50}, {PlayerCash("p1", nj), 100}},
	}
	w.must(win) // winnings pass the limit

	if _, err := w.SetLimits(ctx, cashLimits("stale", "p1", 0, nil, nil, FreezeNone)); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("a change for another version: got %v, want conflict", err)
	}
	w.limit(cashLimits("l2", "p1", 1, minor(180), minor(190), FreezeNone))
	w.limit(cashLimits("l2", "p1", 1, minor(180), minor(190), FreezeNone)) // asked again
	w.wantCode(deposit("d3", "p1", 1), errs.CodeLimitReached)              // 200 is over 190 already
	w.must(stake("back inside", "p1", 15))
	w.wantCode(stake("under the minimum", "p1", 10), errs.CodeInsufficientFunds)

	w.limit(cashLimits("l3", "p1", 2, nil, nil, FreezeDebits))
	w.wantCode(stake("frozen", "p1", 1), errs.CodeExcluded)
	w.must(deposit("d4", "p1", 5))
	w.limit(cashLimits("l4", "p1", 3, nil, nil, FreezeAll))
	w.wantCode(deposit("d5", "p1", 5), errs.CodeExcluded)
	w.restart()
	w.wantCode(deposit("d6", "p1", 5), errs.CodeExcluded)
	win.Key = "win2"
	win.Postings = []Posting{{Bets(nj, "sportsbook"), -15}, {PlayerCash("p1", nj), 15}}
	w.must(win)
	got, err := w.Limits(ctx, PlayerCash("p1", nj))
	if err != nil || got.Version != 4 || got.Freeze != FreezeAll || got.MinMinor != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	w.wantBalance(PlayerCash("p1", nj), 205, 0)
	w.wantSound()
}

func TestLimitsCountHolds(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	w.limit(cashLimits("l1", "p1", 0, minor(-50), nil, FreezeNone))
	w.must(hold("h", "p1", 40, start.Add(1<<40)))
	w.wantCode(stake("s1", "p1", 11), errs.CodeInsufficientFunds)
	w.must(stake("s2", "p1", 10))
	w.limit(cashLimits("l2", "p1", 1, nil, nil, FreezeAll))
	w.must(Transfer{Key: "post", Kind: KindPost, Player: "p1", Jurisdiction: nj, Currency: money.USD, HoldKey: "h"})
	w.wantBalance(PlayerCash("p1", nj), -50, 0)
	w.wantSound()
}

func TestLimitsThatAreWrong(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	w.must(deposit("d", "p1", 1))
	for name, c := range map[string]LimitsChange{
		"a house account":      {Key: "k", Account: Bets(nj, "sportsbook"), Currency: money.USD},
		"what is owed":         {Key: "k", Account: PlayerOwed("p1", nj), Currency: money.USD},
		"credit on withdrawal": {Key: "k", Account: PlayerWithdrawing("p1", nj), Currency: money.USD, MinMinor: minor(-1)},
		"an empty range":       cashLimits("k", "p1", 0, minor(2), minor(1), FreezeNone),
		"no such freeze":       cashLimits("k", "p1", 0, nil, nil, 3),
		"another currency":     {Key: "k", Account: PlayerCash("p1", nj), Currency: money.GBP},
		"no key":               cashLimits("", "p1", 0, nil, nil, FreezeNone),
	} {
		if _, err := w.SetLimits(context.Background(), c); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	w.wantCode(Transfer{Key: "k", Kind: KindLimits, Player: "p1", Jurisdiction: nj, Currency: money.USD}, errs.CodeInvalid)
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	ctx := context.Background()
	cash := PlayerCash("p1", nj)
	set := func(key string, set map[string]string, remove ...string) error {
		return w.SetMetadata(ctx, MetadataChange{Key: key, Account: cash, Currency: money.USD, Set: set, Remove: remove})
	}
	want := func(expected map[string]string) {
		t.Helper()
		if got, err := w.Metadata(ctx, cash); err != nil || !maps.Equal(got, expected) {
			t.Errorf("got %v, %v, want %v", got, err, expected)
		}
	}
	want(map[string]string{})
	for range 2 {
		if err := set("m1", map[string]string{"tier": "gold", "agent": "7"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := set("m1", map[string]string{"tier": "lead"}); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("another change under the key: got %v, want conflict", err)
	}
	w.restart()
	if err := set("m2", map[string]string{"tier": "silver"}, "agent", "unknown"); err != nil {
		t.Fatal(err)
	}
	want(map[string]string{"tier": "silver"})
	many := map[string]string{}
	for i := range MaxMetadata {
		many[strings.Repeat("x", i+1)] = ""
	}
	for range 2 {
		if err := set("m3", many); !errs.Is(err, errs.CodeLimitReached) {
			t.Errorf("too many entries: got %v, want limit_reached", err)
		}
	}
	want(map[string]string{"tier": "silver"})
	if err := set("m4", map[string]string{"": "x"}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("no name: got %v, want invalid", err)
	}
	if err := set("m5", nil, "tier"); err != nil {
		t.Fatal(err)
	}
	want(map[string]string{})
	w.wantSound()
}

func TestMetadataOfATransfer(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	with := deposit("d", "p1", 10)
	with.Metadata = map[string]string{"campaign": "autumn", "device": "phone"}
	w.must(with)
	if r := w.must(with); !r.Replayed {
		t.Error("the same metadata is not a replay")
	}
	other := deposit("d", "p1", 10)
	other.Metadata = map[string]string{"campaign": "winter"}
	if r := w.wantCode(other, errs.CodeConflict); !strings.Contains(r.Err.Error(), "metadata differs") {
		t.Errorf("got %v, want it to name metadata", r.Err)
	}
	got, err := w.TransferMetadata(context.Background(), "p1", "d")
	if err != nil || !maps.Equal(got, with.Metadata) {
		t.Errorf("got %v, %v", got, err)
	}
	with.Key, with.Metadata = "e", map[string]string{"x": strings.Repeat("y", MaxMetadataValueBytes+1)}
	w.wantCode(with, errs.CodeInvalid)
	w.wantSound()
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	ctx := context.Background()
	w.must(deposit("d", "p1", 100))
	w.must(hold("old", "p1", 30, start.Add(1<<30)))
	w.clock.Advance(2 << 30) // it has run out, and nobody looked
	list := []Transfer{
		deposit("d", "p1", 100), deposit("d", "p1", 99), stake("s1", "p1", 80), stake("s2", "p1", 80), stake("s1", "p1", 80),
		hold("h", "p1", 15, start.Add(1<<50)),
		{Key: "post", Kind: KindPost, Player: "p1", Jurisdiction: nj, Currency: money.USD, HoldKey: "h"},
		stake("new account", "p2", 1), {Key: "wrong"},
	}
	want := []errs.Code{"", errs.CodeConflict, "", errs.CodeInsufficientFunds, "", "", "", errs.CodeInsufficientFunds, errs.CodeInvalid}
	before := [...]int64{w.Head(0), w.Head(1)}
	for range 2 {
		got, err := w.DryRun(ctx, list)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if code := errs.CodeOf(got[i].Err); code != want[i] {
				t.Errorf("transfer %d: got %q (%v), want %q", i, code, got[i].Err, want[i])
			}
		}
		if got[2].Balances[0] != 20 || got[2].Replayed || got[2].Position != (stream.Position{}) || !got[4].Replayed || got[6].Balances[0] != 5 {
			t.Errorf("got %+v", got)
		}
		if !got[0].Replayed || got[0].Position.Seq != 1 {
			t.Errorf("a replay: got %+v", got[0])
		}
	}
	if after := [...]int64{w.Head(0), w.Head(1)}; after != before {
		t.Errorf("a dry run used sequences: %v, before %v", after, before)
	}
	w.must(stake("s2", "p1", 75)) // its key is free
	w.wantBalance(PlayerCash("p1", nj), 25, 0)
	w.wantSound()
}
