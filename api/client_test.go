package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	remote "matchday/client"
	"matchday/ledger"
)

// lossy is a proxy before the server that loses answers: the server has done its work, the caller
// does not hear of it.
type lossy struct {
	forward http.Handler
	lose    atomic.Int32 // so many more answers
	busy    atomic.Int32 // so many more calls are turned away before the server
	calls   atomic.Int32
}

// ServeHTTP implements http.Handler.
func (l *lossy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.calls.Add(1)
	if l.busy.Add(-1) >= 0 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if l.lose.Add(-1) >= 0 {
		l.forward.ServeHTTP(httptest.NewRecorder(), r)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
		return
	}
	l.forward.ServeHTTP(w, r)
}

// ledgerClient returns a client of the server, through a proxy that may lose answers.
func (s *server) ledgerClient(t *testing.T, key string) (*remote.Client, *lossy) {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	l := &lossy{forward: httputil.NewSingleHostReverseProxy(target)}
	proxy := httptest.NewServer(l)
	t.Cleanup(proxy.Close)
	c, err := remote.New(remote.Config{URL: proxy.URL, Key: key, Timeout: 30 * time.Second, Pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c, l
}

func clientDeposit(player, key, amount string) remote.Transfer {
	return remote.Transfer{Key: key, Kind: "deposit", Player: player, Jurisdiction: "US-NJ", Currency: "USD", Postings: []remote.Posting{
		{Account: "psp/bank/US-NJ", Amount: "-" + amount}, {Account: "player/" + player + "/US-NJ/cash", Amount: amount}},
		Record: &remote.Record{Type: "bank.deposit", Subject: key, Data: json.RawMessage(`{"note":"a deposit"}`)}}
}

func TestTheClientRetriesWithTheSameKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, wire := s.ledgerClient(t, testKey)
	player := newPlayerID()
	cash := "player/" + player + "/US-NJ/cash"
	wire.lose.Store(2)
	r, err := c.Transfer(t.Context(), clientDeposit(player, "once", "25.00"))
	if err != nil || !r.Replayed || wire.calls.Load() != 3 {
		t.Errorf("after two lost answers: %+v, %v in %d calls, want the first answer again in the third", r, err, wire.calls.Load())
	}
	if b, err := c.Balance(t.Context(), cash); err != nil || b.Available != (remote.Amount{Amount: "25.00", Currency: "USD"}) {
		t.Errorf("balance %+v, %v, want 25.00: one deposit", b, err)
	}
	wire.busy.Store(1)
	if _, err := c.Transfer(t.Context(), clientDeposit(player, "busy", "1.00")); err != nil {
		t.Errorf("after one answer of 503: %v", err)
	}
	wire.calls.Store(0)
	_, err = c.Transfer(t.Context(), clientDeposit(player, "once", "26.00"))
	if remote.CodeOf(err) != remote.CodeConflict || !remote.IsFinal(err) || wire.calls.Load() != 1 {
		t.Errorf("another request under the key: %v in %d calls, want conflict in one", err, wire.calls.Load())
	}
	wire.lose.Store(100)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = c.Transfer(ctx, clientDeposit(player, "given up", "1.00")); !errors.Is(err, context.Canceled) || remote.IsFinal(err) {
		t.Errorf("given up: %v, want an open outcome", err)
	}
}

func TestTheClientCallsEveryEndpoint(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, _ := s.ledgerClient(t, testKey)
	ctx, player := t.Context(), newPlayerID()
	cash := "player/" + player + "/US-NJ/cash"
	first, err := c.Transfer(ctx, clientDeposit(player, "money", "100.00"))
	if err != nil || first.Balances[1] != "100.00" {
		t.Fatalf("deposit: %+v, %v", first, err)
	}
	items, err := c.Transfers(ctx, []remote.Transfer{clientDeposit(player, "b-1", "1.00"), clientDeposit(player, "b-2", "one"), clientDeposit(player, "b-3", "1.00")})
	if err != nil || items[0].Err != nil || remote.CodeOf(items[1].Err) != remote.CodeInvalid || items[2].Balances[1] != "102.00" {
		t.Errorf("batch: %+v, %v", items, err)
	}
	hold := remote.Hold{Key: "h-1", Player: player, Jurisdiction: "US-NJ", Currency: "USD", ExpiresAt: time.Now().Add(time.Hour),
		Postings: []remote.Posting{{Account: cash, Amount: "-40.00"}, {Account: "bets/US-NJ/casino", Amount: "40.00"}}}
	if _, err := c.Hold(ctx, hold); err != nil {
		t.Errorf("hold: %v", err)
	}
	if holds, err := c.OpenHolds(ctx, cash, remote.Page{Limit: 10}); err != nil || len(holds.Items) != 1 || holds.Items[0].Amount.Amount != "40.00" {
		t.Errorf("open holds: %+v, %v", holds, err)
	}
	end := remote.Resolution{Key: "p-1", Player: player, Jurisdiction: "US-NJ", Currency: "USD", Amount: "30.00"}
	if _, err := c.Post(ctx, "h-1", end); err != nil {
		t.Errorf("post: %v", err)
	}
	if _, err := c.Release(ctx, "h-1", remote.Resolution{Key: "r-1", Player: player, Jurisdiction: "US-NJ", Currency: "USD"}); remote.CodeOf(err) != remote.CodeConflict {
		t.Errorf("release of a posted hold: %v, want conflict", err)
	}
	if b, err := c.BalanceAt(ctx, cash, first.At.Add(-time.Second)); err != nil || b.Posted.Amount != "0.00" {
		t.Errorf("balance before: %+v, %v", b, err)
	}
	many, err := c.Balances(ctx, []string{cash, "nonsense"})
	if err != nil || many[0].Posted.Amount != "72.00" || many[1].Err == nil {
		t.Errorf("balances: %+v, %v", many, err)
	}
	lines, err := c.Statement(ctx, cash, remote.Selection{}, remote.Page{Limit: 2})
	if err != nil || len(lines.Items) != 2 || lines.Next == "" || lines.Items[0].Amount.Amount != "-30.00" {
		t.Errorf("statement: %+v, %v", lines, err)
	}
	lines, err = c.Statement(ctx, cash, remote.Selection{From: first.At, To: first.At.Add(time.Hour), Kinds: []string{"post"}}, remote.Page{})
	if err != nil || len(lines.Items) != 1 || lines.Items[0].Kind != "post" {
		t.Errorf("statement of posted holds: %+v, %v", lines, err)
	}
	trial, err := c.TrialBalance(ctx, time.Time{})
	if err != nil || len(trial.Totals) != 1 || trial.Totals[0].Debit != trial.Totals[0].Credit || trial.Totals[0].Debit != "102.00" {
		t.Errorf("trial balance: %+v, %v", trial, err)
	}
	ggr, err := c.GGR(ctx, first.At.Add(-time.Hour), first.At.Add(time.Hour))
	if err != nil || len(ggr) != 1 || ggr[0].Handle != "30.00" || ggr[0].GGR != "0.00" {
		t.Errorf("ggr: %+v, %v", ggr, err)
	}
	var file bytes.Buffer
	if err := c.Export(ctx, &file, ""); err != nil {
		t.Errorf("export: %v", err)
	}
	if _, err := ledger.Verify(ctx, []ledger.NamedReader{{Name: "export", Reader: &file}}, ledger.VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if err := c.Export(ctx, &file, "0:99999"); remote.CodeOf(err) != remote.CodeInvalid {
		t.Errorf("export from nowhere: %v", err)
	}
}

func TestABatcherSendsManyTransfersInFewCalls(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, wire := s.ledgerClient(t, testKey)
	b := c.NewBatcher(remote.BatchOptions{Max: 40, Wait: 200 * time.Millisecond})
	wire.lose.Store(1)
	var all sync.WaitGroup
	player := newPlayerID()
	for i := range 100 {
		all.Go(func() {
			amount, want := "1.00", ""
			if i%10 == 0 {
				amount, want = "none", remote.CodeInvalid
			}
			if _, err := b.Transfer(t.Context(), clientDeposit(player, fmt.Sprintf("key-%d", i), amount)); remote.CodeOf(err) != want {
				t.Errorf("transfer %d: %v, want code %q", i, err, want)
			}
		})
	}
	all.Wait()
	if got, err := c.Balance(t.Context(), "player/"+player+"/US-NJ/cash"); err != nil || got.Posted.Amount != "90.00" {
		t.Errorf("balance %+v, %v, want 90.00", got, err)
	}
	if calls := wire.calls.Load(); calls > 50 {
		t.Errorf("%d calls for 100 transfers", calls)
	}
}

func TestTheClientKnowsGroupsLimitsAndMetadata(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c, wire := s.ledgerClient(t, testKey)
	ctx, from, to := t.Context(), newPlayerID(), newPlayerID()
	tried, err := c.DryRun(ctx, clientDeposit(from, "money", "50.00"))
	if err != nil || tried.Position != "" || tried.Balances[1] != "50.00" {
		t.Errorf("dry run: %+v, %v", tried, err)
	}
	if items, err := c.DryRuns(ctx, []remote.Transfer{clientDeposit(from, "money", "50.00")}); err != nil || items[0].Err != nil {
		t.Errorf("dry runs: %+v, %v", items, err)
	}
	if _, err := c.Transfer(ctx, clientDeposit(from, "money", "50.00")); err != nil {
		t.Fatal(err)
	}
	send := func(key, player, source, target, amount string) remote.Transfer {
		return remote.Transfer{Key: key, Kind: "player_transfer", Player: player, Jurisdiction: "US-NJ", Currency: "USD",
			Postings: []remote.Posting{{Account: source, Amount: "-" + amount}, {Account: target, Amount: amount}}}
	}
	pay := func(key, amount string) ([]remote.Result, error) {
		return c.Group(ctx, key, []remote.Transfer{send(key+"-out", from, cashOf(from), "transit/US-NJ", amount), send(key+"-in", to, "transit/US-NJ", cashOf(to), amount)})
	}
	gift := []remote.Transfer{send("g-1-out", from, cashOf(from), "transit/US-NJ", "20.00"), send("g-1-in", to, "transit/US-NJ", cashOf(to), "20.00")}
	if results, err := c.DryRunGroup(ctx, "g-1", gift); err != nil || len(results) != 2 || results[0].Position != "" || results[0].Balances[0] != "30.00" {
		t.Errorf("dry run of a group: %+v, %v", results, err)
	}
	wire.lose.Store(1)
	if results, err := pay("g-1", "20.00"); err != nil || len(results) != 2 {
		t.Errorf("group after a lost answer: %+v, %v", results, err)
	}
	var refused *remote.Error
	if _, err := pay("g-2", "40.00"); !errors.As(err, &refused) || refused.Code != remote.CodeInsufficientFunds || len(refused.Fields) != 1 {
		t.Errorf("a group without the money: %v", err)
	}
	if b, err := c.Balance(ctx, cashOf(to)); err != nil || b.Posted.Amount != "20.00" {
		t.Errorf("the payee has %+v, %v, want 20.00", b, err)
	}
	l, err := c.SetLimits(ctx, cashOf(to), remote.LimitsChange{Key: "l-1", Currency: "USD", MaxBalance: new("25.00")})
	if err != nil || l.Version != 1 {
		t.Errorf("limits: %+v, %v", l, err)
	}
	if l, err = c.Limits(ctx, cashOf(to)); err != nil || l.MaxBalance.Amount != "25.00" {
		t.Errorf("limits: %+v, %v", l, err)
	}
	if _, err := c.SetMetadata(ctx, cashOf(to), remote.MetadataChange{Key: "m-1", Set: map[string]string{"tier": "gold"}}); err != nil {
		t.Error(err)
	}
	if m, err := c.Metadata(ctx, cashOf(to)); err != nil || m["tier"] != "gold" {
		t.Errorf("metadata: %v, %v", m, err)
	}
}
