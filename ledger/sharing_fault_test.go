package ledger

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

// memberDir tells a child process which folder to share.
const memberDir = "MATCHDAY_LEDGER_MEMBER_DIR"

const faultShards = 4

func faultConfig(dir string) Config {
	return Config{
		Dir: dir, Shards: faultShards, SweepEvery: time.Second, InternalListen: "127.0.0.1:0", Lease: 600 * time.Millisecond,
	}
}

// cuttable is a directory that can be put out of reach.
type cuttable struct {
	directoryDB
	cut atomic.Bool
}

var errCut = errors.New("the directory is out of reach")

func (c *cuttable) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	if c.cut.Load() {
		return errCut
	}
	return c.directoryDB.inTx(ctx, fn)
}

func (c *cuttable) read(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error {
	if c.cut.Load() {
		return errCut
	}
	return c.directoryDB.read(ctx, q, args, scan)
}

// beMember runs a ledger that shares the folder until its input ends. A line "cut" puts the directory
// out of its reach, "heal" back.
func beMember(t *testing.T, c Config, hooks ...func(*Service)) {
	s, err := Open(context.Background(), c, quiet(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		hook(s)
	}
	db := &cuttable{directoryDB: s.directory.db}
	s.directory.db = db
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		db.cut.Store(in.Text() == "cut")
		fmt.Println("done", in.Text())
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// child is a member in a process of its own.
type child struct {
	t       *testing.T
	process *os.Process
	in      io.WriteCloser
	out     *bufio.Scanner
	ended   chan struct{}
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	return runChild(t, "TestSharedShardsSurviveFaults", memberDir+"="+dir)
}

// runChild runs a test of this binary as a member.
func runChild(t *testing.T, test string, env ...string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), env...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, process: cmd.Process, in: in, out: bufio.NewScanner(out), ended: make(chan struct{})}
	c.expect("ready")
	go func() { _ = cmd.Wait(); close(c.ended) }()
	t.Cleanup(c.kill)
	return c
}

// expect reads the child's next line.
func (c *child) expect(want string) {
	c.t.Helper()
	if !c.out.Scan() || c.out.Text() != want {
		got := c.out.Text()
		for c.out.Scan() { // why it ends
			got += "\n" + c.out.Text()
		}
		c.t.Fatalf("child %d: got %q, want %q", c.process.Pid, got, want)
	}
}

func (c *child) tell(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	c.expect("done " + line)
}

func (c *child) kill() {
	_ = c.process.Kill()
	<-c.ended
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// clients deposit one minor unit at a time, each under a key of its own, and ask again until they
// have an answer.
type clients struct {
	ledger  *Service
	running sync.WaitGroup
	stop    chan struct{}
	sent    atomic.Int64
	acked   [faultShards]atomic.Int64
	slowest atomic.Int64 // microseconds until an answer
	retries atomic.Int64
	wrong   atomic.Pointer[error]
}

func faultPlayer(i int64) id.Player { return id.Player(fmt.Sprintf("p%d", i%97)) }

func faultDeposit(i int64) Transfer { return deposit(fmt.Sprintf("key-%d", i), faultPlayer(i), 1) }

func startClients(s *Service, count int) *clients {
	c := &clients{ledger: s, stop: make(chan struct{})}
	for range count {
		c.running.Go(func() {
			for {
				select {
				case <-c.stop:
					return
				default:
					c.one(c.sent.Add(1))
				}
			}
		})
	}
	return c
}

// one sends one deposit until it is answered.
func (c *clients) one(i int64) {
	begun := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		r, err := c.ledger.Commit(ctx, LaneInteractive, faultDeposit(i))
		cancel()
		switch {
		case err == nil:
			c.acked[r.Position.Shard].Add(1)
			for us := time.Since(begun).Microseconds(); ; {
				old := c.slowest.Load()
				if us <= old || c.slowest.CompareAndSwap(old, us) {
					return
				}
			}
		case errs.Is(err, errs.CodeUnavailable):
			c.retries.Add(1)
			<-time.After(time.Duration(rand.IntN(20)) * time.Millisecond)
		default:
			c.wrong.Store(&err)
			return
		}
	}
}

func (c *clients) total() (sum int64) {
	for i := range c.acked {
		sum += c.acked[i].Load()
	}
	return sum
}

// progress waits until every shard has answered more work than before.
func (c *clients) progress(t *testing.T, what string) {
	t.Helper()
	var before [faultShards]int64
	for i := range before {
		before[i] = c.acked[i].Load()
	}
	eventually(t, "work on every shard "+what, func() bool {
		if err := c.wrong.Load(); err != nil {
			t.Fatalf("a client got %v", *err)
		}
		for i := range before {
			if c.acked[i].Load() < before[i]+20 {
				return false
			}
		}
		return true
	})
}

// end stops the clients and checks every deposit: each was made once, none is missing.
func (c *clients) end(t *testing.T) {
	t.Helper()
	close(c.stop)
	c.running.Wait()
	if err := c.wrong.Load(); err != nil {
		t.Fatalf("a client got %v", *err)
	}
	sent := c.sent.Load()
	if got := c.total(); got != sent {
		t.Errorf("%d deposits answered of %d", got, sent)
	}
	want := map[id.Player]int64{}
	for i := int64(1); i <= sent; i++ {
		want[faultPlayer(i)]++
	}
	for p, n := range want {
		b, err := c.ledger.Balance(context.Background(), PlayerCash(p, nj))
		if err != nil || b.PostedMinor != n {
			t.Errorf("player %s has %d (%v), made %d deposits of 1", p, b.PostedMinor, err, n)
		}
	}
	for i := int64(1); i <= sent; i += 1 + sent/200 {
		if _, found, err := c.ledger.Lookup(context.Background(), faultPlayer(i), faultDeposit(i).Key, nil); err != nil || !found {
			t.Errorf("deposit %d was acknowledged and is gone (%v)", i, err)
		}
	}
}

// TestSharedShardsSurviveFaults breaks one of three processes under load. Clients of another process
// are to see no more than a pause: no deposit lost, none made twice, and the books sound.
func TestSharedShardsSurviveFaults(t *testing.T) {
	if dir := os.Getenv(memberDir); dir != "" {
		beMember(t, faultConfig(dir))
		return
	}
	if testing.Short() {
		t.Skip("starts and breaks processes")
	}
	t.Parallel()
	for _, fault := range []struct {
		name  string
		shock func(*child)
		mend  func(*child)
	}{
		{"killed", func(c *child) { c.kill() }, nil},
		{"hung and woken again", func(c *child) { c.signal(syscall.SIGSTOP) }, func(c *child) { c.signal(syscall.SIGCONT) }},
		{"cut off from the directory and back", func(c *child) { c.tell("cut") }, func(c *child) { c.tell("heal") }},
		{"stopped in good order", func(c *child) { _ = c.in.Close(); <-c.ended }, nil},
	} {
		t.Run(strings.ReplaceAll(fault.name, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			here := startMember(t, faultConfig(dir))
			victim, other := startChild(t, dir), startChild(t, dir)
			eventually(t, "a shard or two for everyone", func() bool { return spread(here, 3) })
			load := startClients(here.Service, 8)
			load.progress(t, "before the fault")
			load.slowest.Store(0)
			fault.shock(victim)
			eventually(t, "the shards of the broken process with others", func() bool { return spread(here, 2) })
			load.progress(t, "after the fault")
			t.Logf("slowest answer %v, %d answers 'unavailable'", time.Duration(load.slowest.Load())*time.Microsecond, load.retries.Load())
			if fault.mend != nil {
				select {
				case <-victim.ended: // it was stopped with a lock in hand
				default:
					fault.mend(victim)
					eventually(t, "a share for the mended process", func() bool { return spread(here, 3) })
					load.progress(t, "with the mended process")
				}
			}
			load.end(t)
			_ = other.in.Close()
			<-other.ended
			victim.kill()
			if err := here.stop(); err != nil {
				t.Error(err)
			}
			wantSound(t, dir)
		})
	}
}

// spread reports whether all shards are written, by as many processes.
func spread(m *member, processes int) bool {
	seen, err := m.directory.owners(context.Background())
	if err != nil {
		return false
	}
	held := map[string]int{}
	for _, s := range seen.shards {
		p, there := seen.processes[s.owner]
		if !there {
			return false
		}
		held[p.name]++
	}
	return len(held) == processes
}
