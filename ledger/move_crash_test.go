package ledger

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
)

const moveCrashDir = "MATCHDAY_LEDGER_MOVE_CRASH_DIR"

// moveSteps are after which commits of a move a child kills itself: it has copied rows, fenced a bucket,
// moved it out of its shard, and moved it in, before the directory knows.
var moveSteps = []string{"copied", "fenced", "out", "in"}

// dying is a store that sends its process a signal right after it has committed a step of a move, once.
type dying struct {
	store
	after  string
	signal syscall.Signal
	armed  *atomic.Bool
}

func (d *dying) commit(ctx context.Context, b *batch) error {
	at := ""
	if len(b.copied) > 0 {
		at = "copied"
	}
	for _, r := range b.buckets {
		switch {
		case r.state == bucketFenced:
			at = "fenced"
		case r.state == bucketAway:
			at = "out"
		case r.state == bucketLive:
			at = "in"
		}
	}
	err := d.store.commit(ctx, b)
	if err == nil && at == d.after && d.armed.CompareAndSwap(true, false) {
		_ = syscall.Kill(os.Getpid(), d.signal)
	}
	return err
}

// dieAfter has the process get a signal when it has committed the step of a move.
func (s *Service) dieAfter(step string, signal syscall.Signal) {
	armed := new(atomic.Bool)
	armed.Store(true)
	for _, one := range s.shards {
		one.store = &dying{one.store, step, signal, armed}
		one.builder.store = one.store
	}
}

// TestKilledDuringMoves kills a process that commits and moves buckets, at every step of a move. The next
// process must finish the move, nothing acknowledged may be missing, nothing may be there twice, and the
// books must be sound.
func TestKilledDuringMoves(t *testing.T) {
	if dir := os.Getenv(moveCrashDir); dir != "" {
		moveUntilKilled(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("kills processes for seconds: not in short mode")
	}
	t.Parallel()
	for _, engine := range []string{"SQLite", "MariaDB"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			config := Config{Dir: t.TempDir()}
			if engine == "MariaDB" {
				server := mariadb.Shared(t)
				config.Clusters = onServer(server, server.Database(t), "0-1")
			}
			acknowledged := 0
			for _, step := range moveSteps {
				acknowledged = killDuringMove(t, config, acknowledged, step)
				finishMove(t, config, step)
				wantCounted(t, config, acknowledged)
			}
		})
	}
}

// killDuringMove runs a child that dies after the step, and returns how many transfers are acknowledged.
func killDuringMove(t *testing.T, config Config, acknowledged int, step string) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledDuringMoves$", "-test.count=1")
	child.Env = append(os.Environ(), moveCrashDir+"="+config.Dir, moveCrashDir+"_FROM="+strconv.Itoa(acknowledged), moveCrashDir+"_AFTER="+step)
	for _, c := range config.Clusters {
		child.Env = append(child.Env, moveCrashDir+"_NODE="+c.Nodes[0], moveCrashDir+"_DATABASE="+c.Database)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &acknowledged); err != nil {
			t.Errorf("child: %s", lines.Text())
		}
	}
	_ = child.Wait()
	if status, ok := child.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Fatalf("the child was not killed after %q: %s", step, child.ProcessState)
	}
	return acknowledged
}

// moveUntilKilled commits numbered transfers, and moves the buckets of the players on one shard to the
// other.
func moveUntilKilled(t *testing.T, dir string) {
	config := Config{Dir: dir}
	if node := os.Getenv(moveCrashDir + "_NODE"); node != "" {
		config.Clusters = onNodes(os.Getenv(moveCrashDir+"_DATABASE"), "0-1", node)
	}
	s, err := Open(context.Background(), config, quiet(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	s.dieAfter(os.Getenv(moveCrashDir+"_AFTER"), syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // should it survive
	defer cancel()
	go func() { _ = s.Run(ctx) }()
	i, err := strconv.Atoi(os.Getenv(moveCrashDir + "_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	commit := func(n int) {
		var list []Transfer
		for range n {
			list = append(list, crashTransfer(i))
			i++
		}
		results, err := s.CommitBatch(ctx, LaneInteractive, list)
		for n := range results {
			if err == nil {
				err = results[n].Err
			}
		}
		if err != nil {
			list, readErr := s.Moves(context.WithoutCancel(ctx), "", 1)
			t.Fatalf("%v; the moves: %+v, %v", err, list, readErr)
		}
		fmt.Println("acknowledged", i)
	}
	for range 8 { // more than is copied behind a fence
		commit(500)
	}
	r := MoveRequest{From: s.ShardOf("p0"), To: 1 - s.ShardOf("p0"), By: "test"}
	for n := range 7 {
		if p := id.Player("p" + strconv.Itoa(n)); s.ShardOf(p) == r.From {
			r.Buckets = append(r.Buckets, bucketOf(p))
		}
	}
	if _, err := s.StartMove(ctx, r); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		commit(10)
		<-time.After(10 * time.Millisecond) // or, on a slow machine, most of the time goes into copying these
	}
}

// finishMove opens the books, which goes on with the move, waits until it is done, and audits.
func finishMove(t *testing.T, config Config, step string) {
	t.Helper()
	w := &world{t: t, config: config, clock: clock.NewManual(time.Now()), timed: true}
	w.open()
	list, err := w.Moves(context.Background(), "", 1)
	if err != nil || len(list) != 1 {
		t.Fatalf("moves: %v, %v", list, err)
	}
	m := w.until(list[0].ID, MoveDone)
	for _, bucket := range m.Buckets {
		if got := int(w.place.current.Load().shards[bucket]); got != m.To {
			t.Errorf("bucket %d is on shard %d, want %d", bucket, got, m.To)
		}
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := Audit(context.Background(), AuditOptions{Dir: config.Dir, Clusters: config.Clusters})
	if err != nil || len(report.Findings) > 0 {
		t.Fatalf("killed after %q: %v %v", step, report.Findings, err)
	}
	t.Logf("killed after %q: %d of %d buckets had changed sides; the longest pause of the others was %s",
		step, list[0].Switched, len(m.Buckets), m.LongestPause)
}
