package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"matchday/player"
)

// callers is who may call which route. A route that is not in it fails the tests: whoever adds one says
// here, a second time and on purpose, who it is for.
var callers = map[string]who{
	"POST /v1/players": whoPublic, "POST /v1/sessions": whoPublic, "DELETE /v1/sessions": whoPlayer,
	"GET /v1/me": whoPlayer, "GET /v1/me/balance": whoPlayer, "GET /v1/me/statement": whoPlayer,
	"POST /v1/me/deposits": whoPlayer, "GET /v1/me/deposits": whoPlayer, "GET /v1/me/deposits/{id}": whoPlayer,
	"POST /v1/me/withdrawals": whoPlayer, "GET /v1/me/withdrawals": whoPlayer, "GET /v1/me/withdrawals/{id}": whoPlayer,
	"POST /v1/bets": whoPlayer, "POST /v1/bets/quote": whoPlayer, "GET /v1/bets/{id}": whoPlayer, "GET /v1/me/bets": whoPlayer,
	"GET /v1/jurisdictions": whoPublic, "GET /v1/events": whoPublic, "GET /v1/events/{id}": whoPublic, "GET /v1/live": whoPublic,
	"POST /v1/operator/sessions": whoPublic, "DELETE /v1/operator/sessions": whoStaff,
	"GET /v1/operator/players": whoStaff, "GET /v1/operator/players/{id}": whoStaff, "GET /v1/operator/players/{id}/bets": whoStaff,
	"GET /v1/operator/players/{id}/bets/{bet}": whoStaff, "GET /v1/operator/players/{id}/bets/summary": whoStaff, "GET /v1/operator/players/{id}/bets/export": whoStaff,
	"GET /v1/operator/players/{id}/bets/export.csv": whoStaff, "GET /v1/me/bets/export.csv": whoPlayer,
	"GET /v1/me/bets/summary": whoPlayer, "GET /v1/me/bets/export": whoPlayer,
	"GET /v1/operator/jurisdictions": whoStaff,
	"GET /v1/operator/shards":        whoStaff, "GET /v1/operator/lag": whoStaff, "GET /v1/operator/rates": whoStaff,
	"GET /v1/operator/commits": whoStaff, "GET /v1/operator/statements": whoStaff, "GET /v1/operator/profiles/{kind}": whoStaff, "GET /v1/ledger/profiles/{kind}": whoService,
	"POST /v1/operator/moves": whoStaff, "GET /v1/operator/moves": whoStaff, "GET /v1/operator/moves/{id}": whoStaff,
	"POST /v1/operator/moves/rebalance": whoStaff, "POST /v1/operator/moves/{id}/abort": whoStaff,
	"GET /v1/operator/webhooks": whoStaff, "POST /v1/operator/webhooks": whoStaff, "DELETE /v1/operator/webhooks/{id}": whoStaff,
	"POST /v1/operator/webhooks/{id}/secret": whoStaff, "POST /v1/operator/webhooks/{id}/pause": whoStaff,
	"POST /v1/operator/webhooks/{id}/resume": whoStaff, "POST /v1/operator/webhooks/{id}/ping": whoStaff,
	"GET /v1/operator/webhooks/{id}/deliveries": whoStaff, "POST /v1/operator/webhooks/{id}/deliveries/{delivery}/redeliver": whoStaff,
	"GET /v1/operator/history": whoStaff, "POST /v1/operator/history/share": whoStaff, "POST /v1/operator/history/switch": whoStaff,
	"POST /v1/operator/history/back": whoStaff, "POST /v1/operator/history/drop": whoStaff,
	"POST /v1/operator/audit": whoStaff, "GET /v1/operator/audit": whoStaff,
	"GET /v1/operator/settlements": whoStaff, "GET /v1/operator/exposure": whoStaff,
	"GET /v1/operator/events": whoStaff, "GET /v1/operator/events/{id}": whoStaff, "POST /v1/operator/events": whoStaff,
	"POST /v1/operator/events/import": whoStaff, "POST /v1/operator/quotes/import": whoStaff, "POST /v1/operator/events/{id}/suspension": whoStaff,
	"POST /v1/operator/events/{id}/score": whoStaff, "POST /v1/operator/events/{id}/result": whoStaff,
	"POST /v1/operator/markets/{id}/status": whoStaff, "POST /v1/operator/markets/{id}/prices": whoStaff,
	"POST /v1/operator/markets/{id}/void": whoStaff, "POST /v1/operator/selections/{id}/price": whoStaff,
	"POST /v1/ledger/transfers": whoService, "POST /v1/ledger/transfers/batch": whoService, "POST /v1/ledger/holds": whoService,
	"POST /v1/ledger/holds/{key}/post": whoService, "POST /v1/ledger/holds/{key}/release": whoService,
	"POST /v1/ledger/groups": whoService, "PUT /v1/ledger/accounts/{address}/limits": whoService, "GET /v1/ledger/accounts/{address}/limits": whoService,
	"PATCH /v1/ledger/accounts/{address}/metadata": whoService, "GET /v1/ledger/accounts/{address}/metadata": whoService,
	"POST /v1/ledger/balances": whoService, "GET /v1/ledger/accounts/{address}/holds": whoService, "GET /v1/ledger/export": whoService,
	"GET /v1/ledger/trial-balance": whoService, "GET /v1/ledger/ggr": whoService,
	"GET /v1/operator/trial-balance": whoStaff, "GET /v1/operator/ggr": whoStaff,
	"GET /v1/ledger/accounts/{address}": whoService, "GET /v1/ledger/accounts/{address}/postings": whoService,
}

// forBetsKeys are the routes of staff that are open to services whose key has the right bets too.
var forBetsKeys = []string{"GET /v1/operator/players/{id}/bets", "GET /v1/operator/players/{id}/bets/{bet}", "GET /v1/operator/players/{id}/bets/summary",
	"GET /v1/operator/players/{id}/bets/export", "GET /v1/operator/players/{id}/bets/export.csv", "GET /v1/operator/lag"}

// samplePath fills a route's path with ids that could exist.
func samplePath(rt *route) string {
	player := "plr_01jb2m7k3v9q8w5x4y6z7a0b1c"
	return strings.NewReplacer("{id}", player, "{key}", "k", "{delivery}", "1", "{kind}", "heap", "{address}", "player/"+player+"/US-NJ/cash").Replace(rt.path)
}

func TestEveryRouteSaysWhoMayCallIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	seen := map[string]bool{}
	for _, rt := range s.api.routes {
		name := rt.method + " " + rt.path
		seen[name] = true
		if want, listed := callers[name]; !listed || rt.who != want {
			t.Errorf("%s is for %s, the table here says %s", name, rt.who, want)
		}
		want := ""
		switch {
		case slices.Contains(forBetsKeys, name):
			want = rightBets
		case strings.Contains(rt.path, "/webhooks"):
			want = rightWebhooks
		}
		if rt.right != want {
			t.Errorf("%s is open to keys with the right %q, the lists here say %q", name, rt.right, want)
		}
		if mutation := rt.method != http.MethodGet; mutation && rt.who == whoStaff && rt.role < player.RoleOperator && rt.id != "staff-sign-out" {
			t.Errorf("%s changes something and is open to role %s", name, rt.role)
		}
		if money := rt.method == http.MethodPost && rt.who == whoPlayer && rt.id != "quote-bet"; money != rt.keyed {
			t.Errorf("%s moves a player's money: %t, needs a key: %t", name, money, rt.keyed)
		}
	}
	for name := range callers {
		if !seen[name] {
			t.Errorf("%s is listed here and is no route", name)
		}
	}
}

func TestARouteWithoutCallersIsRefused(t *testing.T) {
	t.Parallel()
	rt := route{method: "GET", path: "/v1/x"}
	if rt.who.String() != "nobody" {
		t.Errorf("a route that says nothing is for %s, want nobody", rt.who)
	}
	if rt.admit(player.Session{Staff: "trader", Role: player.RoleAdmin}) == nil || rt.admit(player.Session{Player: "plr_x"}) == nil {
		t.Error("a route that says nothing admits somebody")
	}
}

func TestRoutesRefuseEverybodyElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, aPlayer := s.signUp(nj)
	viewer := s.staff("viewer", player.RoleViewer, nj, pa, on)
	tokens := map[string]string{"nobody": "", "a player": aPlayer, "a viewer": viewer, "a service": testKey, "a made-up token": "made-up"}
	before := s.state()
	for _, rt := range s.api.routes {
		for name, token := range tokens {
			allowed := rt.who == whoPublic || rt.who == whoPlayer && name == "a player" ||
				rt.who == whoStaff && name == "a viewer" || rt.who == whoService && name == "a service"
			if allowed {
				if rt.who == whoStaff && rt.role > player.RoleViewer {
					s.do(rt.method, samplePath(rt), token, "{}").wantCode("forbidden")
				}
				continue
			}
			want := "unauthenticated"
			if rt.who != whoService && (name == "a player" || name == "a viewer") || rt.right != "" && name == "a service" { // whose key has no such right
				want = "forbidden"
			}
			a := s.do(rt.method, samplePath(rt), token, "{}", s.key())
			if p := a.wantCode(want); p.Status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: 401 without WWW-Authenticate", rt.method, rt.path)
			}
		}
	}
	if after := s.state(); after != before {
		t.Errorf("refused callers changed something:\n%s\nwas\n%s", after, before)
	}
}

func TestCookiesActOnlyForOurOwnPages(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) { c.Origins = []string{"https://app.example.com"} })
	_, token := s.signUp(nj)
	cookie := header("Cookie", "matchday_session="+token)
	s.do("GET", "/v1/me", "", nil, cookie).want(http.StatusOK)
	quote := func(options ...option) answer {
		return s.do("POST", "/v1/bets/quote", "", `{}`, append(options, cookie)...)
	}
	quote().wantCode("forbidden")
	quote(header("Origin", "https://evil.example.com")).wantCode("forbidden")
	quote(header("Origin", "null")).wantCode("forbidden")
	quote(header("Sec-Fetch-Site", "cross-site")).wantCode("forbidden")
	quote(header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example.com")).wantCode("forbidden")
	quote(header("Origin", s.url)).wantCode("invalid")
	quote(header("Origin", "https://app.example.com")).wantCode("invalid")
	quote(header("Sec-Fetch-Site", "same-origin")).wantCode("invalid")
	s.do("POST", "/v1/bets/quote", token, `{}`).wantCode("invalid") // a bearer token is never sent by itself

	staff := s.trader()
	s.do("GET", "/v1/operator/shards", "", nil, header("Cookie", "matchday_session="+token+"; matchday_staff="+staff)).want(http.StatusOK)
	s.do("GET", "/v1/events?jurisdiction=US-NJ", "", nil, header("Cookie", "matchday_session=expired")).want(http.StatusOK)
	s.do("GET", "/v1/events?jurisdiction=US-NJ", "expired", nil).wantCode("unauthenticated")
}

func TestPathsAndMethodsThatDoNotExist(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.do("GET", "/v1/nothing", "", nil).want(http.StatusNotFound).wantCode("not_found")
	s.do("GET", "/v1/", "", nil).want(http.StatusNotFound).wantCode("not_found")
	a := s.do("DELETE", "/v1/bets", "", nil).want(http.StatusMethodNotAllowed)
	a.wantCode("invalid")
	if got := a.header.Get("Allow"); got != "POST" {
		t.Errorf("Allow: %q, want POST", got)
	}
	s.do("GET", "/v1/sessions?x=1", "", nil).want(http.StatusMethodNotAllowed)
	s.do("GET", "/v1/jurisdictions?x=1", "", nil).wantCode("invalid")
	s.do("GET", "/v1/jurisdictions?%zz", "", nil).wantCode("invalid")
}

func TestAnswersCarryIdsAndSafeHeaders(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := s.do("GET", "/v1/jurisdictions", "", nil, header("X-Request-Id", "mine-42")).want(http.StatusOK)
	for name, want := range map[string]string{"X-Request-Id": "mine-42", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		"Content-Type": "application/json", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	got := s.do("GET", "/v1/jurisdictions", "", nil, header("X-Request-Id", "not a word")).header.Get("X-Request-Id")
	if got == "" || strings.Contains(got, " ") {
		t.Errorf("a made-up request id %q was taken over, or none was made", got)
	}
	codes := into[List[Jurisdiction]](a)
	if !slices.ContainsFunc(codes.Items, func(j Jurisdiction) bool { return j.Code == "CA-ON" && j.Currency == "CAD" && j.MinimumAge == 19 }) {
		t.Errorf("jurisdictions %+v lack Ontario", codes.Items)
	}
}

func TestSignInsOfOneAddressAreLimited(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(c *Config) { c.SignInsPerMinute = 3 })
	for range 3 {
		s.do("POST", "/v1/sessions", "", SignInRequest{Email: "a@example.com", Password: password, Jurisdiction: "US-NJ"}).wantCode("unauthenticated")
	}
	a := s.do("POST", "/v1/operator/sessions", "", StaffSignInRequest{Name: "x", Password: password}).want(http.StatusTooManyRequests)
	if a.wantCode("rate_limited"); a.header.Get("Retry-After") == "" {
		t.Error("rate_limited without Retry-After")
	}
	s.do("GET", "/v1/jurisdictions", "", nil).want(http.StatusOK)
}
