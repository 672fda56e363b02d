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

	"github.com/nats-io/nats.go/jetstream"

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
	if testing.Short() {
		t.Skip("skipped in short mode: starts three stream servers")
	}
	c := &clustered{world: bare(t)}
	var err error
	if c.nodes, err = natsnode.Start(t.Context(), natsnode.Options{Dir: filepath.Join(c.dir, "nodes")}); err != nil {
		t.Fatalf("start nodes: %v", err)
	}
	t.Cleanup(func() { _ = c.nodes.Close() })
	external, err := stream.Open(t.Context(), stream.Config{
		Transport:      stream.TransportNATS,
		EmbeddedConfig: stream.EmbeddedConfig{Dir: c.dir, MaxBytes: 64 << 20, CommandMaxBytes: 64 << 20},
		NATS:           stream.NATSConfig{URLs: c.nodes.URLs(), TLS: "off"},
	}, c.deps.Log)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = external.Close() })
	c.over = external.Transport()
	return c
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
	deadline := time.After(3 * time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); r.Published() < head; {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("relay is at %d, log was at %d minutes ago", r.Published(), head)
		}
	}
}

// unbroken checks that the stream holds the whole log, each batch once and in order.
func (w *world) unbroken() {
	w.t.Helper()
	var end int64
	for _, p := range w.positions() {
		var first, last int64
		if _, err := fmt.Sscanf(p, "%d-%d", &first, &last); err != nil || first != end+1 {
			w.t.Fatalf("batch %s follows %d", p, end)
		}
		end = last
	}
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
	{"stream deleted", func(c *clustered) error {
		return c.administer(func(js jetstream.JetStream) error { return js.DeleteStream(c.t.Context(), onCluster) })
	}},
	{"last blocks truncated on all nodes", func(c *clustered) error { return c.whileDown(0, 3, truncate) }},
	{"last blocks truncated on one node", func(c *clustered) error { n := c.leader(); return c.whileDown(n, n+1, truncate) }},
	{"folders of all nodes lost", func(c *clustered) error { return c.whileDown(0, 3, os.RemoveAll) }},
}

// administer does what an operator does.
func (c *clustered) administer(fn func(jetstream.JetStream) error) error {
	js, conn, err := c.nodes.JetStream()
	if err != nil {
		return err
	}
	defer conn.Close()
	return fn(js)
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
			c.commit(4) // and a sink that begins anew has the same
			fresh := openDB(t, t.TempDir())
			s = c.sink(fresh, nil)
			c.start(s.Run)
			c.caughtUp(s, fresh)
		})
	}
}

func TestCommandsSurviveTheLossOfALeader(t *testing.T) {
	t.Parallel()
	c := setupCluster(t)
	commands := c.commands()
	got := make(chan string, 1000)
	c.start(func(ctx context.Context) error {
		return commands.Run(ctx, 0, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	})
	done := map[string]bool{}
	send := func(name string) {
		for tick := time.NewTicker(50 * time.Millisecond); ; { // as settlement does, until it sees it done
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := commands.Send(ctx, 0, name, []byte(name))
			cancel()
			if err == nil {
				tick.Stop()
				return
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				t.Fatal("the test's time is over")
			}
		}
	}
	const rounds, each = 1, 20
	for round := range rounds {
		for n := range each {
			send(fmt.Sprintf("%d-%d", round, n))
		}
		victim, err := c.nodes.Leader(t.Context(), "commands-payouts-0")
		c.must(err)
		c.must(c.nodes.Kill(victim))
		send(fmt.Sprintf("%d-while-down", round))
		c.must(c.nodes.Restart(victim))
		c.must(c.nodes.Settled(t.Context(), "commands-payouts-0"))
	}
	for len(done) < rounds*(each+1) {
		done[receive(t, got)] = true
	}
}
