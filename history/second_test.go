package history_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/stream"
)

// next configures a second history on an engine, beside the one of the world.
func (w *world) next(e engine) {
	w.config.Next = history.NextConfig{Dir: filepath.Join(w.dir, "next"), Chunk: 50, Rate: 1_000_000, Lag: time.Minute,
		Clusters: e.fresh(w.t, w.log.Shards())}
	w.engine.grant(w.t, w.config)
}

// beside is a world that has bets and is closed, with a second history configured that was never open.
func beside(t *testing.T, first, second engine, shards, bets int) *world {
	t.Helper()
	w := setup(t, first, shards)
	w.old(bets)
	w.stop()
	w.next(second)
	return w
}

// execNext runs statements on a second history in files, behind the back of the service.
func (w *world) execNext(q string) {
	w.t.Helper()
	next := *w
	next.engine, next.config.Dir = engine{}, w.config.Next.Dir
	next.exec(q)
}

// copied waits until the second history has what done asks for on every shard.
func (w *world) copied(what string, done func(history.FillProgress) bool) {
	w.t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		list, ready := w.s.NextStatus().Copy, 0
		for _, p := range list {
			if done(p) {
				ready++
			}
		}
		if len(list) == w.log.Shards() && ready == len(list) {
			return
		}
		select {
		case <-deadline:
			w.t.Fatalf("second history is not %s: %+v", what, list)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// everything is copied and shown.
func (w *world) everything(p history.FillProgress) bool {
	return p.Done && p.Position == w.log.Head(p.Shard)
}

// equalsTheLog closes the service and audits the second history by itself.
func (w *world) equalsTheLog(bets int64) {
	w.t.Helper()
	w.stop()
	report, err := history.Audit(context.Background(), history.AuditOptions{Dir: w.config.Next.Dir, Clusters: w.config.Next.Clusters, Log: w.log})
	if err != nil {
		w.t.Fatalf("Audit of the second history: %v", err)
	}
	var got int64
	for _, a := range report.Shards {
		got += a.Bets
	}
	if got != bets {
		w.t.Errorf("the second history has %d bets, want %d", got, bets)
	}
}

// liveBets bounds what traffic places: a loaded machine must come to an end too.
const liveBets = 1_000

// traffic places, settles and corrects bets until stop is called, which returns how many it placed.
func (w *world) traffic() (stop func() int64) {
	var placed int64
	end := w.background(func(ctx context.Context) error {
		for n := 0; ctx.Err() == nil && n < liveBets; n++ {
			player, bet := id.Player(fmt.Sprintf("plr_%d%d", n%13, n%w.log.Shards())), id.Bet(fmt.Sprintf("bet_live%06d", n))
			at, shard, old := clock.System{}.Now(), w.shardOf(player), n%500
			w.log.Append(shard, at, 0, placedRecord(player, nj, bet, 100))
			w.log.Append(shard, at, 0, settledRecord(player, nj, bet, 1, "won", 300))
			w.log.Append(w.shardOf(oldPlayer(old)), at, 0, settledRecord(oldPlayer(old), nj, id.Bet(fmt.Sprintf("bet_%06d", old)), 2+n/500, "lost", 0))
			placed++
			select {
			case <-ctx.Done():
			case <-time.After(4 * time.Millisecond):
			}
		}
		return nil
	})
	return func() int64 { end(); return placed }
}

func oldPlayer(n int) id.Player { return id.Player(fmt.Sprintf("plr_%d", n%17)) }

// old places bets that are there before a second history is thought of, and settles some.
func (w *world) old(bets int) {
	for n := range bets {
		player, bet := oldPlayer(n), id.Bet(fmt.Sprintf("bet_%06d", n))
		at := clock.System{}.Now()
		w.log.Append(w.shardOf(player), at, 0, placedRecord(player, nj, bet, 100))
		if n%3 > 0 {
			w.log.Append(w.shardOf(player), at, 0, settledRecord(player, nj, bet, 1, "push", 100))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for n := range w.log.Shards() {
		if err := w.s.WaitFor(ctx, stream.Position{Shard: n, Seq: w.log.Head(n)}); err != nil {
			w.t.Fatalf("history did not catch up: %v", err)
		}
	}
}

// directions are the engines of a first and a second history.
func directions(t *testing.T, test func(t *testing.T, first, second engine)) {
	t.Run("SQLite to SQLite", func(t *testing.T) { test(t, engine{}, engine{}) })
	for name, toServer := range map[string]bool{"SQLite to MariaDB": true, "MariaDB to SQLite": false} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("short mode: starts a database server")
			}
			if server := (engine{mariadb.Shared(t)}); toServer {
				test(t, engine{}, server)
			} else {
				test(t, server, engine{})
			}
		})
	}
}

// TestASecondHistoryIsFilledWhileBetsFlow stops the process again and again in the middle, and changes bets that
// are copied already as well as those that are not.
func TestASecondHistoryIsFilledWhileBetsFlow(t *testing.T) {
	directions(t, func(t *testing.T, first, second engine) {
		t.Parallel()
		w := beside(t, first, second, 2, 600)
		w.config.Next.Rate = 400
		stop := w.traffic()
		for chunks := int64(2); chunks <= 4; chunks += 2 {
			w.open()
			w.copied("begun", func(p history.FillProgress) bool { return p.Chunks >= chunks || p.Done })
			w.stop()
		}
		w.config.Next.Rate = 1_000_000
		w.open()
		w.copied("complete", func(p history.FillProgress) bool { return p.Done })
		live := stop()
		w.copied("level", w.everything)
		w.equalsTheLog(600 + live)
		w.config.Dir, w.config.Clusters, w.config.Next = w.config.Next.Dir, w.config.Next.Clusters, history.NextConfig{}
		w.open() // it serves by itself
		if page := w.list(history.Query{Player: "plr_0", Jurisdiction: nj}); len(page.Bets) == 0 {
			t.Error("the second history shows nothing")
		}
	})
}

func TestAHalfCopiedHistoryDoesNotServe(t *testing.T) {
	t.Parallel()
	w := beside(t, engine{}, engine{}, 1, 300)
	w.config.Next.Rate = 1 // it rests for a minute after the first chunk
	w.open()
	w.copied("begun", func(p history.FillProgress) bool { return p.Chunks > 0 })
	w.stop()
	c := history.Config{Dir: w.config.Next.Dir}
	if s, err := w.tryOpen(c); err == nil {
		_ = s.Close()
		t.Error("half a history was opened as a whole one")
	}
}

func TestATargetThatGoesAwayIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := ownServer(t)
	w := beside(t, engine{}, server, 1, 600)
	w.config.Next.Rate = 300
	w.open()
	stop := w.traffic()
	w.copied("begun", func(p history.FillProgress) bool { return p.Chunks > 1 })
	if err := server.server.Kill(); err != nil {
		t.Fatal(err)
	}
	w.commit("plr_0", placedRecord("plr_0", nj, "bet_meanwhile", 100)) // the first goes on
	if err := server.server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.copied("complete", func(p history.FillProgress) bool { return p.Done })
	live := stop()
	w.copied("level", w.everything)
	w.equalsTheLog(600 + live + 1)
}

// TestASecondHistoryThatWasEmptiedIsCopiedAgain empties it as a migration does that builds tables anew.
func TestASecondHistoryThatWasEmptiedIsCopiedAgain(t *testing.T) {
	t.Parallel()
	w := beside(t, engine{}, engine{}, 1, 200)
	w.open()
	w.copied("complete", w.everything)
	w.stop()
	w.execNext("DELETE FROM bet; DELETE FROM slip; UPDATE sink_position SET seq = 0")
	w.open()
	w.copied("complete", func(p history.FillProgress) bool { return w.everything(p) && p.Bets == 200 })
	w.equalsTheLog(200)
}

// desk opens the desk beside the running service, as the command line does.
func (w *world) desk() *history.Desk {
	w.t.Helper()
	d, err := history.OpenDesk(context.Background(), w.config, clock.System{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = d.Close() })
	return d
}

// until waits until the service says what done asks for.
func (w *world) until(what string, done func(history.NextStatus) bool) {
	w.t.Helper()
	deadline := time.After(3 * time.Minute)
	for !done(w.s.NextStatus()) {
		select {
		case <-deadline:
			w.t.Fatalf("not %s: %+v", what, w.s.NextStatus())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var why = history.ActRequest{By: "test", Reason: "it is one"}

// reported waits until a step is no longer refused for want of a fresh report.
func reported(t testing.TB, step func() error) {
	t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		err := step()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestASecondHistoryTakesOverAndGoesBack tells the two apart by a stake that only the second one shows.
func TestASecondHistoryTakesOverAndGoesBack(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: steps of operators are seen a second later")
	}
	w := beside(t, engine{}, engine{}, 1, 100)
	w.open()
	d, ctx := w.desk(), t.Context()
	w.until("compared", func(s history.NextStatus) bool {
		return len(s.Equal) == 1 && s.Equal[0].Passes > 0 && s.Equal[0].Different == 0
	})
	w.execNext("UPDATE slip SET stake_minor = 777")
	stakeOf := func(p id.Player) int64 {
		page := w.list(history.Query{Player: p, Jurisdiction: nj, Limit: 1})
		return page.Bets[0].Stake.Minor()
	}
	if got := stakeOf("plr_1"); got != 100 {
		t.Errorf("before anything is chosen the stake is %d", got)
	}
	reported(t, func() error { _, err := d.Share(ctx, why, 0, []id.Player{"plr_1"}); return err })
	w.until("shared", func(s history.NextStatus) bool { return s.Shown == history.ShownShare })
	if one, two := stakeOf("plr_1"), stakeOf("plr_2"); one != 777 || two != 100 {
		t.Errorf("shown to plr_1 alone the stakes are %d and %d, want 777 and 100", one, two)
	}
	if _, err := d.Drop(ctx, why, "first"); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("drop of what players see: %v, want a conflict", err)
	}
	reported(t, func() error { _, err := d.Switch(ctx, why); return err })
	w.until("switched", func(s history.NextStatus) bool { return s.Shown == history.ShownSecond })
	w.commit("plr_2", placedRecord("plr_2", nj, "bet_zz", 50))
	if got := stakeOf("plr_2"); got != 50 {
		t.Errorf("after the switch the newest stake is %d", got)
	}
	w.stop()
	w.open() // the choice outlives the process
	w.until("open", func(s history.NextStatus) bool { return len(s.Copy) == 1 })
	if got := stakeOf("plr_1"); got != 777 {
		t.Errorf("after a restart the stake is %d", got)
	}
	for range 2 { // what is so already is no step
		if c, err := d.Back(ctx, why); err != nil || c.Shown != history.ShownFirst {
			t.Fatalf("back: %+v, %v", c, err)
		}
	}
	w.until("back", func(s history.NextStatus) bool { return s.Shown == history.ShownFirst })
	if one, two := stakeOf("plr_1"), stakeOf("plr_2"); one != 100 || two != 50 {
		t.Errorf("back on the first the stakes are %d and %d, want 100 and 50", one, two)
	}
	s, err := d.Status(ctx)
	if err != nil || len(s.Acts) != 3 || s.Acts[0].By != "test" || s.Acts[0].Reason != "it is one" {
		t.Errorf("acts = %+v, %v, want three with who and why", s.Acts, err)
	}
}

// sinks returns the lag gauges that the process shows, by sink.
func (w *world) sinks() (names []string) {
	w.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == "matchday_stream_sink_lag_seconds" && l.GetName() == "sink" {
					names = append(names, l.GetValue())
				}
			}
		}
	}
	return names
}

// TestASecondHistoryIsAllThatIsLeft lets go of the first: it is fed no more, at once, and the second goes on.
func TestASecondHistoryIsAllThatIsLeft(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: steps of operators are seen a second later")
	}
	w := beside(t, engine{}, engine{}, 1, 100)
	w.open()
	d := w.desk()
	reported(t, func() error { _, err := d.Switch(t.Context(), why); return err })
	eventually(t, "the lag of the second", func() bool { return w.s.Lag()[0].History == history.ShownSecond })
	for range 2 {
		if c, err := d.Drop(t.Context(), why, "first"); err != nil || c.Dropped != "first" {
			t.Fatalf("let go of the first: %+v, %v", c, err)
		}
	}
	if _, err := d.Back(t.Context(), why); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("back to what is no longer fed: %v, want a conflict", err)
	}
	eventually(t, "the end of the first", func() bool { return slices.Equal(w.sinks(), []string{"history-next"}) })
	before := w.count("bet")
	at := w.commit("plr_1", placedRecord("plr_1", nj, "bet_zz", 50)) // waits for the second
	page := w.list(history.Query{Player: "plr_1", Jurisdiction: nj, Limit: 1, At: &at})
	if len(page.Bets) != 1 || page.Bets[0].ID != "bet_zz" || page.History != history.ShownSecond {
		t.Errorf("after the first is gone the newest bets are %+v", page)
	}
	left, err := w.config.InForce(t.Context())
	if err != nil || left.Dir != w.config.Next.Dir || left.Next.Dir != "" {
		t.Errorf("what is left is %+v, %v", left, err)
	}
	w.stop()
	if after := w.count("bet"); after != before {
		t.Errorf("the first has %d bets, %d before it was let go of", after, before)
	}
	w.open()
	w.commit("plr_1", placedRecord("plr_1", nj, "bet_zzz", 50))
	w.equalsTheLog(102)
}

func TestComparisonNamesWhatDiffers(t *testing.T) {
	tests := []struct{ name, damage, what string }{
		{"a payout", "UPDATE bet SET payout_minor = payout_minor + 1 WHERE bet_id = 'bet_000031'", "differs"},
		{"a leg", "UPDATE slip SET legs = '[]' WHERE seq = (SELECT slip_seq FROM bet WHERE bet_id = 'bet_000031')", "differs"},
		{"a missing bet", "DELETE FROM bet WHERE bet_id = 'bet_000031'", "missing in the second"},
		{"a bet too many", "INSERT INTO bet SELECT player_id, 'bet_000031x', jurisdiction, slip_seq, seq, status, version, settled_us, payout_minor, outcomes FROM bet WHERE bet_id = 'bet_000031'", "only in the second"},
		{"an earlier settlement", "DELETE FROM bet_change WHERE bet_id = 'bet_000031' AND version = 1", "differs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				t.Skip("short mode: a difference is named when two passes find it")
			}
			w := setup(t, engine{}, 1)
			w.old(100)
			w.commit(oldPlayer(31), settledRecord(oldPlayer(31), nj, "bet_000031", 2, "won", 300))
			w.stop()
			w.next(engine{})
			w.open()
			w.until("copied", func(s history.NextStatus) bool { return len(s.Copy) == 1 && s.Copy[0].Done })
			w.execNext(tt.damage)
			w.stop()
			w.open() // and compares at once
			w.until("compared", func(s history.NextStatus) bool { return len(s.Equal) == 1 && s.Equal[0].Passes > 1 })
			c := w.s.NextStatus().Equal[0]
			if c.Different != 1 || c.Unequal != 1 || len(c.Named) != 1 || c.Named[0].What != tt.what || c.Named[0].Player != oldPlayer(31) {
				t.Errorf("comparison = %+v, want one bet of %s that %s", c, oldPlayer(31), tt.what)
			}
			if _, err := w.desk().Switch(t.Context(), why); !errs.Is(err, errs.CodeConflict) {
				t.Errorf("switch to a history that differs: %v, want a conflict", err)
			}
		})
	}
}
