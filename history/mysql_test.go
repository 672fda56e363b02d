package history_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/stream"
)

// shows waits until the history shows the whole log, and audits it.
func (w *world) shows(bets int64) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for n := range w.log.Shards() {
		if err := w.s.WaitFor(ctx, stream.Position{Shard: n, Seq: w.log.Head(n)}); err != nil {
			w.t.Fatalf("history did not catch up: %v", err)
		}
	}
	report, err := history.Audit(ctx, history.AuditOptions{Dir: w.config.Dir, Clusters: w.config.Clusters, Log: w.log})
	if err != nil {
		w.t.Fatalf("Audit: %v", err)
	}
	var got int64
	for _, a := range report.Shards {
		got += a.Bets
	}
	if got != bets {
		w.t.Errorf("the history has %d bets, want %d", got, bets)
	}
}

// place appends bets of several players to shard 0, and settles every second one, without waiting.
func (w *world) place(from, upTo int) {
	for n := from; n < upTo; n++ {
		player, bet := id.Player(fmt.Sprintf("plr_%d0", n%7)), id.Bet(fmt.Sprintf("bet_%04d", n))
		w.log.Append(0, time.UnixMicro(1_600_000_000_000_000+int64(n)).UTC(), 0, placedRecord(player, nj, bet, 100))
		if n%2 == 0 {
			w.log.Append(0, time.UnixMicro(1_600_000_000_000_000+int64(n)).UTC(), 0, settledRecord(player, nj, bet, 1, "won", 300))
		}
	}
}

func ownServer(t *testing.T) engine {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	s := mariadb.New(t, mariadb.Options{})
	t.Cleanup(func() { _ = s.Stop() })
	return engine{s}
}

func TestAKilledServerIsWaitedFor(t *testing.T) {
	t.Parallel()
	e := ownServer(t)
	w := setup(t, e, 1)
	w.place(0, 50)
	w.shows(50)
	if err := e.server.Kill(); err != nil {
		t.Fatal(err)
	}
	w.place(50, 100)
	if err := e.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.shows(100)
}

// TestAServerThatLostCommitsGetsThemAgain takes rows and positions back, as a restart after a power loss or a
// replica that lagged does.
func TestAServerThatLostCommitsGetsThemAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, ownServer(t), 1)
	w.place(0, 50)
	w.shows(50)
	w.exec("BEGIN; DELETE FROM bet; DELETE FROM slip; UPDATE sink_position SET seq = 0; COMMIT")
	w.place(50, 60)
	w.shows(60)
}

func TestTheNumberOfWritersCanChange(t *testing.T) {
	t.Parallel()
	w := setup(t, ownServer(t), 1)
	bets := 0
	for _, writers := range []int{3, 1, 5} {
		w.stop()
		w.config.Writers = writers
		w.open()
		w.place(bets, bets+20)
		bets += 20
		w.shows(int64(bets))
		var names int
		if err := w.engine.server.Admin().QueryRow("SELECT COUNT(*) FROM " + w.config.Clusters[0].DatabaseOf(0) + ".sink_position").Scan(&names); err != nil {
			t.Fatal(err)
		}
		if names != writers {
			t.Errorf("%d positions, want %d", names, writers)
		}
	}
}
