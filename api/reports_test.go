package api

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/ledger"
)

// TestReportsShowWhatTheCallerMaySee: New Jersey has bets and a payout, Pennsylvania a deposit.
func TestReportsShowWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player, from := newPlayerID(), time.Now().UTC().Add(-time.Minute).Format(time.RFC3339)
	cash := "player/" + player + "/US-NJ/cash"
	move := func(key, kind string, postings ...PostingJSON) {
		t.Helper()
		s.do("POST", "/v1/ledger/transfers", testKey, TransferRequest{Key: key, Kind: kind, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
			Postings: postings}).want(http.StatusCreated)
	}
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "money", "100.00")).want(http.StatusCreated)
	move("stake-1", "stake", PostingJSON{cash, "-10.00"}, PostingJSON{"bets/US-NJ/casino", "10.00"})
	move("stake-2", "stake", PostingJSON{cash, "-20.00"}, PostingJSON{"bets/US-NJ/casino", "20.00"})
	move("won", "settlement", PostingJSON{"bets/US-NJ/casino", "-10.00"}, PostingJSON{cash, "14.00"}, PostingJSON{"revenue/US-NJ/casino", "-4.00"})
	move("lost", "settlement", PostingJSON{"bets/US-NJ/casino", "-20.00"}, PostingJSON{"revenue/US-NJ/casino", "20.00"})
	elsewhere := depositOf(newPlayerID(), "pa", "7.00")
	elsewhere.Jurisdiction = "US-PA"
	for i := range elsewhere.Postings {
		elsewhere.Postings[i].Account = strings.ReplaceAll(elsewhere.Postings[i].Account, "US-NJ", "US-PA")
	}
	s.do("POST", "/v1/ledger/transfers", testKey, elsewhere).want(http.StatusCreated)

	trial := into[TrialBalance](s.do("GET", "/v1/ledger/trial-balance", testKey, nil).want(http.StatusOK))
	want := []TrialLine{
		{"US-NJ", "USD", "cash", "", "0.00", "84.00"}, {"US-NJ", "USD", "psp", "bank", "100.00", "0.00"},
		{"US-NJ", "USD", "revenue", "casino", "0.00", "16.00"},
		{"US-PA", "USD", "cash", "", "0.00", "7.00"}, {"US-PA", "USD", "psp", "bank", "7.00", "0.00"},
	}
	if len(trial.Lines) != len(want) || len(trial.Totals) != 1 || trial.Totals[0] != (TrialTotal{"USD", "107.00", "107.00"}) {
		t.Fatalf("trial balance %+v, want %+v", trial, want)
	}
	for i := range want {
		if trial.Lines[i] != want[i] {
			t.Errorf("line %d: %+v, want %+v", i, trial.Lines[i], want[i])
		}
	}
	period := "?from=" + from + "&to=" + time.Now().UTC().Add(time.Hour).Format(time.RFC3339)
	for _, path := range []string{"/v1/ledger/ggr", "/v1/operator/ggr"} {
		token := testKey
		if strings.Contains(path, "operator") {
			token = s.trader()
		}
		got := into[GGRReport](s.do("GET", path+period, token, nil).want(http.StatusOK))
		if len(got.Lines) != 1 || got.Lines[0] != (GGRLine{"US-NJ", "USD", "casino", "30.00", "30.00", "14.00", "16.00", "0.00", "0.00", 2, 2, 0, 0}) {
			t.Errorf("%s: %+v, want stakes 30.00, payouts 14.00", path, got.Lines)
		}
	}
	penn := testKey + " in Pennsylvania"
	if got := into[TrialBalance](s.do("GET", "/v1/ledger/trial-balance", penn, nil).want(http.StatusOK)); len(got.Lines) != 2 || got.Lines[0].Jurisdiction != "US-PA" {
		t.Errorf("a key for Pennsylvania sees %+v", got.Lines)
	}
	if got := into[GGRReport](s.do("GET", "/v1/ledger/ggr"+period, penn, nil).want(http.StatusOK)); len(got.Lines) != 0 {
		t.Errorf("a key for Pennsylvania sees %+v", got.Lines)
	}
	s.do("GET", "/v1/ledger/trial-balance?jurisdiction=US-NJ", penn, nil).want(http.StatusForbidden).wantCode("forbidden")
	table, err := csv.NewReader(bytes.NewReader(s.do("GET", "/v1/ledger/trial-balance?format=csv&jurisdiction=US-NJ", testKey, nil).want(http.StatusOK).body)).ReadAll()
	if err != nil || len(table) != 4 || strings.Join(table[1][1:], " ") != "US-NJ USD cash  0.00 84.00" {
		t.Errorf("as CSV: %v, %v", table, err)
	}
}

func TestAnExportOverHTTPProvesItself(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	r := into[TransferResult](s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "money", "100.00")).want(http.StatusCreated))
	a := s.do("GET", "/v1/ledger/export", testKey, nil).want(http.StatusOK)
	report, err := ledger.Verify(t.Context(), []ledger.NamedReader{{Name: "export", Reader: bytes.NewReader(a.body)}}, ledger.VerifyOptions{})
	if err != nil || !report.Whole || report.Transfers != 1 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("export: %+v, %v, type %s", report, err, a.header.Get("Content-Type"))
	}
	shard, seq, _ := strings.Cut(r.Position, "-")
	rest := s.do("GET", "/v1/ledger/export?from="+shard+":"+seq, testKey, nil).want(http.StatusOK)
	report, err = ledger.Verify(t.Context(), []ledger.NamedReader{{Name: "rest", Reader: bytes.NewReader(rest.body)}}, ledger.VerifyOptions{})
	if err != nil || report.Transfers != 0 {
		t.Errorf("the rest: %+v, %v, want nothing", report, err)
	}
	s.do("GET", "/v1/ledger/export", testKey+" in Pennsylvania", nil).want(http.StatusForbidden).wantCode("forbidden")
}

func TestManyBalancesAndOpenHolds(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	cash := "player/" + player + "/US-NJ/cash"
	first := into[TransferResult](s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "money", "100.00")).want(http.StatusCreated))
	got := into[BalancesResult](s.do("POST", "/v1/ledger/balances", testKey, BalancesRequest{
		Accounts: []string{cash, "my/pocket", "psp/bank/US-NJ", "player/" + player + "/US-PA/cash"}, Positions: []string{first.Position}}).want(http.StatusOK))
	if len(got.Items) != 4 || got.Items[0].Balance.Posted.Amount != "100.00" || got.Items[1].Error.Code != "invalid" ||
		got.Items[2].Balance.Posted.Amount != "-100.00" || got.Items[3].Balance.Posted.Amount != "0.00" {
		t.Errorf("balances %+v", got.Items)
	}
	penn := into[BalancesResult](s.do("POST", "/v1/ledger/balances", testKey+" in Pennsylvania", BalancesRequest{Accounts: []string{cash}}).want(http.StatusOK))
	if penn.Items[0].Error == nil || penn.Items[0].Error.Code != "forbidden" {
		t.Errorf("a key for Pennsylvania reads %+v", penn.Items)
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	for _, key := range []string{"h-1", "h-2", "h-3"} {
		s.do("POST", "/v1/ledger/holds", testKey, HoldRequest{Key: key, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
			ExpiresAt: until, Postings: []PostingJSON{{cash, "-20.00"}, {"bets/US-NJ/casino", "20.00"}}}).want(http.StatusCreated)
	}
	s.do("POST", "/v1/ledger/holds/h-2/release", testKey, ResolveRequest{Key: "r-2", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}).want(http.StatusCreated)
	page := into[List[HoldLine]](s.do("GET", "/v1/ledger/accounts/"+cash+"/holds?limit=1", testKey, nil).want(http.StatusOK))
	if len(page.Items) != 1 || page.Next == "" || page.Items[0].Key != "h-1" || page.Items[0].Amount.Amount != "20.00" ||
		page.Items[0].To != "bets/US-NJ/casino" || !page.Items[0].ExpiresAt.Equal(until) {
		t.Errorf("first page %+v", page)
	}
	page = into[List[HoldLine]](s.do("GET", "/v1/ledger/accounts/"+cash+"/holds?limit=1&cursor="+page.Next, testKey, nil).want(http.StatusOK))
	if len(page.Items) != 1 || page.Next != "" || page.Items[0].Key != "h-3" {
		t.Errorf("last page %+v, want h-3 alone", page)
	}
}
