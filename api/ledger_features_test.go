package api

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

func cashOf(player string) string { return "player/" + player + "/US-NJ/cash" }

// gift is a payment between two players as a group.
func gift(key, from, to, amount string) GroupRequest {
	send := func(key, player, source, target string) TransferRequest {
		return TransferRequest{Key: key, Kind: "player_transfer", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
			Postings: []PostingJSON{{source, "-" + amount}, {target, amount}}, Metadata: map[string]string{"why": "a gift"}}
	}
	return GroupRequest{Key: key, Transfers: []TransferRequest{
		send(key+"-out", from, cashOf(from), "transit/US-NJ"), send(key+"-in", to, "transit/US-NJ", cashOf(to)),
	}}
}

func TestGroupsCommitAllOrNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	from := newPlayerID()
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(from, "money", "50.00")).want(http.StatusCreated)
	balance := func(player string) string {
		return into[AccountBalance](s.do("GET", "/v1/ledger/accounts/"+cashOf(player), testKey, nil).want(http.StatusOK)).Posted.Amount
	}
	for _, key := range []string{"g-1", "g-2", "g-3"} { // payees on one shard or the other
		to := newPlayerID()
		first := into[GroupResult](s.do("POST", "/v1/ledger/groups", testKey, gift(key, from, to, "10.00")).want(http.StatusCreated))
		again := into[GroupResult](s.do("POST", "/v1/ledger/groups", testKey, gift(key, from, to, "10.00")).want(http.StatusCreated))
		if len(first.Results) != 2 || first.Results[1].Key != key+"-in" || balance(to) != "10.00" || again.Results[0].Result.Position != first.Results[0].Result.Position {
			t.Errorf("group %s: %+v, again %+v, the payee has %s", key, first, again, balance(to))
		}
	}
	to := newPlayerID()
	p := s.do("POST", "/v1/ledger/groups", testKey, gift("g-4", from, to, "30.00")).want(http.StatusPaymentRequired).wantCode("insufficient_funds")
	if len(p.Errors) != 1 || p.Errors[0].Location != "transfers[0]" || !strings.HasPrefix(p.Errors[0].Message, "insufficient_funds") {
		t.Errorf("a group without the money names %+v, want its first transfer", p.Errors)
	}
	if balance(from) != "20.00" || balance(to) != "0.00" {
		t.Errorf("a refused group moved money: %s and %s", balance(from), balance(to))
	}
	s.do("POST", "/v1/ledger/groups", testKey, gift("g-1", from, to, "10.00")).want(http.StatusConflict).wantCode("conflict")
	s.do("POST", "/v1/ledger/groups", testKey+" in Pennsylvania", gift("g-5", from, to, "1.00")).want(http.StatusForbidden)
}

func TestADryRunOfAGroupChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	from, to := newPlayerID(), newPlayerID()
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(from, "d-1", "30.00")).want(http.StatusCreated)
	before := s.state()
	const path = "/v1/ledger/groups?dry_run=true"
	tried := into[GroupResult](s.do("POST", path, testKey, gift("g-1", from, to, "10.00")).want(http.StatusOK))
	if len(tried.Results) != 2 || tried.Results[0].Result.Balances[0] != "20.00" || tried.Results[1].Result.Balances[1] != "10.00" ||
		tried.Results[1].Result.Position != "" || tried.Results[1].Result.Replayed {
		t.Errorf("a dry run answers %+v, want the balances alone", tried)
	}
	p := s.do("POST", path, testKey, gift("g-1", from, to, "31.00")).want(http.StatusPaymentRequired).wantCode("insufficient_funds")
	if len(p.Errors) != 1 || p.Errors[0].Location != "transfers[0]" {
		t.Errorf("without the money it names %+v, want its first transfer", p.Errors)
	}
	if after := s.state(); after != before {
		t.Error("a dry run changed something")
	}
	made := into[GroupResult](s.do("POST", "/v1/ledger/groups", testKey, gift("g-1", from, to, "12.00")).want(http.StatusCreated))
	again := into[GroupResult](s.do("POST", path, testKey, gift("g-1", from, to, "12.00")).want(http.StatusOK))
	if !again.Results[0].Result.Replayed || again.Results[0].Result.Position != made.Results[0].Result.Position {
		t.Errorf("a dry run of what was made answers %+v, want a replay of %+v", again.Results[0], made.Results[0])
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	before := s.state()
	tried := into[TransferResult](s.do("POST", "/v1/ledger/transfers?dry_run=true", testKey, depositOf(player, "d-1", "5.00")).want(http.StatusOK))
	if tried.Position != "" || tried.Replayed || tried.Balances[1] != "5.00" {
		t.Errorf("a dry run answers %+v, want the balances alone", tried)
	}
	stake := TransferRequest{Key: "s-1", Kind: "stake", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
		Postings: []PostingJSON{{cashOf(player), "-4.00"}, {"bets/US-NJ/casino", "4.00"}}}
	s.do("POST", "/v1/ledger/transfers?dry_run=true", testKey, stake).want(http.StatusPaymentRequired).wantCode("insufficient_funds")
	batch := into[BatchResult](s.do("POST", "/v1/ledger/transfers/batch?dry_run=true", testKey,
		BatchRequest{Transfers: []TransferRequest{depositOf(player, "d-1", "5.00"), stake}}).want(http.StatusOK))
	if batch.Committed != 2 || batch.Results[1].Result.Balances[0] != "1.00" {
		t.Errorf("a dry batch answers %+v, want the stake paid from the deposit before it", batch)
	}
	if after := s.state(); after != before {
		t.Error("a dry run changed something")
	}
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-1", "7.00")).want(http.StatusCreated)
}

func TestLimitsAndMetadataOfAccounts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	player := newPlayerID()
	limits, metadata := "/v1/ledger/accounts/"+cashOf(player)+"/limits", "/v1/ledger/accounts/"+cashOf(player)+"/metadata"
	if l := into[AccountLimits](s.do("GET", limits, testKey, nil).want(http.StatusOK)); l.Version != 0 || l.Freeze != "none" {
		t.Errorf("limits of nobody: %+v", l)
	}
	ask := LimitsRequest{Key: "l-1", Currency: "USD", MaxBalance: new("100.00"), MinAvailable: new("-20.00")}
	for range 2 { // the second is a replay
		if l := into[AccountLimits](s.do("PUT", limits, testKey, ask).want(http.StatusOK)); l.Version != 1 || l.MaxBalance.Amount != "100.00" || l.MinAvailable.Amount != "-20.00" {
			t.Errorf("limits set: %+v", l)
		}
	}
	stale := ask
	stale.Key = "l-2"
	s.do("PUT", limits, testKey, stale).want(http.StatusConflict)
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-1", "101.00")).wantCode("limit_reached")
	frozen := LimitsRequest{Key: "l-3", Currency: "USD", Freeze: "all", IfVersion: 1}
	s.do("PUT", limits, testKey, frozen).want(http.StatusOK)
	s.do("POST", "/v1/ledger/transfers", testKey, depositOf(player, "d-2", "1.00")).wantCode("excluded")
	s.do("PUT", limits, testKey+" in Pennsylvania", ask).want(http.StatusForbidden)

	m := into[AccountMetadata](s.do("PATCH", metadata, testKey, MetadataRequest{Key: "m-1", Set: map[string]string{"tier": "gold", "desk": "east"}}).want(http.StatusOK))
	if len(m.Metadata) != 2 || m.Metadata["tier"] != "gold" {
		t.Errorf("metadata set: %+v", m)
	}
	s.do("PATCH", metadata, testKey, MetadataRequest{Key: "m-2", Remove: []string{"desk"}}).want(http.StatusOK)
	if m := into[AccountMetadata](s.do("GET", metadata, testKey, nil).want(http.StatusOK)); len(m.Metadata) != 1 || m.Metadata["tier"] != "gold" {
		t.Errorf("metadata: %+v, want tier alone", m)
	}
}

// TestLimitsNeedARight: nobody sets limits who was not given that right, and credit is a right of its own.
func TestLimitsNeedARight(t *testing.T) {
	t.Parallel()
	const lender, warden, nobody = "a lender's key", "a warden's key", "nobody's key"
	s := newServer(t, func(c *Config) {
		for text, key := range map[string]ServiceKey{
			lender: {Name: "lender", Limits: true, CreditLines: true},
			warden: {Name: "warden", Limits: true},
			nobody: {Name: "nobody"},
		} {
			sum := sha256.Sum256([]byte(text))
			key.SHA256 = hex.EncodeToString(sum[:])
			c.Keys = append(c.Keys, key)
		}
	})
	path := "/v1/ledger/accounts/" + cashOf(newPlayerID()) + "/limits"
	set := func(by, key, least string, version int64, freeze string) answer {
		ask := LimitsRequest{Key: key, Currency: "USD", IfVersion: version, Freeze: freeze}
		if least != "" {
			ask.MinAvailable = &least
		}
		return s.do("PUT", path, by, ask)
	}
	missing := func(a answer, right, location string) {
		t.Helper()
		p := a.want(http.StatusForbidden).wantCode("forbidden")
		if !strings.Contains(p.Detail, "the right "+right) || (location != "") != (len(p.Errors) == 1 && p.Errors[0].Location == location) {
			t.Errorf("answer %s, want the right %s named, at %q", a.body, right, location)
		}
	}
	missing(set(nobody, "k", "", 0, "all"), "limits", "")
	missing(set(nobody, "k", "10.00", 0, ""), "limits", "")
	missing(set(nobody, "k", "-0.01", 0, ""), "limits", "")
	missing(set(warden, "k", "-0.01", 0, ""), "credit_lines", "min_available")
	if l := into[AccountLimits](s.do("GET", path, nobody, nil).want(http.StatusOK)); l.Version != 0 {
		t.Errorf("a refused change was made: %+v", l)
	}
	set(warden, "k", "5.00", 0, "").want(http.StatusOK)
	missing(set(warden, "k-2", "-20.00", 1, ""), "credit_lines", "min_available")
	set(lender, "k", "-20.00", 1, "").want(http.StatusOK)

	// The line that is there may be kept, or made smaller, by whoever may set limits.
	missing(set(warden, "k-3", "-20.01", 2, "debits"), "credit_lines", "min_available")
	set(warden, "k-3", "-20.00", 2, "debits").want(http.StatusOK)
	set(warden, "k-4", "-5.00", 3, "").want(http.StatusOK)
	missing(set(warden, "k-5", "-20.00", 4, ""), "credit_lines", "min_available")
	missing(set(warden, "k-5", "-20.00", 9, ""), "credit_lines", "min_available")

	// Nothing new comes of an older version: a replay answers as before, another key conflicts.
	set(warden, "k-3", "-20.00", 2, "debits").want(http.StatusOK)
	set(warden, "k-6", "-90.00", 2, "").want(http.StatusConflict)
	if l := into[AccountLimits](s.do("GET", path, nobody, nil).want(http.StatusOK)); l.Version != 4 || l.MinAvailable.Amount != "-5.00" {
		t.Errorf("limits %+v, want version 4 with -5.00", l)
	}
	set(warden, "k-7", "", 4, "").want(http.StatusOK) // without the line
}
