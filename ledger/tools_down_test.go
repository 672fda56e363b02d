package ledger

import (
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// down is a cluster that nobody listens for.
func down(name string, shards ShardSet) Cluster {
	return Cluster{Name: name, Shards: shards, Config: mysqldb.Config{
		Nodes: []string{"127.0.0.1:1", "127.0.0.1:2"}, Database: "ledger", User: "nobody",
	}}
}

// TestMovesAreShownWithAClusterDown: the desk needs the directory and no more.
func TestMovesAreShownWithAClusterDown(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	p := w.onShards(1)[0]
	done := w.moved(0, 1, bucketOf(p))
	c := w.config
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	c.Clusters = []Cluster{down("east", "1")}
	desk, err := OpenMoveDesk(t.Context(), c, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = desk.Close() }()
	if list, err := desk.Moves(t.Context(), "", 10); err != nil || len(list) != 1 || list[0].ID != done.ID {
		t.Errorf("moves: %+v, %v, want the one that is done", list, err)
	}
	asked, err := desk.Start(t.Context(), MoveRequest{Buckets: []int{0}, From: 0, To: 1})
	if err != nil {
		t.Fatalf("ask for a move: %v", err)
	}
	if _, err := desk.Abort(t.Context(), asked.ID); err != nil {
		t.Errorf("stop it: %v", err)
	}
	c.Directory.Cluster = "east"
	_, err = OpenMoveDesk(t.Context(), c, clock.System{})
	if !errs.Is(err, errs.CodeUnavailable) || !strings.Contains(err.Error(), "east") || !strings.Contains(err.Error(), "127.0.0.1:2") {
		t.Errorf("with the directory's cluster down: %v, want unavailable, naming the cluster and its nodes", err)
	}
}

// TestReplicasAreShownWithAClusterDown: each node has its line and its reason, and a node can be taken out.
func TestReplicasAreShownWithAClusterDown(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	c := w.config
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	c.Clusters = []Cluster{down("east", "1-2")}
	list, err := Replicas(t.Context(), c, clock.System{})
	if !errs.Is(err, errs.CodeUnavailable) || !strings.Contains(err.Error(), "cluster east") {
		t.Errorf("got %v, want unavailable, naming the cluster", err)
	}
	if len(list) != 4 {
		t.Fatalf("got %+v, want two nodes of two shards", list)
	}
	for _, r := range list {
		if r.Err == nil || r.IsPrimary || r.Behind != 0 {
			t.Errorf("got %+v, want a node that does not answer", r)
		}
	}
	const node = "127.0.0.1:2"
	if err := SetReplica(t.Context(), c, clock.System{}, node, true, nil); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("let a node in: %v, want unavailable", err)
	}
	if err := SetReplica(t.Context(), c, clock.System{}, node, false, []int{2}); err != nil {
		t.Errorf("take a node out: %v", err)
	}
	if err := SetReplica(t.Context(), c, clock.System{}, "127.0.0.1:9", false, nil); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("take a node out that takes no reads: %v, want invalid", err)
	}
	list, _ = Replicas(t.Context(), c, clock.System{}) // the error is the one above
	for _, r := range list {
		if r.IsOff != (r.Shard == 2 && r.Node == node) {
			t.Errorf("got %+v, want only %s of shard 2 to be out", r, node)
		}
	}
	c.Directory.Cluster = "east"
	if list, err = Replicas(t.Context(), c, clock.System{}); len(list) != 4 || !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("with the directory down too: %d lines, %v, want four", len(list), err)
	}
}
