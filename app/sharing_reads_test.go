package app

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"matchday/api"
	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/stream"
)

// ask reads over the API, again while the process says that it does not show the position yet.
func ask(t *testing.T, a *App, path, key string, at stream.Position) (status int, body string, history string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.BaseURL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		if at != (stream.Position{}) {
			request.Header.Set("Matchday-Position", at.String())
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return response.StatusCode, string(text), response.Header.Get("Matchday-History")
		}
	}
}

// betOnBooks moves the money of a step of a bet, with its record.
func betOnBooks(t *testing.T, a *App, key string, player id.Player, kind ledger.Kind, from, to ledger.Address, record string, data any) stream.Position {
	t.Helper()
	raw, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	transfer := ledger.Transfer{Key: key, Kind: kind, Player: player, Jurisdiction: "US-NJ", Currency: "USD",
		Postings: []ledger.Posting{{Account: from, AmountMinor: -100}, {Account: to, AmountMinor: 100}},
		Record:   &stream.Draft{Type: record, Subject: key, Data: raw}}
	result, err := a.Ledger.Commit(t.Context(), ledger.LaneInteractive, transfer)
	for deadline := time.Now().Add(2 * time.Minute); errs.Is(err, errs.CodeUnavailable) && time.Now().Before(deadline); <-time.After(10 * time.Millisecond) {
		result, err = a.Ledger.Commit(t.Context(), ledger.LaneInteractive, transfer) // the shard changes hands
	}
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return result.Position
}

// playOne places a bet and settles it, and returns it with the position after each.
func playOne(t *testing.T, a *App, player id.Player) (bet id.Bet, placed, settled stream.Position) {
	t.Helper()
	bet = id.NewSource(time.Now).NewBet()
	cash, bets := ledger.PlayerCash(player, "US-NJ"), ledger.Bets("US-NJ", "sportsbook")
	placed = betOnBooks(t, a, "stake/"+string(bet), player, ledger.KindStake, cash, bets, stream.TypeBetPlaced, stream.BetPlaced{BetID: bet, PlayerID: player,
		Jurisdiction: "US-NJ", Product: "sportsbook", Currency: "USD", StakeMinor: 100, PotentialPayoutMinor: 190, Legs: []stream.BetLeg{{EventID: "game",
			EventName: "Buffalo at Tennessee", MarketID: "m", Market: "moneyline", SelectionID: "m:home", Selection: "home", SelectionName: "Tennessee", Price: "-110"}}})
	settled = betOnBooks(t, a, "settle/"+string(bet), player, ledger.KindSettlement, bets, cash, stream.TypeBetSettled, stream.BetSettled{BetID: bet, PlayerID: player,
		Jurisdiction: "US-NJ", Version: 1, Outcome: "push", PayoutMinor: 100, Currency: "USD", LegOutcomes: []string{"push"}})
	return bet, placed, settled
}

// TestBetsAreReadInEveryProcessThatSharesTheHistory plays bets in one process and the other, reads each at its positions in
// both, and goes on with the one that is left.
func TestBetsAreReadInEveryProcessThatSharesTheHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	const noRight = "a key that may not read bets"
	shared, claim := withSharedHistory(t)
	withKey := func(c *Config) {
		shared(c)
		sum := sha256.Sum256([]byte(noRight))
		c.API.Keys = []api.ServiceKey{{Name: "books", SHA256: hex.EncodeToString(sum[:])}}
	}
	dir := filepath.Join(t.TempDir(), "books")
	first, stopFirst := startLedgerAPI(t, dir, withKey)
	second, _ := startLedgerAPI(t, dir, withKey)
	here := 0
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) { // half of the shards each, so that reads follow
		if here = appliedHere(t, first); here == 2 && appliedHere(t, second) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the first process applies %d shards of 4, want 2", here)
		}
	}
	players := playersOfAllShards(first)
	for i, player := range players {
		postDeposit(t, []*App{first, second}[i%2], "d-"+string(player), string(player))
		readEverywhere(t, player, []*App{first, second}[i/2%2], noRight, first, second)
	}
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	for _, player := range players {
		readEverywhere(t, player, second, noRight, second)
	}
	for deadline := time.Now().Add(2 * time.Minute); appliedHere(t, second) < 4; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not every shard is applied by the process that is left")
		}
	}
	claim(0, 1_000_000) // as books do that are ahead of these
	playOne(t, second, players[0])
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		l := lagsOf(t, second)[0]
		if !l.Here && strings.Contains(l.Trouble, "higher epoch") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process does not say that its claim is refused: %+v", l)
		}
	}
}

// playersOfAllShards returns a player of each shard.
func playersOfAllShards(a *App) []id.Player {
	ids := id.NewSource(time.Now)
	out := make([]id.Player, a.Ledger.Shards())
	for slices.Contains(out, "") {
		p := ids.NewPlayer()
		out[a.Ledger.ShardOf(p)] = p
	}
	return out
}

// lagsOf returns what an operator reads of each shard.
func lagsOf(t *testing.T, a *App) []api.Lag {
	t.Helper()
	status, body, _ := ask(t, a, "/v1/operator/lag", a.Secrets.ServiceKey, stream.Position{})
	var lags api.List[api.Lag]
	if err := json.Unmarshal([]byte(body), &lags); status != http.StatusOK || err != nil || len(lags.Items) != 4 {
		t.Fatalf("lag: %d %s (%v)", status, body, err)
	}
	return lags.Items
}

// appliedHere returns how many shards the process says it applies.
func appliedHere(t *testing.T, a *App) (n int) {
	t.Helper()
	for _, l := range lagsOf(t, a) {
		if l.Here {
			n++
		}
		if l.Head < l.Position || l.LagSeconds < 0 {
			t.Errorf("lag %+v: what is shown is not in the log", l)
		}
	}
	return n
}

// readEverywhere plays a bet in one process and reads it in each.
func readEverywhere(t *testing.T, player id.Player, in *App, noRight string, processes ...*App) {
	t.Helper()
	bet, placed, settled := playOne(t, in, player)
	const where = "?jurisdiction=US-NJ"
	path := "/v1/operator/players/" + string(player) + "/bets"
	for n, a := range processes {
		var life api.BetLife
		status, body, from := ask(t, a, path+"/"+string(bet)+where, a.Secrets.ServiceKey, settled)
		now := time.Now()
		if err := json.Unmarshal([]byte(body), &life); status != http.StatusOK || err != nil || from != "first" {
			t.Fatalf("process %d, bet %s: %d %s (%v), history %q", n, bet, status, body, err, from)
		}
		if life.Status != "push" || life.PlacedPosition != placed.String() || len(life.Settlements) != 1 || life.Settlements[0].Position != settled.String() {
			t.Errorf("process %d, bet %s: %s, want it placed at %s and settled at %s", n, bet, body, placed, settled)
		}
		if life.FreshAt.IsZero() || life.FreshAt.After(now) {
			t.Errorf("process %d: fresh at %s, now is %s", n, life.FreshAt, now)
		}
		if status, body, _ = ask(t, a, path+where, a.Secrets.ServiceKey, settled); status != http.StatusOK || !strings.Contains(body, string(bet)) {
			t.Errorf("process %d, list: %d %s", n, status, body)
		}
		if status, body, _ = ask(t, a, path+"/summary"+where, a.Secrets.ServiceKey, settled); status != http.StatusOK || !strings.Contains(body, `"returned"`) {
			t.Errorf("process %d, summary: %d %s", n, status, body)
		}
		for _, file := range []string{"/export", "/export.csv"} {
			if status, body, _ = ask(t, a, path+file+where, a.Secrets.ServiceKey, settled); status != http.StatusOK || !strings.Contains(body, string(bet)) {
				t.Errorf("process %d%s: %d %s", n, file, status, body)
			}
		}
		for key, want := range map[string]int{noRight: http.StatusForbidden, "made up": http.StatusUnauthorized} {
			for _, read := range []string{"", "/" + string(bet), "/summary", "/export", "/export.csv"} {
				if status, body, _ = ask(t, a, path+read+where, key, settled); status != want || strings.Contains(body, "push") {
					t.Errorf("process %d%s with %s: %d %s, want %d", n, read, key, status, body, want)
				}
			}
		}
	}
}
