package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/id"
)

// depositOf is a service's deposit of an amount for a player of US-NJ.
func depositOf(player, key, amount string) TransferRequest {
	return TransferRequest{Key: key, Kind: "deposit", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", Postings: []PostingJSON{
		{Account: "psp/bank/US-NJ", Amount: "-" + amount}, {Account: "player/" + player + "/US-NJ/cash", Amount: amount}},
		Record: &RecordJSON{Type: "bank.deposit", Subject: key, Data: []byte(`{"note":"a deposit"}`)}}
}

// newPlayerID is the id of somebody whom only the ledger knows.
func newPlayerID() string { return string(id.NewSource(time.Now).NewPlayer()) }

func TestServicesMoveMoney(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	ask := depositOf(player, "d-1", "25.00")
	a := s.do("POST", "/v1/ledger/transfers", testKey, ask).want(http.StatusCreated)
	first := into[TransferResult](a)
	if first.Replayed || first.Position == "" || first.Position != a.header.Get("Matchday-Position") || first.Balances[1] != "25.00" {
		t.Errorf("result %+v, want 25.00 on the player's account", first)
	}
	again := into[TransferResult](s.do("POST", "/v1/ledger/transfers", testKey, ask).want(http.StatusCreated))
	if !again.Replayed || again.Position != first.Position || string(again.Data) != `{"note":"a deposit"}` {
		t.Errorf("the same key answers %+v %s, want the first replayed", again, again.Data)
	}
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-1", "26.00")).want(http.StatusConflict).wantCode("conflict")

	account := "player/" + player + "/US-NJ/cash"
	for _, path := range []string{account, strings.ReplaceAll(account, "/", "%2F")} {
		b := into[AccountBalance](s.do("GET", "/v1/ledger/accounts/"+path, testKey, nil, header("Matchday-Position", first.Position)).want(http.StatusOK))
		if b.Available != (Amount{"25.00", "USD"}) || b.Account != account {
			t.Errorf("balance %+v, want 25.00 on %s", b, account)
		}
		lines := into[List[StatementLine]](s.do("GET", "/v1/ledger/accounts/"+path+"/postings?limit=5", testKey, nil).want(http.StatusOK))
		if len(lines.Items) != 1 || lines.Items[0].Key != "d-1" || lines.Items[0].Amount.Amount != "25.00" {
			t.Errorf("postings %+v, want the deposit with its key", lines)
		}
	}
	past := first.At.Add(-time.Second).Format(time.RFC3339Nano)
	if b := into[AccountBalance](s.do("GET", "/v1/ledger/accounts/"+account+"?at="+past, testKey, nil).want(http.StatusOK)); b.Posted.Amount != "0.00" {
		t.Errorf("balance a second before %+v, want 0.00", b)
	}
	s.do("GET", "/v1/ledger/accounts/"+account+"?at=yesterday", testKey, nil).wantCode("invalid")
	s.do("GET", "/v1/ledger/accounts/"+account+"?limit=5", testKey, nil).wantCode("invalid")
	s.do("GET", "/v1/ledger/accounts/nonsense", testKey, nil).wantCode("not_found")
	s.do("GET", "/v1/ledger/accounts/psp/bank/US-NJ/postings", testKey, nil).wantCode("not_found")
	if b := into[AccountBalance](s.do("GET", "/v1/ledger/accounts/psp/bank/US-NJ", testKey, nil).want(http.StatusOK)); b.Posted.Amount != "-25.00" {
		t.Errorf("the bank holds %+v, want -25.00", b)
	}
}

func TestABatchAnswersItemByItem(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	players := []string{newPlayerID(), newPlayerID(), newPlayerID()}
	batch := BatchRequest{Transfers: []TransferRequest{
		depositOf(players[0], "b-0", "10.00"),
		depositOf(players[1], "b-1", "ten"),
		depositOf(players[2], "b-2", "10.00"),
		depositOf(players[2], "b-2", "10.00"),
		depositOf(players[2], "b-2", "11.00"),
		{Key: "b-5", Kind: "stake", PlayerID: players[1], Jurisdiction: "US-NJ", Currency: "USD", Postings: []PostingJSON{
			{Account: "player/" + players[1] + "/US-NJ/cash", Amount: "-1.00"}, {Account: "bets/US-NJ/casino", Amount: "1.00"}}},
		{Key: "b-6", Kind: "stake", PlayerID: players[0], Jurisdiction: "US-NJ", Currency: "USD", Postings: []PostingJSON{
			{Account: "player/" + players[0] + "/US-NJ/cash", Amount: "-1.00"}, {Account: "bets/US-NJ/sportsbook", Amount: "1.00"}}},
		{Key: "bad key", Kind: "magic", PlayerID: "x", Jurisdiction: "XX", Currency: "XYZ", Record: &RecordJSON{Type: "matchday.bet.placed", Data: []byte(`1`)}},
	}}
	got := into[BatchResult](s.do("POST", "/v1/ledger/transfers/batch", testKey, batch).want(http.StatusOK))
	if got.Committed != 3 || got.Failed != 5 || len(got.Results) != 8 {
		t.Fatalf("committed %d, failed %d of %d, want 3 and 5 of 8: %+v", got.Committed, got.Failed, len(got.Results), got)
	}
	for i, want := range []string{"", "invalid", "", "", "conflict", "insufficient_funds", "forbidden", "invalid"} {
		item := got.Results[i]
		code := ""
		if item.Error != nil {
			code = item.Error.Code
		}
		if item.Index != i || code != want || (item.Result == nil) != (want != "") {
			t.Errorf("item %d answers %+v with code %q, want %q", i, item, code, want)
		}
	}
	if !got.Results[3].Result.Replayed || got.Results[3].Result.Position != got.Results[2].Result.Position {
		t.Errorf("a key repeated in a batch answers %+v, want a replay of %+v", got.Results[3].Result, got.Results[2].Result)
	}
	if fields := got.Results[7].Error.Errors; len(fields) < 7 {
		t.Errorf("the last item names %v, want every wrong field", fields)
	}
}

func TestHoldsArePostedAndReleased(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	account := "player/" + player + "/US-NJ/cash"
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "money", "100.00")).want(http.StatusCreated)
	hold := func(key, amount string) answer {
		return s.do("POST", "/v1/ledger/holds", testKey, HoldRequest{Key: key, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
			ExpiresAt: time.Now().Add(time.Hour), Postings: []PostingJSON{{Account: account, Amount: "-" + amount}, {Account: "bets/US-NJ/casino", Amount: amount}}})
	}
	resolve := func(path, key, amount string) answer {
		return s.do("POST", "/v1/ledger/holds/"+path, testKey, ResolveRequest{Key: key, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", Amount: amount})
	}
	balance := func() AccountBalance {
		return into[AccountBalance](s.do("GET", "/v1/ledger/accounts/"+account, testKey, nil).want(http.StatusOK))
	}
	hold("h-1", "60.00").want(http.StatusCreated)
	if b := balance(); b.Held.Amount != "60.00" || b.Available.Amount != "40.00" || b.Posted.Amount != "100.00" {
		t.Errorf("balance %+v, want 60.00 held", b)
	}
	hold("h-2", "50.00").wantCode("insufficient_funds")
	resolve("h-1/post", "p-1", "25.00").want(http.StatusCreated)
	if b := balance(); b.Held.Amount != "0.00" || b.Available.Amount != "75.00" {
		t.Errorf("balance %+v after posting a part, want 75.00 and nothing held", b)
	}
	if a := resolve("h-1/release", "r-1", ""); a.status < 400 {
		t.Errorf("a posted hold is released: %s", a.body)
	}
	hold("h-3", "75.00").want(http.StatusCreated)
	resolve("h-3/release", "r-3", "1.00").wantCode("invalid")
	resolve("h-3/release", "r-3", "").want(http.StatusCreated)
	if b := balance(); b.Available.Amount != "75.00" {
		t.Errorf("balance %+v after a release, want 75.00", b)
	}
	resolve("nothing/post", "p-9", "").wantCode("not_found")
}

func TestServicesKeysAreTheirOwn(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	pennService := testKey + " in Pennsylvania"
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "same", "1.00")).want(http.StatusCreated)
	s.do("POST", "/v1/ledger/transfers", pennService, depositOf(player, "same", "1.00")).wantCode("forbidden")
	batch := into[BatchResult](s.do("POST", "/v1/ledger/transfers/batch", pennService, BatchRequest{Transfers: []TransferRequest{depositOf(player, "same", "1.00")}}).want(http.StatusOK))
	if batch.Committed != 0 || batch.Results[0].Error.Code != "forbidden" {
		t.Errorf("a key for Pennsylvania moves money in New Jersey: %+v", batch)
	}
	ask := depositOf(player, "same", "2.00")
	ask.Jurisdiction = "US-PA"
	for i := range ask.Postings {
		ask.Postings[i].Account = strings.ReplaceAll(ask.Postings[i].Account, "US-NJ", "US-PA")
	}
	if r := into[TransferResult](s.do("POST", "/v1/ledger/transfers", pennService, ask).want(http.StatusCreated)); r.Replayed {
		t.Errorf("another service's key was taken for this one's: %+v", r)
	}
}

func TestRecordsAreBoundedAsInTheLedger(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ask := depositOf(newPlayerID(), "long", "1.00")
	for field, text := range map[string]*string{"record.type": &ask.Record.Type, "record.subject": &ask.Record.Subject} {
		was := *text
		*text = strings.Repeat("x", maxSubject+1)
		p := s.do("POST", "/v1/ledger/transfers", testKey, ask).wantCode("invalid")
		if len(p.Errors) != 1 || p.Errors[0].Location != field || !strings.Contains(p.Errors[0].Message, "1 to 100 characters") {
			t.Errorf("a %s too long names %v, want it with its bound", field, p.Errors)
		}
		*text = was
	}
	ask.Record.Type, ask.Record.Subject = strings.Repeat("t", maxSubject), strings.Repeat("s", maxSubject)
	s.do("POST", "/v1/ledger/transfers", testKey, ask).want(http.StatusCreated)
}

func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	batch := BatchRequest{}
	for i := range 1001 {
		batch.Transfers = append(batch.Transfers, depositOf(player, fmt.Sprintf("k-%d", i), "1.00"))
	}
	before := s.state()
	s.do("POST", "/v1/ledger/transfers/batch", testKey, batch).want(http.StatusRequestEntityTooLarge).wantCode("too_large")
	s.do("POST", "/v1/ledger/transfers/batch", testKey, BatchRequest{Transfers: []TransferRequest{}}).wantCode("invalid")
	s.do("POST", "/v1/ledger/transfers/batch", testKey, `{"transfers":[`+strings.Repeat(" ", 5<<20)+`]}`).want(http.StatusRequestEntityTooLarge).wantCode("too_large")
	if after := s.state(); after != before {
		t.Error("a refused batch changed something")
	}
	batch.Transfers = batch.Transfers[:1000]
	if got := into[BatchResult](s.do("POST", "/v1/ledger/transfers/batch", testKey, batch).want(http.StatusOK)); got.Committed != 1000 {
		t.Errorf("committed %d of 1000", got.Committed)
	}
}
