package app

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
)

// TestListShardsAsksTheProcessThatRuns: beside a process the list says who writes, where it listens, and
// that its stream shows everything; without one nobody does.
func TestListShardsAsksTheProcessThatRuns(t *testing.T) {
	t.Parallel()
	c := Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Roles: []string{"ledger-api"}, GeneratedAccess: AccessOn}
	a, err := New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop := func() {
		if !stopped {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		stopped = true
	}
	t.Cleanup(stop)
	select {
	case <-a.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	player := id.NewSource(time.Now).NewPlayer()
	postDeposit(t, a, "d", string(player))
	shard := a.Ledger.ShardOf(player)
	deadline := time.Now().Add(time.Minute)
	for {
		list, err := ListShards(t.Context(), c)
		if err != nil || len(list) != 2 {
			t.Fatalf("got %+v, %v", list, err)
		}
		one := list[shard]
		if !strings.HasPrefix(one.Owner, "pid ") || "http://"+one.Address != a.BaseURL() || one.Error != "" || one.Position != 1 {
			t.Fatalf("got %+v, want the process at %s", one, a.BaseURL())
		}
		here := a.Ledger.Status()[shard] // its relay hears of the message a moment after the stream has it
		if one.Stream != nil && *one.Stream == 1 && here.Relayed == 1 && here.IsHere {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the stream never shows the deposit: %+v, here %+v", one, here)
		}
		<-time.After(20 * time.Millisecond)
	}
	stop()
	list, err := ListShards(t.Context(), c)
	if err != nil || list[shard].Owner != "" || list[shard].Position != 1 {
		t.Errorf("without a process: %+v, %v", list, err)
	}
}

func TestAResnapshotNeedsAShardOnACluster(t *testing.T) {
	t.Parallel()
	c := Config{Data: t.TempDir()}
	for _, shard := range []int{-1, 0, 2, 99} {
		if err := AllowResnapshot(c, shard); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("shard %d of two in files: got %v, want invalid", shard, err)
		}
	}
	c.Ledger.Clusters = []ledger.Cluster{{Name: "east", Shards: "1"}}
	if c.Ledger.EngineOf(1) != "east" || c.Ledger.EngineOf(0) != ledger.EngineSQLite {
		t.Errorf("shards are on %s and %s", c.Ledger.EngineOf(1), c.Ledger.EngineOf(0))
	}
}
