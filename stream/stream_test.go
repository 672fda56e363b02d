package stream_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// world is a log of one shard, an embedded server and what is started on them.
type world struct {
	t    *testing.T
	log  *streamtest.Log
	dir  string
	emb  *stream.Embedded
	over stream.Transport // instead of the embedded server's
	deps stream.Deps

	servers *servers // what over is on; nil if the test started that itself
	prefix  string
}

// transport carries the world's streams.
func (w *world) transport() stream.Transport {
	if w.over != nil {
		return w.over
	}
	return w.emb.Transport()
}

// bare returns a world without a server.
func bare(t *testing.T) *world {
	t.Helper()
	return &world{t: t, log: streamtest.NewLog(1), dir: t.TempDir(), deps: stream.Deps{
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}}
}

// setup returns a world with an embedded server.
func setup(t *testing.T) *world {
	t.Helper()
	w := embedded.world(t)
	w.over = nil // it may be started again
	t.Cleanup(func() { _ = w.emb.Close() })
	return w
}

func (w *world) startServer() {
	w.t.Helper()
	emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(w.dir, "streams")}, w.deps.Log)
	if err != nil {
		w.t.Fatalf("StartEmbedded: %v", err)
	}
	w.emb = emb
}

// record returns a record as a placed bet might look.
func record(n int) stream.Record {
	return stream.Record{
		Type: stream.TypeBetPlaced, Subject: fmt.Sprintf("bet_%d", n), Player: "plr_1", Jurisdiction: "US-NJ",
		Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"Buffalo at \"Tennessee\" [é]"}`, n)),
	}
}

// commit appends batches of the given sizes, numbering records on from the log's head.
func (w *world) commit(sizes ...int) {
	for _, size := range sizes {
		records := make([]stream.Record, size)
		for i := range records {
			records[i] = record(int(w.log.Head(0)) + i + 1)
		}
		w.log.Append(0, w.deps.Clock.Now(), 1, records...)
	}
}

// start runs fn until stop is called or the test ends; stop returns its error.
func (w *world) start(fn func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	var result error
	stopped := false
	stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			select {
			case result = <-done:
			case <-time.After(2 * time.Minute):
				w.t.Error("did not stop within minutes")
			}
		}
		return result
	}
	w.t.Cleanup(func() { _ = stop() })
	return stop
}

func (w *world) relay() *stream.Relay { w.t.Helper(); return w.relayOver(w.transport()) }

// relayOver is a relay of another process.
func (w *world) relayOver(t stream.Transport) *stream.Relay {
	w.t.Helper()
	r, err := stream.NewRelay(w.log, 0, t, w.deps)
	if err != nil {
		w.t.Fatalf("NewRelay: %v", err)
	}
	return r
}

func openDB(t testing.TB, dir string) *sqldb.DB {
	t.Helper()
	db, err := sqldb.Open(filepath.Join(dir, "sink.db"), sqldb.Options{Durability: sqldb.Rebuildable})
	if err != nil {
		t.Fatalf("open database: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	const create = `CREATE TABLE IF NOT EXISTS copy (seq INTEGER PRIMARY KEY, subject TEXT NOT NULL, data TEXT NOT NULL) STRICT`
	if _, err := db.Write.Exec(create); err != nil {
		t.Fatalf("create: %v", err)
	}
	return db
}

// copyRecords is a projection that fails on any repetition, since the key is the sequence.
func copyRecords(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
	for _, b := range batches {
		for _, r := range b.Records {
			const q = `INSERT INTO copy (seq, subject, data) VALUES (?, ?, ?)`
			if _, err := tx.ExecContext(ctx, q, r.Position.Seq, r.Subject, string(r.Data)); err != nil {
				return sqldb.Wrap("copy", err)
			}
		}
	}
	return nil
}

func (w *world) sink(db *sqldb.DB, change func(*stream.SinkConfig)) *stream.Sink {
	w.t.Helper()
	c := stream.SinkConfig{Name: "copy", Shard: 0, DB: db, Apply: copyRecords}
	if change != nil {
		change(&c)
	}
	s, err := stream.NewSink(c, w.transport(), w.log, w.deps)
	if err != nil {
		w.t.Fatalf("NewSink: %v", err)
	}
	return s
}

// caughtUp waits until the sink shows the whole log and checks that its table is the log.
func (w *world) caughtUp(s *stream.Sink, db *sqldb.DB) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.WaitFor(ctx, w.log.Head(0)); err != nil {
		w.t.Fatalf("sink did not catch up: %v", err)
	}
	if lag := s.Lag(); lag != 0 {
		w.t.Errorf("lag of a sink that shows everything = %s, want 0", lag)
	}
	same(w.t, db, w.log)
}

func same(t *testing.T, db *sqldb.DB, log *streamtest.Log) {
	t.Helper()
	rows, err := db.Write.Query(`SELECT seq, subject, data FROM copy ORDER BY seq`)
	if err != nil {
		t.Fatalf("read copy: %v", err)
	}
	defer rows.Close()
	want := log.Records(0)
	n := 0
	for ; rows.Next(); n++ {
		var seq int64
		var subject, data string
		if err := rows.Scan(&seq, &subject, &data); err != nil {
			t.Fatalf("scan: %v", err)
		}
		if n >= len(want) || seq != want[n].Position.Seq || subject != want[n].Subject || data != string(want[n].Data) {
			t.Fatalf("row %d = %d %s %s, differs from the log", n, seq, subject, data)
		}
	}
	if n != len(want) {
		t.Fatalf("sink has %d rows, log has %d records", n, len(want))
	}
}

// within returns a context that ends with the test or sooner.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// await waits until it is so.
func (w *world) await(what string, so func() bool) {
	w.t.Helper()
	ctx := within(w.t, 5*time.Minute)
	for tick := time.NewTicker(20 * time.Millisecond); !so(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Fatalf("%s: not within minutes", what)
		}
	}
}

// tail waits until a stream says where it ends: servers that have just lost something may need a moment.
func (w *world) tail(over stream.Transport, shard int) (end stream.Tail) {
	w.t.Helper()
	w.await("the end of the stream", func() bool {
		var err error
		end, err = over.Tail(within(w.t, time.Minute), shard)
		return err == nil
	})
	return end
}

// onStream waits until the stream ends where the log does.
func (w *world) onStream() {
	w.t.Helper()
	w.await("the stream to end where the log does", func() bool { return w.tail(w.transport(), 0).Last == w.log.Head(0) })
}

// errEnough ends a reading.
var errEnough = errors.New("enough")

// readUntil returns a shard's messages after a position until there are enough. A reading that breaks off begins again.
func (w *world) readUntil(shard int, after int64, enough func(got []stream.Message) bool) (got []stream.Message) {
	w.t.Helper()
	ctx := within(w.t, 5*time.Minute)
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		got = nil
		err := w.transport().Consume(ctx, shard, after, func(m stream.Message) error {
			if got = append(got, m); enough(got) {
				return errEnough
			}
			return nil
		})
		if errors.Is(err, errEnough) {
			return got
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.t.Errorf("Consume after %d: %v, got %v", after, err, places(got))
			return got
		}
	}
}

// read returns the next n messages.
func (w *world) read(shard int, after int64, n int) []stream.Message {
	w.t.Helper()
	return w.readUntil(shard, after, func(got []stream.Message) bool { return len(got) == n })
}

// places are messages by their sequences.
func places(list []stream.Message) []string {
	out := make([]string, len(list))
	for i, m := range list {
		out[i] = fmt.Sprintf("%d-%d", m.First, m.Last)
	}
	return out
}

// positions returns the messages that the stream holds.
func (w *world) positions() []string {
	w.t.Helper()
	head := w.log.Head(0)
	return places(w.readUntil(0, 0, func(got []stream.Message) bool { return got[len(got)-1].Last >= head }))
}

// unbroken checks that the stream holds the whole log, each batch once and in order.
func (w *world) unbroken() { w.t.Helper(); follow(w.t, w.positions()) }

// follow checks that messages follow one another from the first sequence on.
func follow(t *testing.T, list []string) {
	t.Helper()
	var end int64
	for _, p := range list {
		var first, last int64
		if _, err := fmt.Sscanf(p, "%d-%d", &first, &last); err != nil || first != end+1 {
			t.Fatalf("message %s follows %d", p, end)
		}
		end = last
	}
}
