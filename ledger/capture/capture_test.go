package capture_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger/capture"
	"matchday/stream"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// tables is the log of shards in databases of a MariaDB, written by the test as a ledger would: it
// decides the size and shape of every DBTx.
type tables struct {
	t       *testing.T
	prefix  string
	mu      sync.Mutex
	db      *sql.DB
	heads   []int64
	changed []chan struct{}
	hidden  bool // commits are not visible yet, as while a replica has not confirmed them
	reads   int
}

// createShard makes a shard's tables with the ledger's columns, as far as capture reads them.
const createShard = `
	CREATE DATABASE %[1]s;
	CREATE TABLE %[1]s.shard (id INT PRIMARY KEY, seq BIGINT NOT NULL) ENGINE=InnoDB;
	CREATE TABLE %[1]s.transfer (seq BIGINT PRIMARY KEY, record_type VARBINARY(80), subject VARBINARY(200), player VARBINARY(64) NOT NULL,
		jurisdiction VARBINARY(6) NOT NULL, data MEDIUMBLOB, origin_seq BIGINT) ENGINE=InnoDB;
	CREATE TABLE %[1]s.batch (last_seq BIGINT PRIMARY KEY, first_seq BIGINT NOT NULL, at_us BIGINT NOT NULL, records INT NOT NULL) ENGINE=InnoDB;
	CREATE TABLE %[1]s.posting (id BIGINT AUTO_INCREMENT PRIMARY KEY, amount BIGINT) ENGINE=InnoDB;
	INSERT INTO %[1]s.shard VALUES (1, 0)`

func newTables(t *testing.T, on *mariadb.Server, shards int) *tables {
	t.Helper()
	w := &tables{t: t, prefix: on.Database(t), db: on.Admin()}
	for n := range shards {
		if _, err := w.db.ExecContext(t.Context(), fmt.Sprintf(createShard, w.database(n))); err != nil {
			t.Fatalf("create shard %d: %v", n, err)
		}
		w.heads, w.changed = append(w.heads, 0), append(w.changed, make(chan struct{}))
	}
	return w
}

func (w *tables) database(n int) string { return fmt.Sprintf("%s_%d", w.prefix, n) }

var at = time.Date(2026, 9, 13, 17, 0, 0, 123_456_000, time.UTC)

// commit commits one batch of rows; every third row has no record, and ids end in zero bytes.
func (w *tables) commit(n, rows int) {
	w.t.Helper()
	w.commitData(n, rows, `{"n":%d}`)
}

func (w *tables) commitData(n, rows int, data string) {
	w.t.Helper()
	if err := w.tryCommit(n, rows, data); err != nil {
		w.t.Fatalf("commit: %v", err)
	}
}

func (w *tables) tryCommit(n, rows int, data string) error {
	ctx := context.WithoutCancel(w.t.Context())
	w.mu.Lock()
	db, head := w.db, w.heads[n]
	w.mu.Unlock()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	first, last, records := head+1, head+int64(rows), 0
	for from := first; from <= last; from += 500 {
		var q strings.Builder
		fmt.Fprintf(&q, "INSERT INTO %s.transfer VALUES ", w.database(n))
		for seq := from; seq <= min(last, from+499); seq++ {
			if seq > from {
				q.WriteString(", ")
			}
			if seq%3 == 0 {
				fmt.Fprintf(&q, "(%d, NULL, NULL, 'plr_%d', 'US-NJ', NULL, NULL)", seq, seq%7)
				continue
			}
			records++
			fmt.Fprintf(&q, "(%d, 'matchday.test.done', 'thing-%d\\0', 'plr_%d', 'US-NJ', '%s', NULL)", seq, seq, seq%7, fmt.Sprintf(data, seq))
		}
		if _, err := tx.ExecContext(ctx, q.String()); err != nil {
			return err
		}
	}
	q := fmt.Sprintf(`
		INSERT INTO %[1]s.posting (amount) VALUES (1), (2);
		INSERT INTO %[1]s.batch VALUES (%[2]d, %[3]d, %[4]d, %[5]d);
		UPDATE %[1]s.shard SET seq = %[2]d`, w.database(n), last, first, at.UnixMicro()+last, records)
	if _, err := tx.ExecContext(ctx, q); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads[n] = last
	if !w.hidden {
		w.tell(n)
	}
	return nil
}

func (w *tables) tell(n int) {
	close(w.changed[n])
	w.changed[n] = make(chan struct{})
}

// show makes commits visible, or keeps them hidden from now on.
func (w *tables) show(visible bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hidden = !visible
	for n := range w.heads {
		w.tell(n)
	}
}

// move makes the writer use another server, whose log may be shorter.
func (w *tables) move(to *mariadb.Server) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.db = to.Admin()
	for n := range w.heads {
		if err := w.db.QueryRow(`SELECT seq FROM ` + w.database(n) + `.shard`).Scan(&w.heads[n]); err != nil {
			w.t.Fatalf("head on the new primary: %v", err)
		}
	}
}

// Shards, Head, ReadLog and Changed implement stream.Log from the tables.
func (w *tables) Shards() int { return len(w.heads) }

func (w *tables) Head(n int) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hidden {
		return 0
	}
	return w.heads[n]
}

func (w *tables) Changed(n int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed[n]
}

func (w *tables) ReadLog(ctx context.Context, n int, after int64, maxRecords int) ([]stream.Batch, error) {
	w.mu.Lock()
	db := w.db
	w.reads++
	w.mu.Unlock()
	rows, err := db.QueryContext(ctx, fmt.Sprintf(`
		SELECT b.first_seq, b.last_seq, b.at_us, t.seq, t.record_type, t.subject, t.player, t.jurisdiction, t.data
		FROM (SELECT * FROM %[1]s.batch WHERE last_seq > %[2]d ORDER BY last_seq LIMIT 10) b
		LEFT JOIN %[1]s.transfer t ON t.seq BETWEEN b.first_seq AND b.last_seq AND t.record_type IS NOT NULL
		ORDER BY b.last_seq, t.seq`, w.database(n), after))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []stream.Batch
	for rows.Next() {
		var first, last, atUS int64
		var seq sql.NullInt64
		var kind, subject, player, jurisdiction, data sql.NullString
		if err := rows.Scan(&first, &last, &atUS, &seq, &kind, &subject, &player, &jurisdiction, &data); err != nil {
			return nil, err
		}
		when := time.UnixMicro(atUS).UTC()
		if len(out) == 0 || out[len(out)-1].Last != last {
			out = append(out, stream.Batch{Shard: n, First: first, Last: last, At: when})
		}
		if b := &out[len(out)-1]; seq.Valid {
			b.Records = append(b.Records, stream.Record{
				Position: stream.Position{Shard: n, Seq: seq.Int64}, Type: kind.String, Subject: subject.String,
				Player: id.Player(player.String), Jurisdiction: id.Jurisdiction(jurisdiction.String), Time: when, Data: json.RawMessage(data.String),
			})
		}
	}
	return out, rows.Err()
}

func (w *tables) tableReads() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

// relay follows one shard as a relay does, and keeps what it got.
type relay struct {
	t      *testing.T
	log    stream.SourceLog
	shard  int
	got    []stream.Batch
	last   int64
	source string
}

// resume starts the relay from what it has.
func (r *relay) resume() error { return r.log.Resume(r.t.Context(), r.shard, r.last, r.source) }

// until reads until the relay has the sequence.
func (r *relay) until(last int64) {
	r.t.Helper()
	for r.last < last {
		if err := r.next(); err != nil {
			r.t.Fatalf("read after %d: %v", r.last, err)
		}
	}
}

// next reads once, waiting at most a second if there is nothing, as a relay does.
func (r *relay) next() error {
	changed := r.log.Changed(r.shard)
	list, err := r.log.ReadLog(r.t.Context(), r.shard, r.last, 4000)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
		return r.t.Context().Err()
	}
	if list[0].First > r.last+1 {
		return fmt.Errorf("the log goes on at %d", list[0].First)
	}
	list[0] = list[0].After(r.last)
	for _, b := range list {
		if b.First != r.last+1 {
			return fmt.Errorf("batch %d..%d follows %d", b.First, b.Last, r.last)
		}
		r.got, r.last = append(r.got, b), b.Last
		if b.Source != "" {
			r.source = b.Source
		}
	}
	return nil
}

// same checks that the relay got exactly the tables' log.
func (r *relay) same(w *tables) {
	r.t.Helper()
	var want []stream.Batch
	for after := int64(0); ; {
		list, err := w.ReadLog(r.t.Context(), r.shard, after, 4000)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		want, after = append(want, list...), list[len(list)-1].Last
	}
	got, wanted := lines(r.got), lines(want)
	for i := range wanted {
		if i >= len(got) || got[i] != wanted[i] {
			r.t.Fatalf("shard %d, record %d of %d: got %d records that differ there, want %s", r.shard, i, len(wanted), len(got), wanted[i])
		}
	}
	if len(got) != len(wanted) {
		r.t.Fatalf("shard %d: got %d records, want %d", r.shard, len(got), len(wanted))
	}
}

func lines(list []stream.Batch) []string {
	var out []string
	for _, b := range list {
		for _, r := range b.Records {
			out = append(out, fmt.Sprintf("%s %s %q %s %s %s %s", r.Position, r.Type, r.Subject, r.Player, r.Jurisdiction, r.Time, r.Data))
		}
	}
	return out
}

// world is a running capture over tables.
type world struct {
	*tables
	capture *capture.Capture
	cluster *mysqldb.Cluster
	metrics *prometheus.Registry
	stop    func()
}

// open starts a capture of the tables over the nodes.
func (w *tables) open(c capture.Config, nodes ...string) *world {
	w.t.Helper()
	w.t.Setenv("MATCHDAY_TEST_PASSWORD", mariadb.Password)
	cluster, err := mysqldb.Open(w.t.Context(), mysqldb.Config{
		Nodes: nodes, Database: w.prefix, User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD",
	}, mysqldb.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatalf("open cluster: %v", err)
	}
	out := &world{tables: w, cluster: cluster, metrics: prometheus.NewRegistry()}
	source := capture.Source{Name: "test", Cluster: cluster}
	for n := range w.heads {
		source.Shards = append(source.Shards, n)
	}
	out.capture, err = capture.New(c, []capture.Source{source}, capture.Deps{
		Clock: clock.System{}, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)), Metrics: out.metrics, Books: w,
	})
	if err != nil {
		w.t.Fatalf("new capture: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	done := make(chan error, 1)
	go func() { done <- out.capture.Run(ctx) }()
	stopped := false
	out.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err := errors.Join(err, cluster.Close()); err != nil {
				w.t.Errorf("stop: %v", err)
			}
		case <-time.After(5 * time.Minute):
			w.t.Error("capture did not stop within minutes")
		}
	}
	w.t.Cleanup(out.stop)
	return out
}

// follow returns a relay that has resumed.
func (w *world) follow(shard int) *relay {
	w.t.Helper()
	r := &relay{t: w.t, log: w.capture, shard: shard}
	if err := r.resume(); err != nil {
		w.t.Fatalf("resume: %v", err)
	}
	return r
}

// from returns how many batches came from the binlog or the tables.
func (w *world) from(source string) int {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	total := 0
	for _, family := range families {
		if family.GetName() != "matchday_capture_batches_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetValue() == source {
					total += int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return total
}

func TestANewStreamReadsTheTablesAndThenTheBinlog(t *testing.T) {
	server := mariadb.Shared(t)
	tables := newTables(t, server, 2)
	for range 25 {
		tables.commit(0, 7)
	}
	w := tables.open(capture.Config{}, server.Addr())
	r, other := w.follow(0), w.follow(1)
	r.until(175)
	if n := w.from("binlog"); n != 0 {
		t.Errorf("%d batches from before the start came from the binlog, want none", n)
	}
	reads := tables.tableReads()
	if err := errors.Join(r.next(), other.next()); err != nil { // both keep up from here on
		t.Fatal(err)
	}
	for range 20 {
		tables.commit(0, 5)
		tables.commit(1, 3)
	}
	r.until(275)
	other.until(60)
	if n, after := w.from("binlog"), tables.tableReads(); n != 40 || after != reads {
		t.Errorf("%d batches from the binlog and %d more reads of tables, want 40 and none", n, after-reads)
	}
	if r.source == "" || !strings.Contains(r.source, "-") {
		t.Errorf("source = %q, want a GTID position", r.source)
	}
	r.same(tables)
	other.same(tables)
}

func TestARelayGoesOnAtTheSourceOfItsStream(t *testing.T) {
	server := mariadb.Shared(t)
	tables := newTables(t, server, 2)
	w := tables.open(capture.Config{}, server.Addr())
	r, other := w.follow(0), w.follow(1)
	tables.commit(0, 10)
	tables.commit(1, 10)
	r.until(10)
	other.until(10)
	w.stop()
	for range 10 {
		tables.commit(0, 4)
	}
	tables.commit(1, 1)
	reads := tables.tableReads()

	again := tables.open(capture.Config{}, server.Addr())
	r.log, other.log = again.capture, again.capture
	var resuming sync.WaitGroup
	for _, one := range []*relay{r, other} {
		resuming.Go(func() {
			if err := one.resume(); err != nil {
				t.Errorf("resume: %v", err)
			}
		})
	}
	resuming.Wait()
	r.until(50)
	other.until(11)
	if again.from("tables") != 0 || tables.tableReads() != reads {
		t.Errorf("%d batches came from the tables, want all from the binlog", again.from("tables"))
	}
	r.same(tables)
	other.same(tables)
}

func TestWhatIsNotCommittedForGoodIsHeldBack(t *testing.T) {
	server := mariadb.Shared(t)
	tables := newTables(t, server, 1)
	w := tables.open(capture.Config{}, server.Addr())
	r := w.follow(0)
	tables.commit(0, 3)
	r.until(3)
	tables.show(false)
	tables.commit(0, 3)
	for range 3 {
		if err := r.next(); err != nil || r.last != 3 {
			t.Fatalf("got up to %d, %v, want nothing beyond 3: no replica has it yet", r.last, err)
		}
	}
	tables.show(true)
	r.until(6)
	r.same(tables)
}
