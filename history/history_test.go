package history_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
	"matchday/stream/streamtest"
)

const nj, pa = id.Jurisdiction("US-NJ"), id.Jurisdiction("US-PA")

// world is a history over a log in memory and an embedded server.
type world struct {
	t    testing.TB
	log  *streamtest.Log
	emb  *stream.Embedded
	dir  string
	s    *history.Service
	stop func()

	config  history.Config
	clock   clock.Clock
	years   map[id.Jurisdiction]int
	metrics *prometheus.Registry
	engine  engine
	prefix  string // of the databases on the server
}

func setup(t testing.TB, e engine, shards int) *world {
	t.Helper()
	w := &world{t: t, log: streamtest.NewLog(shards), dir: t.TempDir(), engine: e, clock: clock.System{}}
	w.config = history.Config{Dir: filepath.Join(w.dir, "history"), ReadWait: 100 * time.Millisecond}
	if e.server != nil {
		w.prefix = e.server.Database(t)
		w.config.Clusters = e.clusters(t, w.prefix, shards)
	}
	emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(w.dir, "streams")}, quiet())
	if err != nil {
		t.Fatalf("StartEmbedded: %v", err)
	}
	w.emb = emb
	t.Cleanup(func() { _ = emb.Close() })
	for n := range shards {
		relay, err := stream.NewRelay(w.log, n, emb.Transport(), stream.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatalf("NewRelay: %v", err)
		}
		w.background(relay.Run)
	}
	w.open()
	return w
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// shardOf puts players on shards by the last digit of their id.
func (w *world) shardOf(p id.Player) int { return int(p[len(p)-1]-'0') % w.log.Shards() }

// open opens the history and runs it until close or the end of the test.
func (w *world) open() {
	w.t.Helper()
	w.metrics = prometheus.NewRegistry()
	s, err := w.tryOpen(w.config)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	w.s = s
	stop := w.background(s.Run)
	w.stop = func() {
		stop()
		if err := s.Close(); err != nil {
			w.t.Errorf("Close: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
}

// tryOpen opens a history over the world's log.
func (w *world) tryOpen(c history.Config) (*history.Service, error) {
	return history.Open(context.Background(), c,
		history.Deps{Clock: w.clock, Log: quiet(), Metrics: w.metrics, Transport: w.emb.Transport(), Source: w.log,
			ShardOf: w.shardOf, KeepYears: w.years})
}

// background runs fn until stop is called or the test ends.
func (w *world) background(fn func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := fn(ctx); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	w.t.Cleanup(stop)
	return stop
}

// commit appends the records to the player's shard and waits until the history shows them.
func (w *world) commit(player id.Player, records ...stream.Record) stream.Position {
	w.t.Helper()
	b := w.log.Append(w.shardOf(player), clock.System{}.Now(), 0, records...)
	at := stream.Position{Shard: b.Shard, Seq: b.Last}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := w.s.WaitFor(ctx, at); err != nil {
		w.t.Fatalf("history did not catch up: %v", err)
	}
	return at
}

func payload(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func placedRecord(player id.Player, j id.Jurisdiction, bet id.Bet, stake int64) stream.Record {
	line := "-3.5"
	legs := []stream.BetLeg{
		{EventID: "2019_05_BUF_TEN", EventName: "Buffalo at Tennessee", StartsAtMS: 1570381200000, MarketID: "mkt_1", Market: "moneyline",
			SelectionID: "mkt_1:home", Selection: "home", SelectionName: "Tennessee", Price: "-150"},
		{EventID: "2019_05_BUF_TEN", EventName: "Buffalo at Tennessee", StartsAtMS: 1570381200000, MarketID: "mkt_2", Market: "spread",
			SelectionID: "mkt_2:home", Selection: "home", SelectionName: "Tennessee", Line: &line, Price: "-110"},
	}
	return stream.Record{Type: stream.TypeBetPlaced, Subject: string(bet), Player: player, Jurisdiction: j, Data: payload(stream.BetPlaced{
		BetID: bet, PlayerID: player, Jurisdiction: j, Product: "sportsbook", Currency: "USD", StakeMinor: stake, PotentialPayoutMinor: 3 * stake, Legs: legs})}
}

func settledRecord(player id.Player, j id.Jurisdiction, bet id.Bet, version int, outcome string, payout int64) stream.Record {
	return stream.Record{Type: stream.TypeBetSettled, Subject: string(bet), Player: player, Jurisdiction: j, Data: payload(stream.BetSettled{
		BetID: bet, PlayerID: player, Jurisdiction: j, Version: version, Outcome: outcome, PayoutMinor: payout, Currency: "USD",
		LegOutcomes: []string{outcome, ""}})}
}

func (w *world) list(q history.Query) history.Page {
	w.t.Helper()
	page, err := w.s.List(context.Background(), q)
	if err != nil {
		w.t.Fatalf("List(%+v): %v", q, err)
	}
	return page
}

func ids(bets []history.Bet) []id.Bet {
	out := []id.Bet{}
	for _, b := range bets {
		out = append(out, b.ID)
	}
	return out
}

func testBetIsShownAsPlacedAndThenAsSettled(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 1)
	at := w.commit("plr_0", placedRecord("plr_0", nj, "bet_1", 2500))
	b, err := w.s.Find(context.Background(), "plr_0", nj, "bet_1", &at)
	if err != nil {
		t.Fatalf("Find: %v", err)
	}
	if b.Status != history.StatusOpen || b.Stake != money.New(2500, "USD") || b.PotentialPayout != money.New(7500, "USD") ||
		b.Version != 0 || !b.SettledAt.IsZero() || b.PlacedAt.IsZero() || b.Product != "sportsbook" {
		t.Errorf("open bet = %+v", b)
	}
	if len(b.Legs) != 2 || b.Legs[1].Line == nil || *b.Legs[1].Line != "-3.5" || b.Legs[0].Price != "-150" || b.Legs[0].Outcome != "" {
		t.Errorf("legs of the open bet = %+v", b.Legs)
	}
	w.commit("plr_0", settledRecord("plr_0", nj, "bet_1", 1, "won", 7500))
	b, _ = w.s.Find(context.Background(), "plr_0", nj, "bet_1", nil)
	if b.Status != history.StatusWon || b.Payout != money.New(7500, "USD") || b.Version != 1 || b.SettledAt.IsZero() || b.Legs[0].Outcome != "won" {
		t.Errorf("settled bet = %+v", b)
	}
	w.commit("plr_0", settledRecord("plr_0", nj, "bet_1", 2, "lost", 0))
	b, _ = w.s.Find(context.Background(), "plr_0", nj, "bet_1", nil)
	if b.Status != history.StatusLost || b.Payout != money.New(0, "USD") || b.Version != 2 {
		t.Errorf("bet settled again = %+v", b)
	}
	w.commit("plr_0", settledRecord("plr_0", nj, "bet_1", 1, "won", 7500))
	b, _ = w.s.Find(context.Background(), "plr_0", nj, "bet_1", nil)
	if b.Version != 2 || b.Status != history.StatusLost {
		t.Errorf("an older settlement changed the bet to %+v", b)
	}
}

func testListPagesNewestFirstAndFilters(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 1)
	for n := range 7 {
		bet := id.Bet(fmt.Sprintf("bet_%d", n))
		w.commit("plr_0", placedRecord("plr_0", nj, bet, 100))
		switch n % 3 {
		case 0:
			w.commit("plr_0", settledRecord("plr_0", nj, bet, 1, "won", 300))
		case 1:
			w.commit("plr_0", settledRecord("plr_0", nj, bet, 1, "void", 100))
		}
	}
	tests := []struct {
		name   string
		status history.Status
		before id.Bet
		limit  int
		want   []id.Bet
		next   id.Bet
	}{
		{"all", "", "", 0, []id.Bet{"bet_6", "bet_5", "bet_4", "bet_3", "bet_2", "bet_1", "bet_0"}, ""},
		{"first page", "", "", 3, []id.Bet{"bet_6", "bet_5", "bet_4"}, "bet_4"},
		{"second page", "", "bet_4", 3, []id.Bet{"bet_3", "bet_2", "bet_1"}, "bet_1"},
		{"last page", "", "bet_1", 3, []id.Bet{"bet_0"}, ""},
		{"a page that is exactly full is the last", "", "", 7, []id.Bet{"bet_6", "bet_5", "bet_4", "bet_3", "bet_2", "bet_1", "bet_0"}, ""},
		{"open", history.StatusOpen, "", 0, []id.Bet{"bet_5", "bet_2"}, ""},
		{"won", history.StatusWon, "", 2, []id.Bet{"bet_6", "bet_3"}, "bet_3"},
		{"void", history.StatusVoid, "", 0, []id.Bet{"bet_4", "bet_1"}, ""},
		{"lost has none", history.StatusLost, "", 0, []id.Bet{}, ""},
		{"settled", history.StatusSettled, "bet_6", 0, []id.Bet{"bet_4", "bet_3", "bet_1", "bet_0"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			page := w.list(history.Query{Player: "plr_0", Jurisdiction: nj, Status: tt.status, Before: tt.before, Limit: tt.limit})
			if got := ids(page.Bets); !slices.Equal(got, tt.want) || page.Next != tt.next {
				t.Errorf("got %v next %q, want %v next %q", got, page.Next, tt.want, tt.next)
			}
		})
	}
}

func testNothingOfAnotherPlayerOrJurisdictionIsFound(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 2)
	w.commit("plr_0", placedRecord("plr_0", nj, "bet_1", 100))
	w.commit("plr_1", placedRecord("plr_1", pa, "bet_2", 100))
	tests := []struct {
		name   string
		player id.Player
		j      id.Jurisdiction
		bet    id.Bet
		found  bool
	}{
		{"own bet", "plr_0", nj, "bet_1", true},
		{"own bet, other jurisdiction", "plr_0", pa, "bet_1", false},
		{"bet of another player", "plr_0", nj, "bet_2", false},
		{"bet of another player, in its jurisdiction", "plr_0", pa, "bet_2", false},
		{"another player asks", "plr_1", nj, "bet_1", false},
		{"unknown bet", "plr_0", nj, "bet_9", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := w.s.Find(context.Background(), tt.player, tt.j, tt.bet, nil)
			if found := err == nil; found != tt.found || !found && !errs.Is(err, errs.CodeNotFound) {
				t.Errorf("Find: %v, want found %v", err, tt.found)
			}
			for _, b := range w.list(history.Query{Player: tt.player, Jurisdiction: tt.j}).Bets {
				if b.Player != tt.player || b.Jurisdiction != tt.j {
					t.Errorf("List(%s, %s) shows %s of %s, %s", tt.player, tt.j, b.ID, b.Player, b.Jurisdiction)
				}
			}
		})
	}
}

func testReadAtAPosition(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 2)
	at := w.commit("plr_0", placedRecord("plr_0", nj, "bet_1", 100))
	page := w.list(history.Query{Player: "plr_0", Jurisdiction: nj, At: &at})
	if len(page.Bets) != 1 || page.Position != at || page.FreshAt.IsZero() {
		t.Errorf("page at %s = %+v", at, page)
	}
	future := stream.Position{Shard: 0, Seq: at.Seq + 1}
	if _, err := w.s.List(context.Background(), history.Query{Player: "plr_0", Jurisdiction: nj, At: &future}); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("read at a position that never comes: %v, want unavailable", err)
	}
	other := stream.Position{Shard: 1, Seq: 1}
	if _, err := w.s.Find(context.Background(), "plr_0", nj, "bet_1", &other); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("read at a position of another shard: %v, want invalid", err)
	}
}

func TestQueriesAreChecked(t *testing.T) {
	t.Parallel()
	good := history.Query{Player: "plr_0", Jurisdiction: nj}
	tests := []struct {
		name   string
		change func(*history.Query)
		fields int
	}{
		{"plain", func(*history.Query) {}, 0},
		{"no player", func(q *history.Query) { q.Player = "" }, 1},
		{"no player and no jurisdiction", func(q *history.Query) { q.Player, q.Jurisdiction = "", "" }, 2},
		{"unknown status", func(q *history.Query) { q.Status = "lucky" }, 1},
		{"negative limit", func(q *history.Query) { q.Limit = -1 }, 1},
		{"limit over its bound", func(q *history.Query) { q.Limit = history.MaxLimit + 1 }, 1},
		{"endless cursor", func(q *history.Query) { q.Before = id.Bet(make([]byte, 1000)) }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := good
			tt.change(&q)
			var fields int
			if err, ok := q.Validate().(*errs.Error); ok {
				fields = len(err.Fields)
			}
			if fields != tt.fields {
				t.Errorf("got %d field errors, want %d", fields, tt.fields)
			}
		})
	}
}

func testHistoryIsRebuiltFromTheLog(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 2)
	for n := range 30 {
		player := id.Player(fmt.Sprintf("plr_%d", n%4))
		bet := id.Bet(fmt.Sprintf("bet_%02d", n))
		w.commit(player, placedRecord(player, nj, bet, 100), settledRecord(player, nj, bet, 1, "push", 100))
	}
	all := func() (out []string) {
		if err := w.s.ForEach(context.Background(), func(b history.Bet) error { out = append(out, fmt.Sprintf("%+v", b)); return nil }); err != nil {
			t.Fatalf("ForEach: %v", err)
		}
		return out
	}
	before := all()
	if len(before) != 30 {
		t.Fatalf("ForEach hands over %d bets, want 30", len(before))
	}
	w.stop()
	w.wipe()
	w.open()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for n := range w.log.Shards() {
		if err := w.s.WaitFor(ctx, stream.Position{Shard: n, Seq: w.log.Head(n)}); err != nil {
			t.Fatalf("rebuild: %v", err)
		}
	}
	if after := all(); fmt.Sprint(stripPointers(after)) != fmt.Sprint(stripPointers(before)) {
		t.Errorf("rebuilt history differs: %v, before %v", after, before)
	}
}

// stripPointers removes addresses of lines from printed bets.
func stripPointers(bets []string) []string {
	for i, b := range bets {
		bets[i] = regexp.MustCompile(`0x[0-9a-f]+`).ReplaceAllString(b, "line")
	}
	return bets
}

func testLagIsZeroWhenAllIsShown(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 2)
	at := w.commit("plr_1", placedRecord("plr_1", nj, "bet_1", 100))
	want := []history.ShardLag{{Shard: 0, History: history.ShownFirst, Held: true}, {Shard: 1, History: history.ShownFirst, Position: at.Seq, Held: true}}
	if got := w.s.Lag(); !slices.Equal(got, want) {
		t.Errorf("Lag = %+v, want %+v", got, want)
	}
}

func testSubscribersHearOfEachBatchUntilTheyCancel(t *testing.T, e engine) {
	t.Parallel()
	w := setup(t, e, 1)
	heard := make(chan stream.Batch, 10)
	cancel := w.s.Subscribe(func(b stream.Batch) {
		if page, err := w.s.List(context.Background(), history.Query{Player: "plr_0", Jurisdiction: nj}); err != nil || len(page.Bets) != 1 {
			t.Errorf("a subscriber reads %d bets, %v, want what it was told of", len(page.Bets), err)
		}
		heard <- b
	})
	at := w.commit("plr_0", placedRecord("plr_0", nj, "bet_1", 100))
	if b := <-heard; b.Last != at.Seq || len(b.Records) != 1 {
		t.Errorf("heard of %+v, want the batch that ends at %s", b, at)
	}
	cancel()
	w.commit("plr_0", placedRecord("plr_0", nj, "bet_2", 100))
	if len(heard) != 0 {
		t.Error("heard of a batch after cancel")
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	w := setup(t, engine{}, 2)
	good := history.Deps{Clock: clock.System{}, Log: quiet(), Metrics: prometheus.NewRegistry(), Transport: w.emb.Transport(), Source: w.log, ShardOf: w.shardOf}
	noClock := good
	noClock.Clock = nil
	tests := []struct {
		name   string
		config history.Config
		deps   history.Deps
	}{
		{"no folder", history.Config{}, good},
		{"another number of shards than the ledger", history.Config{Dir: t.TempDir(), Shards: 3}, good},
		{"more writers than its bound", history.Config{Dir: t.TempDir(), Writers: 17}, good},
		{"a cluster with a shard that is not there", history.Config{Dir: t.TempDir(), Clusters: []ledger.Cluster{{Name: "x", Shards: "2",
			Config: mysqldb.Config{Nodes: []string{"127.0.0.1:1"}, Database: "x", User: "x"}}}}, good},
		{"a negative wait", history.Config{Dir: t.TempDir(), ReadWait: -1}, good},
		{"no clock", history.Config{Dir: t.TempDir()}, noClock},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := history.Open(context.Background(), tt.config, tt.deps); err == nil {
				t.Error("Open = nil, want an error")
			}
		})
	}
}

func testAuditFindsTheFirstDifference(t *testing.T, e engine) {
	t.Parallel()
	tests := []struct{ name, damage, want string }{
		{"nothing", `SELECT 1`, ""},
		{"a bet is missing", `DELETE FROM bet WHERE bet_id = 'bet_03'`, "missing"},
		{"a slip is missing", `DELETE FROM slip WHERE seq = (SELECT slip_seq FROM bet WHERE bet_id = 'bet_03')`, "bet_03"},
		{"a bet too many", `INSERT INTO bet SELECT 'plr_9', bet_id, jurisdiction, slip_seq, seq, status, version, settled_us, payout_minor, outcomes FROM bet WHERE bet_id = 'bet_03'`, "plr_9"},
		{"a payout differs", `UPDATE bet SET payout_minor = payout_minor + 1 WHERE bet_id = 'bet_03'`, "bet_03"},
		{"an outcome differs", `UPDATE bet SET status = 3 WHERE bet_id = 'bet_03'`, "bet_03"},
		{"a leg's outcome differs", `UPDATE bet SET outcomes = 'vv' WHERE bet_id = 'bet_03'`, "bet_03"},
		{"a settlement is shown as open", `UPDATE bet SET status = 1, payout_minor = 0, settled_us = 0 WHERE bet_id = 'bet_03'`, "bet_03"},
		{"a stake differs", `UPDATE slip SET stake_minor = 1 WHERE seq = (SELECT slip_seq FROM bet WHERE bet_id = 'bet_03')`, "bet_03"},
		{"legs differ", `UPDATE slip SET legs = '[]' WHERE seq = (SELECT slip_seq FROM bet WHERE bet_id = 'bet_03')`, "bet_03"},
		{"another jurisdiction", `UPDATE bet SET jurisdiction = 'US-PA' WHERE bet_id = 'bet_03'`, "bet_03"},
		{"an earlier settlement is missing", `DELETE FROM bet_change WHERE bet_id = 'bet_01' AND version = 1`, "bet_01"},
		{"an earlier settlement differs", `UPDATE bet_change SET payout_minor = 301 WHERE bet_id = 'bet_01' AND version = 1`, "bet_01"},
		{"a settlement too many", `INSERT INTO bet_change SELECT 'plr_0', 'bet_02', version, seq, status, at_us, payout_minor, outcomes FROM bet_change WHERE version = 1`, "bet_02"},
		{"a settlement of no bet", `INSERT INTO bet_change SELECT 'plr_0', 'bet_99', version, seq, status, at_us, payout_minor, outcomes FROM bet_change WHERE version = 1`, "bet_99"},
		{"a digest of bets that are not there", `INSERT INTO digest VALUES ('plr_0', 'US-NJ', 1, 1, 'sportsbook', 'USD', 'bet_00', 'bet_03', 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, ''); INSERT INTO digested VALUES ('plr_0', 'bet_00')`, "digest of plr_0"},
		{"a digest of nobody", `INSERT INTO digest VALUES ('plr_0', 'US-NJ', 1, 1, 'sportsbook', 'USD', 'bet_00', 'bet_03', 0, 1, 0, 0, 0, 1, 0, 0, 1, 1, '')`, "have none"},
		{"a digest without its days", `INSERT INTO digested VALUES ('plr_0', 'bet_03')`, "digest of plr_0"},
		{"ahead of the log", `UPDATE sink_position SET seq = 1000`, "ahead"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, e, 1)
			for n := range 6 {
				bet := id.Bet(fmt.Sprintf("bet_%02d", n))
				w.commit("plr_0", placedRecord("plr_0", nj, bet, 100))
				if n != 5 {
					w.commit("plr_0", settledRecord("plr_0", nj, bet, 1, "won", 300))
				}
			}
			w.commit("plr_0", settledRecord("plr_0", nj, "bet_01", 2, "", 0))
			w.stop()
			w.exec(tt.damage)
			report, err := history.Audit(context.Background(), history.AuditOptions{Dir: w.config.Dir, Clusters: w.config.Clusters, Log: w.log})
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Audit = %v, want nil", err)
			case tt.want == "" && (len(report.Shards) != 1 || report.Shards[0].Bets != 6 || report.Shards[0].Open != 2):
				t.Errorf("report = %+v, want 6 bets of which 2 are open", report)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Audit = %v, want a difference that names %q", err, tt.want)
			}
		})
	}
}

// TestAlertsNameMetricsThatExist keeps the rules file true: an alert on a metric that nobody writes is silent.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	w := setup(t, engine{}, 1)
	w.commit("plr_0", placedRecord("plr_0", nj, "bet_1", 100))
	telemetrytest.RulesNameMetrics(t, w.metrics, "../docs/alerts/history.rules.yml", `matchday_[a-z_]+`, 4)
}
