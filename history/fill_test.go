package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/stream"
)

// pairs makes the stores of a first and a second history, both fresh each time, in each direction.
var pairs = map[string]func(t *testing.T) func() (first store, second *filled){
	"SQLite to SQLite": func(t *testing.T) func() (store, *filled) {
		first, second := newFileStore(t), newFileStore(t)
		return func() (store, *filled) { return first.empty(t), &filled{store: second.empty(t)} }
	},
	"SQLite to MariaDB": func(t *testing.T) func() (store, *filled) {
		server, file := serverStore(t), newFileStore(t)
		return func() (store, *filled) { return file.empty(t), &filled{store: server.empty(t)} }
	},
	"MariaDB to SQLite": func(t *testing.T) func() (store, *filled) {
		server, file := serverStore(t), newFileStore(t)
		return func() (store, *filled) { return server.empty(t), &filled{store: file.empty(t)} }
	},
}

// emptyAll empties a history; the position is that of a fresh one.
const emptyAll = "DELETE FROM slip; DELETE FROM bet; DELETE FROM bet_change; DELETE FROM fill; UPDATE sink_position SET seq = 0, at_us = 0"

// inFile is a shard in a file.
type inFile struct{ *sqliteStore }

func newFileStore(t *testing.T) inFile {
	t.Helper()
	s, err := openSQLite(filepath.Join(t.TempDir(), "history.db"), sqldb.Options{WithoutSync: true}, clock.System{}, projector{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	if err := errors.Join(s.prepare(t.Context()), s.createFill(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return inFile{s}
}

func (s inFile) empty(t *testing.T) store {
	t.Helper()
	s.fillWith(nil)
	if _, err := s.db.Write.Exec(emptyAll); err != nil {
		t.Fatal(err)
	}
	return s.sqliteStore
}

// onServer is a shard on the shared server, written by two.
type onServer struct{ *mysqlStore }

func serverStore(t *testing.T) onServer {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	server := mariadb.Shared(t)
	clusters, err := openFleet(t.Context(), []ledger.Cluster{{Shards: "0", Config: mysqldb.Config{Nodes: []string{server.Addr()},
		Database: server.Database(t), User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD"}}},
		mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Rebuildable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = clusters.close() })
	s := onServer{openMySQL(clusters[0], clock.System{}, projector{}, 2)}
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.createFill(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s onServer) empty(t *testing.T) store {
	t.Helper()
	s.fillWith(nil)
	err := s.on(context.Background(), func(conn *sql.Conn) error {
		_, err := conn.ExecContext(context.Background(), emptyAll)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.mysqlStore
}

// TestACopyEqualsItsSource lets both histories apply a random log, each at its own speed, and copies chunks at
// any moment that is allowed. Now and then the second history is opened again.
func TestACopyEqualsItsSource(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: opens a hundred pairs of databases")
	}
	for name, on := range pairs {
		t.Run(name, func(t *testing.T) {
			fresh := on(t)
			rapid.Check(t, func(rt *rapid.T) { copyEqualsSource(rt, fresh) })
		})
	}
}

// follower is a history that follows a log.
type follower struct {
	stream.Store
	at int64
}

func (f *follower) follow(rt *rapid.T, log []stream.Record, n int) {
	upTo := min(f.at+int64(n), int64(len(log)))
	if upTo == f.at {
		return
	}
	at := time.UnixMicro(1_600_000_000_000_000).UTC()
	b := stream.Batch{First: f.at + 1, Last: upTo, At: at, Records: log[f.at:upTo]}
	if s, ok := f.Store.(*mysqlStore); ok && rapid.Bool().Draw(rt, "uneven") { // one writer is ahead
		p := s.parts[rapid.IntRange(0, len(s.parts)-1).Draw(rt, "writer")]
		if err := s.commit(context.Background(), p, max(f.at, p.at), []stream.Batch{b}); err != nil {
			rt.Fatalf("commit %d..%d of one writer: %v", b.First, b.Last, err)
		}
		return
	}
	if err := f.Commit(context.Background(), f.at, []stream.Batch{b}); err != nil {
		rt.Fatalf("commit %d..%d: %v", b.First, b.Last, err)
	}
	f.at = upTo
}

func copyEqualsSource(rt *rapid.T, fresh func() (store, *filled)) {
	ctx, now := context.Background(), time.UnixMicro(1_600_000_000_000_000).UTC()
	source, target := fresh()
	if _, _, err := source.Load(ctx); err != nil {
		rt.Fatal(err)
	}
	log := randomLog(rt, rapid.IntRange(1, 120).Draw(rt, "records"))
	first, second := &follower{Store: source}, &follower{Store: target}
	first.follow(rt, log, rapid.IntRange(1, len(log)).Draw(rt, "before"))
	if err := startFill(ctx, target, first.at, now); err != nil {
		rt.Fatal(err)
	}
	second.at = first.at
	copyOne := func() {
		target.mu.Lock()
		defer target.mu.Unlock()
		if target.fill.isWhole() {
			return
		}
		if _, err := target.copy(ctx, source, rapid.IntRange(1, 5).Draw(rt, "chunk"), 1, now); err != nil && !errs.Is(err, errs.CodeUnavailable) {
			rt.Fatal(err)
		}
	}
	for range rapid.IntRange(0, 60).Draw(rt, "steps") {
		switch rapid.IntRange(0, 6).Draw(rt, "step") {
		case 0, 1:
			first.follow(rt, log, rapid.IntRange(1, 9).Draw(rt, "first"))
		case 2, 3:
			second.follow(rt, log, rapid.IntRange(1, 9).Draw(rt, "second"))
		case 4: // it is opened again
			target.lost, target.fill = true, nil
			if _, _, err := target.Load(ctx); err != nil {
				rt.Fatal(err)
			}
		default:
			copyOne()
		}
	}
	for first.at < int64(len(log)) {
		first.follow(rt, log, len(log))
	}
	second.follow(rt, log, len(log))
	for !target.state().isWhole() {
		copyOne()
	}
	if got, want := allRows(rt, target), allRows(rt, source); got != want {
		rt.Fatalf("the second history has\n%s\nthe first\n%s", got, want)
	}
}

// randomLog places and settles bets of a few players, again and again.
func randomLog(rt *rapid.T, n int) []stream.Record {
	var keys []betKey
	var log []stream.Record
	m := model{}
	for seq := int64(1); seq <= int64(n); seq++ {
		at := time.UnixMicro(1_600_000_000_000_000 + seq).UTC()
		if rapid.Bool().Draw(rt, "place") || len(keys) == 0 {
			k := betKey{id.Player(fmt.Sprintf("plr_%d", rapid.IntRange(0, 4).Draw(rt, "player"))), id.Bet(fmt.Sprintf("bet_%04d", seq))}
			keys = append(keys, k)
			log = append(log, m.place(seq, at, k, seq))
			continue
		}
		k := rapid.SampledFrom(keys).Draw(rt, "bet")
		outcome, payout := rapid.SampledFrom([]string{"won", "lost", "void", ""}).Draw(rt, "outcome"), seq
		if outcome == "" {
			payout = 0
		}
		log = append(log, m.settle(seq, at, k, rapid.IntRange(1, 4).Draw(rt, "version"), outcome, payout))
	}
	return log
}

// allRows prints every row of a history.
func allRows(rt *rapid.T, s store) string {
	c, err := readChunk(context.Background(), s, betKey{}, 10_000)
	if err != nil {
		rt.Fatal(err)
	}
	out := ""
	for _, b := range c.bets {
		out += fmt.Sprintf("%+v\n", *b)
	}
	return out
}

func TestAHalfCopyIsRefused(t *testing.T) {
	for name, on := range pairs {
		t.Run(name, func(t *testing.T) {
			source, target := on(t)()
			if err := startFill(t.Context(), target, 7, time.UnixMicro(1)); err != nil {
				t.Fatal(err)
			}
			if err := refuseHalf(t.Context(), target); !errs.Is(err, errs.CodeConflict) {
				t.Errorf("refuseHalf = %v, want a conflict", err)
			}
			if err := refuseHalf(t.Context(), source); err != nil {
				t.Errorf("refuseHalf of a history from the log: %v", err)
			}
		})
	}
}
