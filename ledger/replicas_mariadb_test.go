package ledger_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/ledger/ledgertest"
	"matchday/stream"
)

// replicated is a ledger on a primary with a replica.
type replicated struct {
	*ledger.Service
	t               *testing.T
	config          ledger.Config
	primary, second *mariadb.Server
	metrics         *prometheus.Registry
	keys            int
}

func newReplicated(t *testing.T) *replicated {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped in short mode: starts two MariaDB servers")
	}
	w := &replicated{t: t, primary: mariadb.New(t, mariadb.Options{}), second: mariadb.New(t, mariadb.Options{}), metrics: prometheus.NewRegistry()}
	t.Cleanup(func() { _, _ = w.primary.Stop(), w.second.Stop() })
	if err := w.second.Replicate(t.Context(), w.primary, false); err != nil {
		t.Fatal(err)
	}
	w.config = ledger.Config{Dir: t.TempDir(), Shards: 1, MaxReplicaLag: 2 * time.Second, Clusters: []ledger.Cluster{{
		Name: "test", Shards: "0", Config: mysqldb.Config{
			Nodes: []string{w.primary.Addr(), w.second.Addr()}, Database: "ledger", User: mariadb.User, PasswordEnv: passwordEnv,
		}}}}
	var err error
	w.Service, err = ledger.Open(t.Context(), w.config, ledger.Deps{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: w.metrics})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

// deposit adds to the balance of the one player.
func (w *replicated) deposit(minor int64) stream.Position {
	w.t.Helper()
	w.keys++
	got, err := w.Commit(w.t.Context(), ledger.LaneInteractive, ledgertest.Deposit(fmt.Sprintf("d%d", w.keys), "plr_a", minor))
	if err != nil {
		w.t.Fatalf("deposit: %v", err)
	}
	return got.Position
}

// balance reads at the position and returns the balance and what answered.
func (w *replicated) balance(at stream.Position) (minor int64, source string) {
	w.t.Helper()
	before := w.reads()
	got, err := w.BalanceFrom(w.t.Context(), ledger.PlayerCash("plr_a", ledgertest.NJ), at)
	if err != nil {
		w.t.Fatalf("balance: %v", err)
	}
	if got.Position.Seq < at.Seq {
		w.t.Fatalf("balance at %s shows %s only", at, got.Position)
	}
	for source, n := range w.reads() {
		if n > before[source] {
			return got.PostedMinor, source
		}
	}
	w.t.Fatal("nothing counted the read")
	return 0, ""
}

func (w *replicated) reads() map[string]int {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int{}
	for _, family := range families {
		if family.GetName() == "matchday_ledger_reads_total" {
			for _, m := range family.GetMetric() {
				out[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			}
		}
	}
	return out
}

// until reads at the position until the source answers.
func (w *replicated) until(source string, at stream.Position, want int64) {
	w.t.Helper()
	for range 3000 {
		minor, from := w.balance(at)
		if at.Seq > 0 && minor != want {
			w.t.Fatalf("balance at %s = %d, want %d", at, minor, want)
		}
		if from == source {
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-w.t.Context().Done():
		}
	}
	w.t.Fatalf("no read at %s was ever answered by %s", at, source)
}

func TestReadsFollowTheReplicasOfACluster(t *testing.T) {
	w := newReplicated(t)
	first := w.deposit(100)
	w.until("replica", first, 100)
	lines, err := w.StatementFrom(t.Context(), ledger.PlayerCash("plr_a", ledgertest.NJ), ledger.StatementQuery{}, first)
	if err != nil || len(lines) != 1 {
		t.Errorf("statement: %v, %v, want one line", lines, err)
	}

	if _, err := w.second.Admin().ExecContext(t.Context(), `STOP SLAVE SQL_THREAD`); err != nil {
		t.Fatal(err)
	}
	second := w.deposit(50)
	if minor, from := w.balance(second); minor != 150 || from != "fallback" {
		t.Errorf("a position that the replica lacks: %d by %s, want 150 by the writer's side after it", minor, from)
	}
	w.until("primary", stream.Position{}, 0) // behind for too long: no reads at all
	list, err := ledger.Replicas(t.Context(), w.config, clock.System{})
	if err != nil || len(list) != 2 || !list[0].IsPrimary || list[1].Behind < 1 || list[1].Err != nil {
		t.Errorf("replicas: %+v, %v, want the primary and one behind it", list, err)
	}
	if _, err := w.second.Admin().ExecContext(t.Context(), `START SLAVE`); err != nil {
		t.Fatal(err)
	}
	w.until("replica", second, 150)

	// An operator takes it out and lets it in again while reads run.
	off := func(out bool) {
		t.Helper()
		if err := ledger.SetReplica(t.Context(), w.config, clock.System{}, w.second.Addr(), !out, nil); err != nil {
			t.Fatal(err)
		}
	}
	off(true)
	w.until("primary", second, 150)
	off(false)
	w.until("replica", second, 150)
	if err := ledger.SetReplica(t.Context(), w.config, clock.System{}, w.second.Addr(), true, []int{7}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a shard that is on no cluster: got %v, want invalid", err)
	}

	for node, want := range map[string]errs.Code{"127.0.0.1:1": errs.CodeUnavailable, list[0].Node: errs.CodeInvalid} {
		if err := ledger.SetReplica(t.Context(), w.config, clock.System{}, node, true, nil); !errs.Is(err, want) {
			t.Errorf("let %s in: got %v, want %s", node, err, want)
		}
		if err := ledger.SetReplica(t.Context(), w.config, clock.System{}, node, false, nil); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("take %s out: got %v, want invalid", node, err)
		}
	}

	// It dies and comes back.
	if err := w.second.Kill(); err != nil {
		t.Fatal(err)
	}
	w.until("primary", second, 150)
	if err := w.second.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until("replica", second, 150)
}

func TestANodeOfAnOlderEpochTakesNoReads(t *testing.T) {
	w := newReplicated(t)
	at := w.deposit(100)
	w.until("replica", at, 100)
	// As a primary of old would be that came back alone: it has more than the log, of an older epoch.
	if _, err := w.second.Admin().ExecContext(t.Context(), `
		STOP SLAVE;
		UPDATE ledger_0.shard SET epoch = epoch - 1, seq = seq + 1000`); err != nil {
		t.Fatal(err)
	}
	w.until("primary", at, 100)
	if minor, from := w.balance(stream.Position{}); minor != 100 || from != "primary" {
		t.Errorf("got %d by %s, want 100 by the primary", minor, from)
	}
}

func TestANodeWithCommitsOfItsOwnTakesNoReads(t *testing.T) {
	w := newReplicated(t)
	at := w.deposit(100)
	w.until("replica", at, 100)
	// As a primary of old would be that came back alone after a fail-over: the epoch is the same.
	if _, err := w.second.Admin().ExecContext(t.Context(), `
		STOP SLAVE;
		INSERT INTO ledger_0.batch (last_seq, first_seq, at_us, epoch, accounts, records, seal)
		SELECT last_seq + 1, last_seq + 1, at_us, epoch, accounts, records, REPEAT('x', 32)
		FROM ledger_0.batch
		ORDER BY last_seq DESC
		LIMIT 1;
		UPDATE ledger_0.shard SET seq = seq + 1`); err != nil {
		t.Fatal(err)
	}
	w.until("primary", at, 100)
	if minor, from := w.balance(stream.Position{}); minor != 100 || from != "primary" {
		t.Errorf("got %d by %s, want 100 by the primary", minor, from)
	}
}
