package api

import (
	"context"
	"net/http"
	"testing"
	"time"

	"matchday/id"
	"matchday/player"
)

func TestSignUpInAndOut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, token := s.signUp(on)
	if p.Jurisdiction != "CA-ON" || p.Status != "active" || id.Check(id.KindPlayer, p.ID) != nil {
		t.Errorf("signed up as %+v, want an active player of CA-ON", p)
	}
	me := into[Me](s.do("GET", "/v1/me", token, nil).want(http.StatusOK))
	if me.Player != p || me.PreviousSignIn != nil || !me.ExpiresAt.After(time.Unix(0, 0)) {
		t.Errorf("me is %+v, want %+v at the first sign-in", me, p)
	}
	again := into[Session](s.do("POST", "/v1/sessions", "", SignInRequest{Email: "Player1@Example.com", Password: password, Jurisdiction: "CA-ON"}).want(http.StatusCreated))
	if again.PreviousSignIn == nil {
		t.Error("the second sign-in does not show the first")
	}
	s.do("DELETE", "/v1/sessions", token, nil).want(http.StatusNoContent)
	s.do("GET", "/v1/me", token, nil).wantCode("unauthenticated")
	s.do("GET", "/v1/me", again.Token, nil).want(http.StatusOK)
	s.do("DELETE", "/v1/sessions?all=true", again.Token, nil).want(http.StatusNoContent)
	s.do("GET", "/v1/me", again.Token, nil).wantCode("unauthenticated")
}

func TestDepositsAndWithdrawals(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, token := s.signUp(nj)
	zero := into[Balance](s.do("GET", "/v1/me/balance", token, nil).want(http.StatusOK))
	if zero.Available != (Amount{"0.00", "USD"}) {
		t.Errorf("a new player has %+v, want 0.00 USD", zero)
	}
	key := header("Idempotency-Key", "one-deposit")
	ask := PaymentRequest{Amount: Amount{"50.00", "USD"}, Method: "card"}
	first := into[Payment](s.do("POST", "/v1/me/deposits", token, ask, key))
	s.poll("the deposit", func() bool {
		return into[Payment](s.do("GET", "/v1/me/deposits/"+first.ID, token, nil)).Status == "completed"
	})
	again := s.do("POST", "/v1/me/deposits", token, ask, key).want(http.StatusCreated)
	if got := into[Payment](again); got.ID != first.ID || got.Status != "completed" {
		t.Errorf("the same key answers %+v, want payment %s", got, first.ID)
	}
	position := again.header.Get("Matchday-Position")
	if position == "" {
		t.Error("a completed deposit has no Matchday-Position")
	}
	ask.Amount.Amount = "51.00"
	s.do("POST", "/v1/me/deposits", token, ask, key).want(http.StatusConflict).wantCode("conflict")
	got := into[Balance](s.do("GET", "/v1/me/balance", token, nil, header("Matchday-Position", position)).want(http.StatusOK))
	if got.Available != (Amount{"50.00", "USD"}) || got.Posted != got.Available || got.Held != (Amount{"0.00", "USD"}) {
		t.Errorf("balance %+v, want 50.00", got)
	}
	s.do("POST", "/v1/me/withdrawals", token, PaymentRequest{Amount: Amount{"50.01", "USD"}, Method: "card"}, s.key()).
		want(http.StatusPaymentRequired).wantCode("insufficient_funds")
	out := into[Payment](s.do("POST", "/v1/me/withdrawals", token, PaymentRequest{Amount: Amount{"20.00", "USD"}, Method: "card"}, s.key()))
	s.poll("the withdrawal", func() bool {
		return into[Payment](s.do("GET", "/v1/me/withdrawals/"+out.ID, token, nil)).Status == "completed"
	})
	s.do("GET", "/v1/me/deposits/"+out.ID, token, nil).wantCode("not_found")
	lines := into[List[StatementLine]](s.do("GET", "/v1/me/statement?limit=1", token, nil).want(http.StatusOK))
	if len(lines.Items) != 1 || lines.Items[0].Amount != (Amount{"-20.00", "USD"}) || lines.Items[0].Balance != (Amount{"30.00", "USD"}) || lines.Next == "" {
		t.Errorf("newest line %+v, want -20.00 to 30.00 and more", lines)
	}
	rest := into[List[StatementLine]](s.do("GET", "/v1/me/statement?cursor="+lines.Next, token, nil).want(http.StatusOK))
	if len(rest.Items) != 1 || rest.Items[0].Kind != "deposit" || rest.Next != "" {
		t.Errorf("the page after it is %+v, want the deposit and no more", rest)
	}
	day := "?from=" + rest.Items[0].At.Format(time.RFC3339Nano) + "&to=" + lines.Items[0].At.Add(time.Microsecond).Format(time.RFC3339Nano)
	for query, want := range map[string]int{day: 2, day + "&kinds=deposit": 1, day + "&kinds=deposit,withdrawal_request": 2, "?kinds=stake": 0,
		"?to=" + rest.Items[0].At.Format(time.RFC3339Nano): 0} {
		if got := into[List[StatementLine]](s.do("GET", "/v1/me/statement"+query, token, nil).want(http.StatusOK)); len(got.Items) != want {
			t.Errorf("%s shows %+v, want %d lines", query, got, want)
		}
	}
	if list := into[List[Payment]](s.do("GET", "/v1/me/deposits", token, nil).want(http.StatusOK)); len(list.Items) != 1 || list.Items[0].ID != first.ID {
		t.Errorf("deposits %+v, want one", list)
	}
}

func TestADeclinedDepositMovesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, token := s.signUp(nj)
	p := into[Payment](s.do("POST", "/v1/me/deposits", token, PaymentRequest{Amount: Amount{"50.00", "USD"}, Method: "card-declined"}, s.key()))
	s.poll("the decline", func() bool {
		got := into[Payment](s.do("GET", "/v1/me/deposits/"+p.ID, token, nil))
		return got.Status == "declined" && got.Reason != ""
	})
	if got := into[Balance](s.do("GET", "/v1/me/balance", token, nil)); got.Posted.Amount != "0.00" {
		t.Errorf("balance %+v after a decline, want 0.00", got)
	}
}

func TestPlayersCannotReachAcrossABorder(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("pa-only", pa)
	s.game("everywhere")
	_, jersey := s.signUp(nj)
	_, penn := s.signUp(pa)
	s.fund(jersey, "100.00", "USD")
	s.fund(penn, "100.00", "USD")
	bet := s.do("POST", "/v1/bets", penn, single("pa-only", "USD"), s.key()).want(http.StatusCreated)
	betID := into[Receipt](bet).ID
	payment := into[List[Payment]](s.do("GET", "/v1/me/deposits", penn, nil)).Items[0].ID
	before := s.state(jersey, penn)

	s.do("GET", "/v1/bets/"+betID, jersey, nil).wantCode("not_found")
	s.do("GET", "/v1/me/deposits/"+payment, jersey, nil).wantCode("not_found")
	s.do("GET", "/v1/events/pa-only", jersey, nil).wantCode("not_found")
	s.do("GET", "/v1/events/pa-only?jurisdiction=US-PA", jersey, nil).wantCode("forbidden")
	s.do("GET", "/v1/events?jurisdiction=US-PA", jersey, nil).wantCode("forbidden")
	s.do("GET", "/v1/live?jurisdiction=US-PA", jersey, nil).wantCode("forbidden")
	s.do("POST", "/v1/bets/quote", jersey, single("pa-only", "USD")).wantCode("invalid")
	s.do("POST", "/v1/bets", jersey, single("pa-only", "USD"), s.key()).wantCode("invalid")
	s.do("POST", "/v1/sessions", "", SignInRequest{Email: "player2@example.com", Password: password, Jurisdiction: "US-NJ"}).wantCode("unauthenticated")
	for _, path := range []string{"/v1/me/bets", "/v1/me/statement"} {
		if items := into[List[map[string]any]](s.do("GET", path, jersey, nil).want(http.StatusOK)).Items; path == "/v1/me/bets" && len(items) != 0 {
			t.Errorf("%s of the other player shows %v", path, items)
		}
	}
	for _, e := range into[List[Event]](s.do("GET", "/v1/events", jersey, nil).want(http.StatusOK)).Items {
		if e.ID == "pa-only" {
			t.Error("a player of New Jersey is offered a game of Pennsylvania")
		}
	}
	jerseyStaff := s.staff("jersey-trader", 3, nj)
	s.do("GET", "/v1/operator/players?jurisdiction=US-PA", jerseyStaff, nil).wantCode("forbidden")
	s.do("GET", "/v1/operator/events/pa-only?jurisdiction=US-PA", jerseyStaff, nil).wantCode("forbidden")
	s.do("POST", "/v1/operator/events/pa-only/result", jerseyStaff, ScoreRequest{new(int), new(int)}).wantCode("forbidden")
	s.do("POST", "/v1/operator/selections/pa-only:moneyline:home/price", jerseyStaff, SetPriceRequest{Price: "-200", Jurisdiction: "US-PA"}).wantCode("forbidden")
	s.do("POST", "/v1/operator/selections/pa-only:moneyline:home/price", jerseyStaff, SetPriceRequest{Price: "-200"}).wantCode("forbidden")
	s.do("POST", "/v1/operator/audit", jerseyStaff, nil).wantCode("forbidden")
	s.do("GET", "/v1/operator/audit", jerseyStaff, nil).wantCode("forbidden")
	s.do("GET", "/v1/operator/rates", jerseyStaff, nil).wantCode("forbidden")
	s.do("GET", "/v1/operator/settlements", jerseyStaff, nil).wantCode("forbidden")
	names := (&call{a: s.api, caller: caller{session: player.Session{Staff: "jersey-trader", Jurisdictions: []id.Jurisdiction{nj}}}}).eventNames(context.Background())
	if got := names("pa-only"); got != "" || names("everywhere") == "" {
		t.Errorf("staff of New Jersey are told that the game of Pennsylvania is %q", got)
	}
	for _, row := range into[List[Exposure]](s.do("GET", "/v1/operator/exposure", jerseyStaff, nil).want(http.StatusOK)).Items {
		if row.Jurisdiction != "US-NJ" {
			t.Errorf("staff of New Jersey see exposure %+v", row)
		}
	}
	pennService := testKey + " in Pennsylvania"
	s.do("GET", "/v1/ledger/accounts/bets/US-NJ/sportsbook", pennService, nil).wantCode("forbidden")
	s.do("GET", "/v1/ledger/accounts/bets/US-PA/sportsbook", pennService, nil).want(http.StatusOK)
	if after := s.state(jersey, penn); after != before {
		t.Errorf("the other side of the border has changed:\n%s\nwas\n%s", after, before)
	}
}
