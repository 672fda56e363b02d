package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
)

// onServer returns a cluster of servers with the shards; the tests' TestMain sets the password.
func onServer(server *mariadb.Server, database string, shards ShardSet, more ...*mariadb.Server) []Cluster {
	nodes := []string{server.Addr()}
	for _, s := range more {
		nodes = append(nodes, s.Addr())
	}
	return onNodes(database, shards, nodes...)
}

func onNodes(database string, shards ShardSet, nodes ...string) []Cluster {
	return []Cluster{{Name: "test", Shards: shards, Config: mysqldb.Config{
		Nodes: nodes, Database: database, User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD",
	}}}
}

// ownServer starts a server for one test.
func ownServer(t testing.TB, o mariadb.Options) *mariadb.Server {
	t.Helper()
	s := mariadb.New(t, o)
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

// onMySQL is a world whose one shard lives on the server.
func onMySQL(t testing.TB, clusters []Cluster, change ...func(*Config)) *world {
	t.Helper()
	return setup(t, append([]func(*Config){func(c *Config) {
		c.Shards, c.Clusters, c.SweepEvery, c.FailoverWait = 1, clusters, time.Hour, time.Minute
	}}, change...)...)
}

// load commits numbered deposits from several callers until it is stopped, and keeps what was
// answered.
type load struct {
	w    *world
	stop chan struct{}
	wg   sync.WaitGroup

	mu       sync.Mutex
	answered map[string]int64 // key -> sequence
	failed   map[string]error // key -> last error
}

func startLoad(w *world, callers int) *load {
	l := &load{w: w, stop: make(chan struct{}), answered: map[string]int64{}, failed: map[string]error{}}
	for c := range callers {
		l.wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-l.stop:
					return
				default:
				}
				key := fmt.Sprintf("c%d-%06d", c, i)
				r, err := w.Commit(context.Background(), LaneInteractive, deposit(key, id.Player("p"+strconv.Itoa(c)), 1))
				l.mu.Lock()
				if err == nil {
					l.answered[key] = r.Position.Seq
				} else {
					l.failed[key] = err
				}
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answered)
}

// more waits until n more transfers are answered.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	want := l.count() + n
	eventually(t, fmt.Sprintf("%d transfers are answered", want), func() bool { return l.count() >= want })
}

// end stops the load and checks that every answer is in the log once, as it was given.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.wg.Wait()
	var total int64
	for key, seq := range l.answered {
		caller, _, _ := strings.Cut(key, "-")
		r := l.w.must(deposit(key, id.Player("p"+caller[1:]), 1))
		if !r.Replayed || r.Position.Seq != seq {
			t.Fatalf("%s was answered at %d; asked again: %+v", key, seq, r)
		}
		total++
	}
	for key := range l.failed { // unknown to the caller: asking again settles it
		caller, _, _ := strings.Cut(key, "-")
		l.w.must(deposit(key, id.Player("p"+caller[1:]), 1))
		total++
	}
	balance, err := l.w.Balance(context.Background(), PSP("sandbox", nj))
	if err != nil || balance.PostedMinor != -total {
		t.Errorf("the books have %d, %v; want %d: lost or doubled", -balance.PostedMinor, err, total)
	}
	l.w.wantSoundClusters()
	t.Logf("%d answered at once, %d on being asked again", len(l.answered), len(l.failed))
}

func (w *world) wantSoundClusters() {
	w.t.Helper()
	report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir, Clusters: w.config.Clusters})
	if err != nil || len(report.Findings) > 0 {
		w.t.Errorf("audit: %v %v", report.Findings, err)
	}
}

func TestAFailOverOfTheDatabaseLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	a, b := ownServer(t, mariadb.Options{}), ownServer(t, mariadb.Options{})
	if err := b.Replicate(t.Context(), a, true); err != nil {
		t.Fatal(err)
	}
	clusters := onServer(a, "ledger", "0", b)
	clusters[0].Replication = mysqldb.ReplicationSemiSync
	w := onMySQL(t, clusters)
	l := startLoad(w, 4)
	l.more(t, 200)
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.more(t, 200)
	l.end(t)
	if n := len(l.failed); n > 0 {
		t.Errorf("%d callers saw the fail-over; it is shorter than they wait", n)
	}
}

func TestAServerThatIsKilledAndComesBackLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	s := ownServer(t, mariadb.Options{})
	w := onMySQL(t, onServer(s, "ledger", "0"))
	l := startLoad(w, 4)
	for range 3 {
		l.more(t, 100)
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l.more(t, 100)
	l.end(t)
}

func TestConnectionsThatAreCutLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	s := ownServer(t, mariadb.Options{})
	w := onMySQL(t, onServer(s, "ledger", "0"))
	l := startLoad(w, 4)
	const connections = `
		SELECT id
		FROM information_schema.processlist
		WHERE user = ?`
	for range 30 { // at whatever point of a batch they are
		l.more(t, 10)
		killAll(t, s, "KILL CONNECTION ", connections)
	}
	l.more(t, 10)
	l.end(t)
}

func TestASilentServerIsWaitedForAndThenUnavailable(t *testing.T) {
	t.Parallel()
	s := ownServer(t, mariadb.Options{})
	clusters := onServer(s, "ledger", "0")
	clusters[0].Timeout = time.Second
	w := onMySQL(t, clusters, func(c *Config) { c.FailoverWait = time.Second })
	w.must(deposit("d1", "p1", 5))
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	w.wantCode(deposit("d2", "p1", 5), errs.CodeUnavailable)
	w.wantCode(deposit("d3", "p1", 5), errs.CodeUnavailable)
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server is back", func() bool {
		_, err := w.Commit(context.Background(), LaneInteractive, deposit("d2", "p1", 5))
		return err == nil
	})
	w.must(deposit("d3", "p1", 5))
	w.wantBalance(PlayerCash("p1", nj), 15, 0)
	w.wantSoundClusters()
}

func TestBooksThatLostAnsweredCommitsAreNotWrittenOn(t *testing.T) {
	t.Parallel()
	a, b := ownServer(t, mariadb.Options{}), ownServer(t, mariadb.Options{})
	if err := b.Replicate(t.Context(), a, false); err != nil {
		t.Fatal(err)
	}
	w := onMySQL(t, onServer(a, "ledger", "0", b), func(c *Config) { c.FailoverWait = 5 * time.Second })
	w.must(deposit("d1", "p1", 5))
	eventually(t, "the replica has it", func() bool {
		var n int
		err := b.Admin().QueryRow("SELECT COUNT(*) FROM ledger_0.transfer").Scan(&n)
		return err == nil && n == 1
	})
	if _, err := b.Admin().ExecContext(t.Context(), `STOP SLAVE IO_THREAD`); err != nil {
		t.Fatal(err)
	}
	w.must(deposit("d2", "p1", 5)) // answered, and never replicated
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.wantCode(deposit("d3", "p1", 5), errs.CodeUnavailable)
	if err := w.stop(); err == nil || !strings.Contains(err.Error(), errDiverged.Error()) {
		t.Errorf("the writer went on over lost commits: %v", err)
	}
}

func TestAFullDiskOfTheServerIsUnavailableAndThenOver(t *testing.T) {
	t.Parallel()
	s := ownServer(t, mariadb.Options{})
	w := onMySQL(t, onServer(s, "ledger", "0"))
	w.must(deposit("d1", "p1", 5))
	const full = `
		CREATE TRIGGER ledger_0.full BEFORE INSERT ON ledger_0.batch
		FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'`
	if _, err := s.Admin().ExecContext(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	w.wantCode(deposit("d2", "p1", 5), errs.CodeUnavailable)
	if _, err := s.Admin().ExecContext(t.Context(), `DROP TRIGGER ledger_0.full`); err != nil {
		t.Fatal(err)
	}
	w.must(deposit("d2", "p1", 5))
	w.wantBalance(PlayerCash("p1", nj), 10, 0)
	w.wantSoundClusters()
}

func TestAHeldLockIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := mariadb.Shared(t)
	name := server.Database(t)
	w := onMySQL(t, onServer(server, name, "0"))
	w.must(deposit("d1", "p1", 5))
	tx, err := server.Admin().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("UPDATE " + name + "_0.shard SET at_us = at_us + 1"); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := w.Commit(context.Background(), LaneInteractive, deposit("d2", "p1", 5))
		answered <- err
	}()
	eventually(t, "the writer has given up waiting once", func() bool {
		var out dto.Metric
		return w.shards[0].metrics.retries.Write(&out) == nil && out.Counter.GetValue() > 0
	})
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("a lock that came free: %v", err)
	}
	w.wantSoundClusters()
}

func TestLeastRightsSuffice(t *testing.T) {
	t.Parallel()
	s := ownServer(t, mariadb.Options{})
	clusters := onServer(s, "led_ger", "0")
	c := &clusters[0]
	c.User, c.Reader, c.Migrator, c.Capture = "w", "r", "m", "c"
	c.ReaderPasswordEnv, c.MigratorPasswordEnv, c.CapturePasswordEnv = c.PasswordEnv, c.PasswordEnv, c.PasswordEnv
	inCluster := DirectoryConfig{Cluster: c.Name}
	script, err := Grants(Config{Clusters: clusters, Directory: inCluster}, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	admin := func(q string) {
		t.Helper()
		if _, err := s.Admin().ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	for _, user := range []string{"w", "r", "m", "c"} {
		admin("CREATE USER '" + user + "'@'127.0.0.1' IDENTIFIED BY '" + os.Getenv(c.PasswordEnv) + "'")
	}
	admin(script) // as printed, once, and on a server that has no table yet
	opened, err := mysqldb.Open(t.Context(), c.Config, mysqldb.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	w := onMySQL(t, clusters, func(c *Config) { c.SweepEvery, c.Directory = 10*time.Millisecond, inCluster })
	w.must(deposit("d1", "p1", 500))
	w.must(hold("h1", "p1", 100, start.Add(time.Minute)))
	w.must(end("h1-end", KindRelease, "p1", "h1", 0))
	w.restart()
	w.wantBalance(PlayerCash("p1", nj), 500, 0)
	w.wantSoundClusters()
	for _, q := range []string{
		"UPDATE transfer SET player = 'x'", "DELETE FROM posting", "UPDATE posting SET balance_minor = 1", "DELETE FROM batch", "DROP TABLE hold",
	} {
		if _, err := opened.Writes().ExecContext(t.Context(), "USE led_ger_0;"+q); err == nil {
			t.Errorf("the writer may %s", q)
		}
	}
	if _, err := opened.Reads().ExecContext(t.Context(), "USE led_ger_0;INSERT INTO grp (seq, state) VALUES (9, 1)"); err == nil {
		t.Error("the reader may write")
	}
	admin("CREATE DATABASE ledxger_0; CREATE TABLE ledxger_0.shard (id INT)") // alike, but for wildcards
	if _, err := opened.Writes().ExecContext(t.Context(), "SELECT id FROM ledxger_0.shard"); !mysqldb.IsDenied(err) {
		t.Errorf("the writer sees another's database: %v", err)
	}
	for _, q := range []string{"DELETE FROM bucket", "DELETE FROM move", "DELETE FROM shard", "DROP TABLE process"} {
		if _, err := opened.Writes().ExecContext(t.Context(), "USE led_ger_directory;"+q); err == nil {
			t.Errorf("the writer may %s", q)
		}
	}
	wantDirectoryWorks(t, opened)
}

// wantDirectoryWorks does in the directory on the cluster whatever processes do there.
func wantDirectoryWorks(t *testing.T, on *mysqldb.Cluster) {
	t.Helper()
	ctx := t.Context()
	db, err := openMySQLDirectory(ctx, on, start)
	if err != nil {
		t.Fatal(err)
	}
	d := &directory{db: db, clock: clock.System{}}
	self := &process{name: "a", run: "r1"}
	move := &Move{ID: "m", From: 0, To: 1, Buckets: []int{4}, Step: "planned", By: "test", CreatedAt: start, UpdatedAt: start}
	_, claimed := d.claim(ctx, 0, "", "a")
	for what, step := range map[string]func() error{
		"fill": func() error { return d.fill(ctx, evenLayout(2), 2) }, "move a bucket": func() error { return d.moveBucket(ctx, "", 0, 0, 1) },
		"note an epoch": func() error { return d.note(ctx, map[int]mark{0: {epoch: 2}}) }, "claim": func() error { return claimed },
		"note a replica": func() error { return d.setReplica(ctx, "n", true, []int{0}) },
		"move":           func() error { return errors.Join(d.addMove(ctx, move, id.NewSource(time.Now)), d.saveMove(ctx, move)) },
		"come and go": func() error {
			return errors.Join(d.enter(ctx, self), d.beat(ctx, self), d.leave(ctx, self), d.forget(ctx, *self))
		},
	} {
		if err := step(); err != nil {
			t.Errorf("the writer may not %s: %v", what, err)
		}
	}
}

// TestHundredsOfShardsShareAFewConnections opens, writes, reads and audits many shards on one server.
func TestHundredsOfShardsShareAFewConnections(t *testing.T) {
	shards := 24
	if testing.Short() {
		shards = 6
	}
	if given, err := strconv.Atoi(os.Getenv("MATCHDAY_TEST_SHARDS")); err == nil {
		shards = given // making hundreds of databases takes a minute or more
	}
	s := ownServer(t, mariadb.Options{})
	clusters := onServer(s, "ledger", ShardSet(fmt.Sprintf("0-%d", shards-1)))
	clusters[0].MaxConns = 6
	w := setup(t, func(c *Config) { c.Shards, c.Clusters, c.SweepEvery = shards, clusters, time.Minute })
	for range 3 {
		var list []Transfer
		for i := range 2000 {
			list = append(list, deposit(fmt.Sprintf("d%p-%04d", &list, i), id.Player("p"+strconv.Itoa(i)), 1))
		}
		mustBatch(t, w.Service, list)
	}
	written := 0
	for _, one := range w.Status() {
		if one.Position > 0 {
			written++
		}
	}
	if written != shards {
		t.Errorf("%d of %d shards were written", written, shards)
	}
	var name string
	var most int
	const q = `SHOW GLOBAL STATUS LIKE 'Max_used_connections'`
	if err := s.Admin().QueryRow(q).Scan(&name, &most); err != nil || most > 2*6+1+4 { // and the admin's own
		t.Errorf("%d connections for %d shards, %v", most, shards, err)
	}
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	t.Logf("%d shards, at most %d connections, %d MiB in use", shards, most, memory.HeapInuse>>20)
	if perShard := memory.HeapInuse / uint64(shards); shards >= 100 && perShard > 4<<20 {
		t.Errorf("%d bytes a shard, want less than 4 MiB", perShard)
	}
	w.wantSoundClusters()
}
