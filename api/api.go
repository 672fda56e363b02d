package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"matchday/history"
	"matchday/internal/clock"
	"matchday/internal/sqltime"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/notify"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
)

// Deps are what the edge needs. All but Gatherer, Ready, Statements and Tracer are required; a process that has the
// books only leaves Audit, Players, Payments and Sportsbook out, all of them, and History and Webhooks too if it has
// none. It serves services: /v1/ledger and, with them, what there is to read of the history and the subscriptions.
type Deps struct {
	Clock         clock.Clock
	Log           *slog.Logger
	Metrics       prometheus.Registerer
	Gatherer      prometheus.Gatherer // serves /metrics; nil: no such path
	Ledger        *ledger.Service
	Audit         AuditFunc // what staff may start
	Players       *player.Service
	Jurisdictions *jurisdiction.Registry
	Payments      *payments.Service
	Sportsbook    *sportsbook.Service
	History       *history.Service
	Webhooks      *notify.Service

	// Ready returns why the process should get no requests, or nil; nil counts as always ready.
	Ready func(ctx context.Context) error
	// Statements knows which SQL statements are slow; nil shows none.
	Statements *sqltime.Recorder
	// Tracer makes a span for each request; nil makes none.
	Tracer trace.TracerProvider
}

// isBooksOnly reports whether only the ledger is here, perhaps with a history and webhooks.
func (d Deps) isBooksOnly() bool {
	return d.Audit == nil && d.Players == nil && d.Payments == nil && d.Sportsbook == nil
}

// serves reports whether the room is here that a key with the right is for.
func (d Deps) serves(right string) bool {
	return right == rightBets && d.History != nil || right == rightWebhooks && d.Webhooks != nil
}

// validate names the dependencies that are missing.
func (d Deps) validate() error {
	only := d.isBooksOnly()
	var missing []error
	for _, dep := range []struct {
		name string
		ok   bool
	}{
		{"Clock", d.Clock != nil}, {"Log", d.Log != nil}, {"Metrics", d.Metrics != nil}, {"Ledger", d.Ledger != nil},
		{"Audit", only || d.Audit != nil}, {"Players", only || d.Players != nil}, {"Jurisdictions", d.Jurisdictions != nil},
		{"Payments", only || d.Payments != nil}, {"Sportsbook", only || d.Sportsbook != nil}, {"History", only || d.History != nil},
		{"Webhooks", only || d.Webhooks != nil},
	} {
		if !dep.ok {
			missing = append(missing, fmt.Errorf("api: Deps.%s is missing", dep.name))
		}
	}
	return errors.Join(missing...)
}

// API is the REST edge.
type API struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	metrics  *metrics
	keys     []serviceKey
	origins  *http.CrossOriginProtection
	signIns  *limiter
	rates    *rates
	live     *hub
	audit    *auditor
	heavy    turns        // of requests that read much of the books
	exports  turns        // of exports of players' bets
	tracer   trace.Tracer // nil: no spans
	routes   []*route
	examples []sample
	handler  http.Handler
	running  atomic.Bool
	closing  chan struct{} // closed when Run ends: live streams end
	close    sync.Once
}

// New returns the edge of the rooms in d. It does no I/O. The live stream and audits work while Run
// is running.
func New(cfg Config, d Deps) (*API, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := d.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	origins, err := newOrigins(cfg.Origins)
	if err != nil {
		return nil, err
	}
	a := &API{
		cfg: cfg, deps: d, log: d.Log, metrics: m, origins: origins,
		keys:    newServiceKeys(cfg.Keys),
		signIns: newLimiter(cfg.SignInsPerMinute),
		rates:   newRates(d.Clock.Now()),
		closing: make(chan struct{}),
		heavy:   make(turns, heavyAtOnce),
		exports: make(turns, heavyAtOnce),
	}
	a.live = newHub(cfg, d, m, a.rates)
	a.audit = newAuditor(d)
	if d.Tracer != nil {
		a.tracer = d.Tracer.Tracer("matchday/api")
	}
	if a.handler, err = a.build(); err != nil {
		return nil, err
	}
	return a, nil
}

// Handler serves everything of this room: /v1, /openapi.json, /docs, /healthz, /readyz, /metrics.
func (a *API) Handler() http.Handler { return a.handler }

// Run feeds the live streams and runs audits until ctx is done; then live streams end, so that a
// server's Shutdown does not wait for them.
func (a *API) Run(ctx context.Context) error {
	if !a.running.CompareAndSwap(false, true) {
		return fmt.Errorf("api: Run is called twice")
	}
	var wg sync.WaitGroup
	if !a.deps.isBooksOnly() {
		wg.Go(func() { a.live.run(ctx) })
		wg.Go(func() { a.audit.run(ctx) })
	}
	<-ctx.Done()
	a.endLive()
	wg.Wait()
	return nil
}

// Close ends the live streams. It may be called twice, and before or after Run.
func (a *API) Close() error {
	a.endLive()
	return nil
}

func (a *API) endLive() { a.close.Do(func() { close(a.closing) }) }

// Paths returns the ServeMux patterns of everything that Handler serves, for a mux that serves pages
// beside it.
func Paths() []string {
	return []string{"/v1/", "/openapi.json", "/docs", "/docs/", "/healthz", "/readyz", "/metrics"}
}
