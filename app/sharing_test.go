package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"matchday/history"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
)

// startLedgerAPI runs a process with role ledger-api that shares the books in dir.
func startLedgerAPI(t *testing.T, dir string, set ...func(*Config)) (a *App, stop func() error) {
	t.Helper()
	c := Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Roles: []string{"ledger-api"}, GeneratedAccess: AccessOn,
		Ledger: ledger.Config{Dir: dir, Shards: 4, InternalListen: "127.0.0.1:0", Lease: 600 * time.Millisecond},
	}
	for _, one := range set {
		one(&c)
	}
	a, err := New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	select {
	case <-a.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	return a, stop
}

// withSharedHistory gives processes a history on one database server. Claim makes an epoch the one of a shard's history.
func withSharedHistory(t *testing.T) (set func(*Config), claim func(shard int, epoch int64)) {
	t.Helper()
	server := mariadb.Shared(t)
	database := server.Database(t)
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte(mariadb.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	claim = func(shard int, epoch int64) {
		t.Helper()
		if _, err := server.Admin().ExecContext(t.Context(), fmt.Sprintf("UPDATE %s_%d.tenure SET epoch = %d", database, shard, epoch)); err != nil {
			t.Fatal(err)
		}
	}
	return func(c *Config) {
		c.Roles = []string{"ledger-api", "books"}
		c.History.ReadWait = time.Minute
		c.History.Clusters = []ledger.Cluster{{Name: "test", Shards: "0-3", Config: mysqldb.Config{
			Nodes: []string{server.Addr()}, Database: database, User: mariadb.User, PasswordFile: secret}}}
	}, claim
}

// postDeposit sends a deposit over the API.
func postDeposit(t *testing.T, a *App, key, player string) {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"key": key, "kind": "deposit", "player_id": player, "jurisdiction": "US-NJ", "currency": "USD",
		"postings": []map[string]string{
			{"account": "psp/sandbox/US-NJ", "amount": "-5.00"},
			{"account": "player/" + player + "/US-NJ/cash", "amount": "5.00"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.BaseURL()+"/v1/ledger/transfers", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+a.Secrets.ServiceKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("deposit %s: %s %s (%v)", key, response.Status, text, err)
	}
}

// TestLedgerProcessesShareShards sends every deposit to both of two processes, in turn first and as a
// repetition, stops one, and goes on: one answer for each, and books that are sound.
func TestLedgerProcessesShareShards(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "books")
	first, stopFirst := startLedgerAPI(t, dir)
	second, stopSecond := startLedgerAPI(t, dir)
	players := make([]string, 12)
	ids := id.NewSource(time.Now)
	for i := range players {
		players[i] = string(ids.NewPlayer())
	}
	for i, player := range players {
		both := []*App{first, second}
		postDeposit(t, both[i%2], fmt.Sprintf("d-%d", i), player)
		postDeposit(t, both[(i+1)%2], fmt.Sprintf("d-%d", i), player)
	}
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	for i, player := range players {
		postDeposit(t, second, fmt.Sprintf("e-%d", i), player)
		b, err := second.Ledger.Balance(t.Context(), ledger.PlayerCash(id.Player(player), "US-NJ"))
		if err != nil || b.PostedMinor != 1000 {
			t.Fatalf("balance %+v, %v", b, err)
		}
	}
	response, err := http.Get(second.BaseURL() + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a route of another room: got %s, want 404", response.Status)
	}
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
	report, err := ledger.Audit(context.Background(), ledger.AuditOptions{Dir: dir})
	if err != nil || len(report.Findings) > 0 || report.Transfers != int64(2*len(players)) {
		t.Errorf("audit: %+v, %v", report, err)
	}
}

// TestProcessesShareTheHistory has two processes with books and history on one server. Each follows what the
// other applies, and the one that is left applies everything.
func TestProcessesShareTheHistory(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	shared, _ := withSharedHistory(t)
	dir := filepath.Join(t.TempDir(), "books")
	first, stopFirst := startLedgerAPI(t, dir, shared)
	second, stopSecond := startLedgerAPI(t, dir, shared)
	ids := id.NewSource(time.Now)
	pay := func(to *App, key string, seen ...*App) {
		t.Helper()
		player := id.Player(ids.NewPlayer())
		postDeposit(t, to, key, string(player))
		b, err := to.Ledger.Balance(t.Context(), ledger.PlayerCash(player, "US-NJ"))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range seen {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			if err := a.History.WaitFor(ctx, b.Position); err != nil {
				t.Errorf("%s is not shown: %v", key, err)
			}
			cancel()
		}
	}
	for n := range 12 {
		pay([]*App{first, second}[n%2], fmt.Sprintf("d-%d", n), first, second)
	}
	if err := stopFirst(); err != nil {
		t.Fatal(err)
	}
	for n := range 12 {
		pay(second, fmt.Sprintf("e-%d", n), second)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; <-time.After(10 * time.Millisecond) {
		lost := slices.IndexFunc(second.History.Lag(), func(l history.ShardLag) bool { return !l.Held })
		if lost < 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("shard %d is applied by nobody", lost)
		}
	}
	if err := stopSecond(); err != nil {
		t.Fatal(err)
	}
}
