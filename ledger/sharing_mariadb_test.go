package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
)

// TestProcessesShareShardsOnACluster runs two ledgers over shards and a directory on MariaDB, one shard
// in a file between them, and takes one away.
func TestProcessesShareShardsOnACluster(t *testing.T) {
	server := mariadb.Shared(t)
	c := Config{
		Dir: t.TempDir(), Shards: 4, SweepEvery: time.Hour, Lease: 1500 * time.Millisecond,
		Directory: DirectoryConfig{Cluster: "east"},
		Clusters: []Cluster{{Name: "east", Shards: "0-2", Config: mysqldb.Config{
			Nodes: []string{server.Addr()}, Database: server.Database(t), User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD",
		}}},
	}
	first := startMember(t, c)
	wantSpread(t, 4, first)
	second := startMember(t, c)
	wantSpread(t, 4, first, second)
	ctx := context.Background()
	players := playersOn(t, first.Service, 4)
	for i := range 40 {
		on := []*member{first, second}[i%2]
		if _, err := on.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", i), players[i/2%4], 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	wantSpread(t, 4, second)
	for i, p := range players {
		if r, err := second.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", 2*i), p, 1)); err != nil || !r.Replayed {
			t.Errorf("an acknowledged deposit again: %+v, %v", r, err)
		}
		if b, err := second.Balance(ctx, PlayerCash(p, nj)); err != nil || b.PostedMinor != 10 {
			t.Errorf("player %s: %+v, %v, want 10", p, b, err)
		}
	}
	if err := second.directory.moveBucket(ctx, "", 1, 0, 3); err != nil {
		t.Errorf("a bucket moves in the cluster's directory: %v", err)
	}
	if err := second.refreshPlacement(ctx); err != nil || second.place.current.Load().shards[1] != 3 {
		t.Errorf("placement after the move: %v", err)
	}
}
