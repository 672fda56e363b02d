package ledger

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/mariadb"
)

// commitProxy stands between a ledger and its database server. What it does with the next COMMITs is set
// before.
type commitProxy struct {
	t        *testing.T
	listener net.Listener
	target   string

	mu    sync.Mutex
	next  []string // "hold": the packet stays here, "cut": the answer stays here; the client's connection ends
	kept  []byte
	owner net.Conn // to the server, of what is kept
	held  chan struct{}
}

func startCommitProxy(t *testing.T, target string) *commitProxy {
	t.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &commitProxy{t: t, listener: l, target: target, held: make(chan struct{})}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.serve(client) })
		}
	})
	return p
}

func (p *commitProxy) expect(list ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = list
}

// serve copies both ways until one side ends.
func (p *commitProxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	chunk := make([]byte, 64<<10)
	for {
		n, err := client.Read(chunk)
		if err == nil && bytes.HasSuffix(chunk[:n], []byte("COMMIT")) {
			switch p.take() {
			case "hold":
				_ = client.Close()
				p.mu.Lock()
				p.kept, p.owner = bytes.Clone(chunk[:n]), server
				p.mu.Unlock()
				close(p.held)
				return
			case "cut":
				_ = client.Close()
			}
		}
		if n > 0 {
			if _, err := server.Write(chunk[:n]); err != nil {
				return
			}
		}
		if err != nil {
			_ = server.Close()
			return
		}
	}
}

func (p *commitProxy) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.next) == 0 {
		return ""
	}
	first := p.next[0]
	p.next = p.next[1:]
	return first
}

// deliver gives the server what was held, and returns when it has done with it.
func (p *commitProxy) deliver() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	quit := []byte{1, 0, 0, 0, 1} // the protocol's farewell: the server closes when it comes to it
	if _, err := p.owner.Write(append(p.kept, quit...)); err != nil {
		p.t.Fatal(err)
	}
	_ = p.owner.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.Copy(io.Discard, p.owner); err != nil {
		p.t.Fatal(err)
	}
	_ = p.owner.Close()
}

// TestACommitThatArrivesLateIsRefused holds the packet of a batch back until its callers were told that
// it is not written and others have relied on that; also when the answer to the settling is lost.
func TestACommitThatArrivesLateIsRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a database server")
	}
	for name, faults := range map[string][]string{"settled at once": {"hold"}, "the settling is in doubt too": {"hold", "cut"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mariadb.Shared(t)
			p := startCommitProxy(t, server.Addr())
			w := onMySQL(t, onNodes(server.Database(t), "0", p.listener.Addr().String()), func(c *Config) { c.FailoverWait = time.Nanosecond })
			w.must(deposit("d1", "p1", 5))
			epoch := w.shards[0].epoch.Load()
			p.expect(faults...)
			_, err := w.Commit(t.Context(), LaneInteractive, deposit("d2", "p1", 5))
			if !errs.Is(err, errs.CodeUnavailable) || errors.Is(err, ErrNotTaken) {
				t.Fatalf("a commit of unknown outcome: %v, want unavailable and open", err)
			}
			<-p.held
			eventually(t, "the outcome is settled", func() bool { return w.Barrier(t.Context(), 0) == nil })
			for _, when := range []string{"before", "after"} {
				if when == "after" {
					p.deliver()
				}
				if r, found, err := w.Lookup(t.Context(), "p1", "d2", nil); err != nil || found {
					t.Errorf("%s the packet arrived: %+v, %v; want nothing there", when, r, err)
				}
			}
			if got, want := w.shards[0].epoch.Load(), epoch+int64(len(faults)); got != want {
				t.Errorf("the epoch is %d, want %d: one higher for each settling", got, want)
			}
			if r := w.must(deposit("d3", "p1", 5)); r.Position.Seq != 2 {
				t.Errorf("the next commit: %+v, want sequence 2", r)
			}
			if r := w.must(deposit("d2", "p1", 5)); r.Replayed {
				t.Errorf("asked again: %+v, want a new commit", r)
			}
			w.wantSoundClusters()
		})
	}
}
