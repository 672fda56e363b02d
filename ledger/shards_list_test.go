package ledger

import (
	"context"
	"strings"
	"testing"

	"matchday/internal/mysqldb"
)

// TestListShardsWithAClusterDown lists what is left when a cluster does not answer: that is when the
// list is needed.
func TestListShardsWithAClusterDown(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3 })
	w.must(deposit("d", playersOn(t, w.Service, 3)[0], 500))
	c := w.config
	c.Clusters = []Cluster{{Name: "east", Shards: "2", Config: mysqldb.Config{
		Nodes: []string{"127.0.0.1:1"}, Database: "nobody", User: "nobody", // port 1 answers nobody
	}}}
	for _, on := range []string{"", "east"} {
		c.Directory.Cluster = on
		list, err := ListShards(context.Background(), c, w.clock)
		if err != nil || len(list) != 3 {
			t.Fatalf("directory on %q: got %v, %v", on, list, err)
		}
		for n, s := range list {
			if want := []int64{1, 0, 0}[n]; s.Position != want {
				t.Errorf("directory on %q: shard %d at %d, want %d", on, n, s.Position, want)
			}
			if isDown := n == 2 || on != ""; isDown != strings.Contains(s.Error, "no node of") {
				t.Errorf("directory on %q: shard %d: %+v", on, n, s)
			}
		}
		if list[0].Engine != "sqlite" || list[2].Engine != "east" {
			t.Errorf("engines: %+v", list)
		}
	}
}
