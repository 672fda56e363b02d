package ledger

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
)

// finished waits until a move is done.
func (m *member) finished(t testing.TB, moveID string) Move {
	t.Helper()
	var now Move
	eventually(t, "the move is done", func() bool {
		var err error
		if now, err = m.FindMove(context.Background(), moveID); err != nil {
			return false // a directory that fails over is asked again
		}
		return now.Step == MoveDone
	})
	return now
}

// playersBuckets are the buckets of the load's players on a shard, some of them.
func (m *member) playersBuckets(shard int) []int {
	var list []int
	for i := range int64(97) {
		if p := faultPlayer(i); m.ShardOf(p) == shard && len(list) < 6 {
			list = append(list, bucketOf(p))
		}
	}
	return list
}

// TestBucketsMoveBetweenProcesses moves buckets between shards of different processes under load, asked for
// at one process, at another, and at a desk beside them. Each process answers for the moved players as if
// nothing had happened.
func TestBucketsMoveBetweenProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("moves buckets under load for seconds")
	}
	t.Parallel()
	c := faultConfig(t.TempDir())
	first := startMember(t, c)
	second := startMember(t, c)
	wantSpread(t, faultShards, first, second)
	ctx := context.Background()
	load := startClients(first.Service, 3)
	load.progress(t, "before the moves")
	desk, err := OpenMoveDesk(ctx, c, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = desk.Close() }()
	for i, start := range []func(context.Context, MoveRequest) (Move, error){first.StartMove, second.StartMove, desk.Start} {
		from, to := i, i+1
		r := MoveRequest{Buckets: first.playersBuckets(from), From: from, To: to, By: "test"}
		m, err := start(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		first.finished(t, m.ID)
		for _, in := range []*member{first, second} {
			eventually(t, "every process knows where the buckets are", func() bool {
				return int(in.place.current.Load().shards[r.Buckets[0]]) == to
			})
		}
	}
	load.progress(t, "after the moves")
	load.end(t)
	p := playersOn(t, first.Service, faultShards)[0]
	r, err := second.Commit(ctx, LaneInteractive, deposit("last", p, 1))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := first.BalanceFrom(ctx, PlayerCash(p, nj), r.Position); err != nil || b.Position.Seq < r.Position.Seq {
		t.Errorf("what one process wrote, read at the other: %+v, %v", b, err)
	}
	for _, m := range []*member{second, first} {
		if err := m.stop(); err != nil {
			t.Fatal(err)
		}
	}
	wantSound(t, c.Dir)
}

// TestAReadKnowsWhereAPlayerWent reads, at a process that has not heard of a move, at a position of the new
// home.
func TestAReadKnowsWhereAPlayerWent(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
	writer := startMember(t, c)
	wantSpread(t, 2, writer)
	asleep := openListener(t, c)
	ctx := context.Background()
	p := playersOn(t, writer.Service, 2)[0]
	if _, err := writer.Commit(ctx, LaneInteractive, deposit("before", p, 1)); err != nil {
		t.Fatal(err)
	}
	m, err := writer.StartMove(ctx, MoveRequest{Buckets: []int{bucketOf(p)}, From: 0, To: 1})
	if err != nil {
		t.Fatal(err)
	}
	writer.finished(t, m.ID)
	r, err := writer.Commit(ctx, LaneInteractive, deposit("after", p, 1))
	if err != nil || r.Position.Shard != 1 {
		t.Fatalf("after the move: %+v, %v", r, err)
	}
	asleep.place.current.Store(newPlacement(2)) // whatever the mover told it
	if b, err := asleep.BalanceFrom(ctx, PlayerCash(p, nj), r.Position); err != nil || b.PostedMinor != 2 {
		t.Errorf("balance at %v: %+v, %v, want 2", r.Position, b, err)
	}
	asleep.place.current.Store(newPlacement(2))
	if list, err := asleep.StatementFrom(ctx, PlayerCash(p, nj), StatementQuery{}, r.Position); err != nil || len(list) != 2 {
		t.Errorf("statement at %v: %+v, %v, want 2 lines", r.Position, list, err)
	}
	if got := asleep.Since(p); got == 0 {
		t.Error("the process does not know since when the player is there")
	}
}

// openListener opens a ledger that shares the folder and writes nothing: it does not run.
func openListener(t *testing.T, c Config) *Service {
	t.Helper()
	c.InternalListen = "127.0.0.1:0"
	s, err := Open(context.Background(), c, quiet(clock.System{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestAMoverThatSleptDoesNoHarm lets a mover go on with what it knew before the move was over and the bucket
// had moved on.
func TestAMoverThatSleptDoesNoHarm(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	p := w.onShards(1)[0]
	bucket, ctx := bucketOf(p), context.Background()
	w.must(deposit("d", p, 10))
	m := w.moved(0, 1, bucket)
	w.moved(1, 2, bucket)
	v := newMover(w.Service, m)
	v.wanted = map[int]int64{bucket: 0}
	if _, err := v.moveOn(ctx, 1, v.call(askReceive, bucket)); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("to be ready for a bucket that came and went: %v, want a conflict", err)
	}
	if err := v.arrive(ctx, bucket, 1); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("to serve it: %v, want a conflict", err)
	}
	if err := v.place(ctx, bucket, 1); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("to place it: %v, want a conflict", err)
	}
	for _, st := range []step{&fence{move: m.ID, to: 1, bucket: bucket}, &unfence{move: m.ID, bucket: bucket}, &moveOut{move: m.ID, to: 1, bucket: bucket}} {
		if err := v.lead(ctx, st); !errs.Is(err, errs.CodeUnavailable) {
			t.Errorf("%T by a mover of another tenure: %v, want unavailable", st, err)
		}
	}
	v.version--
	if err := v.save(ctx); !errors.Is(err, errReplaced) {
		t.Errorf("to note its progress: %v, want %v", err, errReplaced)
	}
	if got := w.ShardOf(p); got != 2 {
		t.Errorf("the player is on shard %d", got)
	}
	w.must(stake("s", p, 10))
	w.sound()
}

// TestMovesBeginOneAfterTheOther: ids rise whatever clocks say.
func TestMovesBeginOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	ctx := context.Background()
	ahead := id.NewSource(func() time.Time { return start.AddDate(1_000, 0, 0) })
	late := Move{Buckets: []int{1}, From: 0, To: 1, Step: MoveAborted}
	if err := w.directory.addMove(ctx, &late, ahead); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		next, err := w.StartMove(ctx, MoveRequest{Buckets: []int{2 + n}, From: 0, To: 1})
		if err != nil || next.ID <= late.ID {
			t.Fatalf("by a clock that is a thousand years behind: %s, %v, want an id after %s", next.ID, err, late.ID)
		}
		late = next
	}
}

// The environment of a child of TestMovesOfProcessesThatBreak.
const (
	moveMemberDir  = "MATCHDAY_LEDGER_MOVE_MEMBER_DIR"
	moveMemberNode = "MATCHDAY_LEDGER_MOVE_MEMBER_NODE"
	moveMemberBase = "MATCHDAY_LEDGER_MOVE_MEMBER_BASE"
	moveMemberStep = "MATCHDAY_LEDGER_MOVE_MEMBER_STEP"
	moveMemberStop = "MATCHDAY_LEDGER_MOVE_MEMBER_STOP"
)

// moveFaultConfig is faultConfig, on a MariaDB server with the directory unless there is none.
func moveFaultConfig(dir, node, base string) Config {
	c := faultConfig(dir)
	if node != "" {
		c.Clusters = onNodes(base, "0-3", node)
		c.Directory.Cluster = c.Clusters[0].Name
	}
	return c
}

// TestMovesOfProcessesThatBreak kills or hangs one of three processes at every step of a move: the one that
// writes the source, and with it the mover, or the one that writes the destination. Another must go on with
// the move; clients of a third see no more than a pause.
func TestMovesOfProcessesThatBreak(t *testing.T) {
	if dir := os.Getenv(moveMemberDir); dir != "" {
		signal := syscall.SIGKILL
		if os.Getenv(moveMemberStop) != "" {
			signal = syscall.SIGSTOP
		}
		beMember(t, moveFaultConfig(dir, os.Getenv(moveMemberNode), os.Getenv(moveMemberBase)), func(s *Service) {
			s.dieAfter(os.Getenv(moveMemberStep), signal)
		})
		return
	}
	if testing.Short() {
		t.Skip("starts and breaks processes, on MariaDB too")
	}
	t.Parallel()
	for _, engine := range []string{"SQLite", "MariaDB"} {
		for _, fault := range []string{"killed", "hung"} {
			for _, step := range moveSteps {
				if engine == "SQLite" && fault == "hung" {
					continue // a file's lock dies with its holder: TestSharedShardsSurviveFaults
				}
				t.Run(engine+" "+fault+" after "+step, func(t *testing.T) {
					t.Parallel()
					moveWhileBroken(t, engine == "MariaDB", fault == "hung", step)
				})
			}
		}
	}
}

func moveWhileBroken(t *testing.T, cluster, hangs bool, step string) {
	t.Helper()
	dir, node, base := t.TempDir(), "", ""
	if cluster {
		server := mariadb.Shared(t)
		node, base = server.Addr(), server.Database(t)
	}
	c := moveFaultConfig(dir, node, base)
	here := startMember(t, c)
	env := []string{moveMemberDir + "=" + dir, moveMemberNode + "=" + node, moveMemberBase + "=" + base}
	stop := ""
	if hangs {
		stop = "1"
	}
	other := runChild(t, "TestMovesOfProcessesThatBreak", append(env, moveMemberStep+"=none")...)
	victim := runChild(t, "TestMovesOfProcessesThatBreak", append(env, moveMemberStep+"="+step, moveMemberStop+"="+stop)...)
	eventually(t, "a shard or two for everyone", func() bool { return spread(here, 3) })
	load := startClients(here.Service, 3)
	load.progress(t, "before the move")
	from, to := shardOfProcess(t, here, victim.process.Pid), shardOfProcess(t, here, other.process.Pid)
	if step == "copied" || step == "in" { // steps of the destination
		from, to = to, from
	}
	r := MoveRequest{Buckets: here.playersBuckets(from), From: from, To: to, By: "test"}
	m, err := here.StartMove(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	broken := func() bool { // whoever writes the destination after the victim gets on with it
		seen, err := here.directory.owners(context.Background())
		return err == nil && address(seen, victim.process.Pid) == ""
	}
	eventually(t, "the victim loses its shards", broken)
	m = here.finished(t, m.ID)
	load.progress(t, "after the move")
	if hangs {
		victim.signal(syscall.SIGCONT)
		eventually(t, "a share for the woken process", func() bool { return spread(here, 3) })
		load.progress(t, "with the woken process")
	}
	load.end(t)
	for _, b := range r.Buckets {
		if got := int(here.place.current.Load().shards[b]); got != to {
			t.Errorf("bucket %d is on shard %d, want %d", b, got, to)
		}
	}
	t.Logf("slowest answer %v; the longest pause that the last mover saw was %s",
		time.Duration(load.slowest.Load())*time.Microsecond, m.LongestPause)
	for _, child := range []*child{other, victim} {
		_ = child.in.Close()
		<-child.ended
	}
	if err := here.stop(); err != nil {
		t.Error(err)
	}
	if report, err := Audit(context.Background(), AuditOptions{Dir: dir, Clusters: c.Clusters}); err != nil || len(report.Findings) > 0 {
		t.Errorf("audit: %v, %v", report.Findings, err)
	}
}

// shardOfProcess returns a shard that the process writes.
func shardOfProcess(t *testing.T, m *member, pid int) int {
	t.Helper()
	shard := -1
	eventually(t, "the process writes a shard", func() bool { // it may be slow to beat, and get one again
		seen, err := m.directory.owners(context.Background())
		if err != nil {
			return false
		}
		shard = slices.IndexFunc(seen.shards, func(s tenancy) bool { return seen.processes[s.owner].pid == pid })
		return shard >= 0
	})
	return shard
}

// address returns the owner name under which the process writes a shard; "" if it writes none.
func address(seen *owners, pid int) string {
	for _, s := range seen.shards {
		if p, ok := seen.processes[s.owner]; ok && p.pid == pid {
			return s.owner
		}
	}
	return ""
}
