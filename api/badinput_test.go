package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"matchday/player"
)

// goodBodies has a valid body for each route that takes JSON: what is wrong in a test is then the one
// thing the test made wrong.
func goodBodies() map[string]any {
	amount := Amount{"10.00", "USD"}
	score, yes, other := 3, true, 1
	somebody := newPlayerID()
	return map[string]any{
		"sign-up":                  SignUpRequest{Email: "new@example.com", Password: password, DisplayName: "New", BirthDate: "1980-01-01", Jurisdiction: "US-NJ"},
		"sign-in":                  SignInRequest{Email: "new@example.com", Password: password, Jurisdiction: "US-NJ"},
		"deposit":                  PaymentRequest{Amount: amount, Method: "card"},
		"withdraw":                 PaymentRequest{Amount: amount, Method: "card"},
		"place-bet":                single("game", "USD"),
		"quote-bet":                single("game", "USD"),
		"staff-sign-in":            StaffSignInRequest{Name: "trader", Password: password},
		"create-event":             NewEvent{ID: "another", Sport: "Football", Competition: "Test League", Home: "A", Away: "B", Markets: []NewMarket{}},
		"suspend-event":            SuspensionRequest{&yes},
		"update-score":             ScoreRequest{&score, &score},
		"enter-result":             ResultRequest{HomeScore: &score, AwayScore: &score},
		"set-market-status":        MarketStatusRequest{Status: "suspended"},
		"set-prices":               SetPricesRequest{Prices: map[string]string{"home": "-200"}},
		"void-market":              VoidRequest{Reason: "a test"},
		"set-price":                SetPriceRequest{Price: "-200"},
		"transfer":                 depositOf(somebody, "bad-1", "10.00"),
		"transfer-batch":           BatchRequest{Transfers: []TransferRequest{depositOf(somebody, "bad-2", "10.00")}},
		"hold":                     HoldRequest{Key: "bad-3", PlayerID: somebody, Jurisdiction: "US-NJ", Currency: "USD", Postings: []PostingJSON{}},
		"group":                    GroupRequest{Key: "bad-6", Transfers: []TransferRequest{depositOf(somebody, "bad-7", "10.00")}},
		"set-account-limits":       LimitsRequest{Key: "bad-8", Currency: "USD"},
		"change-account-metadata":  MetadataRequest{Key: "bad-9", Set: map[string]string{"a": "b"}},
		"balances":                 BalancesRequest{Accounts: []string{"psp/bank/US-NJ"}},
		"post-hold":                ResolveRequest{Key: "bad-4", PlayerID: somebody, Jurisdiction: "US-NJ", Currency: "USD"},
		"release-hold":             ResolveRequest{Key: "bad-5", PlayerID: somebody, Jurisdiction: "US-NJ", Currency: "USD"},
		"start-move":               MoveRequest{Buckets: "0-9", From: new(int), To: &other},
		"rebalance":                RebalanceRequest{DryRun: true},
		"share-second-history":     HistoryShareRequest{HistoryStepRequest: HistoryStepRequest{Reason: "a test"}, Percent: 5},
		"switch-to-second-history": HistoryStepRequest{Reason: "a test"},
		"back-to-first-history":    HistoryStepRequest{Reason: "a test"},
		"drop-history":             HistoryDropRequest{HistoryStepRequest: HistoryStepRequest{Reason: "a test"}, History: "second"},
		"create-webhook":           WebhookRequest{URL: "https://hooks.example.com/", Types: []string{"*"}},
	}
}

// spoilt returns what can be wrong with the form of any body.
func spoilt(good string) map[string]string {
	inner := strings.TrimPrefix(good, "{")
	firstField, _, _ := strings.Cut(inner, ":")
	return map[string]string{
		"no body":                         "",
		"null":                            "null",
		"a list":                          "[" + good + "]",
		"text":                            `"` + strings.ReplaceAll(good, `"`, ``) + `"`,
		"an unknown field":                `{"unknown_field":1,` + inner,
		"a repeated field":                `{` + firstField + `:null,` + inner,
		"cut off":                         good[:len(good)-1],
		"something behind it":             good + "{}",
		"a letter behind it":              good + "x",
		"invalid UTF-8":                   strings.Replace(good, `"`, "\"\xff", 1),
		"not JSON":                        "amount=10",
		"a field twice, once in capitals": `{` + strings.ToUpper(firstField) + `:null,` + inner,
	}
}

func TestBadFormIsRefusedByEveryRouteAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, aPlayer := s.signUp(nj)
	tokens := map[who]string{whoPublic: "", whoPlayer: aPlayer, whoStaff: s.trader(), whoService: testKey}
	before := s.state(aPlayer)
	good := goodBodies()
	for _, rt := range s.api.routes {
		if rt.end.contentType != "application/json" {
			continue
		}
		raw, err := json.Marshal(good[rt.id])
		if err != nil || good[rt.id] == nil {
			t.Fatalf("%s has no good body here: %v", rt.id, err)
		}
		token, path := tokens[rt.who], samplePath(rt)
		for name, body := range spoilt(string(raw)) {
			a := s.do(rt.method, path, token, body, s.key())
			if a.status != http.StatusUnprocessableEntity {
				t.Errorf("%s with %s: %d %s, want 422", rt.id, name, a.status, a.body)
				continue
			}
			a.wantCode("invalid")
		}
		a := s.do(rt.method, path, token, string(raw), s.key(), header("Content-Type", "text/plain"))
		if a.wantCode("invalid"); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s as text/plain: %d, want 415", rt.id, a.status)
		}
		s.do(rt.method, path, token, string(raw), s.key(), header("Content-Type", "application/json; charset=latin1")).want(http.StatusUnsupportedMediaType)
		long := `{"` + strings.Repeat("x", int(rt.maxBody)) + `":1}`
		s.do(rt.method, path, token, long, s.key()).want(http.StatusRequestEntityTooLarge).wantCode("too_large")
		s.do(rt.method, path+"?surprise=1", token, string(raw), s.key()).wantCode("invalid")
	}
	if after := s.state(aPlayer); after != before {
		t.Errorf("bad bodies changed something:\n%s\nwas\n%s", after, before)
	}
}

// badValue is one request whose form is right and whose content is not.
type badValue struct {
	name  string
	route string // id
	path  string // "" is the route's sample
	body  any
	code  string
	field string // one of the fields that the answer must name; "" is none
}

func (s *server) refusesAll(t *testing.T, token string, tests []badValue) {
	t.Helper()
	before := s.state()
	for _, tt := range tests {
		var rt *route
		for _, r := range s.api.routes {
			if r.id == tt.route {
				rt = r
			}
		}
		options := []option{s.key()}
		if rt.end.contentType == "text/csv" {
			options = append(options, header("Content-Type", "text/csv"))
		}
		a := s.do(rt.method, orElse(tt.path, samplePath(rt)), token, tt.body, options...)
		var p Problem
		if err := json.Unmarshal(a.body, &p); err != nil || p.Code != tt.code {
			t.Errorf("%s with %s: %d %s, want code %s", tt.route, tt.name, a.status, a.body, tt.code)
			continue
		}
		if tt.field != "" && !contains(p.Errors, func(i int) bool { return p.Errors[i].Location == tt.field }) {
			t.Errorf("%s with %s names %v, want %s", tt.route, tt.name, p.Errors, tt.field)
		}
	}
	if after := s.state(); after != before {
		t.Errorf("refused requests changed something:\n%s\nwas\n%s", after, before)
	}
}

func TestBadValuesOfPlayers(t *testing.T) {
	t.Parallel()
	newServer(t).refusesAll(t, "", badOfPlayers())
}

func badOfPlayers() []badValue {
	up := func(change func(*SignUpRequest)) SignUpRequest {
		in := SignUpRequest{Email: "new@example.com", Password: password, DisplayName: "New", BirthDate: "1980-01-01", Jurisdiction: "US-NJ"}
		change(&in)
		return in
	}
	return []badValue{
		{"no address", "sign-up", "", up(func(r *SignUpRequest) { r.Email = "nobody" }), "invalid", "email"},
		{"a short password", "sign-up", "", up(func(r *SignUpRequest) { r.Password = "short" }), "invalid", "password"},
		{"a long password", "sign-up", "", up(func(r *SignUpRequest) { r.Password = strings.Repeat("x", 100_000) }), "invalid", "password"},
		{"an empty name", "sign-up", "", up(func(r *SignUpRequest) { r.DisplayName = "" }), "invalid", "display_name"},
		{"a day that is none", "sign-up", "", up(func(r *SignUpRequest) { r.BirthDate = "1981-02-29" }), "invalid", "birth_date"},
		{"a child", "sign-up", "", up(func(r *SignUpRequest) { r.BirthDate = "2020-01-01" }), "excluded", ""},
		{"no such jurisdiction", "sign-up", "", up(func(r *SignUpRequest) { r.Jurisdiction = "ZZ-ZZ" }), "invalid", "jurisdiction"},
		{"a wrong password", "sign-in", "", SignInRequest{"nobody@example.com", password, "US-NJ"}, "unauthenticated", ""},
		{"an empty body", "sign-in", "", SignInRequest{}, "unauthenticated", ""},
		{"a jurisdiction that is none", "live", "/v1/live?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"no jurisdiction", "events", "", nil, "invalid", "query.jurisdiction"},
		{"nobody's name", "staff-sign-in", "", StaffSignInRequest{"nobody", password}, "unauthenticated", ""},
	}
}

func TestBadValuesOfMoneyAndBets(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	s.refusesAll(t, token, badOfMoneyAndBets())
}

func badOfMoneyAndBets() (tests []badValue) {
	for name, a := range map[string]Amount{
		"nothing": {}, "another currency": {"10.00", "CAD"}, "no such currency": {"10.00", "XYZ"}, "a small currency": {"10.00", "usd"},
		"zero": {"0.00", "USD"}, "less than zero": {"-10.00", "USD"}, "2^63": {"9223372036854775808", "USD"},
		"2^63 minor units": {"92233720368547758.08", "USD"}, "the most of 64 bits": {"92233720368547758.07", "USD"}, "2^64": {"18446744073709551616", "USD"},
		"three digits": {"10.001", "USD"}, "an exponent": {"1e2", "USD"}, "a plus": {"+10.00", "USD"}, "a space": {" 10.00", "USD"},
		"a comma": {"1,000.00", "USD"}, "words": {"ten", "USD"}, "other digits": {"１０.00", "USD"}, "a long number": {strings.Repeat("9", 10_000), "USD"},
	} {
		field := "amount.amount"
		if a.Currency != "USD" {
			field = "amount.currency"
		}
		tests = append(tests,
			badValue{name, "deposit", "", PaymentRequest{Amount: a, Method: "card"}, "invalid", field},
			badValue{name, "withdraw", "", PaymentRequest{Amount: a, Method: "card"}, "invalid", field},
			badValue{name, "place-bet", "", BetRequest{Stake: a, Legs: single("game", "USD").Legs}, "invalid", strings.Replace(field, "amount.", "stake.", 1)},
			badValue{name, "quote-bet", "", BetRequest{Stake: a, Legs: single("game", "USD").Legs}, "invalid", strings.Replace(field, "amount.", "stake.", 1)})
	}
	tests = append(tests,
		badValue{"a method of odd letters", "deposit", "", PaymentRequest{Amount{"10.00", "USD"}, "card\x00"}, "invalid", "method"},
		badValue{"too little", "deposit", "", PaymentRequest{Amount{"0.01", "USD"}, "card"}, "invalid", "amount"},
		badValue{"too much", "deposit", "", PaymentRequest{Amount{"1000000.00", "USD"}, "card"}, "limit_reached", ""},
	)
	leg := func(l ...LegRequest) BetRequest { return BetRequest{Stake: Amount{"1.00", "USD"}, Legs: l} }
	good := single("game", "USD").Legs[0]
	text := func(s string) *string { return &s }
	for _, route := range []string{"place-bet", "quote-bet"} {
		tests = append(tests,
			badValue{"no legs", route, "", leg(), "invalid", "legs"},
			badValue{"too many legs", route, "", leg(make([]LegRequest, 26)...), "invalid", "legs"},
			badValue{"no such selection", route, "", leg(LegRequest{SelectionID: "game:moneyline:draw", Price: "-170"}), "invalid", "legs[0].selection_id"},
			badValue{"an empty selection", route, "", leg(LegRequest{Price: "-170"}), "invalid", "legs[0].selection_id"},
			badValue{"a long selection", route, "", leg(LegRequest{SelectionID: strings.Repeat("x", 500), Price: "-170"}), "invalid", "legs[0].selection_id"},
			badValue{"no price", route, "", leg(LegRequest{SelectionID: good.SelectionID}), "invalid", "legs[0].price"},
			badValue{"a price below 100", route, "", leg(LegRequest{SelectionID: good.SelectionID, Price: "-99"}), "invalid", "legs[0].price"},
			badValue{"a decimal price", route, "", leg(LegRequest{SelectionID: good.SelectionID, Price: "1.91"}), "invalid", "legs[0].price"},
			badValue{"a price of 2^63", route, "", leg(LegRequest{SelectionID: good.SelectionID, Price: "9223372036854775808"}), "invalid", "legs[0].price"},
			badValue{"a line of words", route, "", leg(LegRequest{SelectionID: "game:spread:home", Price: "-110", Line: text("three")}), "invalid", "legs[0].line"},
			badValue{"a huge line", route, "", leg(LegRequest{SelectionID: "game:spread:home", Price: "-110", Line: text("99999999")}), "invalid", "legs[0].line"},
			badValue{"the same leg twice", route, "", leg(good, good), "invalid", ""},
			badValue{"both sides of a game", route, "", leg(good, LegRequest{SelectionID: "game:moneyline:away", Price: "+154"}), "invalid", ""},
			badValue{"an unknown policy", route, "", BetRequest{Stake: Amount{"1.00", "USD"}, Legs: []LegRequest{good}, PriceChange: "maybe"}, "invalid", "price_change"},
			badValue{"a stake below the least", route, "", BetRequest{Stake: Amount{"0.01", "USD"}, Legs: []LegRequest{good}}, "limit_reached", ""},
			badValue{"a stake above the most", route, "", BetRequest{Stake: Amount{"10000000.00", "USD"}, Legs: []LegRequest{good}}, "limit_reached", ""},
		)
	}
	return tests
}

func TestIdempotencyKeysAreRequiredAndPlain(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	_, token := s.signUp(nj)
	before := s.state(token)
	good := goodBodies()
	for _, rt := range s.api.routes {
		if !rt.keyed {
			continue
		}
		for _, key := range []string{"", "with space", "sl/ash", strings.Repeat("k", 65), "ümlaut", "null\\u0000"} {
			p := s.do(rt.method, rt.path, token, good[rt.id], header("Idempotency-Key", key)).wantCode("invalid")
			if len(p.Errors) != 1 || p.Errors[0].Location != "header.Idempotency-Key" {
				t.Errorf("%s with key %q names %v, want the header", rt.id, key, p.Errors)
			}
		}
		s.do(rt.method, rt.path, token, good[rt.id], func(r *http.Request) { r.Header["Idempotency-Key"] = []string{"one", "two"} }).wantCode("invalid")
		s.do(rt.method, rt.path, token, good[rt.id]).wantCode("invalid")
	}
	if after := s.state(token); after != before {
		t.Error("requests without a key changed something")
	}
}

func TestBadValuesOfReads(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, token := s.signUp(nj)
	s.refusesAll(t, token, badOfReads())
}

func badOfReads() []badValue {
	const bet = "bet_01jb2m7k3v9q8w5x4y6z7a0b1c"
	return []badValue{
		{"a limit of words", "bets", "/v1/me/bets?limit=ten", nil, "invalid", "query.limit"},
		{"no limit at all", "bets", "/v1/me/bets?limit=0", nil, "invalid", "query.limit"},
		{"a limit too high", "bets", "/v1/me/bets?limit=201", nil, "invalid", "query.limit"},
		{"a limit of 2^63", "statement", "/v1/me/statement?limit=9223372036854775808", nil, "invalid", "query.limit"},
		{"a made-up cursor", "bets", "/v1/me/bets?cursor=x", nil, "invalid", "query.cursor"},
		{"a made-up cursor", "statement", "/v1/me/statement?cursor=-1", nil, "invalid", "query.cursor"},
		{"a made-up cursor", "events", "/v1/events?cursor=%00x", nil, "invalid", ""},
		{"a made-up cursor", "deposits", "/v1/me/deposits?cursor=%00x", nil, "invalid", ""},
		{"a cursor of bets", "deposits", "/v1/me/deposits?cursor=" + bet, nil, "invalid", ""},
		{"a made-up cursor", "withdrawals", "/v1/me/withdrawals?cursor=1", nil, "invalid", ""},
		{"a cursor of bets", "withdrawals", "/v1/me/withdrawals?cursor=" + bet, nil, "invalid", ""},
		{"a limit below zero", "withdrawals", "/v1/me/withdrawals?limit=-1", nil, "invalid", "query.limit"},
		{"a cursor of bets", "statement", "/v1/me/statement?cursor=" + bet, nil, "invalid", "query.cursor"},
		{"a day without a time", "statement", "/v1/me/statement?from=2026-11-21", nil, "invalid", "query.from"},
		{"a year before there were books", "statement", "/v1/me/statement?from=0001-01-01T00:00:00Z", nil, "invalid", "query.from"},
		{"a time of words", "statement", "/v1/me/statement?to=tomorrow", nil, "invalid", "query.to"},
		{"an end that is not after the beginning", "statement", "/v1/me/statement?from=2026-11-21T20:00:00Z&to=2026-11-21T20:00:00Z", nil, "invalid", "query.to"},
		{"a kind that is none", "statement", "/v1/me/statement?kinds=stake,luck", nil, "invalid", "query.kinds"},
		{"a list with nothing between commas", "statement", "/v1/me/statement?kinds=stake,,void", nil, "invalid", "query.kinds"},
		{"more kinds than there are", "statement", "/v1/me/statement?kinds=stake" + strings.Repeat(",stake", 32), nil, "invalid", "query.kinds"},
		{"a cursor of payments", "bets", "/v1/me/bets?cursor=pay_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", "query.cursor"},
		{"a cursor of bets", "events", "/v1/events?cursor=" + bet, nil, "invalid", ""},
		{"a status that is none", "bets", "/v1/me/bets?status=lucky", nil, "invalid", "query.status"},
		{"a name with a line break", "bets", "/v1/me/bets?sport=a%0Ab", nil, "invalid", "query.sport"},
		{"an endless name", "bets", "/v1/me/bets?event=" + strings.Repeat("x", 101), nil, "invalid", "query.event"},
		{"a day without a time", "bets", "/v1/me/bets?from=2026-11-21", nil, "invalid", "query.from"},
		{"an end that is not after the beginning", "bets", "/v1/me/bets?from=2026-11-21T20:00:00Z&to=2026-11-21T20:00:00Z", nil, "invalid", "query.to"},
		{"a currency that is none", "bets", "/v1/me/bets?currency=dollars", nil, "invalid", "query.currency"},
		{"a currency that is none with a stake", "bets", "/v1/me/bets?currency=dollars&min_stake=5", nil, "invalid", "query.currency"},
		{"a stake of words", "bets", "/v1/me/bets?min_stake=much", nil, "invalid", "query.min_stake"},
		{"a stake of nothing", "bets", "/v1/me/bets?max_stake=0", nil, "invalid", "query.max_stake"},
		{"an empty range of stakes", "bets", "/v1/me/bets?min_stake=10&max_stake=9.99", nil, "invalid", "query.max_stake"},
		{"a grain that is none", "bet-summary", "/v1/me/bets/summary?by=week", nil, "invalid", "query.by"},
		{"to go on behind what is no bet", "bet-export", "/v1/me/bets/export?after=x", nil, "invalid", "query.after"},
		{"to go on behind what is no bet", "bet-table", "/v1/me/bets/export.csv?after=pay_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", "query.after"},
		{"a cursor of another grain", "bet-summary", "/v1/me/bets/summary?by=month&cursor=2026", nil, "invalid", "query.cursor"},
		{"a time for a day", "bet-summary", "/v1/me/bets/summary?from=2026-11-01T00:00:00Z", nil, "invalid", "query.from"},
		{"a day that is not in the calendar", "bet-summary", "/v1/me/bets/summary?to=2026-02-30", nil, "invalid", "query.to"},
		{"a period backwards", "bet-summary", "/v1/me/bets/summary?from=2026-11-02&to=2026-11-01", nil, "invalid", "query.to"},
		{"a limit of words", "bet-summary", "/v1/me/bets/summary?limit=ten", nil, "invalid", "query.limit"},
		{"a bet that is none", "bets", "/v1/me/bets?bet=plr_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", "query.bet"},
		{"a status that is none", "events", "/v1/events?status=over", nil, "invalid", "query.status"},
		{"a choice that is none", "sign-out", "/v1/sessions?all=some", nil, "invalid", "query.all"},
		{"a parameter twice", "bets", "/v1/me/bets?limit=1&limit=2", nil, "invalid", "query.limit"},
		{"no such event", "event-by-id", "/v1/events/none", nil, "not_found", ""},
		{"an id too long", "event-by-id", "/v1/events/" + strings.Repeat("x", 300), nil, "not_found", ""},
		{"an id that is none", "bet-by-id", "/v1/bets/1%20OR%201=1", nil, "not_found", ""},
		{"another kind of id", "bet-by-id", "/v1/bets/" + newPlayerID(), nil, "not_found", ""},
		{"an unknown id", "bet-by-id", "/v1/bets/" + bet, nil, "not_found", ""},
		{"an unknown id", "deposit-by-id", "/v1/me/deposits/pay_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "not_found", ""},
		{"an id that is none", "withdrawal-by-id", "/v1/me/withdrawals/x", nil, "not_found", ""},
	}
}

const (
	pathGame = "/v1/operator/events/game"
	pathHome = "/v1/operator/selections/game:moneyline:home/price"
)

func TestBadValuesOfStaff(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.game("game")
	s.refusesAll(t, s.trader(), badOfStaff(s.clock.Now()))
	s.refusesAll(t, s.staff("viewer", player.RoleViewer, nj, pa, on), []badValue{
		{"the role of a viewer", "set-price", pathHome, SetPriceRequest{Price: "-200"}, "forbidden", ""},
		{"the role of a viewer", "enter-result", pathGame + "/result", `{"home_score":1,"away_score":0}`, "forbidden", ""},
	})
}

// badOfStaff is for a server with the event "game".
func badOfStaff(now time.Time) []badValue {
	event := func(change func(*NewEvent)) NewEvent {
		e := NewEvent{ID: "another", Sport: "Football", Competition: "Test League", Home: "A Town", Away: "B City", StartsAt: now.AddDate(0, 0, 1),
			Markets: []NewMarket{{Type: "moneyline", Prices: map[string]string{"home": "-110", "away": "-110"}}}}
		change(&e)
		return e
	}
	n := func(i int) *int { return &i }
	text := func(s string) *string { return &s }
	const game, moneyline, home = pathGame, "/v1/operator/markets/game:moneyline", pathHome
	return []badValue{
		{"no id", "create-event", "", event(func(e *NewEvent) { e.ID = "" }), "invalid", "id"},
		{"an id that is there", "create-event", "", event(func(e *NewEvent) { e.ID = "game" }), "conflict", ""},
		{"no such jurisdiction", "create-event", "", event(func(e *NewEvent) { e.Jurisdictions = []string{"XX-XX"} }), "invalid", "jurisdictions[0]"},
		{"a market of no type", "create-event", "", event(func(e *NewEvent) { e.Markets[0].Type = "draw" }), "invalid", ""},
		{"one price only", "create-event", "", event(func(e *NewEvent) { delete(e.Markets[0].Prices, "home") }), "invalid", ""},
		{"a price that is none", "create-event", "", event(func(e *NewEvent) { e.Markets[0].Prices["home"] = "evens" }), "invalid", "markets[0].prices.home"},
		{"an unknown code", "create-event", "", event(func(e *NewEvent) { e.Markets[0].Prices["draw"] = "+300" }), "invalid", "markets[0].prices.draw"},
		{"too many markets", "create-event", "", event(func(e *NewEvent) { e.Markets = make([]NewMarket, 21) }), "invalid", "markets"},
		{"neither true nor false", "suspend-event", game + "/suspension", SuspensionRequest{}, "invalid", "suspended"},
		{"half a score", "update-score", game + "/score", ScoreRequest{HomeScore: n(1)}, "invalid", "away_score"},
		{"a score below zero", "update-score", game + "/score", ScoreRequest{n(-1), n(0)}, "invalid", "home_score"},
		{"a score too high", "enter-result", game + "/result", ResultRequest{HomeScore: n(1), AwayScore: n(1000)}, "invalid", "away_score"},
		{"a score of 2^63", "enter-result", game + "/result", `{"home_score":9223372036854775808,"away_score":0}`, "invalid", "home_score"},
		{"half a point", "enter-result", game + "/result", `{"home_score":1.5,"away_score":0}`, "invalid", "home_score"},
		{"another version", "enter-result", game + "/result", ResultRequest{HomeScore: n(1), AwayScore: n(0), ResultVersion: n(7)}, "conflict", ""},
		{"no such event", "enter-result", "/v1/operator/events/none/result", ResultRequest{HomeScore: n(1), AwayScore: n(0)}, "not_found", ""},
		{"a status that is none", "set-market-status", moneyline + "/status", MarketStatusRequest{Status: "paused"}, "invalid", "status"},
		{"a status of the system's", "set-market-status", moneyline + "/status", MarketStatusRequest{Status: "settled"}, "invalid", "status"},
		{"another version", "set-market-status", moneyline + "/status", MarketStatusRequest{Status: "suspended", Version: 99}, "conflict", ""},
		{"no such market", "set-market-status", "/v1/operator/markets/none/status", MarketStatusRequest{Status: "open"}, "not_found", ""},
		{"no reason", "void-market", moneyline + "/void", VoidRequest{}, "invalid", "reason"},
		{"a long reason", "void-market", moneyline + "/void", VoidRequest{strings.Repeat("x", 201)}, "invalid", "reason"},
		{"no price", "set-price", home, SetPriceRequest{}, "invalid", "price"},
		{"a price of no number", "set-price", home, SetPriceRequest{Price: "0"}, "invalid", "price"},
		{"a line that is none", "set-price", home, SetPriceRequest{Price: "-110", Line: text("NaN")}, "invalid", "line"},
		{"no such jurisdiction", "set-price", home, SetPriceRequest{Price: "-110", Jurisdiction: "ZZ"}, "invalid", "jurisdictions[0]"},
		{"another version", "set-price", home, SetPriceRequest{Price: "-110", Version: 99}, "conflict", ""},
		{"nothing to change", "set-prices", moneyline + "/prices", SetPricesRequest{}, "invalid", "prices"},
		{"an unknown code", "set-prices", moneyline + "/prices", SetPricesRequest{Prices: map[string]string{"over": "-110"}}, "invalid", ""},
	}
}

func TestBadValuesOfStaffsReadsAndFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refusesAll(t, s.trader(), badOfStaffsReadsAndFiles())
}

func badOfStaffsReadsAndFiles() []badValue {
	const players, events, seasons, quotes = "/v1/operator/players", "/v1/operator/events", "/v1/operator/events/import", quotesPath
	return []badValue{
		{"a time of words", "operator-trial-balance", "/v1/operator/trial-balance?at=yesterday", nil, "invalid", "query.at"},
		{"no period", "operator-ggr", "/v1/operator/ggr", nil, "invalid", "query.from"},
		{"a cursor of bets", "players", players + "?cursor=bet_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", ""},
		{"a made-up cursor", "players", players + "?cursor=%00x", nil, "invalid", ""},
		{"a limit too high", "players", players + "?limit=201", nil, "invalid", "query.limit"},
		{"no such jurisdiction", "players", players + "?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"a search", "players", players + "?email=a@example.com", nil, "invalid", "query.email"},
		{"an id that is none", "player-by-id", players + "/1%20OR%201=1", nil, "not_found", ""},
		{"another kind of id", "player-by-id", players + "/bet_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "not_found", ""},
		{"an unknown id", "player-by-id", "", nil, "not_found", ""},
		{"no such jurisdiction", "player-by-id", players + "/x?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"an id that is none", "bet-of-player", players + "/x/bets/y", nil, "not_found", ""},
		{"an unknown player", "bet-of-player", players + "/plr_01jb2m7k3v9q8w5x4y6z7a0b1c/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "not_found", ""},
		{"an id that is none", "bet-summary-of-player", players + "/x/bets/summary", nil, "not_found", ""},
		{"a grain that is none", "bet-summary-of-player", players + "/x/bets/summary?by=week", nil, "invalid", "query.by"},
		{"an id that is none", "bet-export-of-player", players + "/x/bets/export", nil, "not_found", ""},
		{"an id that is none", "bet-table-of-player", players + "/x/bets/export.csv", nil, "not_found", ""},
		{"no such jurisdiction", "bet-table-of-player", players + "/x/bets/export.csv?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"no such jurisdiction", "bet-export-of-player", players + "/x/bets/export?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"an id that is none", "bets-of-player", players + "/x/bets", nil, "not_found", ""},
		{"an unknown id", "bets-of-player", players + "/plr_01jb2m7k3v9q8w5x4y6z7a0b1c/bets", nil, "not_found", ""},
		{"no such jurisdiction", "bets-of-player", players + "/x/bets?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"a status that is none", "bets-of-player", players + "/x/bets?status=lucky", nil, "invalid", "query.status"},
		{"a made-up cursor", "staff-events", events + "?cursor=%00x", nil, "invalid", ""},
		{"a cursor of bets", "staff-events", events + "?cursor=bet_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", ""},
		{"a status that is none", "staff-events", events + "?status=over", nil, "invalid", "query.status"},
		{"a limit of words", "staff-events", events + "?limit=ten", nil, "invalid", "query.limit"},
		{"no such jurisdiction", "staff-events", events + "?jurisdiction=XX-XX", nil, "invalid", "query.jurisdiction"},
		{"no such event", "staff-event-by-id", events + "/none", nil, "not_found", ""},
		{"an id too long", "staff-event-by-id", events + "/" + strings.Repeat("x", 300), nil, "not_found", ""},
		{"no such event", "exposure", "/v1/operator/exposure?event_id=none", nil, "not_found", ""},
		{"an id of odd letters", "exposure", "/v1/operator/exposure?event_id=%00%ff", nil, "not_found", ""},
		{"an id too long", "exposure", "/v1/operator/exposure?event_id=" + strings.Repeat("x", 5000), nil, "not_found", ""},
		{"no file", "import-season", "", nil, "invalid", ""},
		{"a file that is none", "import-season", "", "\x00\xff", "invalid", ""},
		{"no such jurisdiction", "import-season", seasons + "?jurisdictions=US-NJ,XX", "x", "invalid", "jurisdictions[1]"},
		{"an empty jurisdiction", "import-season", seasons + "?jurisdictions=US-NJ,", "x", "invalid", "jurisdictions[1]"},
		{"week 0", "import-season", seasons + "?week=0", "x", "invalid", "query.week"},
		{"week 61", "import-season", seasons + "?week=61", "x", "invalid", "query.week"},
		{"a week of words", "import-season", seasons + "?week=five", "x", "invalid", "query.week"},
		{"prices of no kind", "import-season", seasons + "?prices=middle", "x", "invalid", "query.prices"},
		{"a start of words", "import-season", seasons + "?first_kickoff=tomorrow", "x", "invalid", "query.first_kickoff"},
		{"speed 0", "import-season", seasons + "?speed=0", "x", "invalid", "query.speed"},
		{"a speed too high", "import-season", seasons + "?speed=10001", "x", "invalid", "query.speed"},
		{"a parameter twice", "import-season", seasons + "?week=1&week=2", "x", "invalid", "query.week"},
		{"no file", "import-quotes", "", nil, "invalid", ""},
		{"a file that is none", "import-quotes", "", "\x00\xff", "invalid", ""},
		{"a long name of a bookmaker", "import-quotes", quotes + "?book=" + strings.Repeat("x", 61), quoteFile, "invalid", "query.book"},
		{"a parameter of seasons", "import-quotes", quotes + "?week=5", quoteFile, "invalid", "query.week"},
	}
}

func TestBadValuesOfServices(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.refusesAll(t, testKey, append(badOfServices(), badOfAccounts()...))
}

func badOfServices() []badValue {
	player := newPlayerID()
	cash := "player/" + player + "/US-NJ/cash"
	change := func(f func(*TransferRequest)) TransferRequest {
		in := depositOf(player, "bad", "10.00")
		f(&in)
		return in
	}
	move := func(kind, from, to string) TransferRequest {
		return TransferRequest{Key: "bad", Kind: kind, PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD",
			Postings: []PostingJSON{{Account: from, Amount: "-1.00"}, {Account: to, Amount: "1.00"}}}
	}
	holdTo := func(to string) HoldRequest {
		return HoldRequest{Key: "h", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", ExpiresAt: time.Now().Add(time.Hour),
			Postings: move("", cash, to).Postings}
	}
	return []badValue{
		{"stakes of the sportsbook", "transfer", "", move("stake", cash, "bets/US-NJ/sportsbook"), "forbidden", "postings[1].account"},
		{"a payout of the sportsbook's stakes", "transfer", "", move("void", "bets/US-NJ/sportsbook", cash), "forbidden", "postings[0].account"},
		{"a payout of the sportsbook's revenue", "transfer", "", move("settlement", "revenue/US-NJ/sportsbook", cash), "forbidden", "postings[0].account"},
		{"money on its way out", "transfer", "", move("withdrawal_request", cash, "player/"+player+"/US-NJ/withdrawing"), "forbidden", "postings[1].account"},
		{"money on its way back", "transfer", "", move("withdrawal_return", "player/"+player+"/US-NJ/withdrawing", cash), "forbidden", "postings[0].account"},
		{"a debt", "transfer", "", move("owed_recovery", cash, "player/"+player+"/US-NJ/owed"), "forbidden", "postings[1].account"},
		{"a debt made up", "transfer", "", move("adjustment", "player/"+player+"/US-NJ/owed", cash), "forbidden", "postings[0].account"},
		{"stakes of the sportsbook", "hold", "", holdTo("bets/US-NJ/sportsbook"), "forbidden", "postings[1].account"},
		{"money on its way out", "hold", "", holdTo("player/" + player + "/US-NJ/withdrawing"), "forbidden", "postings[1].account"},
		{"no key", "transfer", "", change(func(r *TransferRequest) { r.Key = "" }), "invalid", "key"},
		{"a long key", "transfer", "", change(func(r *TransferRequest) { r.Key = strings.Repeat("k", 65) }), "invalid", "key"},
		{"an unknown kind", "transfer", "", change(func(r *TransferRequest) { r.Kind = "gift" }), "invalid", "kind"},
		{"a kind with its own path", "transfer", "", change(func(r *TransferRequest) { r.Kind = "hold" }), "invalid", "kind"},
		{"a kind that may not move this", "transfer", "", change(func(r *TransferRequest) { r.Kind = "stake" }), "invalid", ""},
		{"no player", "transfer", "", change(func(r *TransferRequest) { r.PlayerID = "" }), "invalid", "player_id"},
		{"another player's account", "transfer", "", change(func(r *TransferRequest) { r.PlayerID = newPlayerID() }), "invalid", ""},
		{"no such jurisdiction", "transfer", "", change(func(r *TransferRequest) { r.Jurisdiction = "US-XX" }), "invalid", "jurisdiction"},
		{"another jurisdiction's account", "transfer", "", change(func(r *TransferRequest) { r.Jurisdiction = "US-PA" }), "invalid", ""},
		{"another currency", "transfer", "", change(func(r *TransferRequest) { r.Currency = "CAD" }), "invalid", "currency"},
		{"one posting", "transfer", "", change(func(r *TransferRequest) { r.Postings = r.Postings[:1] }), "invalid", "postings"},
		{"nine postings", "transfer", "", change(func(r *TransferRequest) { r.Postings = make([]PostingJSON, 9) }), "invalid", "postings"},
		{"an address that is none", "transfer", "", change(func(r *TransferRequest) { r.Postings[0].Account = "my/pocket" }), "invalid", "postings[0].account"},
		{"a sum that is not zero", "transfer", "", change(func(r *TransferRequest) { r.Postings[0].Amount = "-9.99" }), "invalid", ""},
		{"an amount of 2^63", "transfer", "", change(func(r *TransferRequest) { r.Postings[1].Amount = "92233720368547758.08" }), "invalid", "postings[1].amount"},
		{"amounts that overflow", "transfer", "", change(func(r *TransferRequest) {
			r.Postings[0].Amount, r.Postings[1].Amount = "-92233720368547758.07", "92233720368547758.07"
		}), "invalid", "postings[0].amount"},
		{"an amount of words", "transfer", "", change(func(r *TransferRequest) { r.Postings[1].Amount = "ten" }), "invalid", "postings[1].amount"},
		{"a record of the platform", "transfer", "", change(func(r *TransferRequest) { r.Record.Type = "matchday.bet.placed" }), "invalid", "record.type"},
		{"a record without subject", "transfer", "", change(func(r *TransferRequest) { r.Record.Subject = "" }), "invalid", "record.subject"},
		{"a record that is no object", "transfer", "", change(func(r *TransferRequest) { r.Record.Data = []byte(`"text"`) }), "invalid", "record.data"},
		{"a record too large", "transfer", "", change(func(r *TransferRequest) {
			r.Record.Data = []byte(`{"x":"` + strings.Repeat("x", 17<<10) + `"}`)
		}), "invalid", "record.data"},
		{"a repeated name in the record", "transfer", "", `{"key":"bad","record":{"type":"t","subject":"s","data":{"note":1,"note":"x"}}}`, "invalid", "record.data.note"},
		{"one posting", "hold", "", HoldRequest{Key: "h", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}, "invalid", "postings"},
		{"no end", "hold", "", HoldRequest{Key: "h", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}, "invalid", "expires_at"},
		{"an amount below zero", "post-hold", "", ResolveRequest{Key: "p", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD", Amount: "-1.00"}, "invalid", "amount"},
		{"a bad key in the path", "post-hold", "/v1/ledger/holds/a%20b/post", ResolveRequest{Key: "p", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}, "invalid", "path.key"},
		{"no such hold", "release-hold", "", ResolveRequest{Key: "p", PlayerID: player, Jurisdiction: "US-NJ", Currency: "USD"}, "not_found", ""},
	}
}

func badOfAccounts() []badValue {
	account := "/v1/ledger/accounts/player/" + newPlayerID() + "/US-NJ/cash"
	return []badValue{
		{"no transfers", "transfer-batch", "", BatchRequest{Transfers: []TransferRequest{}}, "invalid", "transfers"},
		{"too many transfers", "transfer-batch", "", BatchRequest{Transfers: make([]TransferRequest, maxBatch+1)}, "too_large", "transfers"},
		{"a time of words", "account", account + "?at=yesterday", nil, "invalid", "query.at"},
		{"a day without a time", "account", account + "?at=2026-11-21", nil, "invalid", "query.at"},
		{"a time that is none", "account", account + "?at=2026-02-30T25:00:00Z", nil, "invalid", "query.at"},
		{"two times", "account", account + "?at=2026-11-21T20:00:00Z&at=2026-11-21T20:00:00Z", nil, "invalid", "query.at"},
		{"a page", "account", account + "?limit=5", nil, "invalid", "query"},
		{"an address that is none", "account", "/v1/ledger/accounts/nonsense", nil, "not_found", ""},
		{"a made-up cursor", "account-postings", account + "/postings?cursor=x", nil, "invalid", "query.cursor"},
		{"a cursor of bets", "account-postings", account + "/postings?cursor=bet_01jb2m7k3v9q8w5x4y6z7a0b1c", nil, "invalid", "query.cursor"},
		{"a cursor of 2^63", "account-postings", account + "/postings?cursor=9223372036854775808", nil, "invalid", "query.cursor"},
		{"a limit too high", "account-postings", account + "/postings?limit=201", nil, "invalid", "query.limit"},
		{"a time", "account-postings", account + "/postings?at=2026-11-21T20:00:00Z", nil, "invalid", "query.at"},
		{"a time of words", "account-postings", account + "/postings?from=yesterday", nil, "invalid", "query.from"},
		{"an end before the beginning", "account-postings", account + "/postings?from=2026-11-21T20:00:00Z&to=2026-11-20T20:00:00Z", nil, "invalid", "query.to"},
		{"a kind that is none", "account-postings", account + "/postings?kinds=luck", nil, "invalid", "query.kinds"},
		{"kinds of a balance", "account", account + "?kinds=stake", nil, "invalid", "query"},
		{"a period of holds", "account-holds", account + "/holds?from=2026-11-21T20:00:00Z", nil, "invalid", "query.from"},
		{"kinds of limits", "account-limits", account + "/limits?kinds=stake", nil, "invalid", "query.kinds"},
		{"a house account", "account-postings", "/v1/ledger/accounts/psp/bank/US-NJ/postings", nil, "not_found", ""},
		{"a house account", "account-holds", "/v1/ledger/accounts/psp/bank/US-NJ/holds", nil, "not_found", ""},
		{"a made-up cursor", "account-holds", account + "/holds?cursor=x", nil, "invalid", "query.cursor"},
		{"a limit too high", "account-holds", account + "/holds?limit=201", nil, "invalid", "query.limit"},
		{"no transfers", "group", "", GroupRequest{Key: "g", Transfers: []TransferRequest{}}, "invalid", "transfers"},
		{"an item that is wrong", "group", "", GroupRequest{Key: "g", Transfers: []TransferRequest{depositOf(newPlayerID(), "g", "ten")}}, "invalid", "transfers[0].postings[0].amount"},
		{"a key that is none", "group", "", GroupRequest{Key: "a b", Transfers: []TransferRequest{depositOf(newPlayerID(), "g", "1.00")}}, "invalid", "key"},
		{"an amount of words", "set-account-limits", "", LimitsRequest{Key: "l", Currency: "USD", MaxBalance: new("much")}, "invalid", "max_balance"},
		{"another currency", "set-account-limits", "", LimitsRequest{Key: "l", Currency: "GBP"}, "invalid", "currency"},
		{"a freeze that is none", "set-account-limits", "", LimitsRequest{Key: "l", Currency: "USD", Freeze: "deep"}, "invalid", "freeze"},
		{"a version not reached", "set-account-limits", "", LimitsRequest{Key: "l", Currency: "USD", IfVersion: 7}, "conflict", ""},
		{"a house account", "set-account-limits", "/v1/ledger/accounts/psp/bank/US-NJ/limits", LimitsRequest{Key: "l", Currency: "USD"}, "not_found", ""},
		{"money on its way out", "set-account-limits", strings.Replace(account, "cash", "withdrawing/limits", 1), LimitsRequest{Key: "l", Currency: "USD"}, "forbidden", ""},
		{"a house account", "account-limits", "/v1/ledger/accounts/psp/bank/US-NJ/limits", nil, "not_found", ""},
		{"nothing", "change-account-metadata", "", MetadataRequest{Key: "m"}, "invalid", "set"},
		{"a key that is none", "change-account-metadata", "", MetadataRequest{Key: "", Set: map[string]string{"a": "b"}}, "invalid", "key"},
		{"a house account", "account-metadata", "/v1/ledger/accounts/psp/bank/US-NJ/metadata", nil, "not_found", ""},
		{"a dry run of sorts", "transfer", "/v1/ledger/transfers?dry_run=maybe", depositOf(newPlayerID(), "x", "1.00"), "invalid", "query.dry_run"},
		{"no accounts", "balances", "", BalancesRequest{Accounts: []string{}}, "invalid", "accounts"},
		{"too many accounts", "balances", "", BalancesRequest{Accounts: make([]string, 1001)}, "invalid", "accounts"},
		{"a position that is none", "balances", "", BalancesRequest{Accounts: []string{"psp/bank/US-NJ"}, Positions: []string{"99-1"}}, "invalid", "positions[0]"},
		{"a time of words", "trial-balance", "/v1/ledger/trial-balance?at=yesterday", nil, "invalid", "query.at"},
		{"a jurisdiction that is none", "trial-balance", "/v1/ledger/trial-balance?jurisdiction=XX", nil, "invalid", "query.jurisdiction"},
		{"a format that is none", "trial-balance", "/v1/ledger/trial-balance?format=pdf", nil, "invalid", "query.format"},
		{"no period", "ggr", "/v1/ledger/ggr", nil, "invalid", "query.from"},
		{"half a period", "ggr", "/v1/ledger/ggr?from=2026-11-01T00:00:00Z", nil, "invalid", "query.to"},
		{"a period backwards", "ggr", "/v1/ledger/ggr?from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", nil, "invalid", "query.to"},
		{"a period of years", "ggr", "/v1/ledger/ggr?from=2020-11-02T00:00:00Z&to=2026-11-01T00:00:00Z", nil, "invalid", "query.to"},
		{"a shard that is not there", "export", "/v1/ledger/export?shard=99", nil, "invalid", "query.shard"},
		{"a position of the other kind", "export", "/v1/ledger/export?from=0-5", nil, "invalid", "query.from"},
		{"a position not reached", "export", "/v1/ledger/export?from=0:999999", nil, "invalid", ""},
	}
}

func TestBadPositionsAreRefusedByEveryRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, aPlayer := s.signUp(nj)
	aTrader := s.trader()
	for _, rt := range s.api.routes {
		if !rt.reads {
			continue
		}
		token := aPlayer
		switch rt.who {
		case whoService:
			token = testKey
		case whoStaff:
			token = aTrader
		}
		path := strings.ReplaceAll(samplePath(rt), "/v1/bets/plr_", "/v1/bets/bet_")
		for _, position := range []string{"soon", "99-1", "-1-1", "0--1", "0-9223372036854775808", "0-1-1"} {
			p := s.do(rt.method, path, token, nil, header("Matchday-Position", position)).wantCode("invalid")
			if len(p.Errors) != 1 || p.Errors[0].Location != "header.Matchday-Position" {
				t.Errorf("%s at position %q names %v, want the header", rt.id, position, p.Errors)
			}
		}
	}
}

// noInput is which routes have nothing of their own that could be bad: no body, no parameter, nothing in
// the path. TestEveryRouteHasBadInput checks that it is so.
var noInput = map[string]bool{
	"me": true, "balance": true, "jurisdictions": true, "staff-sign-out": true, "staff-jurisdictions": true, "shards": true, "commits": true, "statements": true,
	"webhooks": true,
	"lag":      true, "rates": true, "start-audit": true, "audit": true, "settlements": true, "second-history": true,
}

func TestEveryRouteHasBadInput(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	tried := map[string]bool{}
	for _, table := range [][]badValue{badOfPlayers(), badOfMoneyAndBets(), badOfReads(), badOfStaff(s.clock.Now()),
		badOfStaffsReadsAndFiles(), badOfServices(), badOfAccounts(), badOfWebhooks(),
		badOfMoves(), badOfSecond(), badOfProfiles("", "operator-profile"), badOfProfiles("", "profile")} {
		for _, row := range table {
			tried[row.route] = true
		}
	}
	known := map[string]bool{}
	for _, rt := range s.api.routes {
		known[rt.id] = true
		takes := rt.end.in != nil || len(rt.params) > 0 || strings.Contains(rt.path, "{")
		switch {
		case takes && noInput[rt.id]:
			t.Errorf("%s takes input and is listed as if it did not", rt.id)
		case !takes && !noInput[rt.id]:
			t.Errorf("%s takes no input and is not listed so", rt.id)
		case takes && !tried[rt.id]:
			t.Errorf("%s takes input, and no table here has bad input for it", rt.id)
		}
	}
	for route := range noInput {
		if !known[route] {
			t.Errorf("%s is listed here and is no route", route)
		}
	}
}
