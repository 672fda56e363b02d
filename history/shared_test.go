package history_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/ledger"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// sharing is two histories over the log and the databases of one world.
type sharing struct {
	*world
	services [2]*history.Service
	turns    [2]*streamtest.Turns
	measures [2]*prometheus.Registry
}

func newSharing(t *testing.T) *sharing {
	t.Helper()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	w := &sharing{world: setup(t, engine{mariadb.Shared(t)}, 1)}
	w.stop() // the world's own is alone
	w.config.ReadWait = time.Minute
	for n := range w.services {
		w.turns[n], w.measures[n] = streamtest.NewTurns(), prometheus.NewRegistry()
		s, err := history.Open(t.Context(), w.config, history.Deps{Clock: w.clock, Log: quiet(), Metrics: w.measures[n],
			Transport: w.emb.Transport(), Source: w.log, ShardOf: w.shardOf, Hold: w.turns[n].Hold})
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		w.services[n] = s
		stop := w.background(s.Run)
		t.Cleanup(func() {
			stop()
			if err := s.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	return w
}

// bothShow waits until both show the log, and audits it.
func (w *sharing) bothShow(bets int64) {
	w.t.Helper()
	for _, s := range w.services {
		w.s = s
		w.shows(bets)
	}
}

// holders returns which of both say that they write.
func (w *sharing) holders() string {
	var out []string
	for _, s := range w.services {
		out = append(out, fmt.Sprint(s.Lag()[0].Held))
	}
	return strings.Join(out, " ")
}

// positions returns what the database says of the log, by writer.
func (w *sharing) positions() (out []int64) {
	w.t.Helper()
	rows, err := w.engine.server.Admin().Query("SELECT seq FROM " + w.config.Clusters[0].DatabaseOf(0) + ".sink_position")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, seq)
	}
	if rows.Err() != nil || len(out) == 0 {
		w.t.Fatalf("%d positions, %v", len(out), rows.Err())
	}
	return out
}

// eventually waits for a state.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestWhoHasTheTurnWritesAndEverybodyReads gives the shard to and fro.
func TestWhoHasTheTurnWritesAndEverybodyReads(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	bets := 0
	for turn := range 6 {
		w.turns[1-turn%2].Give(0)
		w.turns[turn%2].Give(int64(turn + 1))
		w.place(bets, bets+40)
		bets += 40
		w.bothShow(int64(bets))
		if got, want := w.holders(), fmt.Sprint(turn%2 == 0, " ", turn%2 == 1); got != want {
			t.Errorf("turn %d: held by %s, want %s", turn, got, want)
		}
	}
}

// TestADigestIsMadeForReadersOfOtherProcesses reads a player with many bets only where the log is not applied.
func TestADigestIsMadeForReadersOfOtherProcesses(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	w.turns[0].Give(1)
	const bets = 600
	var records []stream.Record
	for n := range bets {
		records = append(records, placedRecord("plr_0", nj, id.Bet(fmt.Sprintf("bet_%06d", n)), 100))
	}
	at := stream.Position{Seq: w.log.Append(0, clock.System{}.Now(), 0, records...).Last}
	q := history.SummaryQuery{Player: "plr_0", Jurisdiction: nj, By: history.GrainYear, At: &at}
	eventually(t, "a digest", func() bool {
		sum, err := w.services[1].Summarise(t.Context(), q)
		if err != nil || len(sum.Lines) != 1 || sum.Lines[0].Bets != bets {
			t.Fatalf("the sum of %d bets is %+v, %v", bets, sum, err)
		}
		return w.count("digested") == 1
	})
	eventually(t, "an end of asking", func() bool { return w.count("digest_ask") == 0 })
	if got := w.holders(); got != "true false" {
		t.Errorf("held by %s", got)
	}
}

// TestWhoWasReplacedWritesNothing leaves the first process in the belief that it writes, as one that was
// stopped and wakes up. Nobody else writes then, so its position is the right one: the fence alone keeps it out.
func TestWhoWasReplacedWritesNothing(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	w.turns[0].Give(1)
	w.place(0, 40)
	w.bothShow(40)
	w.turns[1].Give(2)
	eventually(t, "the take-over", func() bool { return w.services[1].Lag()[0].Held })
	w.turns[1].Give(0)
	eventually(t, "the end of the second one's tenure", func() bool { return w.holders() == "true false" })
	shown := w.log.Head(0)
	w.place(40, 80)
	moved := func() bool { return slices.ContainsFunc(w.positions(), func(at int64) bool { return at != shown }) }
	eventually(t, "the end of the first one's tenure", func() bool { return w.holders() == "false false" || moved() })
	if err := w.services[0].Keep(t.Context()); err != nil {
		t.Errorf("Keep of a process that does not write: %v", err)
	}
	if moved() {
		t.Fatalf("the database is at %v, want %d: a process wrote after it was replaced", w.positions(), shown)
	}
	w.turns[1].Give(3)
	w.bothShow(80)
	w.turns[1].Give(0)
	w.turns[0].Give(4)
	w.place(80, 120)
	w.bothShow(120)
	if got := w.holders(); got != "true false" {
		t.Errorf("held by %s after the last turn", got)
	}
}

// barred returns what a process says of itself where it does not apply although it is its turn.
func (w *sharing) barred(n int) string {
	w.t.Helper()
	families, err := w.measures[n].Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "matchday_stream_barred_sinks_count" {
			return fmt.Sprint(f.GetMetric()[0].GetGauge().GetValue(), " ", w.services[n].Lag()[0].Trouble)
		}
	}
	w.t.Fatal("there is no such metric")
	return ""
}

// TestAClaimThatIsRefusedIsSeen: a lower epoch than the one that has claimed, and an account that may not claim, stay visible
// until the turn ends or the claim succeeds.
func TestAClaimThatIsRefusedIsSeen(t *testing.T) {
	t.Parallel()
	w := newSharing(t)
	const none, fenced, refused = "0 ", "1 another process has claimed it under a higher epoch", "1 its database refuses this process; the log says why"
	is := func(what string, n int, want string) {
		t.Helper()
		eventually(t, what, func() bool { return w.barred(n) == want })
	}
	w.turns[0].Give(5)
	w.place(0, 20)
	w.bothShow(20)
	is("nothing wrong with the first", 0, none)
	is("nothing wrong with the second, which only reads", 1, none)
	w.turns[0].Give(0)
	w.turns[1].Give(4) // books that were put back: their epochs begin again
	is("a claim under an epoch that has gone", 1, fenced)
	w.turns[1].Give(0)
	is("the end of its turn", 1, none)
	c := w.config.Clusters[0]
	right := fmt.Sprintf("UPDATE ON %s.tenure %%s '%s'@'127.0.0.1'", c.DatabaseOf(0), c.User)
	w.admin("REVOKE " + fmt.Sprintf(right, "FROM"))
	w.turns[1].Give(6)
	is("a claim without the right", 1, refused)
	w.place(20, 40)
	w.admin("GRANT " + fmt.Sprintf(right, "TO"))
	w.bothShow(40)
	is("a claim with the right", 1, none)
}

// TestSharingNeedsDatabases refuses a shared history in files, and a second one there.
func TestSharingNeedsDatabases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config history.Config
		want   string
	}{
		{history.Config{Dir: "d"}, "shard 0 would be a file"},
		{history.Config{Dir: "d", Clusters: []ledger.Cluster{{Shards: "0-1,3"}}}, "shard 2 would be a file"},
		{history.Config{Dir: "d", Clusters: []ledger.Cluster{{Shards: "0-3"}}, Next: history.NextConfig{Dir: "e"}}, "next.clusters: must have every shard"},
		{history.Config{Dir: "d", Clusters: []ledger.Cluster{{Shards: "0-3"}}, Next: history.NextConfig{Dir: "e", Clusters: []ledger.Cluster{{Shards: "0-2"}}}}, "shard 3 would be a file"},
		{history.Config{Dir: "d", Clusters: []ledger.Cluster{{Shards: "0-3"}}, Next: history.NextConfig{Dir: "e", Clusters: []ledger.Cluster{{Shards: "0-1"}, {Shards: "2-3"}}}}, ""},
		{history.Config{Dir: "d", Clusters: []ledger.Cluster{{Shards: "0-3"}}}, ""},
	} {
		err := c.config.CheckShared(4)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

// member is a process of TestHistoriesFollowTheLedger: books, relays and history.
type member struct {
	books   *ledger.Service
	history *history.Service
	stop    func() error
}

// joinBooks starts a member on shared books.
func joinBooks(t *testing.T, dir string, config history.Config, transport stream.Transport) *member {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{}
	var err error
	m.books, err = ledger.Open(ctx, ledger.Config{Dir: dir, Shards: 2, InternalListen: "127.0.0.1:0", Lease: time.Second},
		ledger.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	m.history, err = history.Open(ctx, config, history.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry(),
		Transport: transport, Source: m.books, ShardOf: m.books.ShardOf, Since: m.books.Since, Hold: m.books.WhileOwned})
	if err != nil {
		t.Fatal(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.books.Run(ctx) })
	g.Go(func() error { return m.history.Run(ctx) })
	for n := range m.books.Shards() {
		g.Go(func() error {
			return m.books.WhileOwned(ctx, n, func(ctx context.Context, _ int64) error {
				relay, err := stream.NewRelay(m.books, n, transport, stream.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
				if err != nil {
					return err
				}
				return relay.Run(ctx)
			})
		})
	}
	m.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(g.Wait(), m.history.Close(), m.books.Close())
	})
	t.Cleanup(func() { _ = m.stop() })
	return m
}

// holds returns how many shards the member's history writes.
func (m *member) holds() (n int) {
	for _, l := range m.history.Lag() {
		if l.Held {
			n++
		}
	}
	return n
}

// TestHistoriesFollowTheLedger runs bets through two processes' books while a third joins and the first leaves:
// each bet is read, at the position of its stake, in a process that did not take it.
func TestHistoriesFollowTheLedger(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	e, dir := engine{mariadb.Shared(t)}, t.TempDir()
	emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams")}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emb.Close() })
	config := history.Config{Dir: filepath.Join(dir, "history"), ReadWait: time.Minute, Clusters: e.clusters(t, e.server.Database(t), 2)}
	join := func() *member { return joinBooks(t, filepath.Join(dir, "ledger"), config, emb.Transport()) }
	first, second := join(), join()
	eventually(t, "an even spread", func() bool { return first.holds() == 1 && second.holds() == 1 })
	const players, rounds = 4, 10
	play := func(name string, to, from *member) {
		t.Helper()
		var playing sync.WaitGroup
		for n := range players {
			playing.Go(func() { playBets(t, to.books, from.history, id.Player(fmt.Sprintf("plr_%s%d", name, n)), rounds) })
		}
		playing.Wait()
	}
	play("a", first, second)
	play("b", second, first)
	third := join()
	var played sync.WaitGroup
	played.Go(func() { play("c", second, third) })
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the take-over", func() bool { return second.holds() == 1 && third.holds() == 1 })
	played.Wait()
	if err := second.stop(); err != nil {
		t.Error(err)
	}
	eventually(t, "the second take-over", func() bool { return third.holds() == 2 })
	play("d", third, third)
	report, err := history.Audit(t.Context(), history.AuditOptions{Dir: config.Dir, Clusters: config.Clusters, Log: third.books})
	if err != nil {
		t.Errorf("Audit: %v", err)
	}
	var bets int64
	for _, shard := range report.Shards {
		bets += shard.Bets
	}
	if bets != 4*players*rounds {
		t.Errorf("audit counts %d bets, want %d", bets, 4*players*rounds)
	}
}
