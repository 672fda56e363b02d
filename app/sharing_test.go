package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"matchday/id"
	"matchday/ledger"
)

// startLedgerAPI runs a process with role ledger-api that shares the books in dir.
func startLedgerAPI(t *testing.T, dir string) (a *App, stop func() error) {
	t.Helper()
	c := Config{
		Data: t.TempDir(), Listen: "127.0.0.1:0", Roles: []string{"ledger-api"}, GeneratedAccess: AccessOn,
		Ledger: ledger.Config{Dir: dir, Shards: 4, InternalListen: "127.0.0.1:0", Lease: 600 * time.Millisecond},
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
