package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/player"
)

const (
	betsKey     = "the key of support, for tests only"
	njBetsKey   = betsKey + ", in New Jersey"
	historyPath = "/v1/operator/players/"
)

// withBetsKeys adds services that may read bets.
func withBetsKeys(c *Config) {
	for name, key := range map[string]string{"support": betsKey, "support-nj": njBetsKey} {
		sum := sha256.Sum256([]byte(key))
		one := ServiceKey{Name: name, SHA256: hex.EncodeToString(sum[:]), Bets: true}
		if name == "support-nj" {
			one.Jurisdictions = []id.Jurisdiction{nj}
		}
		c.Keys = append(c.Keys, one)
	}
}

// booksOnly serves the same ledger and history as a process without the other rooms.
func (s *server) booksOnly(log *slog.Logger) *httptest.Server {
	s.t.Helper()
	a := must(New(s.api.cfg, Deps{Clock: s.clock, Log: log, Metrics: prometheus.NewRegistry(), Ledger: s.ledger, Jurisdictions: s.rules, History: s.history}))(s.t)
	s.closers = append(s.closers, a.Close)
	web := httptest.NewServer(a.Handler())
	s.t.Cleanup(web.Close)
	return web
}

// at sends the requests of fn to another process.
func (s *server) at(url string, fn func()) {
	old := s.url
	s.url = url
	defer func() { s.url = old }()
	fn()
}

var moments = regexp.MustCompile(`(fresh_at":"|fresh at )[^"\r]*`)

// TestBetsAreReadWithAKey: services whose key has the right read what staff read, in the whole platform and in a
// process with the books alone, and each read is logged.
func TestBetsAreReadWithAKey(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	s := newServer(t, withBetsKeys)
	s.game("game")
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	placed := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	bet := into[Receipt](placed).ID
	at := s.shown(placed)
	trader := s.trader()
	books := s.booksOnly(slog.New(slog.NewTextHandler(&lines, nil)))
	for _, path := range []string{"/bets", "/bets/" + bet, "/bets/summary", "/bets/export", "/bets/export.csv"} {
		path = historyPath + p.ID + path + "?jurisdiction=US-NJ"
		want := moments.ReplaceAllString(string(s.do("GET", path, trader, nil, at).want(http.StatusOK).body), "")
		if !strings.Contains(want, bet) && !strings.Contains(path, "summary") {
			t.Fatalf("%s: %s, want the bet in it", path, want)
		}
		for where, url := range map[string]string{"the platform": s.url, "the books": books.URL} {
			s.at(url, func() {
				for _, key := range []string{betsKey, njBetsKey} {
					got := s.do("GET", path, key, nil, at).want(http.StatusOK)
					if text := moments.ReplaceAllString(string(got.body), ""); text != want {
						t.Errorf("%s of %s:\n%s\nwant what staff see:\n%s", path, where, text, want)
					}
				}
				s.do("GET", path, testKey, nil).wantCode("forbidden")
				s.do("GET", path, "made-up", nil).wantCode("unauthenticated")
				s.do("GET", path, "", nil).wantCode("unauthenticated")
				s.do("GET", strings.Replace(path, "US-NJ", "US-PA", 1), njBetsKey, nil).wantCode("forbidden")
				s.do("GET", strings.Replace(path, "US-NJ", "XX-XX", 1), betsKey, nil).wantCode("invalid")
				s.do("GET", strings.TrimSuffix(path, "?jurisdiction=US-NJ"), betsKey, nil).wantCode("invalid")
				s.do("GET", strings.Replace(path, p.ID, "nobody", 1), betsKey, nil).wantCode("not_found")
			})
		}
	}
	if n := strings.Count(lines.String(), "staff read a player's bets"); n != 10 || strings.Count(lines.String(), `by="service support`) != n {
		t.Errorf("%d reads are logged, want the 10 that were answered, with the key's name:\n%s", n, lines.String())
	}
}

// TestOfAnotherJurisdictionNothingIsRead: a key that reaches Pennsylvania says so of a player of New Jersey, and sees nothing.
func TestOfAnotherJurisdictionNothingIsRead(t *testing.T) {
	t.Parallel()
	s := newServer(t, withBetsKeys)
	s.game("game")
	p, token := s.signUp(nj)
	s.fund(token, "100.00", "USD")
	placed := s.do("POST", "/v1/bets", token, single("game", "USD"), s.key()).want(http.StatusCreated)
	at := s.shown(placed)
	books := s.booksOnly(slog.New(slog.DiscardHandler))
	s.do("GET", historyPath+p.ID+"/bets?jurisdiction=US-PA", betsKey, nil, at).wantCode("not_found")
	s.at(books.URL, func() {
		path := historyPath + p.ID + "/bets"
		if got := into[Bets](s.do("GET", path+"?jurisdiction=US-PA", betsKey, nil, at).want(http.StatusOK)); len(got.Items) != 0 {
			t.Errorf("bets of New Jersey, asked for as of Pennsylvania: %+v", got.Items)
		}
		if got := into[BetSummary](s.do("GET", path+"/summary?jurisdiction=US-PA", betsKey, nil, at).want(http.StatusOK)); len(got.Lines) != 0 {
			t.Errorf("sums of New Jersey, asked for as of Pennsylvania: %+v", got.Lines)
		}
		s.do("GET", path+"/"+into[Receipt](placed).ID+"?jurisdiction=US-PA", betsKey, nil, at).wantCode("not_found")
		lines := strings.Split(strings.TrimSpace(string(s.do("GET", path+"/export?jurisdiction=US-PA", betsKey, nil, at).want(http.StatusOK).body)), "\n")
		if len(lines) != 1 || !strings.Contains(lines[0], `"bets":0`) {
			t.Errorf("export of New Jersey, asked for as of Pennsylvania: %q", lines)
		}
	})
}

// TestTheBooksAloneServeServices: a process without the other rooms has the routes of services, and those of the history
// only for keys, and documents just these.
func TestTheBooksAloneServeServices(t *testing.T) {
	t.Parallel()
	s := newServer(t, withBetsKeys)
	_, token := s.signUp(nj)
	admin := s.staff("admin", player.RoleAdmin, nj, pa, on)
	books := s.booksOnly(slog.New(slog.DiscardHandler))
	s.at(books.URL, func() {
		if got := into[List[Lag]](s.do("GET", "/v1/operator/lag", njBetsKey, nil).want(http.StatusOK)); len(got.Items) != s.ledger.Shards() || !got.Items[0].Here {
			t.Errorf("lag %+v, want every shard, applied here", got.Items)
		}
		s.do("GET", "/v1/operator/lag", testKey, nil).wantCode("forbidden")
		for _, other := range []string{token, admin} {
			s.do("GET", "/v1/operator/lag", other, nil).wantCode("unauthenticated")
			s.do("GET", "/v1/operator/lag", "", nil, header("Cookie", "matchday_staff="+other)).wantCode("unauthenticated")
			s.do("GET", "/v1/me/bets", other, nil).want(http.StatusNotFound)
			s.do("GET", "/v1/operator/players", other, nil).want(http.StatusNotFound)
			s.do("GET", "/v1/operator/history", other, nil).want(http.StatusNotFound)
		}
		s.do("POST", "/v1/operator/sessions", "", `{"name":"admin","password":"x"}`).want(http.StatusNotFound)
	})
	for _, history := range []bool{true, false} {
		d := Deps{Clock: s.clock, Log: s.log, Metrics: prometheus.NewRegistry(), Ledger: s.ledger, Jurisdictions: s.rules}
		if history {
			d.History = s.history
		}
		a := must(New(Config{}, d))(t)
		found := 0
		for _, rt := range a.routes {
			if rt.who != whoService {
				t.Errorf("%s %s is for %s where only services have keys", rt.method, rt.path, rt.who)
			}
			if rt.right == rightBets {
				found++
			}
			op := operationsOf(a.document().Paths[rt.path])[rt.method]
			if op == nil || len(op.Security) != 1 || op.Security[0]["service"] == nil {
				t.Errorf("%s %s is not documented as for services alone", rt.method, rt.path)
			}
		}
		if want := map[bool]int{true: 6}[history]; found != want {
			t.Errorf("%d routes of the history, want %d", found, want)
		}
	}
	both := operationsOf(s.doc.Paths["/v1/operator/lag"])["GET"].Security
	if !slices.ContainsFunc(both, func(m map[string][]string) bool { return m["staff"] != nil }) || !slices.ContainsFunc(both, func(m map[string][]string) bool { return m["service"] != nil }) {
		t.Errorf("the platform documents the lag as for %v, want staff and services", both)
	}
}
