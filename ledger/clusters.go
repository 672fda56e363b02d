package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/mysqldb"
)

// Cluster is a database cluster and the shards that live there. Each shard has a database of its own
// there; one cluster may hold hundreds.
type Cluster struct {
	Name           string   `yaml:"name"`   // of your own choice, for messages and commands
	Shards         ShardSet `yaml:"shards"` // that live there, such as 2-3 or 0,4-7
	mysqldb.Config `yaml:",inline"`
}

// ShardSet is a list of shard numbers and ranges, for example "0-3,7".
type ShardSet string

// Numbers returns the numbers, in the order of the list.
func (s ShardSet) Numbers() ([]int, error) {
	var out []int
	for part := range strings.SplitSeq(string(s), ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := strconv.Atoi(from)
		last := first
		if err == nil && isRange {
			last, err = strconv.Atoi(to)
		}
		if err != nil || first < 0 || last < first || last >= maxShards {
			return nil, errs.New(errs.CodeInvalid, "%.40q is no list of shards such as 0-3,7", string(s))
		}
		for n := first; n <= last; n++ {
			out = append(out, n)
		}
	}
	return out, nil
}

// validateClusters adds what is wrong with the clusters.
func (c Config) validateClusters(check *errs.Check) {
	names, owner := map[string]bool{}, map[int]string{}
	for i, one := range c.Clusters {
		field := fmt.Sprintf("clusters[%d]", i)
		if one.Name == "" || names[one.Name] {
			check.Add(field+".name", "is required, once each")
		}
		names[one.Name] = true
		numbers, err := one.Shards.Numbers()
		if err != nil {
			check.Add(field+".shards", "must be a list such as 0-3,7")
		}
		for _, n := range numbers {
			if other, ok := owner[n]; ok {
				check.Add(field+".shards", "shard %d is on %s already", n, other)
			}
			owner[n] = one.Name
			if n >= c.shards() {
				check.Add(field+".shards", "there is no shard %d of %d", n, c.shards())
			}
		}
		one.Config.Validate(check, field)
	}
	if c.Directory.Cluster != "" && !names[c.Directory.Cluster] {
		check.Add("directory.cluster", "is no cluster of this configuration")
	}
}

// fleet is the clusters of a process, by the shards that live there.
type fleet struct {
	open    []*mysqldb.Cluster
	byName  map[string]*mysqldb.Cluster
	byShard map[int]*mysqldb.Cluster
}

// openFleet opens every cluster.
func openFleet(ctx context.Context, list []Cluster, d mysqldb.Deps) (*fleet, error) {
	f := &fleet{byShard: map[int]*mysqldb.Cluster{}, byName: map[string]*mysqldb.Cluster{}}
	for _, c := range list {
		numbers, err := c.Shards.Numbers()
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		opened, err := mysqldb.Open(ctx, c.Config, d)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open cluster %s: %w", c.Name, err), f.close())
		}
		f.open = append(f.open, opened)
		f.byName[c.Name] = opened
		for _, n := range numbers {
			f.byShard[n] = opened
		}
	}
	return f, nil
}

// directoryClusters are the clusters of a tool that needs the directory only: the one that keeps it, if one does.
func (c Config) directoryClusters() []Cluster {
	return slices.DeleteFunc(slices.Clone(c.Clusters), func(one Cluster) bool { return one.Name != c.Directory.Cluster })
}

// named returns the cluster of that name, or nil.
func (f *fleet) named(name string) *mysqldb.Cluster {
	if f == nil {
		return nil
	}
	return f.byName[name]
}

// settingsEvery is how often the settings of clusters are looked at, besides after every lost connection.
const settingsEvery = 30 * time.Second

// watchSettings says when somebody has changed a running cluster's settings so that money could be lost.
// Nothing is written there then, until they are mended.
func (s *Service) watchSettings(ctx context.Context) error {
	if len(s.fleet.open) == 0 {
		return nil
	}
	tick := time.NewTicker(settingsEvery)
	defer tick.Stop()
	told := map[*mysqldb.Cluster]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, c := range s.fleet.open {
			err := c.Recheck(ctx)
			isUnsafe := errs.Is(err, errs.CodeInvalid)
			if isUnsafe && !told[c] {
				s.log.ErrorContext(ctx, "a cluster is not written: its settings would lose money", "database", c.Config().Database, "error", err)
			}
			told[c] = isUnsafe
		}
	}
}

// close closes every cluster. It may be called twice, and on nil.
func (f *fleet) close() error {
	if f == nil {
		return nil
	}
	var list []error
	for _, c := range f.open {
		list = append(list, c.Close())
	}
	return errors.Join(list...)
}
