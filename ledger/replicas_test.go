package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// copyShard returns a reader of a copy of the shard's file as it is now: a replica that has stopped
// following.
func (w *world) copyShard(n int) *sqliteStore {
	w.t.Helper()
	name := filepath.Join(w.t.TempDir(), "copy.db")
	if _, err := w.shards[n].store.(*sqliteStore).conn.ExecContext(context.Background(), `VACUUM INTO ?`, name); err != nil {
		w.t.Fatalf("copy shard %d: %v", n, err)
	}
	return w.readFile(name)
}

// readShard returns a reader of the shard's own file: a replica that is never behind.
func (w *world) readShard(n int) *sqliteStore { return w.readFile(shardFile(w.config.Dir, n)) }

func (w *world) readFile(name string) *sqliteStore {
	w.t.Helper()
	if _, err := os.Stat(name); err != nil {
		w.t.Fatal(err)
	}
	db, err := sqldb.Open(name, sqldb.Options{ReadOnly: true, Readers: 2})
	if err != nil {
		w.t.Fatalf("open %s: %v", name, err)
	}
	w.t.Cleanup(func() { _ = db.Close() })
	store, err := newSQLiteReads(db)
	if err != nil {
		w.t.Fatalf("read %s: %v", name, err)
	}
	return store
}

// replicate makes the stores the shard's replicas, node "0" and so on, and probes them.
func (w *world) replicate(n int, stores ...*sqliteStore) {
	w.t.Helper()
	var nodes []string
	for i := range stores {
		nodes = append(nodes, fmt.Sprint(i))
	}
	one := w.shards[n]
	err := one.replicas.set(nodes, func(node string) (*replica, error) {
		var i int
		_, err := fmt.Sscan(node, &i)
		return &replica{node: node, store: stores[i], stop: stores[i].db.Close}, err
	}, one.reads.forget)
	if err != nil {
		w.t.Fatalf("set replicas: %v", err)
	}
	w.probeReplicas(context.Background())
}

// reads returns how many reads a source has answered.
func (w *world) reads(source string) int {
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.shards[0].metrics.all.reads)
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == source {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func TestReadsGoToReplicasThatAreFresh(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash, n := PlayerCash("p1", nj), w.ShardOf("p1")
	w.must(deposit("d1", "p1", 100))
	w.replicate(n, w.readShard(n), w.readShard(n))
	for range 4 {
		got, err := w.BalanceFrom(ctx, cash, stream.Position{})
		if err != nil || got.PostedMinor != 100 {
			t.Fatalf("got %+v, %v, want 100", got, err)
		}
	}
	if replica, primary := w.reads("replica"), w.reads("primary"); replica != 4 || primary != 0 {
		t.Errorf("replicas answered %d reads and the writer's side %d, want 4 and 0", replica, primary)
	}
}

func TestAReadAtAPositionNeverShowsLess(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash, n := PlayerCash("p1", nj), w.ShardOf("p1")
	first := w.must(deposit("d1", "p1", 100))
	stopped := w.copyShard(n)
	second := w.must(deposit("d2", "p1", 50))
	w.replicate(n, stopped)

	if got, err := w.BalanceFrom(ctx, cash, first.Position); err != nil || got.PostedMinor != 100 || got.Position != first.Position {
		t.Errorf("at the replica's position: got %+v, %v, want its 100", got, err)
	}
	if got, err := w.BalanceFrom(ctx, cash, second.Position); err != nil || got.PostedMinor != 150 || got.Position != second.Position {
		t.Errorf("at a later position: got %+v, %v, want the writer's 150", got, err)
	}
	lines, err := w.StatementFrom(ctx, cash, StatementQuery{}, second.Position)
	if err != nil || len(lines) != 2 || lines[0].Key != "d2" || lines[0].Position != second.Position {
		t.Errorf("statement at a later position: got %+v, %v", lines, err)
	}
	if lines, err = w.StatementFrom(ctx, cash, StatementQuery{}, first.Position); err != nil || len(lines) != 1 {
		t.Errorf("statement at the replica's position: got %+v, %v", lines, err)
	}
	many, err := w.Balances(ctx, []Address{cash}, map[int]int64{n: second.Position.Seq})
	if err != nil || many[0].Err != nil || many[0].Balance.PostedMinor != 150 {
		t.Errorf("many at a later position: got %+v, %v", many, err)
	}
	if replica, fallback := w.reads("replica"), w.reads("fallback"); replica != 2 || fallback != 3 {
		t.Errorf("replica answered %d and the writer's side %d after it, want 2 and 3", replica, fallback)
	}
}

func TestAReplicaTooFarBehindGetsNoReads(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash, n := PlayerCash("p1", nj), w.ShardOf("p1")
	w.must(deposit("d1", "p1", 100))
	stopped := w.copyShard(n)
	w.clock.Advance(time.Hour) // an idle hour is no lag
	w.must(deposit("d2", "p1", 50))
	w.clock.Advance(4 * time.Second)
	w.replicate(n, stopped)
	posted := func() int64 {
		t.Helper()
		got, err := w.BalanceFrom(ctx, cash, stream.Position{})
		if err != nil {
			t.Fatal(err)
		}
		return got.PostedMinor
	}
	if got := posted(); got != 100 {
		t.Errorf("4 s behind: got %d, want the replica's 100", got)
	}
	if got := w.shards[n].behind(1); got != 4*time.Second {
		t.Errorf("behind = %s, want the age of the first commit missing, 4s", got)
	}
	w.clock.Advance(2 * time.Second)
	w.probeReplicas(ctx)
	if got := posted(); got != 150 {
		t.Errorf("6 s behind: got %d, want the writer's 150", got)
	}
}

// TestAReplicaThatIsNotAPrefixGetsNoReads probes copies of the log with a commit that the writer does not
// have, of the same epoch: as a primary of old would be that came back beside the new one.
func TestAReplicaThatIsNotAPrefixGetsNoReads(t *testing.T) {
	t.Parallel()
	w := setup(t)
	n := w.ShardOf("p1")
	w.must(deposit("d1", "p1", 100))
	prefix, ahead := w.copyShard(n), w.copyShard(n)
	const commit = `
		INSERT INTO batch (last_seq, first_seq, at_us, epoch, accounts, records, seal)
		SELECT last_seq + 1, last_seq + 1, at_us, epoch, accounts, records, zeroblob(32)
		FROM batch;
		UPDATE shard SET seq = seq + 1`
	other, err := sqldb.Open(ahead.db.Path(), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write.ExecContext(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	w.replicate(n, prefix, ahead)
	want := func(when string) {
		t.Helper()
		list := w.shards[n].replicas.all()
		if !list[0].good.Load() || list[1].good.Load() {
			t.Errorf("%s: the copy takes reads: %v, the other log: %v; want true and false", when, list[0].good.Load(), list[1].good.Load())
		}
	}
	want("ahead of the writer")
	w.must(deposit("d2", "p1", 50))
	w.probeReplicas(context.Background())
	want("as long as the writer's log")
	w.must(deposit("d3", "p1", 50))
	w.probeReplicas(context.Background())
	want("shorter than the writer's log")
}

func TestReplicasComeAndGoWhileReadsRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash, n := PlayerCash("p1", nj), w.ShardOf("p1")
	w.must(deposit("d1", "p1", 100))
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if got, err := w.BalanceFrom(ctx, cash, stream.Position{}); err != nil || got.PostedMinor != 100 {
				done <- fmt.Errorf("got %+v, %w", got, err)
				return
			}
		}
	}()
	for range 20 {
		w.replicate(n, w.readShard(n), w.readShard(n))
		w.replicate(n)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left := w.shards[n].replicas.all(); len(left) != 0 {
		t.Errorf("%d replicas left, want none", len(left))
	}
}

func TestAReplicaThatFailsIsLeftOut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash, n := PlayerCash("p1", nj), w.ShardOf("p1")
	w.must(deposit("d1", "p1", 100))
	broken := w.readShard(n)
	w.replicate(n, broken)
	if err := errors.Join(broken.current.Close(), broken.db.Close()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got, err := w.BalanceFrom(ctx, cash, stream.Position{}); err != nil || got.PostedMinor != 100 {
			t.Errorf("got %+v, %v, want the writer's answer", got, err)
		}
	}
	if fallback, primary := w.reads("fallback"), w.reads("primary"); fallback != 1 || primary != 2 {
		t.Errorf("%d reads after the replica and %d without it, want 1 and 2", fallback, primary)
	}
}

func TestBalancesOfManyAccounts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	var list []Address
	shards := map[int]bool{}
	for i := range 700 {
		p := id.Player(fmt.Sprintf("player-%d", i))
		shards[w.ShardOf(p)] = true
		if i%7 == 0 {
			w.must(deposit(fmt.Sprintf("d%d", i), p, int64(i+1)))
		}
		list = append(list, PlayerCash(p, nj))
	}
	if len(shards) != 2 {
		t.Fatalf("players live on %d shards, want 2", len(shards))
	}
	w.must(hold("h", "player-7", 3, start.Add(time.Hour)))
	list = append(list, PSP("sandbox", nj), "nonsense", list[7])
	got, err := w.Balances(ctx, list, nil)
	if err != nil || len(got) != len(list) {
		t.Fatalf("got %d results, %v", len(got), err)
	}
	for i, a := range list {
		if a == "nonsense" {
			if !errs.Is(got[i].Err, errs.CodeInvalid) || got[i].Balance.Account != a {
				t.Errorf("%s: got %+v, want invalid", a, got[i])
			}
			continue
		}
		want, err := w.Balance(ctx, a)
		if err != nil || got[i].Err != nil || got[i].Balance != want {
			t.Errorf("%s: got %+v, want %+v (%v)", a, got[i], want, err)
		}
	}
	if _, err := w.Balances(ctx, make([]Address, MaxBalances+1), nil); !errs.Is(err, errs.CodeTooLarge) {
		t.Errorf("too many: got %v, want too_large", err)
	}
	if _, err := w.Balances(ctx, list[:1], map[int]int64{9: 1}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a shard that does not exist: got %v, want invalid", err)
	}
}
