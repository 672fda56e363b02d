package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/money"
	"matchday/sportsbook"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// figure returns the sum of a metric's series that have the label.
func (a *App) figure(t *testing.T, name, label, value string) int {
	t.Helper()
	families, err := a.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					total += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
				}
			}
		}
	}
	return total
}

// eventually waits until is.
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

// bet deposits for a player and places a single on the first open selection.
func (a *App) bet(t *testing.T, p id.Player, key string) sportsbook.Receipt {
	t.Helper()
	const nj = id.Jurisdiction("US-NJ")
	deposit := ledger.Transfer{Key: "deposit/" + string(p) + key, Kind: ledger.KindDeposit, Player: p, Jurisdiction: nj, Currency: money.USD,
		Postings: []ledger.Posting{{Account: ledger.PSP("sandbox", nj), AmountMinor: -5000}, {Account: ledger.PlayerCash(p, nj), AmountMinor: 5000}}}
	if _, err := a.Ledger.Commit(t.Context(), ledger.LaneInteractive, deposit); err != nil {
		t.Fatalf("deposit: %v", err)
	}
	select {
	case <-a.Sportsbook.Ready():
	case <-time.After(5 * time.Minute):
		t.Fatal("bets were not taken within minutes")
	}
	events, _, err := a.Sportsbook.ListEvents(t.Context(), sportsbook.EventQuery{Jurisdiction: nj})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, m := range e.Markets {
			if m.Status != sportsbook.MarketOpen || !e.StartsAt.After(a.clock.Now()) {
				continue
			}
			got, err := a.Sportsbook.Place(t.Context(), sportsbook.PlaceRequest{Player: p, Jurisdiction: nj, Key: key, Stake: money.New(1000, money.USD),
				Legs: []sportsbook.LegRequest{{SelectionID: m.Selections[0].ID, Price: m.Selections[0].Price, Line: m.Selections[0].Line}}})
			if err != nil {
				t.Fatalf("place: %v", err)
			}
			return got
		}
	}
	t.Fatal("nothing to bet on")
	return sportsbook.Receipt{}
}

// seen waits until the player's history shows the bet.
func (a *App) seen(t *testing.T, p id.Player, want sportsbook.Receipt) {
	t.Helper()
	eventually(t, "bet "+string(want.BetID)+" is in the history", func() bool {
		page, err := a.History.List(t.Context(), history.Query{Player: p, Jurisdiction: "US-NJ"})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(page.Bets, func(b history.Bet) bool { return b.ID == want.BetID })
	})
}

func TestBetsOnAClusterReachTheHistoryThroughItsBinlog(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped in short mode: starts a MariaDB server")
	}
	on := mariadb.New(t, mariadb.Options{})
	t.Cleanup(func() { _ = on.Stop() })
	t.Setenv("MATCHDAY_TEST_PASSWORD", mariadb.Password)
	c := Config{Data: t.TempDir(), GeneratedAccess: AccessOn, Ledger: ledger.Config{Shards: 2, Clusters: []ledger.Cluster{{
		Name: "east", Shards: "1", Config: mysqldb.Config{
			Nodes: []string{on.Addr()}, Database: "ledger", User: mariadb.User, PasswordEnv: "MATCHDAY_TEST_PASSWORD",
		}}}}}
	a, stop := serve(t, c)
	if err := a.Sportsbook.AddBuiltInSlate(t.Context(), a.clock.Now()); err != nil {
		t.Fatal(err)
	}
	players := map[int][]id.Player{}
	for i := 0; len(players[0]) < 3 || len(players[1]) < 3; i++ {
		p := id.Player(fmt.Sprintf("plr_%d", i))
		players[a.Ledger.ShardOf(p)] = append(players[a.Ledger.ShardOf(p)], p)
	}
	for n := range 2 { // one shard is a file, the other on the cluster: nobody can tell
		for i, p := range players[n][:3] {
			a.seen(t, p, a.bet(t, p, fmt.Sprint("k", i)))
		}
	}
	if got := a.figure(t, "matchday_capture_batches_total", "source", "binlog"); got == 0 {
		t.Error("no batch came from the binlog")
	}
	stop()

	// While nobody reads, the binlog is purged beyond the stream's end: the shard's relay stops.
	books, closeBooks := a.onlyBooks(t, c)
	late := players[1][0]
	deposit := ledger.Transfer{Key: "late", Kind: ledger.KindDeposit, Player: late, Jurisdiction: "US-NJ", Currency: money.USD,
		Postings: []ledger.Posting{{Account: ledger.PSP("sandbox", "US-NJ"), AmountMinor: -1}, {Account: ledger.PlayerCash(late, "US-NJ"), AmountMinor: 1}}}
	if _, err := books.Commit(t.Context(), ledger.LaneInteractive, deposit); err != nil {
		t.Fatal(err)
	}
	closeBooks()
	purge(t, on)
	a, stop = serve(t, c)
	defer stop()
	eventually(t, "the relay has stopped", func() bool { return a.figure(t, "matchday_capture_stopped", "shard", "1") == 1 })
	p0, p1 := players[0][1], players[1][1]
	relayed := func(want sportsbook.Receipt) func() bool {
		return func() bool {
			return a.figure(t, "matchday_stream_relay_position", "shard", fmt.Sprint(want.Position.Shard)) >= int(want.Position.Seq)
		}
	}
	first, second := a.bet(t, p0, "again"), a.bet(t, p1, "again")
	eventually(t, "the other shard's relay goes on", relayed(first))
	if relayed(second)() {
		t.Error("the relay of the purged shard goes on without permission")
	}
	if err := AllowResnapshot(a.Config, 1); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay goes on from the tables", relayed(second))
	a.seen(t, p0, first)
	a.seen(t, p1, second)
	left, err := filepath.Glob(filepath.Join(a.Config.Ledger.Dir, "resnapshot-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("permissions left: %s, %v, want them used up", strings.Join(left, ", "), err)
	}
}

// onlyBooks opens the ledger of a stopped process, without relays.
func (a *App) onlyBooks(t *testing.T, c Config) (*ledger.Service, func()) {
	t.Helper()
	b, err := New(c, a.Log, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.openLedger(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- b.Ledger.Run(ctx) }()
	return b.Ledger, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := b.Ledger.Close(); err != nil {
			t.Error(err)
		}
	}
}

// purge removes all of the binlog but its newest file, as soon as no reader is in it any more.
func purge(t *testing.T, on *mariadb.Server) {
	t.Helper()
	if _, err := on.Admin().ExecContext(t.Context(), `FLUSH BINARY LOGS`); err != nil {
		t.Fatal(err)
	}
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
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if files > 1 {
			_, err = on.Admin().ExecContext(t.Context(), `PURGE BINARY LOGS TO '`+last+`'`)
		}
		return err == nil && files == 1
	})
}
