package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"matchday/errs"
	"matchday/id"
	"matchday/player"
)

// visit asks for a page.
func visit(w *Web, target string, cookies ...*http.Cookie) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for _, c := range cookies {
		if c != nil {
			r.AddCookie(c)
		}
	}
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec
}

// post sends a form as our own pages do.
func post(w *Web, target string, form url.Values, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://example.com")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if change != nil {
		change(r)
	}
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec
}

func TestPages(t *testing.T) {
	t.Parallel()
	in, staff := cookie(sessionCookie, token), cookie(staffCookie, staffToken)
	tests := []struct {
		name, target string
		cookie       *http.Cookie
		status       int
		want         string // in the body, or the place a redirect leads to
	}{
		{"visitors see games and prices", "/", nil, 200, `data-price="-162"`},
		{"visitors are asked to join", "/", nil, 200, "Join Matchday"},
		{"players see their balance", "/", in, 200, "$1,234.09"},
		{"a game in play shows its score", "/", nil, 200, `data-score="home">14<`},
		{"a suspended market cannot be pressed", "/", nil, 200, `data-status="suspended"`},
		{"a missing market is a dash", "/", nil, 200, `aria-label="No Spread market"`},
		{"the plain board has no ended games", "/", nil, 200, "Tomorrow"},
		{"results have their own view", "/?show=results", nil, 200, "Northgate Owls"},
		{"games in play have their own view", "/?show=live", nil, 200, "Harbour City Gulls"},
		{"another view is nothing", "/?show=other", nil, 404, "Nothing here"},
		{"a game has a page", "/events/ev4", nil, 200, "Total points"},
		{"an unknown game is not found", "/events/nope", nil, 404, "Nothing here"},
		{"bets need a session", "/bets?status=won", nil, 303, "/sign-in?next=%2Fbets%3Fstatus%3Dwon"},
		{"players see their bets", "/bets", in, 200, "2-leg parlay"},
		{"bets can be taken away", "/bets", in, 200, `href="/v1/me/bets/export.csv"`},
		{"won bets show what was paid", "/bets?status=won", in, 200, "$19.09"},
		{"a filter without bets says so", "/bets?status=lost", in, 200, "Lost"},
		{"an unknown filter is explained", "/bets?status=rich", in, 400, "The status must be open"},
		{"a cursor that is no bet is explained", "/bets?before=x", in, 400, "The place in the list is none of this list."},
		{"an account needs a session", "/account", nil, 303, "/sign-in?next=%2Faccount"},
		{"players see their statement", "/account", in, 200, "+$19.09"},
		{"the account shows the previous sign-in", "/account", in, 200, "Sat Nov 21, 10:00 AM"},
		{"names are text, not markup", "/account", in, 200, "Robin &lt;b&gt;"},
		{"visitors can sign in", "/sign-in", nil, 200, `autocomplete="current-password"`},
		{"players need not sign in", "/sign-in?next=/bets", in, 303, "/bets"},
		{"visitors can join", "/sign-up", nil, 200, "1-800-GAMBLER"},
		{"help is a page", "/play-safe", nil, 200, "1-800-GAMBLER"},
		{"staff pages need a staff session", "/staff", in, 303, "/staff/sign-in?next=%2Fstaff"},
		{"a player's cookie is no staff session", "/staff", cookie(staffCookie, token), 303, "/staff/sign-in"},
		{"a staff cookie is no player's session", "/bets", cookie(sessionCookie, staffToken), 303, "/sign-in"},
		{"an ended session is a visitor", "/", cookie(sessionCookie, "old"), 200, "Join Matchday"},
		{"staff see the board", "/staff", staff, 200, "Exposure by game"},
		{"staff see their jurisdictions", "/staff/events", staff, 200, `<option value="CA-ON">`},
		{"staff manage one event", "/staff/events/ev1", staff, 200, `data-event="ev1"`},
		{"staff see players", "/staff/players", staff, 200, "E-mail"},
		{"staff see finance", "/staff/finance", staff, 200, "Trial balance"},
		{"a player sees no finance", "/staff/finance", in, 303, "/staff/sign-in?next=%2Fstaff%2Ffinance"},
		{"staff see webhooks", "/staff/webhooks", staff, 200, "Subscriptions"},
		{"anything else is not found", "/wp-login.php", nil, 404, "Nothing here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, w := newStage(t)
			rec := visit(w, tt.target, tt.cookie)
			if rec.Code != tt.status {
				t.Fatalf("GET %s: status %d, want %d", tt.target, rec.Code, tt.status)
			}
			got := rec.Body.String()
			if tt.status == http.StatusSeeOther {
				got = rec.Header().Get("Location")
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("GET %s: %q is not in the answer:\n%s", tt.target, tt.want, clipRunes(got, 4000))
			}
		})
	}
}

func TestConfiguringOneJurisdictionKeepsTheDefaultsOfTheOthers(t *testing.T) {
	t.Parallel()
	_, w := newStageWith(t, Config{
		Helplines: map[id.Jurisdiction]string{"US-PA": "0800 555", "CA-ON": ""},
		TimeZones: map[id.Jurisdiction]string{"US-PA": "Europe/Paris", "CA-ON": ""},
	})
	for _, tt := range []struct{ code, help, zone string }{
		{"US-NJ", "1-800-GAMBLER", "America/New_York"}, {"US-PA", "0800 555", "Europe/Paris"}, {"CA-ON", "", "UTC"},
	} {
		if got := w.zones[id.Jurisdiction(tt.code)].String(); got != tt.zone {
			t.Errorf("the time zone of %s is %s, want %s", tt.code, got, tt.zone)
		}
		page := visit(w, "/", cookie(jurisdictionCookie, tt.code)).Body.String()
		if calls := strings.Contains(page, "Need help? Call"); calls != (tt.help != "") || !strings.Contains(page, tt.help) {
			t.Errorf("the page of %s does not show the helpline %q alone", tt.code, tt.help)
		}
	}
}

var inline = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+="|href="javascript:|(?:src|href)="(?:https?:)?//`)

func TestPagesHoldNothingInlineAndNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	in, staff := cookie(sessionCookie, token), cookie(staffCookie, staffToken)
	for _, target := range []string{"/", "/events/ev1", "/bets", "/bets?sport=%3Cscript%3E", "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d", "/bets/summary", "/account", "/sign-in", "/sign-up", "/staff", "/staff/events", "/staff/events/ev1", "/staff/players", theirs, theirs + "/bets", theirs + "/bets/summary", theirs + "/bets/bet_01jb2m7k3v9q8w5x4y6z7a0b1d", "/staff/players/x/y", "/staff/finance", "/staff/shards", "/staff/webhooks", "/none"} {
		rec := visit(w, target, in, staff)
		if policy := rec.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
			t.Errorf("GET %s: content policy %q", target, policy)
		}
		if found := inline.FindString(rec.Body.String()); found != "" {
			t.Errorf("GET %s: %q is inline or from elsewhere", target, found)
		}
	}
}

func TestAssetsAreKeptByVersion(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	tests := []struct {
		name, target string
		status       int
		kind, cache  string
	}{
		{"today's version is kept for ever", w.assets.path("js/site.js"), 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"another version is not kept", "/assets/old/css/base.css", 200, "text/css; charset=utf-8", "no-cache"},
		{"the mark is a picture", w.assets.path("mark.svg"), 200, "image/svg+xml", "public, max-age=31536000, immutable"},
		{"an unknown file is not found", w.assets.path("js/none.js"), 404, "text/plain; charset=utf-8", ""},
		{"no way leads out of the folder", "/assets/v/%2e%2e/web.go", 404, "text/plain; charset=utf-8", ""},
	}
	for _, tt := range tests {
		rec := visit(w, tt.target)
		if rec.Code != tt.status || rec.Header().Get("Content-Type") != tt.kind || rec.Header().Get("Cache-Control") != tt.cache {
			t.Errorf("%s: GET %s = %d %q %q, want %d %q %q", tt.name, tt.target, rec.Code, rec.Header().Get("Content-Type"),
				rec.Header().Get("Cache-Control"), tt.status, tt.kind, tt.cache)
		}
	}
}

func TestScriptsOnlyImportFilesThatExist(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	imports := regexp.MustCompile(`from '\./([^']+)'`)
	for name, data := range w.assets.files {
		for _, m := range imports.FindAllStringSubmatch(string(data), -1) {
			if _, ok := w.assets.files["js/"+m[1]]; !ok {
				t.Errorf("%s imports %s, which does not exist", name, m[1])
			}
		}
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	form := url.Values{"email": {"robin@example.com"}, "password": {"correct horse"}, "jurisdiction": {"US-PA"}, "next": {"/bets?status=won"}}
	t.Run("sets a strict cookie and goes on", func(t *testing.T) {
		t.Parallel()
		_, w := newStage(t)
		rec := post(w, "/sign-in", form, nil)
		if rec.Code != 303 || rec.Header().Get("Location") != "/bets?status=won" {
			t.Fatalf("status %d to %q", rec.Code, rec.Header().Get("Location"))
		}
		c := rec.Result().Cookies()[0]
		if c.Name != sessionCookie || c.Value != token || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure {
			t.Errorf("cookie %+v", c)
		}
	})
	t.Run("the cookie is secure behind TLS", func(t *testing.T) {
		t.Parallel()
		_, w := newStage(t)
		w.cfg.SecureCookies = true
		if c := post(w, "/sign-in", form, nil).Result().Cookies()[0]; !c.Secure {
			t.Errorf("cookie %+v, want Secure", c)
		}
	})
	t.Run("never leads to another site", func(t *testing.T) {
		t.Parallel()
		_, w := newStage(t)
		for _, next := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "bets"} {
			form := url.Values{"email": {"a@b.c"}, "password": {"x"}, "jurisdiction": {"US-NJ"}, "next": {next}}
			if got := post(w, "/sign-in", form, nil).Header().Get("Location"); got != "/" {
				t.Errorf("next %q leads to %q", next, got)
			}
		}
	})
	t.Run("says the same for every wrong part and keeps the e-mail", func(t *testing.T) {
		t.Parallel()
		s, w := newStage(t)
		s.signIn = func(player.Credentials) error { return errs.New(errs.CodeUnauthenticated, "password wrong") }
		rec := post(w, "/sign-in", form, nil)
		body := rec.Body.String()
		if rec.Code != 422 || !strings.Contains(body, "do not match an account") || !strings.Contains(body, "robin@example.com") {
			t.Errorf("status %d:\n%s", rec.Code, body)
		}
		if strings.Contains(body, "password wrong") || strings.Contains(body, "correct horse") {
			t.Error("the page repeats the password or says which part was wrong")
		}
		if len(rec.Result().Cookies()) != 0 {
			t.Error("a refused sign-in set a cookie")
		}
	})
	t.Run("of an address is bounded", func(t *testing.T) {
		t.Parallel()
		_, w := newStage(t)
		var last int
		for range 25 {
			last = post(w, "/sign-in", form, nil).Code
		}
		if last != 422 {
			t.Errorf("the 25th sign-in at once had status %d, want 422", last)
		}
	})
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/sign-in", "/sign-up", "/sign-out", "/jurisdiction", "/staff/sign-in", "/staff/sign-out"} {
		s, w := newStage(t)
		rec := post(w, target, url.Values{}, func(r *http.Request) {
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.AddCookie(cookie(sessionCookie, token))
		})
		if rec.Code != 403 || len(rec.Result().Cookies()) != 0 || len(s.tokens) != 2 {
			t.Errorf("POST %s from elsewhere: status %d, want 403 and nothing changed", target, rec.Code)
		}
	}
}

func TestSignUp(t *testing.T) {
	t.Parallel()
	form := url.Values{"email": {"robin@example.com"}, "password": {"correct horse"}, "display_name": {"Robin"}, "birth_date": {"2010-01-01"}, "jurisdiction": {"CA-ON"}}
	tests := []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"welcomes a new player", nil, 303, ""},
		{"shows every wrong field at the field", (func() error {
			var c errs.Check
			c.Add("email", "is no e-mail address")
			c.Add("password", "needs 10 characters")
			return c.Err()
		})(), 422, `id="password-wrong">needs 10 characters`},
		{"refuses the young", errs.New(errs.CodeExcluded, "too young"), 422, "not old enough"},
		{"points to an account that exists", errs.New(errs.CodeConflict, "taken"), 422, "already an account"},
		{"is sorry for our own faults without detail", errs.New(errs.CodeInternal, "disk on fire"), 500, "our side"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, w := newStage(t)
			s.signUp = func(got player.SignUp) error {
				if want := (player.SignUp{Email: "robin@example.com", Password: "correct horse", DisplayName: "Robin", BirthDate: "2010-01-01", Jurisdiction: "CA-ON"}); got != want {
					t.Errorf("sign-up %+v, want %+v", got, want)
				}
				return tt.err
			}
			rec := post(w, "/sign-up", form, nil)
			if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
				t.Errorf("status %d, want %d with %q:\n%s", rec.Code, tt.status, tt.want, rec.Body)
			}
			if strings.Contains(rec.Body.String(), "disk on fire") {
				t.Error("the page shows an internal detail")
			}
		})
	}
}

func TestSignOutEndsTheSession(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	rec := post(w, "/sign-out", nil, func(r *http.Request) { r.AddCookie(cookie(sessionCookie, token)) })
	if _, alive := s.tokens[token]; alive || rec.Code != 303 || rec.Result().Cookies()[0].MaxAge >= 0 {
		t.Errorf("status %d, session alive %v, cookies %v", rec.Code, alive, rec.Result().Cookies())
	}
}

func TestStaffSignIn(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	if rec := post(w, "/staff/sign-in", url.Values{"name": {"sam"}, "password": {"wrong"}}, nil); rec.Code != 422 || len(rec.Result().Cookies()) != 0 {
		t.Errorf("a wrong password: status %d, cookies %v", rec.Code, rec.Result().Cookies())
	}
	rec := post(w, "/staff/sign-in", url.Values{"name": {"sam"}, "password": {"right"}, "next": {"/staff/events"}}, nil)
	if rec.Code != 303 || rec.Header().Get("Location") != "/staff/events" || rec.Result().Cookies()[0].Name != staffCookie {
		t.Errorf("status %d to %q, cookies %v", rec.Code, rec.Header().Get("Location"), rec.Result().Cookies())
	}
}

func TestJurisdictionIsChosenOnce(t *testing.T) {
	t.Parallel()
	_, w := newStage(t)
	rec := post(w, "/jurisdiction", url.Values{"jurisdiction": {"CA-ON"}, "next": {"/?show=live"}}, nil)
	if rec.Code != 303 || rec.Header().Get("Location") != "/?show=live" {
		t.Fatalf("status %d to %q", rec.Code, rec.Header().Get("Location"))
	}
	if body := visit(w, "/", rec.Result().Cookies()...).Body.String(); !strings.Contains(body, "Games in Ontario") || !strings.Contains(body, "19+") || !strings.Contains(body, "ConnexOntario") {
		t.Error("the board is not Ontario's")
	}
	if rec := post(w, "/jurisdiction", url.Values{"jurisdiction": {"ZZ-ZZ"}}, nil); rec.Code != 404 {
		t.Errorf("an unknown jurisdiction: status %d, want 404", rec.Code)
	}
}

func TestFaultsAreNotShown(t *testing.T) {
	t.Parallel()
	s, w := newStage(t)
	s.fault = errs.New(errs.CodeInternal, "catalogue.db is gone")
	if rec := visit(w, "/"); rec.Code != 500 || strings.Contains(rec.Body.String(), "catalogue") {
		t.Errorf("status %d:\n%s", rec.Code, rec.Body)
	}
	s.fault = errs.New(errs.CodeUnavailable, "starting")
	if rec := visit(w, "/"); rec.Code != 503 || !strings.Contains(rec.Body.String(), "One moment") {
		t.Errorf("status %d:\n%s", rec.Code, rec.Body)
	}
}

func TestNewRefusesMissingRooms(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}, Deps{}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("New without rooms: %v, want invalid", err)
	}
	if _, err := New(Config{SignInsPerMinute: 1 << 20}, Deps{}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("New with a senseless limit: %v, want invalid", err)
	}
}

func TestTemplatesAreGenerated(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"layout", "games", "bets", "account", "auth", "staff", "staff_players", "staff_finance", "staff_shards", "staff_webhooks", "second", "icons"} {
		source, err := os.Stat(name + ".templ")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(name + "_templ.go"); err != nil {
			t.Errorf("%s has no generated code: run make gen", source.Name())
		}
	}
}
