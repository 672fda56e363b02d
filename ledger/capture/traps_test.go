package capture_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"matchday/internal/mariadb"
	"matchday/ledger/capture"
	"matchday/stream"
)

// server starts a MariaDB of the test's own, which it may harm.
func server(t *testing.T, args ...string) *mariadb.Server {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped in short mode: starts MariaDB servers of its own")
	}
	s := mariadb.New(t, mariadb.Options{Args: args})
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func (w *tables) exec(on *mariadb.Server, q string) {
	w.t.Helper()
	if _, err := on.Admin().ExecContext(w.t.Context(), q); err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
}

// proxy passes connections on to a server and can cut them.
type proxy struct {
	listener net.Listener
	to       string
	mu       sync.Mutex
	conns    []net.Conn
	budget   int // bytes that may still pass to the clients before all are cut; -1: any number
	cuts     int
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, budget: -1}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go p.serve()
	return p
}

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", p.to) //nolint:noctx // a test's
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, upstream)
		p.mu.Unlock()
		go func() { _, _ = io.Copy(upstream, client); _ = upstream.Close() }()
		go func() { _, _ = io.Copy(counted{p, client}, upstream); _ = client.Close() }()
	}
}

// counted cuts everything once the budget is used up.
type counted struct {
	p *proxy
	w io.Writer
}

func (c counted) Write(b []byte) (int, error) {
	c.p.mu.Lock()
	over := false
	if c.p.budget >= 0 {
		if len(b) >= c.p.budget {
			b, over, c.p.budget = b[:c.p.budget], true, -1
			c.p.cuts++
		} else {
			c.p.budget -= len(b)
		}
	}
	c.p.mu.Unlock()
	n, err := c.w.Write(b)
	if over {
		c.p.cut()
		return n, io.ErrClosedPipe
	}
	return n, err
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// after makes the proxy cut all connections when so many more bytes have passed.
func (p *proxy) after(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = bytes
}

func TestAConnectionCutInsideADBTxLosesAndRepeatsNothing(t *testing.T) {
	on := server(t)
	tables := newTables(t, on, 1)
	p := newProxy(t, on.Addr())
	w := tables.open(capture.Config{}, p.listener.Addr().String())
	r := w.follow(0)
	for i := range 6 {
		p.after(3000 + i*4001) // a batch of 600 rows is about 30 kB in several events
		tables.commit(0, 600)
		tables.commit(0, 1)
		r.until(int64(i+1) * 601)
	}
	r.same(tables)
	if p.cuts < 5 {
		t.Errorf("connections were cut %d times, want each time", p.cuts)
	}
}

func TestAKilledServerThatComesBackIsReadOn(t *testing.T) {
	on := server(t, "--log-bin-compress=ON", "--log-bin-compress-min-len=10")
	tables := newTables(t, on, 1)
	w := tables.open(capture.Config{}, on.Addr())
	r := w.follow(0)
	tables.commit(0, 50)
	r.until(50)
	for range 2 {
		if err := on.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := on.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		tables.commit(0, 50)
		tables.exec(on, `FLUSH BINARY LOGS`)
		tables.commit(0, 50)
		r.until(tables.Head(0))
	}
	r.same(tables)
}

// pair is a primary with a replica, and a relay that has the first 20 rows of the one shard there.
type pair struct {
	*world
	first, second *mariadb.Server
	r             *relay
}

func newPair(t *testing.T, semiSync bool) *pair {
	t.Helper()
	first, second := server(t), server(t)
	tables := newTables(t, first, 1)
	if err := second.Replicate(t.Context(), first, semiSync); err != nil {
		t.Fatal(err)
	}
	p := &pair{tables.open(capture.Config{}, first.Addr(), second.Addr()), first, second, nil}
	p.r = p.follow(0)
	p.commit(0, 20)
	p.r.until(20)
	return p
}

// commitUnseen commits rows that the primary has alone and the writer was never told of. The binlog shows them;
// the relay must not get them.
func (p *pair) commitUnseen(rows int) {
	p.t.Helper()
	eventually(p.t, "the replica has the first batch", func() bool {
		var seq int
		err := p.second.Admin().QueryRow(`SELECT seq FROM ` + p.database(0) + `.shard`).Scan(&seq)
		return err == nil && seq == 20
	})
	p.exec(p.second, `STOP SLAVE`)
	p.show(false)
	p.commit(0, rows)
	for range 2 { // each waits for a second: the binlog has shown them, and they were held back
		if err := p.r.next(); err != nil || p.r.last != 20 {
			p.t.Fatalf("got up to %d, %v, want nothing beyond 20", p.r.last, err)
		}
	}
}

func TestReadingGoesOnAtThePromotedReplica(t *testing.T) {
	w := newPair(t, true)
	r := w.r
	if err := w.first.Kill(); err != nil {
		t.Fatal(err)
	}
	w.cluster.Forget(w.first.Addr())
	if err := w.second.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.move(w.second)
	reads := w.tableReads()
	for range 5 {
		w.commit(0, 20)
	}
	r.until(120)
	if n := w.tableReads(); n != reads {
		t.Errorf("the tables were read %d times after the fail-over, want the binlog to go on", n-reads)
	}
	domain, source, _ := strings.Cut(r.source, "-")
	var number, seq int
	if _, err := fmt.Sscanf(source, "%d-%d", &number, &seq); err != nil || domain != "0" {
		t.Errorf("source %q is no position of one domain: %v", r.source, err)
	}
	r.same(w.tables)
}

func TestCommitsLostWithAPrimaryAreForgotten(t *testing.T) {
	w := newPair(t, false)
	w.commitUnseen(30)
	if err := w.first.Kill(); err != nil {
		t.Fatal(err)
	}
	w.cluster.Forget(w.first.Addr())
	w.exec(w.second, `STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = OFF`)
	w.move(w.second)
	w.show(true)
	w.commit(0, 7) // takes sequences that the lost commits had
	w.commit(0, 7)
	w.r.until(34)
	w.r.same(w.tables)
}

// TestTheBinlogOfAnOldPrimaryIsNotBelieved: a primary that is cut off goes on showing its binlog, with a
// batch that was never committed for good, while the writer commits another one at the same sequences
// elsewhere. A relay must get the second.
func TestTheBinlogOfAnOldPrimaryIsNotBelieved(t *testing.T) {
	w := newPair(t, false)
	w.commitUnseen(5)
	w.exec(w.first, `SET GLOBAL read_only = ON`)
	w.exec(w.second, `RESET SLAVE ALL; SET GLOBAL read_only = OFF`)
	w.cluster.Forget(w.first.Addr())
	if _, node, err := w.cluster.PrimaryReads(t.Context()); err != nil || node != w.second.Addr() { // as the writer does
		t.Fatalf("primary %s: %v", node, err)
	}
	w.move(w.second)
	w.commitData(0, 5, `{"other":%d}`)
	w.show(true)
	w.r.until(25)
	w.commit(0, 5) // and the binlog of the new one goes on
	w.r.until(30)
	w.r.same(w.tables)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 6000 {
		if is() {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatalf("never: %s", what)
}

// purge removes all of the binlog but its newest file. A file that a reader has only just left may
// stay for a moment.
func purge(t *testing.T, on *mariadb.Server) {
	t.Helper()
	eventually(t, "the binlog is purged", func() bool {
		rows, err := on.Admin().QueryContext(t.Context(), `SHOW BINARY LOGS`)
		if err != nil {
			t.Fatal(err)
		}
		var last, size string
		files := 0
		for ; rows.Next(); files++ {
			if err := rows.Scan(&last, &size); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		if files == 1 {
			return true
		}
		if _, err = on.Admin().ExecContext(t.Context(), `PURGE BINARY LOGS TO '`+last+`'`); err != nil {
			t.Fatal(err)
		}
		return false
	})
}

func TestAPurgedBinlogStopsTheRelayUntilASnapshotIsAllowed(t *testing.T) {
	on := server(t)
	tables := newTables(t, on, 2)
	w := tables.open(capture.Config{}, on.Addr())
	r, still := w.follow(0), w.follow(1)
	tables.commit(1, 5)
	tables.commit(0, 10)
	r.until(10)
	still.until(5)
	w.stop()
	for range 30 {
		tables.commit(0, 10)
	}
	tables.exec(on, `FLUSH BINARY LOGS`)
	tables.exec(on, `FLUSH BINARY LOGS`)
	purge(t, on)

	again := tables.open(capture.Config{}, on.Addr())
	r.log, still.log = again.capture, again.capture
	err := r.resume()
	purged, ok := errors.AsType[*capture.PurgedError](err)
	if !ok || !errors.Is(err, stream.ErrLost) || purged.After != 10 || purged.Position != r.source {
		t.Fatalf("resume after the purge: got %v, want a PurgedError", err)
	}
	for _, want := range []string{r.source, purged.Oldest, on.Addr(), "matchday shards resnapshot --shard 0", "on_purged"} {
		if want == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %q", err, want)
		}
	}
	if err := still.resume(); err != nil { // nothing was purged that it lacks, however old its position
		t.Errorf("a shard without news: %v", err)
	}
	if err := again.capture.Resnapshot(0); err != nil {
		t.Fatal(err)
	}
	if err := r.resume(); err != nil {
		t.Fatalf("resume with permission: %v", err)
	}
	r.until(310)
	tables.commit(0, 10)
	tables.commit(1, 10)
	r.until(320)
	still.until(15)
	r.same(tables)
	still.same(tables)
	again.stop()

	r.source = strings.TrimSuffix(purged.Position, "\n") // as if the snapshot had been interrupted at once
	r.last, r.got = 10, nil
	r.log = tables.open(capture.Config{OnPurged: capture.OnPurgedResnapshot, SnapshotRate: 100_000}, on.Addr()).capture
	if err := r.resume(); err != nil {
		t.Fatalf("resume where snapshots are allowed: %v", err)
	}
	r.until(320)
}

func TestABatchLargerThanTheBufferIsReadFromTheTables(t *testing.T) {
	on := mariadb.Shared(t)
	tables := newTables(t, on, 2)
	w := tables.open(capture.Config{BufferRecords: 200}, on.Addr())
	large, small := w.follow(0), w.follow(1)
	tables.commit(0, 100)
	large.until(100)
	rows := 60_000
	if testing.Short() {
		rows = 3000
	}
	tables.commit(0, rows) // one DBTx, hundreds of events
	tables.commit(1, 5)
	small.until(5) // before the large one is taken by its relay
	large.until(int64(rows + 100))
	tables.commit(0, 100)
	large.until(int64(rows + 200))
	large.same(tables)
	small.same(tables)
	if n := w.from("tables"); n != 1 {
		t.Errorf("%d batches came from the tables, want the large one", n)
	}
}

func TestAStoppedRelayHoldsUpNoOther(t *testing.T) {
	on := mariadb.Shared(t)
	tables := newTables(t, on, 2)
	w := tables.open(capture.Config{BufferRecords: 50}, on.Addr())
	stopped, moving := w.follow(0), w.follow(1)
	for range 20 {
		tables.commit(0, 20) // nobody takes them
		tables.commit(1, 20)
	}
	moving.until(400)
	moving.same(tables)
	stopped.until(400)
	stopped.same(tables)
	tables.commit(0, 20)
	stopped.until(420)
	stopped.same(tables)
}

func TestAPositionOfAnotherKindOfServerIsJoinedByTheTables(t *testing.T) {
	on := mariadb.Shared(t)
	tables := newTables(t, on, 1)
	for range 3 {
		tables.commit(0, 4)
	}
	w := tables.open(capture.Config{}, on.Addr())
	r := &relay{t: t, log: w.capture, source: "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"}
	if err := r.resume(); err != nil {
		t.Fatalf("resume: %v", err)
	}
	r.until(12)
	tables.commit(0, 4)
	r.until(16)
	r.same(tables)
}

func TestRowsOfOthersRollbacksAndCopiesAreNotRecords(t *testing.T) {
	on := mariadb.Shared(t)
	tables := newTables(t, on, 1)
	w := tables.open(capture.Config{}, on.Addr())
	r := w.follow(0)
	tables.commit(0, 4)
	r.until(4)
	database := tables.database(0)
	tables.exec(on, fmt.Sprintf(`
		CREATE TABLE %[1]s.other (id INT PRIMARY KEY, data BLOB);
		INSERT INTO %[1]s.other VALUES (1, 'x');
		BEGIN;
		INSERT INTO %[1]s.transfer VALUES (5, 'matchday.test.done', 'lost', 'plr_1', 'US-NJ', '{}', NULL);
		ROLLBACK;
		BEGIN;
		INSERT INTO %[1]s.transfer VALUES (5, 'matchday.test.done', 'kept', 'plr_1', 'US-NJ', '{}', NULL);
		SAVEPOINT s;
		INSERT INTO %[1]s.other VALUES (2, 'y');
		ROLLBACK TO s;
		INSERT INTO %[1]s.transfer VALUES (6, 'matchday.test.done', 'copied', 'plr_1', 'US-NJ', '{}', 77);
		INSERT INTO %[1]s.batch VALUES (6, 5, 1, 1);
		UPDATE %[1]s.shard SET seq = 6;
		COMMIT`, database))
	tables.move(on)
	tables.show(true)
	r.until(6)
	if got := lines(r.got); len(got) != 4 || !strings.Contains(got[3], `"kept"`) {
		t.Errorf("got %q, want the record that was committed here last", got)
	}
	if n := w.from("tables"); n != 0 {
		t.Errorf("%d batches came from the tables, want none", n)
	}
}
