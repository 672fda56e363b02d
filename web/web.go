package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
)

// Config of the pages. The zero value is a safe default.
type Config struct {
	// SecureCookies marks cookies Secure also when TLS ends before this process. Over TLS they
	// always are.
	SecureCookies bool `yaml:"secure_cookies"`

	// SignInsPerMinute bounds sign-ins and sign-ups of one address by form; 0 is 30, negative is
	// no limit.
	SignInsPerMinute int `yaml:"sign_ins_per_minute"`

	// TimeZones names the IANA time zone in which a jurisdiction's pages show times. A jurisdiction
	// it does not name has that of most of its people if it is a default one, else UTC.
	TimeZones map[id.Jurisdiction]string `yaml:"time_zones"`

	// Helplines says, by jurisdiction, where people find help with gambling; it stands on every page.
	// A default jurisdiction it does not name keeps its own; an empty text takes it away.
	Helplines map[id.Jurisdiction]string `yaml:"helplines"`
}

// WithDefaults returns the configuration with everything filled in that was left out; zones and helplines
// of default jurisdictions are added where they are shown.
func (c Config) WithDefaults() Config {
	if c.SignInsPerMinute == 0 {
		c.SignInsPerMinute = defaultSignInsPerMinute
	}
	return c
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	if c.SignInsPerMinute > 10_000 {
		return errs.New(errs.CodeInvalid, "web.sign_ins_per_minute: at most 10000")
	}
	return nil
}

// Players is what the pages need of room player.
type Players interface {
	SignUp(ctx context.Context, s player.SignUp) (player.Player, error)
	SignIn(ctx context.Context, c player.Credentials) (player.Session, string, error)
	SignInStaff(ctx context.Context, name, password string) (player.Session, string, error)
	Authenticate(ctx context.Context, token string) (player.Session, error)
	SignOut(ctx context.Context, token string) error
	Find(ctx context.Context, p id.Player, j id.Jurisdiction) (player.Player, error)
}

// Offer is what the pages need of room sportsbook.
type Offer interface {
	ListEvents(ctx context.Context, q sportsbook.EventQuery) ([]sportsbook.Event, string, error)
	FindEvent(ctx context.Context, j id.Jurisdiction, eventID string) (sportsbook.Event, error)
}

// Bets is what the pages need of room history.
type Bets interface {
	List(ctx context.Context, q history.Query) (history.Page, error)
	Follow(ctx context.Context, p id.Player, j id.Jurisdiction, bet id.Bet, at *stream.Position) (history.BetLife, error)
	Summarise(ctx context.Context, q history.SummaryQuery) (history.Summary, error)
	NextStatus() history.NextStatus
}

// Books is what the pages need of room ledger.
type Books interface {
	Balance(ctx context.Context, a ledger.Address) (ledger.Balance, error)
	Statement(ctx context.Context, a ledger.Address, q ledger.StatementQuery) ([]ledger.StatementLine, error)
}

// Payments is what the pages need of room payments.
type Payments interface {
	List(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]payments.Payment, string, error)
}

// Jurisdictions is what the pages need of room jurisdiction.
type Jurisdictions interface {
	Find(j id.Jurisdiction) (jurisdiction.Jurisdiction, error)
	List() []jurisdiction.Jurisdiction
}

// Deps are what the room is given. All are required.
type Deps struct {
	Clock         clock.Clock
	Log           *slog.Logger
	Metrics       prometheus.Registerer
	Players       Players
	Offer         Offer
	Bets          Bets
	Books         Books
	Payments      Payments
	Jurisdictions Jurisdictions
}

func (d Deps) validate() error {
	var c errs.Check
	for name, missing := range map[string]bool{
		"Clock": d.Clock == nil, "Log": d.Log == nil, "Metrics": d.Metrics == nil, "Players": d.Players == nil,
		"Offer": d.Offer == nil, "Bets": d.Bets == nil, "Books": d.Books == nil, "Payments": d.Payments == nil,
		"Jurisdictions": d.Jurisdictions == nil,
	} {
		if missing {
			c.Add("web.Deps."+name, "is required")
		}
	}
	if d.Jurisdictions != nil && len(d.Jurisdictions.List()) == 0 {
		c.Add("web.Deps.Jurisdictions", "has none")
	}
	return c.Err()
}

// Web serves the pages. It has no background work.
type Web struct {
	cfg       Config
	deps      Deps
	assets    *assets
	zones     map[id.Jurisdiction]*time.Location
	helplines map[id.Jurisdiction]string
	limiter   *limiter
	metrics   *metrics
	handler   http.Handler
}

// New returns the pages over the given rooms.
func New(cfg Config, deps Deps) (*Web, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := deps.validate(); err != nil {
		return nil, err
	}
	files, err := loadAssets()
	if err != nil {
		return nil, err
	}
	w := &Web{
		cfg: cfg, deps: deps, assets: files, limiter: newLimiter(cfg.SignInsPerMinute, deps.Clock),
		helplines: withDefaults(defaultHelplines(), cfg.Helplines),
	}
	if w.zones, err = loadZones(deps.Jurisdictions.List(), cfg.TimeZones); err != nil {
		return nil, err
	}
	if w.metrics, err = newMetrics(deps.Metrics); err != nil {
		return nil, err
	}
	w.handler = w.routes()
	return w, nil
}

// Handler returns the handler for every page and for /assets/.
func (w *Web) Handler() http.Handler { return w.handler }

// routes names every page. Players' pages that need a session say so with signedIn, staff pages
// with staffOnly; the rest is public.
func (w *Web) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, h http.HandlerFunc) {
		mux.Handle(pattern, w.metrics.observe(pattern, w.deps.Clock, h))
	}
	handle("GET /{$}", w.home)
	handle("GET /events/{id}", w.event)
	handle("GET /bets", w.signedIn(w.bets))
	handle("GET /bets/summary", w.signedIn(w.summary))
	handle("GET /bets/{bet}", w.signedIn(w.bet))
	handle("GET /account", w.signedIn(w.account))
	handle("GET /sign-in", w.signInPage)
	handle("POST /sign-in", w.signIn)
	handle("GET /sign-up", w.signUpPage)
	handle("POST /sign-up", w.signUp)
	handle("POST /sign-out", w.signOut)
	handle("POST /jurisdiction", w.chooseJurisdiction)
	handle("GET /play-safe", w.playSafe)
	handle("GET /staff/sign-in", w.staffSignInPage)
	handle("POST /staff/sign-in", w.staffSignIn)
	handle("POST /staff/sign-out", w.staffSignOut)
	handle("GET /staff", w.staffOnly(w.staffBoard))
	handle("GET /staff/events", w.staffOnly(w.staffEvents))
	handle("GET /staff/events/{id}", w.staffOnly(w.staffEvent))
	handle("GET /staff/players", w.staffOnly(w.staffPlayers))
	handle("GET /staff/players/find", w.staffOnly(w.findPlayer))
	handle("GET /staff/players/{jurisdiction}/{id}", w.staffOnly(w.staffPlayer))
	handle("GET /staff/players/{jurisdiction}/{id}/bets", w.ofPlayer("Bets", w.listBets))
	handle("GET /staff/players/{jurisdiction}/{id}/bets/summary", w.ofPlayer("Summary", w.summariseBets))
	handle("GET /staff/players/{jurisdiction}/{id}/bets/{bet}", w.ofPlayer("Bet", w.followBet))
	handle("GET /staff/finance", w.staffOnly(w.staffFinance))
	handle("GET /staff/shards", w.staffOnly(w.staffShards))
	handle("GET /staff/webhooks", w.staffOnly(w.staffWebhooks))
	handle("GET /assets/{version}/{path...}", w.assets.serve)
	handle("GET /favicon.ico", w.assets.favicon)
	handle("/", w.missing)
	return w.guard(mux)
}

// maxFormBytes bounds the body of a form.
const maxFormBytes = 64 << 10

// contentPolicy allows our own files and nothing else: no inline script or style, no other host.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard adds the headers of every page and refuses forms of other origins.
func (w *Web) guard(next http.Handler) http.Handler {
	crossOrigin := http.NewCrossOriginProtection()
	crossOrigin.SetDenyHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.fail(rw, r, errs.New(errs.CodeForbidden, "The form came from another site. Open the page again and retry."))
	}))
	safe := crossOrigin.Handler(next)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		r.Body = http.MaxBytesReader(rw, r.Body, maxFormBytes)
		safe.ServeHTTP(rw, r)
	})
}
