package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
)

// crashDir tells a child process of TestKilledWriter where to write.
const crashDir = "MATCHDAY_LEDGER_CRASH_DIR"

// TestKilledWriter kills a process that commits as fast as it can, again and again: nothing that it
// acknowledged may be missing, nothing may be there twice, and the books must be sound.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv(crashDir); dir != "" {
		commitUntilKilled(t, dir)
		return
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
			killWriters(t, config)
		})
	}
}

// killWriters kills one writer after the other over the same books.
func killWriters(t *testing.T, config Config) {
	t.Helper()
	acknowledged := 0
	for round := range 4 {
		acknowledged = max(acknowledged, killOneWriter(t, config, acknowledged, 150+100*round))
		report, err := Audit(context.Background(), AuditOptions{Dir: config.Dir, Clusters: config.Clusters})
		if err != nil || len(report.Findings) > 0 {
			t.Fatalf("round %d: %v %v", round, report.Findings, err)
		}
		wantCounted(t, config, acknowledged)
	}
	t.Logf("%d transfers acknowledged over 4 killed writers", acknowledged)
}

// crashTransfer is the i-th transfer of a child: one minor unit for one of seven players.
func crashTransfer(i int) Transfer {
	return deposit(fmt.Sprintf("key-%06d", i), id.Player("p"+strconv.Itoa(i%7)), 1)
}

// commitUntilKilled commits numbered transfers in batches and prints how many are acknowledged.
func commitUntilKilled(t *testing.T, dir string) {
	config := Config{Dir: dir}
	if node := os.Getenv(crashDir + "_NODE"); node != "" {
		config.Clusters = onNodes(os.Getenv(crashDir+"_DATABASE"), "0-1", node)
	}
	s, err := Open(context.Background(), config, Deps{
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // should the parent die
	defer cancel()
	go func() { _ = s.Run(ctx) }()
	first, err := strconv.Atoi(os.Getenv(crashDir + "_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	for i := first; ctx.Err() == nil; i += 10 {
		var list []Transfer
		for n := range 10 {
			list = append(list, crashTransfer(i+n))
		}
		results, err := s.CommitBatch(ctx, LaneInteractive, list)
		if err != nil {
			t.Fatal(err)
		}
		for n := range results {
			if results[n].Err != nil {
				t.Fatal(results[n].Err)
			}
		}
		fmt.Println("acknowledged", i+10)
	}
}

// killOneWriter runs a child from the first transfer not yet acknowledged and kills it after some
// batches. It returns how many transfers are acknowledged in all.
func killOneWriter(t *testing.T, config Config, from, transfers int) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$", "-test.count=1")
	child.Env = append(os.Environ(), crashDir+"="+config.Dir, crashDir+"_FROM="+strconv.Itoa(from))
	for _, c := range config.Clusters {
		child.Env = append(child.Env, crashDir+"_NODE="+c.Nodes[0], crashDir+"_DATABASE="+c.Database)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := from
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int
		if _, err := fmt.Sscanf(lines.Text(), "acknowledged %d", &n); err != nil {
			t.Errorf("child: %s", lines.Text())
			continue
		}
		acknowledged = n
		if n >= from+transfers {
			_ = child.Process.Kill() // what it prints until it dies counts too
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if acknowledged == from {
		t.Fatal("the child acknowledged nothing")
	}
	return acknowledged
}

// wantCounted opens the books, asks every acknowledged transfer again, and adds up the balances: at
// least all acknowledged ones, at most one batch more.
func wantCounted(t *testing.T, config Config, acknowledged int) {
	t.Helper()
	w := &world{t: t, config: config, clock: clock.NewManual(time.Now())}
	w.open()
	defer func() { _ = w.stop() }()
	for i := 0; i < acknowledged; i += 1 + acknowledged/50 {
		if r := w.must(crashTransfer(i)); !r.Replayed {
			t.Fatalf("transfer %d was acknowledged and is gone", i)
		}
	}
	var sum int64
	for p := range 7 {
		got, err := w.Balance(context.Background(), PlayerCash(id.Player("p"+strconv.Itoa(p)), nj))
		if err != nil {
			t.Fatal(err)
		}
		sum += got.PostedMinor
	}
	if sum < int64(acknowledged) || sum > int64(acknowledged)+10 {
		t.Errorf("balances add up to %d after %d acknowledged transfers", sum, acknowledged)
	}
}
