package app

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

// withSecondHistory gives processes that share a history on a server a second one beside it.
func withSecondHistory(t *testing.T, shared func(*Config)) func(*Config) {
	t.Helper()
	return func(c *Config) {
		shared(c)
		next := c.History.Clusters[0]
		next.Database += "_next"
		c.History.Next = history.NextConfig{Dir: filepath.Join(t.TempDir(), "next"), Lag: time.Minute}
		c.History.Next.Clusters = append(c.History.Next.Clusters, next)
	}
}

// soon waits for what must come.
func soon(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// knownBetOf is a bet that a process has answered for.
type knownBetOf struct {
	player id.Player
	bet    id.Bet
	at     stream.Position
}

// readFrom waits until each process answers from a history, with every bet at its position.
func readFrom(t *testing.T, want string, bets []knownBetOf, processes ...*App) {
	t.Helper()
	for _, a := range processes {
		for _, b := range bets {
			path := "/v1/operator/players/" + string(b.player) + "/bets?jurisdiction=US-NJ"
			soon(t, "an answer from the "+want+" history", func() bool {
				status, body, from := ask(t, a, path, a.Secrets.ServiceKey, b.at)
				if status != http.StatusOK || !strings.Contains(body, string(b.bet)) {
					t.Fatalf("bet %s in the %s history: %d %s", b.bet, from, status, body)
				}
				return from == want
			})
		}
	}
}

// TestASecondHistoryOfProcessesThatShareTheFirst copies bets of before, shows the second history to everybody by a step as the
// command line takes it, goes on with the process that is left, and goes back.
func TestASecondHistoryOfProcessesThatShareTheFirst(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	dir := filepath.Join(t.TempDir(), "books")
	shared, _ := withSharedHistory(t)
	before, stop := startLedgerAPI(t, dir, shared)
	players := playersOfAllShards(before)
	var bets []knownBetOf
	play := func(in *App) {
		for _, p := range players {
			bet, _, at := playOne(t, in, p)
			bets = append(bets, knownBetOf{p, bet, at})
		}
	}
	for _, p := range players {
		postDeposit(t, before, "d-"+string(p), string(p))
	}
	play(before)
	readFrom(t, "first", bets, before)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	both := withSecondHistory(t, shared)
	first, stopFirst := startLedgerAPI(t, dir, both)
	second, _ := startLedgerAPI(t, dir, both)
	soon(t, "an even spread", func() bool { return appliedHere(t, first) == 2 && appliedHere(t, second) == 2 })
	play(first)
	c := second.Config.Effective() // as the command line opens it
	c.History.Shards = c.Ledger.ShardCount()
	desk, err := history.OpenDesk(t.Context(), c.History, clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	defer desk.Close() //nolint:errcheck // read to its end
	step := func(what string, take func(context.Context, history.ActRequest) (history.Choice, error)) {
		t.Helper()
		soon(t, what, func() bool { // it is refused until every shard is compared
			_, err := take(t.Context(), history.ActRequest{By: "test", Reason: "it is one"})
			return err == nil
		})
	}
	step("a switch", desk.Switch)
	status, err := desk.Status(t.Context())
	if err != nil || len(status.Copy) != 4 || status.Copy[0].Chunks == 0 || status.Equal[0].Bets == 0 {
		t.Errorf("the status is %+v, %v, want four shards that are copied and compared", status, err)
	}
	readFrom(t, "second", bets, first, second)
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	play(second)
	readFrom(t, "second", bets, second)
	step("the way back", desk.Back)
	readFrom(t, "first", bets, second)
}
