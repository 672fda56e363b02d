package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/internal/natsnode"
	"matchday/stream"
)

// clustered is a world whose streams are on three servers, each a process.
type clustered struct {
	*world
	nodes *natsnode.Cluster
}

const onCluster = "ledger-0" // the log stream of shard 0

func setupCluster(t *testing.T) *clustered {
	t.Helper()
	nodes := startNodes(t)
	return &clustered{onNodes(nodes).worldOf(t, ""), nodes}
}

// load commits batches without pause until stop is called; each waits for nobody.
func (w *world) load() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-done:
				tick.Stop()
				return
			case <-tick.C:
				w.commit(3, 0, 1)
			}
		}
	}()
	var once sync.Once
	stop = func() { once.Do(func() { close(done); <-ended }) }
	w.t.Cleanup(stop)
	return stop
}

// relayed waits until the relay has published what the log has now.
func (w *world) relayed(r *stream.Relay) {
	w.t.Helper()
	head := w.log.Head(0)
	w.await("the relay to publish what the log had", func() bool { return r.Published() >= head })
}

func (c *clustered) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// leader is the node that leads the log stream.
func (c *clustered) leader() int {
	c.t.Helper()
	n, err := c.nodes.Leader(c.t.Context(), onCluster)
	c.must(err)
	return n
}

func TestClusterGoesOnWhileItsNodesDie(t *testing.T) {
	t.Parallel()
	c := setupCluster(t)
	db := openDB(t, c.dir)
	relay := c.relay()
	c.start(relay.Run)
	s := c.sink(db, nil)
	c.start(s.Run)
	stop := c.load()
	c.relayed(relay)
	for round := range 2 {
		victim := c.leader()
		if round%2 == 1 { // a follower this time
			victim = (victim + 1) % 3
		}
		c.must(c.nodes.Kill(victim))
		c.relayed(relay) // two of three go on
		c.must(c.nodes.Restart(victim))
		c.relayed(relay)
		c.must(c.nodes.Settled(t.Context(), onCluster))
	}
	victim := c.leader()
	c.must(c.nodes.Freeze(victim)) // hangs, and its connections stay open
	c.relayed(relay)
	c.must(c.nodes.Thaw(victim))
	c.must(c.nodes.Settled(t.Context(), onCluster))
	stop()
	c.caughtUp(s, db)
	c.onStream()
	c.unbroken()
}

func TestClusterIsDownForAWhile(t *testing.T) {
	t.Parallel()
	c := setupCluster(t)
	db := openDB(t, c.dir)
	relay := c.relay()
	c.start(relay.Run)
	s := c.sink(db, nil)
	c.start(s.Run)
	c.commit(3, 4)
	c.relayed(relay)
	for n := range 3 {
		c.must(c.nodes.Kill(n))
	}
	c.commit(5, 6)
	c.caughtUp(s, db) // from the log
	for n := range 3 {
		c.must(c.nodes.Restart(n))
	}
	c.commit(7)
	c.relayed(relay)
	c.onStream()
	c.unbroken()
}

// clusterFaults harm the log stream in ways that the cluster itself cannot mend.
var clusterFaults = []struct {
	name string
	harm func(c *clustered) error
}{
	{"last blocks truncated on all nodes", func(c *clustered) error { return c.whileDown(0, 3, truncate) }},
	{"last blocks truncated on one node", func(c *clustered) error { n := c.leader(); return c.whileDown(n, n+1, truncate) }},
	{"folders of all nodes lost", func(c *clustered) error { return c.whileDown(0, 3, os.RemoveAll) }},
}

// whileDown kills the nodes from..to-1, does something to their folders and starts them again.
func (c *clustered) whileDown(from, to int, fn func(dir string) error) error {
	for n := from; n < to; n++ {
		if err := c.nodes.Kill(n); err != nil {
			return err
		}
	}
	for n := from; n < to; n++ {
		if err := errors.Join(fn(c.nodes.Dir(n)), c.nodes.Restart(n)); err != nil {
			return err
		}
	}
	return c.nodes.Await(c.t.Context())
}

// truncate cuts the newest block of the log stream in half, as a disk does that answered too early.
func truncate(dir string) error {
	cut := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".blk") || !strings.Contains(path, filepath.Join("streams", onCluster, "msgs")) {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		cut++
		return os.Truncate(path, info.Size()/2)
	})
	if err == nil && cut == 0 {
		return errors.New("no block of the stream was found")
	}
	return err
}

func TestStreamOfAClusterIsFilledAgain(t *testing.T) {
	t.Parallel()
	for _, fault := range clusterFaults { // one cluster at a time: each flushes every message three times
		t.Run(fault.name, func(t *testing.T) {
			c := setupCluster(t)
			db := openDB(t, c.dir)
			relay := c.relay()
			c.start(relay.Run)
			s := c.sink(db, nil)
			stop := c.start(s.Run)
			for range 5 {
				c.commit(3)
				c.caughtUp(s, db)
			}
			c.relayed(relay)
			c.must(c.nodes.Settled(t.Context(), onCluster))
			c.must(fault.harm(c)) // while relay and sink run
			c.commit(2, 1)
			c.caughtUp(s, db)
			c.onStream()
			c.unbroken()
			c.must(stop())
			c.commit(4)
			c.beginsAnew()
		})
	}
}

func TestCommandsSurviveTheLossOfALeader(t *testing.T) {
	t.Parallel()
	c := setupCluster(t)
	commands := c.commands()
	got := make(chan string, 1000)
	c.works(commands, func(_ context.Context, text string) error { got <- text; return nil })
	done := map[string]bool{}
	const rounds, each = 1, 20
	for round := range rounds {
		for n := range each {
			name := fmt.Sprintf("%d-%d", round, n)
			c.sends(commands, name, name)
		}
		victim, err := c.nodes.Leader(t.Context(), "commands-payouts-0")
		c.must(err)
		c.must(c.nodes.Kill(victim))
		name := fmt.Sprintf("%d-while-down", round)
		c.sends(commands, name, name)
		c.must(c.nodes.Restart(victim))
		c.must(c.nodes.Settled(t.Context(), "commands-payouts-0"))
	}
	for len(done) < rounds*(each+1) {
		done[receive(t, got)] = true
	}
}
