package history

import (
	"context"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/ledger"
)

// TestWhoSharesAHistoryThatWasLetGoOfDoesNotShowIt: other processes feed it no more, although this one could not open the
// second history.
func TestWhoSharesAHistoryThatWasLetGoOfDoesNotShowIt(t *testing.T) {
	t.Parallel()
	alone := &Service{shards: []*shard{{}}, desk: &Desk{}, gone: make(chan struct{}), deps: Deps{Clock: clock.System{}}}
	sharing := &Service{shards: alone.shards, desk: alone.desk, gone: alone.gone, deps: Deps{Clock: clock.System{},
		Hold: func(context.Context, int, func(context.Context, int64) error) error { return nil }}}
	for _, tt := range []struct {
		name        string
		s           *Service
		choice      Choice
		age         time.Duration
		unavailable bool
	}{
		{"alone, the first let go of", alone, Choice{Shown: ShownSecond, Dropped: "first"}, time.Hour, false},
		{"alone, nothing read for long", alone, Choice{Shown: ShownFirst}, time.Hour, false},
		{"sharing, the first let go of", sharing, Choice{Shown: ShownSecond, Dropped: "first"}, 0, true},
		{"sharing, the second let go of", sharing, Choice{Shown: ShownFirst, Dropped: "second"}, time.Hour, false},
		{"sharing, read lately", sharing, Choice{Shown: ShownSecond}, 0, false},
		{"sharing, nothing read for long", sharing, Choice{Shown: ShownFirst}, time.Hour, true},
	} {
		tt.s.second.choose(tt.choice, time.Now().Add(-tt.age))
		h, err := tt.s.shown(0, "plr_1")
		if errs.Is(err, errs.CodeUnavailable) != tt.unavailable || (h == nil) != tt.unavailable {
			t.Errorf("%s: %v, %v", tt.name, h, err)
		}
	}
}

// TestProcessesNameTheSecondHistoryAlike wherever their folders are, unless it has files there.
func TestProcessesNameTheSecondHistoryAlike(t *testing.T) {
	t.Parallel()
	on := func(shards ledger.ShardSet, nodes ...string) []ledger.Cluster {
		c := ledger.Cluster{Shards: shards}
		c.Nodes, c.Database = nodes, "bets"
		return []ledger.Cluster{c}
	}
	place := func(first []ledger.Cluster, dir string, next []ledger.Cluster) string {
		return Config{Shards: 2, Clusters: first, Next: NextConfig{Dir: dir, Clusters: next}}.nextPlace()
	}
	shared := on("0-1", "a:1")
	one := place(shared, "d", on("0-1", "b:1", "c:1"))
	if other := place(shared, "e", on("0-1", "c:1", "b:1")); one != other {
		t.Errorf("one process names it %q, the other %q", one, other)
	}
	for what, other := range map[string]string{
		"other servers": place(shared, "d", on("0-1", "b:1")), "a file": place(shared, "d", on("0", "b:1", "c:1")), "files": place(shared, "d", nil),
	} {
		if other == one {
			t.Errorf("%s: it has the same name %q", what, one)
		}
	}
	for what, next := range map[string][]ledger.Cluster{"files": nil, "a file": on("0", "b:1")} {
		if place(shared, "d", next) == place(shared, "e", next) {
			t.Errorf("%s in two folders have one name", what)
		}
	}
}
