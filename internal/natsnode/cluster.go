package natsnode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"matchday/internal/freeport"
)

// Options of a cluster; the zero value is three nodes that let everybody in.
type Options struct {
	Dir        string // where the nodes keep their streams; required
	Nodes      int    // 0 is 3
	MaxPayload int    // 0 is 8 MiB; NATS's own default is 1 MiB
	User       string // with Password; "" lets everybody in
	Password   string
	CertFile   string // with KeyFile, and CAFile for our own connections; "" is clear text
	KeyFile    string
	CAFile     string
}

// startTimeout bounds how long a cluster may take until it keeps streams, on a slow machine.
const startTimeout = 3 * time.Minute

// askTimeout bounds one question: servers without a leader give no answer.
const askTimeout = 3 * time.Second

// Cluster is the nodes. Its methods are for one goroutine.
type Cluster struct {
	options Options
	nodes   []*process
}

// process is one node and, while it runs, its process.
type process struct {
	node   node
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start starts the nodes and returns when they keep streams together. Close ends them, as does the end
// of this process.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 8 << 20
	}
	c := &Cluster{options: o}
	for n := range o.Nodes {
		var ports [2]int
		for i := range ports {
			var err error
			if ports[i], err = freeport.Find(ctx); err != nil {
				return nil, err
			}
		}
		name := fmt.Sprintf("node-%d", n)
		c.nodes = append(c.nodes, &process{node: node{
			Name: name, Dir: filepath.Join(o.Dir, name), Port: ports[0], RoutePort: ports[1], MaxPayload: int32(o.MaxPayload),
			User: o.User, Password: o.Password, CertFile: o.CertFile, KeyFile: o.KeyFile,
		}})
	}
	for _, p := range c.nodes {
		for _, other := range c.nodes {
			p.node.Routes = append(p.node.Routes, fmt.Sprintf("nats://127.0.0.1:%d", other.node.RoutePort))
		}
	}
	for n := range c.nodes {
		if err := c.Restart(n); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.Await(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// URLs are where clients connect.
func (c *Cluster) URLs() []string {
	var out []string
	for _, p := range c.nodes {
		out = append(out, fmt.Sprintf("nats://127.0.0.1:%d", p.node.Port))
	}
	return out
}

// Dir is the folder of a node.
func (c *Cluster) Dir(n int) string { return c.nodes[n].node.Dir }

// Restart starts a node that does not run on the folder that it had.
func (c *Cluster) Restart(n int) error {
	p := c.nodes[n]
	text, err := json.Marshal(p.node)
	if err != nil {
		return fmt.Errorf("start node %d: %w", n, err)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start node %d: %w", n, err)
	}
	p.cmd, p.exited = exec.Command(program), make(chan struct{})
	p.cmd.Env = append(os.Environ(), environment+"="+string(text))
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go p.watch(started)
	if err := <-started; err != nil {
		return fmt.Errorf("start node %d: %w", n, err)
	}
	return nil
}

// watch starts the process and waits for its end. It keeps its thread: the kernel ends a child with the
// thread that made it.
func (p *process) watch(started chan<- error) {
	defer close(p.exited)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // it is killed on purpose
	}
}

// Kill ends a node as a power cut would, but for what its kernel still writes.
func (c *Cluster) Kill(n int) error {
	p := c.nodes[n]
	if p.cmd == nil {
		return nil
	}
	err := p.signal(syscall.SIGKILL)
	<-p.exited
	return err
}

// Freeze stops a node without ending it; Thaw lets it go on.
func (c *Cluster) Freeze(n int) error { return c.nodes[n].signal(syscall.SIGSTOP) }

// Thaw lets a node go on that was frozen.
func (c *Cluster) Thaw(n int) error { return c.nodes[n].signal(syscall.SIGCONT) }

func (p *process) signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Close ends all nodes. It may be called twice.
func (c *Cluster) Close() error {
	var err error
	for n := range c.nodes {
		err = errors.Join(err, c.Kill(n))
	}
	return err
}

// JetStream connects to the cluster as an operator would. The caller closes the connection.
func (c *Cluster) JetStream() (jetstream.JetStream, *nats.Conn, error) {
	options := []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond)}
	if c.options.User != "" {
		options = append(options, nats.UserInfo(c.options.User, c.options.Password))
	}
	if c.options.CAFile != "" {
		options = append(options, nats.RootCAs(c.options.CAFile))
	}
	conn, err := nats.Connect(strings.Join(c.URLs(), ","), options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to nodes: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("connect to nodes: %w", err)
	}
	return js, conn, nil
}

// Await waits until the nodes keep a stream together, one copy each.
func (c *Cluster) Await(ctx context.Context) error {
	const probe = "natsnode-probe"
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error
	for {
		err := c.probe(ctx, jetstream.StreamConfig{Name: probe, Subjects: []string{probe}, Replicas: len(c.nodes)})
		if err == nil {
			return nil
		}
		last = err
		if !pause(ctx) {
			return fmt.Errorf("nodes keep no stream: %w", last)
		}
	}
}

// probe makes a stream and deletes it. Without a leader nobody answers.
func (c *Cluster) probe(ctx context.Context, of jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	js, conn, err := c.JetStream()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err = js.CreateStream(ctx, of); err != nil {
		return err
	}
	return js.DeleteStream(ctx, of.Name)
}

// Settled waits until all copies of a stream are there and none lags.
func (c *Cluster) Settled(ctx context.Context, stream string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		info, err := c.info(ctx, stream)
		if err == nil && info.Cluster != nil && info.Cluster.Leader != "" && len(info.Cluster.Replicas) == len(c.nodes)-1 {
			current := true
			for _, r := range info.Cluster.Replicas {
				current = current && r.Current && !r.Offline
			}
			if current {
				return nil
			}
		}
		if !pause(ctx) {
			return fmt.Errorf("copies of %s do not settle: %+v, %w", stream, info, errors.Join(err, ctx.Err()))
		}
	}
}

// Leader waits until a stream has a leader and returns its node.
func (c *Cluster) Leader(ctx context.Context, stream string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		info, err := c.info(ctx, stream)
		if err == nil && info.Cluster != nil {
			for n, p := range c.nodes {
				if p.node.Name == info.Cluster.Leader {
					return n, nil
				}
			}
		}
		if !pause(ctx) {
			return 0, fmt.Errorf("%s has no leader: %w", stream, errors.Join(err, ctx.Err()))
		}
	}
}

// info asks for a stream's state.
func (c *Cluster) info(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	js, conn, err := c.JetStream()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// pause waits a moment and returns false when ctx is done.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(100 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
