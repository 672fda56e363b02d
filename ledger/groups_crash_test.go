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
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

const groupCrashDir = "MATCHDAY_LEDGER_GROUP_CRASH_DIR"

// crashPlayers are few, so that groups meet on accounts and some are refused.
const crashPlayers = 12

func crashPlayer(i int) id.Player { return id.Player("p" + strconv.Itoa(i%crashPlayers)) }

// crashGroup is the i-th group of a child: money from one player to two others.
func crashGroup(i int) Group {
	key := fmt.Sprintf("group-%06d", i)
	from := i * 7
	first := gift(key+"/a", crashPlayer(from), crashPlayer(from+1+i%5), 3)
	second := gift(key+"/b", crashPlayer(from), crashPlayer(from+6), int64(1+i%90))
	return Group{Key: key, Transfers: append(first, second...)}
}

// TestKilledDuringGroups kills a process that commits groups over three shards, again and again. After
// each restart every group must come to its end, with the outcome that was acknowledged.
func TestKilledDuringGroups(t *testing.T) {
	if dir := os.Getenv(groupCrashDir); dir != "" {
		commitGroupsUntilKilled(t, dir)
		return
	}
	if testing.Short() {
		t.Skip("kills processes for seconds: not in short mode")
	}
	t.Parallel()
	dir := t.TempDir()
	acknowledged := map[int]string{}
	first := 0
	for round := range 4 {
		first = killDuringGroups(t, dir, first, 40+30*round, acknowledged)
		w := &world{t: t, config: Config{Dir: dir, Shards: 3, SweepEvery: 5 * time.Millisecond}, clock: clock.NewManual(time.Now())}
		w.open()
		w.wantDrained()
		w.wantOutcomes(acknowledged)
		w.wantCrashSum()
		w.wantSound()
	}
	refused := 0
	for _, outcome := range acknowledged {
		if outcome != "" {
			refused++
		}
	}
	t.Logf("%d groups acknowledged over 4 killed writers, %d of them refused", len(acknowledged), refused)
	if refused == 0 || refused == len(acknowledged) {
		t.Error("the groups are all of one outcome: the test shows less than it should")
	}
}

// commitGroupsUntilKilled gives every player 60 and commits groups from several callers at once.
func commitGroupsUntilKilled(t *testing.T, dir string) {
	s, err := Open(context.Background(), Config{Dir: dir, Shards: 3}, Deps{
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // should the parent die
	defer cancel()
	go func() { _ = s.Run(ctx) }()
	for i := range crashPlayers {
		if _, err := s.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", i), crashPlayer(i), 60)); err != nil {
			t.Fatal(err)
		}
	}
	first, err := strconv.Atoi(os.Getenv(groupCrashDir + "_FROM"))
	if err != nil {
		t.Fatal(err)
	}
	const callers = 4
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := first + c; ctx.Err() == nil; i += callers {
				_, err := s.CommitGroup(ctx, LaneInteractive, crashGroup(i))
				fmt.Printf("group %d %q\n", i, string(errs.CodeOf(err)))
			}
		})
	}
	wg.Wait()
}

// killDuringGroups runs a child from the first group on, kills it after some groups, and notes what it
// acknowledged. It returns the first group of the next child.
func killDuringGroups(t *testing.T, dir string, first, groups int, acknowledged map[int]string) int {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledDuringGroups$", "-test.count=1")
	child.Env = append(os.Environ(), groupCrashDir+"="+dir, groupCrashDir+"_FROM="+strconv.Itoa(first))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last, seen := first, 0
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var i int
		var code string
		if _, err := fmt.Sscanf(lines.Text(), "group %d %q", &i, &code); err != nil {
			t.Errorf("child: %s", lines.Text())
			continue
		}
		last = max(last, i)
		if code != string(errs.CodeUnavailable) {
			acknowledged[i] = code
		}
		if seen++; seen >= groups {
			_ = child.Process.Kill()
		}
	}
	var exit *exec.ExitError
	if err := child.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return last + 1 // groups between may have begun: they are in the books, or never were
}

// wantOutcomes asks for acknowledged groups again: each answers as it did.
func (w *world) wantOutcomes(acknowledged map[int]string) {
	w.t.Helper()
	for i, want := range acknowledged {
		results, err := w.CommitGroup(context.Background(), LaneInteractive, crashGroup(i))
		if got := string(errs.CodeOf(err)); got != want {
			w.t.Fatalf("group %d was answered %q, and now %q (%v)", i, want, got, err)
		}
		for n := range results {
			if !results[n].Replayed {
				w.t.Fatalf("group %d, transfer %d is no replay", i, n)
			}
		}
	}
}

// wantCrashSum checks that the players have together what they were given.
func (w *world) wantCrashSum() {
	w.t.Helper()
	var sum int64
	for i := range crashPlayers {
		b, err := w.Balance(context.Background(), PlayerCash(crashPlayer(i), nj))
		if err != nil || b.HeldMinor != 0 {
			w.t.Fatalf("player %d: got %+v, %v", i, b, err)
		}
		sum += b.PostedMinor
	}
	if sum != 60*crashPlayers {
		w.t.Errorf("the players have %d, want %d", sum, 60*crashPlayers)
	}
}
