package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// OpenCluster is a cluster of this process and the shards that live there.
type OpenCluster struct {
	Name    string
	Cluster *mysqldb.Cluster
	Shards  []int
}

// Clusters returns the clusters of the configuration, as they are open here.
func (s *Service) Clusters() []OpenCluster {
	return openClusters(s.config.Clusters, s.fleet)
}

func openClusters(list []Cluster, f *fleet) []OpenCluster {
	out := make([]OpenCluster, 0, len(list))
	for i, c := range list {
		one := OpenCluster{Name: c.Name, Cluster: f.open[i]}
		for _, n := range slices.Sorted(maps.Keys(f.byShard)) {
			if f.byShard[n] == f.open[i] {
				one.Shards = append(one.Shards, n)
			}
		}
		out = append(out, one)
	}
	return out
}

// listReplicas makes the replicas of each shard what configuration and directory say now: the nodes
// of its cluster but the primary, without those that operators took out, and with those they added.
func (s *Service) listReplicas(ctx context.Context) error {
	clusters := s.Clusters()
	if len(clusters) == 0 {
		return nil
	}
	said, err := s.directory.replicas(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, c := range clusters {
		_, primary, err := c.Cluster.PrimaryReads(ctx)
		if err != nil {
			problems = append(problems, err) // the list stays as it is
			continue
		}
		for _, n := range c.Shards {
			one, database := s.shards[n], c.Cluster.Config().DatabaseOf(n)
			err := one.replicas.set(replicaNodes(c.Cluster.Nodes(), primary, said[n]), func(node string) (*replica, error) {
				db, err := c.Cluster.Reader(node)
				if err != nil {
					return nil, fmt.Errorf("open replica %s of shard %d: %w", node, n, err)
				}
				return &replica{node: node, store: newMySQLReads(db, database)}, nil
			}, one.reads.forget)
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// replicaNodes returns the nodes that are replicas, in order.
func replicaNodes(configured []string, primary string, said map[string]bool) []string {
	var out []string
	for _, node := range configured {
		if on, known := said[node]; node != primary && (on || !known) {
			out = append(out, node)
		}
	}
	for _, node := range slices.Sorted(maps.Keys(said)) {
		if said[node] && node != primary && !slices.Contains(configured, node) {
			out = append(out, node)
		}
	}
	return out
}

// ReplicaStatus is how one node of a shard's cluster stands.
type ReplicaStatus struct {
	Shard     int
	Node      string
	IsPrimary bool
	IsOff     bool  // an operator has taken it out of reads
	Position  int64 // last sequence it shows
	Behind    int64 // sequences that the primary has and it has not; without a primary, that another node has
	Err       error // why it did not answer
}

// SetReplica lets a node take reads of the shards, or takes it out of them. Running processes follow
// within a second. A node that no configuration names is read with the cluster's reading account.
//
// A node can be taken out while no primary answers, not let in.
//
// Errors: invalid for the primary, which is no replica, and for a node that is none of the shards' when it
// is taken out; unavailable for one that does not answer, and conflict for one with another log, when it is
// let in.
func SetReplica(ctx context.Context, c Config, clk clock.Clock, node string, on bool, shards []int) error {
	f, err := openForReplicas(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = f.close() }()
	d, err := openDirectoryAsIs(ctx, c, f, clk)
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	if len(shards) == 0 {
		shards = slices.Sorted(maps.Keys(f.byShard))
	}
	for _, n := range shards {
		if f.byShard[n] == nil {
			return errs.New(errs.CodeInvalid, "shard %d is on no cluster", n)
		}
	}
	said, err := d.replicas(ctx)
	if err != nil {
		return err
	}
	for _, n := range shards {
		if err := checkReplica(ctx, f.byShard[n], n, node, on, said[n]); err != nil {
			return err
		}
	}
	return d.setReplica(ctx, node, on, shards)
}

// checkReplica refuses a node that cannot be what the operator says it is.
func checkReplica(ctx context.Context, c *mysqldb.Cluster, shard int, node string, on bool, said map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	from, primary, err := c.PrimaryReads(ctx)
	if err != nil && on {
		return err
	}
	_, added := said[node]
	switch {
	case node == primary:
		return errs.New(errs.CodeInvalid, "%s is the primary of shard %d, not a replica", node, shard)
	case !on && !added && !slices.Contains(c.Nodes(), node):
		return errs.New(errs.CodeInvalid, "%s takes no reads of shard %d: no configuration names it and nobody has added it", node, shard)
	case !on:
		return nil
	}
	db, err := c.Reader(node)
	if err != nil {
		return err
	}
	database := c.Config().DatabaseOf(shard)
	last, err := newMySQLReads(db, database).sealAt(ctx, math.MaxInt64)
	if err != nil {
		return errs.Wrap(err, errs.CodeUnavailable, "%s cannot be read for shard %d", node, shard)
	}
	same, err := newMySQLReads(from, database).sealAt(ctx, last.last)
	if err != nil {
		return err
	}
	if same.last != last.last || same.seal != last.seal {
		return errs.New(errs.CodeConflict, "%s has another log of shard %d than its primary: it is no replica of it, or is ahead of it", node, shard)
	}
	return nil
}

// Replicas asks every node of every cluster how far each shard has come there, also of a cluster without a
// primary: it says which node has most. The error says what could not be found out; what could be is returned all
// the same. Nodes that do not answer are given two seconds each, once.
func Replicas(ctx context.Context, c Config, clk clock.Clock) ([]ReplicaStatus, error) {
	f, err := openForReplicas(ctx, c)
	if err != nil {
		return nil, err
	}
	var problems []error
	said, err := saidOfReplicas(ctx, c, f, clk)
	if err != nil {
		problems = append(problems, fmt.Errorf("what operators added or took out is not known: %w", err))
	}
	var out []ReplicaStatus
	for _, cluster := range openClusters(c.Clusters, f) {
		_, primary, err := cluster.Cluster.PrimaryReads(ctx)
		if err != nil {
			problems = append(problems, fmt.Errorf("cluster %s: %w", cluster.Name, err))
		}
		out = append(out, askShards(ctx, cluster, primary, said)...)
	}
	return out, errors.Join(append(problems, f.close())...)
}

// saidOfReplicas returns what operators said of nodes, by shard.
func saidOfReplicas(ctx context.Context, c Config, f *fleet, clk clock.Clock) (map[int]map[string]bool, error) {
	d, err := openDirectoryAsIs(ctx, c, f, clk)
	if err != nil {
		return nil, err
	}
	said, err := d.replicas(ctx)
	return said, errors.Join(err, d.close())
}

// askShards asks all nodes of a cluster, at once, about one shard after the other.
func askShards(ctx context.Context, c OpenCluster, primary string, said map[int]map[string]bool) []ReplicaStatus {
	silent := map[string]error{}
	var out []ReplicaStatus
	for _, n := range c.Shards {
		var list []ReplicaStatus
		for _, node := range slices.Concat([]string{primary}, c.Cluster.Nodes(), slices.Sorted(maps.Keys(said[n]))) {
			if node == "" || slices.ContainsFunc(list, func(r ReplicaStatus) bool { return r.Node == node }) {
				continue
			}
			on, known := said[n][node]
			list = append(list, ReplicaStatus{Shard: n, Node: node, IsPrimary: node == primary, IsOff: known && !on, Err: silent[node]})
		}
		askNodes(ctx, c.Cluster, list)
		for i := range list {
			if mysqldb.IsLost(list[i].Err) {
				silent[list[i].Node] = list[i].Err
			}
		}
		out = append(out, list...)
	}
	return out
}

// askNodes asks the nodes about one shard, but those that are known not to answer.
func askNodes(ctx context.Context, c *mysqldb.Cluster, list []ReplicaStatus) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var asking sync.WaitGroup
	for i := range list {
		if list[i].Err != nil {
			continue
		}
		asking.Go(func() {
			var db *sql.DB
			if db, list[i].Err = c.Reader(list[i].Node); list[i].Err == nil {
				list[i].Position, list[i].Err = newMySQLReads(db, c.Config().DatabaseOf(list[i].Shard)).position(ctx)
			}
		})
	}
	asking.Wait()
	var most int64
	for i := range list {
		most = max(most, list[i].Position)
	}
	if list[0].IsPrimary && list[0].Err == nil {
		most = list[0].Position
	}
	for i := range list {
		list[i].Behind = max(most-list[i].Position, 0)
	}
}

// openForReplicas opens the clusters of books that exist, which may be down, and makes nothing.
func openForReplicas(ctx context.Context, c Config) (*fleet, error) {
	if len(c.Clusters) == 0 {
		return nil, errs.New(errs.CodeInvalid, "no shard is on a cluster: SQLite shards have no replicas")
	}
	return openFleet(ctx, c.Clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Reading: true, Absent: true})
}
