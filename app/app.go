package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"matchday/api"
	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/lifecycle"
	"matchday/internal/sqltime"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/notify"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
	"matchday/web"
)

// App is one process of Matchday. Its rooms are usable once Ready is closed.
type App struct {
	Config   Config
	Secrets  Secrets
	Log      *slog.Logger
	Registry *prometheus.Registry

	Jurisdictions *jurisdiction.Registry
	Ledger        *ledger.Service
	Players       *player.Service
	Payments      *payments.Service
	Sportsbook    *sportsbook.Service
	History       *history.Service
	Webhooks      *notify.Service

	version  string
	clock    clock.Clock
	tracer   trace.TracerProvider
	streams  stream.Streams
	sandbox  *payments.Sandbox
	api      *api.API
	listener net.Listener
	lock     *os.File
	ready    chan struct{}
	once     sync.Once
}

// New checks the configuration and prepares a process; nothing is opened yet. version is shown in
// traces and by the API.
func New(c Config, log *slog.Logger, version string) (*App, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		return nil, errors.New("app: a logger is required")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	statements := sqltime.Process()
	registry.MustRegister(statements)
	statements.Tell(log, c.Telemetry.SlowStatement)
	rules, err := jurisdiction.New(c.Jurisdictions)
	if err != nil {
		return nil, err
	}
	return &App{
		Config: c, Log: log, Registry: registry, Jurisdictions: rules,
		version: version, clock: clock.System{}, ready: make(chan struct{}),
	}, nil
}

// Ready is closed once every part runs.
func (a *App) Ready() <-chan struct{} { return a.ready }

// BaseURL returns where pages and API answer, for example http://127.0.0.1:8080; valid once ready.
func (a *App) BaseURL() string {
	if a.Config.PublicURL != "" {
		return a.Config.PublicURL
	}
	return "http://" + a.listener.Addr().String()
}

// Run opens the rooms in order, serves until ctx is done, and stops them in reverse: first the
// edge, last the ledger and its streams. It returns nil after a clean stop.
func (a *App) Run(ctx context.Context) error {
	modules, err := modulesOf(a.Config.Roles)
	if err != nil {
		return err
	}
	if err := a.claim(); err != nil {
		return err
	}
	defer a.unclaim()
	tracer, flush, err := a.Config.Telemetry.Tracer(ctx, a.version)
	if err != nil {
		return err
	}
	a.tracer = tracer
	var parts []lifecycle.Part
	for _, m := range modules {
		part := a.part(m)
		part.Name, part.Needs = string(m), needsOf(m)
		parts = append(parts, part)
	}
	err = lifecycle.Run(ctx, a.Log, parts, func() { a.once.Do(func() { close(a.ready) }) })
	// The context is done by now; what is left to send gets a moment of its own.
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, flush(rest))
}

// claim makes the data folder and locks it: two processes on one folder would fence each other off.
func (a *App) claim() error {
	folders := []string{a.Config.Data}
	for _, dir := range a.Config.dirs() {
		folders = append(folders, *dir)
	}
	for _, folder := range folders {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("make data folder: %w", err)
		}
	}
	lock, err := lockFile(filepath.Join(a.Config.Data, "lock"))
	if err != nil {
		return fmt.Errorf("data folder %s is in use by another matchday: %w", a.Config.Data, err)
	}
	a.lock = lock
	if !a.Config.hasGeneratedAccess() {
		return nil
	}
	a.Secrets, err = loadSecrets(a.Config.Data)
	if err != nil {
		a.unclaim()
	}
	return err
}

// unclaim gives the data folder free. It may be called twice.
func (a *App) unclaim() {
	if a.lock != nil {
		_ = a.lock.Truncate(0) // nobody to ask any more
		_ = a.lock.Close()
		a.lock = nil
	}
}

// part returns how a module opens, runs and closes.
func (a *App) part(m module) lifecycle.Part {
	switch m {
	case moduleStreams:
		return lifecycle.Part{Open: a.openStreams, Close: func() error { return a.streams.Close() }}
	case moduleLedger:
		return lifecycle.Part{
			Open:  a.openLedger,
			Run:   func(ctx context.Context) error { return a.Ledger.Run(ctx) },
			Close: func() error { return a.Ledger.Close() },
		}
	case moduleRelays:
		return lifecycle.Part{Run: a.runRelays}
	case modulePlayers:
		return lifecycle.Part{Open: a.openPlayers, Close: func() error { return a.Players.Close() }}
	case modulePayments:
		return lifecycle.Part{
			Open:  a.openPayments,
			Run:   func(ctx context.Context) error { return a.Payments.Run(ctx) },
			Close: func() error { return errors.Join(a.Payments.Close(), a.sandbox.Close()) },
		}
	case moduleSportsbook:
		return lifecycle.Part{
			Open:  a.openSportsbook,
			Run:   a.runSportsbook,
			Close: func() error { return a.Sportsbook.Close() },
		}
	case moduleHistory:
		return lifecycle.Part{
			Open:  a.openHistory,
			Run:   func(ctx context.Context) error { return a.History.Run(ctx) },
			Close: func() error { return a.History.Close() },
		}
	case moduleWebhooks:
		return lifecycle.Part{
			Open:  a.openWebhooks,
			Run:   func(ctx context.Context) error { return a.Webhooks.Run(ctx) },
			Close: func() error { return a.Webhooks.Close() },
		}
	case moduleHealth:
		return lifecycle.Part{Open: a.listen, Run: a.runHealth}
	default:
		return lifecycle.Part{Open: a.openHTTP, Run: a.runHTTP}
	}
}

// room returns the logger and the metrics of a room.
func (a *App) room(name string) (*slog.Logger, prometheus.Registerer) {
	return a.Log.With("room", name), a.Registry
}

func (a *App) openStreams(ctx context.Context) (err error) {
	log, _ := a.room("stream")
	a.streams, err = stream.Open(ctx, a.Config.Stream, log)
	return err
}

func (a *App) openLedger(ctx context.Context) (err error) {
	log, metrics := a.room("ledger")
	a.Ledger, err = ledger.Open(ctx, a.Config.Ledger, ledger.Deps{Clock: a.clock, Log: log, Metrics: metrics})
	return err
}

// openPlayers opens identities and makes the staff accounts what the configuration says.
func (a *App) openPlayers(ctx context.Context) (err error) {
	log, metrics := a.room("player")
	a.Players, err = player.Open(ctx, a.Config.Player, player.Deps{Clock: a.clock, Log: log, Metrics: metrics, Rules: a.Jurisdictions})
	if err != nil {
		return err
	}
	if err := a.addStaff(ctx); err != nil {
		return errors.Join(err, a.Players.Close())
	}
	return nil
}

func (a *App) openPayments(ctx context.Context) (err error) {
	log, metrics := a.room("payments")
	a.sandbox, err = payments.OpenSandbox(ctx, a.Config.Sandbox, a.clock)
	if err != nil {
		return err
	}
	a.Payments, err = payments.Open(ctx, a.Config.Payments, payments.Deps{
		Clock: a.clock, Log: log, Metrics: metrics,
		Books: books{a.Ledger}, Provider: a.sandbox, Limits: a.Jurisdictions,
	})
	if err != nil {
		return errors.Join(err, a.sandbox.Close())
	}
	return nil
}

func (a *App) openSportsbook(ctx context.Context) (err error) {
	log, metrics := a.room("sportsbook")
	a.Sportsbook, err = sportsbook.Open(ctx, a.Config.Sportsbook, sportsbook.Deps{
		Clock: a.clock, Log: log, Metrics: metrics,
		Ledger: a.Ledger, Jurisdictions: a.Jurisdictions, Transport: a.streams.Transport(),
	})
	return err
}

// runSportsbook runs placement and settlement; a fresh catalogue gets the built-in slate.
func (a *App) runSportsbook(ctx context.Context) error {
	if a.Config.Slate == SlateBuiltIn {
		if err := a.Sportsbook.AddBuiltInSlate(ctx, a.clock.Now()); err != nil {
			return fmt.Errorf("add the built-in slate: %w", err)
		}
	}
	return a.Sportsbook.Run(ctx)
}

func (a *App) openHistory(ctx context.Context) (err error) {
	log, metrics := a.room("history")
	c := a.Config.History
	c.Shards = a.Ledger.Shards()
	a.History, err = history.Open(ctx, c, history.Deps{
		Clock: a.clock, Log: log, Metrics: metrics,
		Transport: a.streams.Transport(), Source: a.Ledger, ShardOf: a.Ledger.ShardOf, Since: a.Ledger.Since,
		KeepYears: a.Jurisdictions.HistoryYears(),
		Zone:      zoneOf(a.Jurisdictions),
		Hold:      a.hold(),
	})
	return err
}

// hold says when this process is the one that applies a shard's log, where several share the shards: who writes a
// shard applies its log. It is nil for a process that is alone.
func (a *App) hold() func(context.Context, int, func(context.Context, int64) error) error {
	if a.Config.Ledger.InternalListen == "" {
		return nil
	}
	return a.Ledger.WhileOwned
}

// zoneOf returns the time zones of the jurisdictions; UTC for one that is no longer served.
func zoneOf(all *jurisdiction.Registry) history.Zone {
	return func(code id.Jurisdiction) *time.Location {
		j, err := all.Find(code)
		if err != nil {
			return time.UTC
		}
		return j.Zone()
	}
}

func (a *App) openWebhooks(ctx context.Context) (err error) {
	log, metrics := a.room("notify")
	a.Webhooks, err = notify.Open(ctx, a.Config.Webhooks, notify.Deps{
		Clock: a.clock, Log: log, Metrics: metrics, Transport: a.streams.Transport(), Source: a.Ledger, Hold: a.hold(),
	})
	return err
}

// openHTTP wires API and pages and takes the port.
func (a *App) openHTTP(ctx context.Context) (err error) {
	c := a.Config.API
	if a.Config.hasGeneratedAccess() {
		c.Keys = append(slices.Clone(c.Keys), localKey(a.Secrets.ServiceKey))
	}
	log, metrics := a.room("api")
	a.api, err = api.New(c, a.apiDeps(log, metrics))
	if err != nil {
		return err
	}
	return a.listen(ctx)
}

// listen takes the port.
func (a *App) listen(ctx context.Context) (err error) {
	var listen net.ListenConfig
	a.listener, err = listen.Listen(ctx, "tcp", a.Config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s (is another program using the port? choose one with --listen): %w", a.Config.Listen, err)
	}
	a.introduce()
	return nil
}

// localKey is the generated API key.
func localKey(key string) api.ServiceKey {
	sum := sha256.Sum256([]byte(key))
	return api.ServiceKey{Name: "local", SHA256: hex.EncodeToString(sum[:]), Profiles: true, Bets: true, Webhooks: true, Limits: true}
}

// handler joins pages and API under one port.
func (a *App) handler() (http.Handler, error) {
	if a.Players == nil { // the ledger's routes alone
		return a.api.Handler(), nil
	}
	log, metrics := a.room("web")
	pages, err := web.New(a.Config.Web, web.Deps{
		Clock: a.clock, Log: log, Metrics: metrics,
		Players: a.Players, Offer: a.Sportsbook, Bets: a.History, Books: a.Ledger,
		Payments: a.Payments, Jurisdictions: a.Jurisdictions,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages.Handler())
	for _, path := range api.Paths() {
		mux.Handle(path, a.api.Handler())
	}
	return mux, nil
}

// runHTTP serves pages and API until ctx is done.
func (a *App) runHTTP(ctx context.Context) error {
	handler, err := a.handler()
	if err != nil {
		return errors.Join(err, a.listener.Close())
	}
	live := make(chan error, 1)
	go func() { live <- a.api.Run(ctx) }()
	err = a.serve(ctx, handler)
	if ctx.Err() != nil {
		err = errors.Join(err, ignoreCancel(<-live))
	}
	return err
}

// runHealth serves what machines watch until ctx is done.
func (a *App) runHealth(ctx context.Context) error {
	log, metrics := a.room("api")
	return a.serve(ctx, api.Health(a.apiDeps(log, metrics)))
}

// serve serves until ctx is done, then lets open requests finish for the drain time.
func (a *App) serve(ctx context.Context, handler http.Handler) (err error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      max(30*time.Second, a.Config.API.HandlerTimeout+15*time.Second), // live streams lift it for themselves
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(a.Log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(a.listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.Config.DrainTimeout)
	defer cancel()
	if shutdownErr := server.Shutdown(drain); shutdownErr != nil {
		err = errors.Join(err, shutdownErr, server.Close())
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// ignoreCancel drops the error of a stop that was asked for.
func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runShards runs fn for each shard until ctx is done; the first failure stops all.
func runShards(ctx context.Context, shards int, fn func(ctx context.Context, shard int) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, shards)
	for shard := range shards {
		go func() { ended <- fn(ctx, shard) }()
	}
	var first error
	for range shards {
		if err := <-ended; err != nil && first == nil {
			first = err
			cancel()
		}
	}
	return first
}

// apiDeps are the rooms as the API needs them.
func (a *App) apiDeps(log *slog.Logger, metrics prometheus.Registerer) api.Deps {
	d := api.Deps{
		Clock: a.clock, Log: log, Metrics: metrics, Gatherer: a.Registry,
		Ledger: a.Ledger, Jurisdictions: a.Jurisdictions,
		Ready: a.isReady, Tracer: a.tracer, Statements: sqltime.Process(),
	}
	d.History, d.Webhooks = a.History, a.Webhooks // nil in a process without
	if a.Players == nil {                         // services' routes alone: nobody could sign in
		return d
	}
	d.Audit, d.Players, d.Payments = a.audit, a.Players, a.Payments
	d.Sportsbook = a.Sportsbook
	return d
}

// audit proves the folder of the running process, for staff.
func (a *App) audit(ctx context.Context, progress func(shard int, seq, head int64)) ([]string, error) {
	report, err := audit(ctx, a.Config, progress, func(string) {})
	return report.findings, err
}

// isReady returns why the process should get no requests yet: a part has not started, or placement
// still rebuilds its exposure.
func (a *App) isReady(context.Context) error {
	select {
	case <-a.ready:
	default:
		return errs.New(errs.CodeUnavailable, "parts are still starting")
	}
	if a.Sportsbook == nil {
		return nil
	}
	select {
	case <-a.Sportsbook.Ready():
		return nil
	default:
		return errs.New(errs.CodeUnavailable, "open bets are still being read")
	}
}
