package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/sqltime"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/notify"
	"matchday/odds"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
)

const (
	nj = id.Jurisdiction("US-NJ")
	pa = id.Jurisdiction("US-PA")
	on = id.Jurisdiction("CA-ON")

	password = "correct horse battery"
	testKey  = "a service's key, for tests only"
)

// server is the whole platform without pages, assembled by hand, behind a real HTTP server.
type server struct {
	t       testing.TB
	dir     string
	log     *slog.Logger
	metrics *prometheus.Registry
	clock   clock.System
	rules   *jurisdiction.Registry
	cancel  context.CancelFunc
	running sync.WaitGroup
	closers []func() error

	streams  *stream.Embedded
	ledger   *ledger.Service
	players  *player.Service
	pay      *payments.Service
	book     *sportsbook.Service
	history  *history.Service
	next     history.NextConfig // without a folder there is no second history
	webhooks *notify.Service
	api      *API

	url      string
	http     *http.Client
	doc      *huma.OpenAPI
	patterns *http.ServeMux // tells which route a request is for
	people   int
	keys     int
}

// newServer starts everything; it stops with the test.
func newServer(t testing.TB, change ...func(*Config)) *server {
	t.Helper()
	return newServerBeside(t, history.NextConfig{}, change...)
}

// newServerBeside is newServer with a second history.
func newServerBeside(t testing.TB, next history.NextConfig, change ...func(*Config)) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), log: slog.New(slog.DiscardHandler), metrics: prometheus.NewRegistry(), clock: clock.System{},
		rules: must(jurisdiction.New(jurisdiction.Default()))(t), next: next}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	t.Cleanup(s.stop)
	s.openBooks(ctx)
	s.openRooms(ctx)
	s.openEdge(ctx, change)
	select {
	case <-s.book.Ready():
	case <-time.After(2 * time.Minute):
		t.Fatal("the sportsbook is not ready after minutes")
	}
	return s
}

// stop ends what runs, then closes in reverse.
func (s *server) stop() {
	s.cancel()
	s.running.Wait()
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
}

func (s *server) run(ctx context.Context, name string, fn func(context.Context) error) {
	s.running.Go(func() {
		if err := fn(ctx); err != nil && ctx.Err() == nil {
			s.t.Errorf("%s: %v", name, err)
		}
	})
}

// folder is a room's own.
func (s *server) folder(room string) string {
	dir := filepath.Join(s.dir, room)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return dir
}

// openBooks starts ledger, streams and relays.
func (s *server) openBooks(ctx context.Context) {
	s.streams = must(stream.StartEmbedded(stream.EmbeddedConfig{Dir: s.folder("streams")}, s.log))(s.t)
	s.closers = append(s.closers, s.streams.Close)
	s.ledger = must(ledger.Open(ctx, ledger.Config{Dir: s.folder("ledger")}, ledger.Deps{Clock: s.clock, Log: s.log, Metrics: s.metrics}))(s.t)
	s.closers = append(s.closers, s.ledger.Close)
	s.run(ctx, "ledger", s.ledger.Run)
	for shard := range s.ledger.Shards() {
		relay := must(stream.NewRelay(s.ledger, shard, s.streams.Transport(), stream.Deps{Clock: s.clock, Log: s.log, Metrics: s.metrics}))(s.t)
		s.run(ctx, "relay", relay.Run)
	}
}

// openRooms starts players, payments, sportsbook and history.
func (s *server) openRooms(ctx context.Context) {
	s.players = must(player.Open(ctx, player.Config{Dir: s.folder("player"), Argon2: player.Argon2{MemoryKiB: 8, Passes: 1, Lanes: 1}},
		player.Deps{Clock: s.clock, Log: s.log, Metrics: s.metrics, Rules: s.rules}))(s.t)
	s.closers = append(s.closers, s.players.Close)
	sandbox := must(payments.OpenSandbox(ctx, payments.SandboxConfig{Dir: s.folder("sandbox"), Latency: time.Millisecond}, s.clock))(s.t)
	s.closers = append(s.closers, sandbox.Close)
	s.pay = must(payments.Open(ctx, payments.Config{Dir: s.folder("payments")},
		payments.Deps{Clock: s.clock, Log: s.log, Metrics: s.metrics, Books: books{s.ledger}, Provider: sandbox, Limits: s.rules}))(s.t)
	s.closers = append(s.closers, s.pay.Close)
	s.run(ctx, "payments", s.pay.Run)
	s.book = must(sportsbook.Open(ctx, sportsbook.Config{Dir: s.folder("sportsbook")}, sportsbook.Deps{Clock: s.clock, Log: s.log,
		Metrics: s.metrics, Ledger: s.ledger, Jurisdictions: s.rules, Transport: s.streams.Transport()}))(s.t)
	s.closers = append(s.closers, s.book.Close)
	s.run(ctx, "sportsbook", s.book.Run)
	s.history = must(history.Open(ctx, history.Config{Dir: s.folder("history"), Shards: s.ledger.Shards(), Next: s.next}, history.Deps{Clock: s.clock,
		Log: s.log, Metrics: s.metrics, Transport: s.streams.Transport(), Source: s.ledger, ShardOf: s.ledger.ShardOf, KeepYears: map[id.Jurisdiction]int{nj: 5}}))(s.t)
	s.closers = append(s.closers, s.history.Close)
	s.run(ctx, "history", s.history.Run)
	s.webhooks = must(notify.Open(ctx, notify.Config{Dir: s.folder("webhooks"), Allow: []string{"127.0.0.0/8"}}, notify.Deps{Clock: s.clock,
		Log: s.log, Metrics: s.metrics, Transport: s.streams.Transport(), Source: s.ledger}))(s.t)
	s.closers = append(s.closers, s.webhooks.Close)
	s.run(ctx, "webhooks", s.webhooks.Run)
}

// openEdge starts the API behind a server of its own.
func (s *server) openEdge(ctx context.Context, change []func(*Config)) {
	sum := sha256.Sum256([]byte(testKey))
	pennsylvania := sha256.Sum256([]byte(testKey + " in Pennsylvania"))
	cfg := Config{SignInsPerMinute: -1, LiveHeartbeat: 50 * time.Millisecond, Keys: []ServiceKey{
		{Name: "tests", SHA256: hex.EncodeToString(sum[:]), Limits: true, CreditLines: true},
		{Name: "pennsylvania", SHA256: hex.EncodeToString(pennsylvania[:]), Jurisdictions: []id.Jurisdiction{pa}},
	}}
	for _, f := range change {
		f(&cfg)
	}
	s.api = must(New(cfg, Deps{Clock: s.clock, Log: s.log, Metrics: s.metrics, Gatherer: s.metrics, Ledger: s.ledger, Audit: s.auditLedger,
		Players: s.players, Jurisdictions: s.rules, Payments: s.pay, Sportsbook: s.book, History: s.history, Webhooks: s.webhooks, Statements: sqltime.Process()}))(s.t)
	s.run(ctx, "api", s.api.Run)
	web := httptest.NewServer(s.api.Handler())
	s.t.Cleanup(func() { _ = s.api.Close(); web.Close() }) // before the rooms
	s.url, s.http = web.URL, web.Client()
	s.doc, s.patterns = s.api.document(), http.NewServeMux()
	for _, rt := range s.api.routes {
		if rt.mux != "-" {
			s.patterns.HandleFunc(rt.method+" "+orElse(rt.mux, rt.path), http.NotFound)
		}
	}
}

// must ends the test if what made a value failed.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// books is the ledger as room payments sees it, for what these tests need.
type books struct{ l *ledger.Service }

func (b books) Deposit(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.move(ctx, p, "deposit", ledger.KindDeposit, stream.TypeDepositCompleted, ledger.PSP(p.Provider, p.Jurisdiction), ledger.PlayerCash(p.Player, p.Jurisdiction))
}

func (b books) Withhold(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.move(ctx, p, "withhold", ledger.KindWithdrawalRequest, stream.TypeWithdrawalRequested, ledger.PlayerCash(p.Player, p.Jurisdiction), ledger.PlayerWithdrawing(p.Player, p.Jurisdiction))
}

func (b books) Complete(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.move(ctx, p, "complete", ledger.KindWithdrawal, stream.TypeWithdrawalCompleted, ledger.PlayerWithdrawing(p.Player, p.Jurisdiction), ledger.PSP(p.Provider, p.Jurisdiction))
}

func (b books) Return(ctx context.Context, p payments.Payment) (stream.Position, error) {
	return b.move(ctx, p, "return", ledger.KindWithdrawalReturn, stream.TypeWithdrawalReturned, ledger.PlayerWithdrawing(p.Player, p.Jurisdiction), ledger.PlayerCash(p.Player, p.Jurisdiction))
}

func (b books) move(ctx context.Context, p payments.Payment, step string, kind ledger.Kind, record string, from, to ledger.Address) (stream.Position, error) {
	data, err := json.Marshal(stream.PaymentChanged{PaymentID: p.ID, PlayerID: p.Player, Jurisdiction: p.Jurisdiction,
		AmountMinor: p.Amount.Minor(), Currency: string(p.Amount.Currency()), Provider: p.Provider})
	if err != nil {
		return stream.Position{}, err
	}
	r, err := b.l.Commit(ctx, ledger.LaneInteractive, ledger.Transfer{Key: step + "/" + p.ID, Kind: kind, Player: p.Player,
		Jurisdiction: p.Jurisdiction, Currency: p.Amount.Currency(), Request: []byte(p.ID),
		Postings: []ledger.Posting{{Account: from, AmountMinor: -p.Amount.Minor()}, {Account: to, AmountMinor: p.Amount.Minor()}},
		Record:   &stream.Draft{Type: record, Subject: p.ID, Data: data}})
	return r.Position, err
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// option changes a request before it is sent.
type option func(*http.Request)

func header(name, value string) option { return func(r *http.Request) { r.Header.Set(name, value) } }

// bearerOf authorises a request; the empty token leaves it anonymous.
func bearerOf(token string) option {
	return func(r *http.Request) {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
	}
}

// do sends a request; a body that is not bytes or text is sent as JSON.
func (s *server) do(method, path, token string, body any, options ...option) answer {
	s.t.Helper()
	var sent []byte
	switch b := body.(type) {
	case nil:
	case string:
		sent = []byte(b)
	case []byte:
		sent = b
	default:
		sent = must(json.Marshal(b))(s.t)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(sent))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	bearerOf(token)(r)
	for _, o := range options {
		o(r)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	s.checkSchema(r, sent, resp, raw)
	return answer{t: s.t, status: resp.StatusCode, header: resp.Header, body: raw}
}

// shown waits until the history shows what the answer to a write names, and returns the position as an option. A read
// would wait for two seconds only.
func (s *server) shown(write answer) option {
	s.t.Helper()
	text := write.header.Get("Matchday-Position")
	at, err := stream.ParsePosition(text)
	if err != nil {
		s.t.Fatalf("position %q: %v", text, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.history.WaitFor(ctx, at); err != nil {
		s.t.Fatal(err)
	}
	return header("Matchday-Position", text)
}

// key is an option with a fresh idempotency key.
func (s *server) key() option {
	s.keys++
	return header("Idempotency-Key", fmt.Sprintf("key-%d", s.keys))
}

// want ends the test unless the status is as wanted.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// wantCode ends the test unless the answer is a problem with the code and its status.
func (a answer) wantCode(code string) Problem {
	a.t.Helper()
	var p Problem
	if err := json.Unmarshal(a.body, &p); err != nil || p.Code != code {
		a.t.Fatalf("answer %d %s, want code %s", a.status, a.body, code)
	}
	if got := a.header.Get("Content-Type"); got != "application/problem+json" || p.Status != a.status || p.RequestID == "" {
		a.t.Fatalf("problem %s with type %s and status %d is not well-formed", a.body, got, a.status)
	}
	return p
}

// into decodes the answer.
func into[T any](a answer) T {
	a.t.Helper()
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("answer %s: %v", a.body, err)
	}
	return v
}

// signUp makes a player and signs in.
func (s *server) signUp(j id.Jurisdiction) (p Player, token string) {
	s.t.Helper()
	s.people++
	email := fmt.Sprintf("player%d@example.com", s.people)
	p = into[Player](s.do("POST", "/v1/players", "", SignUpRequest{Email: email, Password: password, DisplayName: "A Player",
		BirthDate: "1980-02-29", Jurisdiction: string(j)}).want(http.StatusCreated))
	session := into[Session](s.do("POST", "/v1/sessions", "", SignInRequest{Email: email, Password: password, Jurisdiction: string(j)}).want(http.StatusCreated))
	return p, session.Token
}

// fund deposits and waits until the money is there.
func (s *server) fund(token, amount, currency string) {
	s.t.Helper()
	a := s.do("POST", "/v1/me/deposits", token, PaymentRequest{Amount: Amount{amount, currency}, Method: "card"}, s.key())
	if a.status != http.StatusCreated && a.status != http.StatusAccepted {
		s.t.Fatalf("deposit: %d %s", a.status, a.body)
	}
	p := into[Payment](a)
	s.poll("the deposit", func() bool {
		return into[Payment](s.do("GET", "/v1/me/deposits/"+p.ID, token, nil).want(http.StatusOK)).Status == "completed"
	})
}

// poll waits for something that another goroutine brings about.
func (s *server) poll(what string, done func() bool) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(2 * time.Minute)
	for !done() {
		select {
		case <-deadline:
			s.t.Fatalf("%s has not come after minutes", what)
		case <-tick.C:
		}
	}
}

// staff makes a member of staff and signs in.
func (s *server) staff(name string, role player.Role, js ...id.Jurisdiction) string {
	s.t.Helper()
	if err := s.players.AddStaff(context.Background(), player.StaffAccount{Name: name, Password: password, Role: role, Jurisdictions: js}); err != nil {
		s.t.Fatal(err)
	}
	return into[Session](s.do("POST", "/v1/operator/sessions", "", StaffSignInRequest{Name: name, Password: password}).want(http.StatusCreated)).Token
}

// trader is a member of staff who may do everything everywhere.
func (s *server) trader() string { return s.staff("trader", player.RoleAdmin, nj, pa, on) }

// game adds an event with all markets that starts in an hour: moneyline -170 (home) and +154 (away), the
// rest at -110.
func (s *server) game(eventID string, js ...id.Jurisdiction) sportsbook.Event {
	s.t.Helper()
	price := func(n int64) odds.Price { return must(odds.American(n))(s.t) }
	spread, total := odds.Line(-350), odds.Line(4650)
	e, err := s.book.CreateEvent(context.Background(), sportsbook.NewEvent{ID: eventID, Sport: "Football", Competition: "Test League",
		Home: "Harbour Town", Away: "Mill City", StartsAt: clock.System{}.Now().Add(time.Hour), Jurisdictions: js,
		Markets: []sportsbook.NewMarket{
			{Type: sportsbook.Moneyline, Prices: map[string]odds.Price{"home": price(-170), "away": price(154)}},
			{Type: sportsbook.Spread, Line: &spread, Prices: map[string]odds.Price{"home": price(-110), "away": price(-110)}},
			{Type: sportsbook.Total, Line: &total, Prices: map[string]odds.Price{"over": price(-110), "under": price(-110)}},
		}}, sportsbook.By{Actor: "tests"})
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// single is a bet of 10.00 on the home team.
func single(eventID, currency string) BetRequest {
	return BetRequest{Stake: Amount{"10.00", currency}, Legs: []LegRequest{{SelectionID: eventID + ":moneyline:home", Price: "-170"}}}
}

// state is everything a refused request must leave as it was.
func (s *server) state(tokens ...string) string {
	s.t.Helper()
	ctx := context.Background()
	var out strings.Builder
	for shard := range s.ledger.Shards() {
		fmt.Fprintf(&out, "shard %d head %d\n", shard, s.ledger.Head(shard))
	}
	for _, j := range []id.Jurisdiction{nj, pa, on} {
		players, _, err := s.players.List(ctx, j, "", 200)
		if err != nil {
			s.t.Fatal(err)
		}
		events, _, err := s.book.ListEvents(ctx, sportsbook.EventQuery{Jurisdiction: j, Limit: 200})
		if err != nil {
			s.t.Fatal(err)
		}
		raw, err := json.Marshal(events)
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s players %v\nevents %s\n", j, players, raw)
	}
	for _, token := range tokens {
		fmt.Fprintf(&out, "deposits %s\n", s.do("GET", "/v1/me/deposits", token, nil).body)
		fmt.Fprintf(&out, "withdrawals %s\n", s.do("GET", "/v1/me/withdrawals", token, nil).body)
	}
	return out.String()
}

// events reads a live stream into a channel of "event data" lines; it ends with the test or the stream.
func (s *server) events(path, token string, options ...option) <-chan string {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	bearerOf(token)(r)
	for _, o := range options {
		o(r)
	}
	resp, err := s.http.Do(r) //nolint:bodyclose // closed by the reader below
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		raw, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		s.t.Fatalf("live stream: %d %s", resp.StatusCode, raw)
	}
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		defer func() { _ = resp.Body.Close() }()
		scanner := bufio.NewScanner(resp.Body)
		event := ""
		for scanner.Scan() {
			line := scanner.Text()
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				event = name
			} else if data, ok := strings.CutPrefix(line, "data: "); ok {
				lines <- event + " " + data
			} else if strings.HasPrefix(line, ":") {
				lines <- line
			}
		}
	}()
	return lines
}

// next returns the data of the next live event with the name that fits.
func next[T any](s *server, lines <-chan string, event string, fits func(T) bool) T {
	s.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case <-deadline:
			s.t.Fatalf("no live event %s after minutes", event)
		case line, open := <-lines:
			if !open {
				s.t.Fatalf("the live stream ended before %s", event)
			}
			data, ok := strings.CutPrefix(line, event+" ")
			if !ok {
				continue
			}
			var v T
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				s.t.Fatalf("live event %s: %v", line, err)
			}
			if fits == nil || fits(v) {
				return v
			}
		}
	}
}

// auditLedger audits the ledger's folder; app, which knows every room, audits bets and history too.
func (s *server) auditLedger(ctx context.Context, progress func(shard int, seq, head int64)) ([]string, error) {
	report, err := ledger.Audit(ctx, ledger.AuditOptions{Dir: s.folder("ledger"), Progress: progress})
	var findings []string
	for _, f := range report.Findings {
		findings = append(findings, f.String())
	}
	return findings, err
}
