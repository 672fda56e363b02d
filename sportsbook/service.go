package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/stream"
)

// Ledger is what the sportsbook needs of the ledger.
type Ledger interface {
	stream.Log
	Commit(ctx context.Context, lane ledger.Lane, t ledger.Transfer) (ledger.Result, error)
	CommitBatch(ctx context.Context, lane ledger.Lane, ts []ledger.Transfer) ([]ledger.Result, error)
	Lookup(ctx context.Context, p id.Player, key string, request []byte) (ledger.Result, bool, error)
	Barrier(ctx context.Context, shard int) error
	Balance(ctx context.Context, a ledger.Address) (ledger.Balance, error)
	ShardOf(p id.Player) int
}

// Jurisdictions knows the rules of the territories that bets are taken in.
type Jurisdictions interface {
	Find(code id.Jurisdiction) (jurisdiction.Jurisdiction, error)
	List() []jurisdiction.Jurisdiction
}

// Config of the room. The zero value of every field but Dir is safe.
type Config struct {
	Dir        string           `yaml:"dir"` // folder of the databases
	Exposure   ExposureConfig   `yaml:"exposure"`
	Settlement SettlementConfig `yaml:"settlement"`
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error {
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	limits := c.Exposure.WithDefaults()
	if limits.SelectionPayoutMinor < 0 {
		check.Add("exposure.selection_payout_minor", "must not be negative")
	}
	if limits.MarketPayoutMinor < limits.SelectionPayoutMinor {
		check.Add("exposure.market_payout_minor", "must be at least the limit of a selection")
	}
	if err := check.Err(); err != nil {
		return err
	}
	return c.Settlement.Validate()
}

// Deps are what the room is given. All are required.
type Deps struct {
	Clock         clock.Clock
	Log           *slog.Logger
	Metrics       prometheus.Registerer
	Ledger        Ledger
	Jurisdictions Jurisdictions
	Transport     stream.Transport
}

func (d Deps) check() error {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Ledger == nil || d.Jurisdictions == nil || d.Transport == nil {
		return errors.New("sportsbook: clock, log, metrics, ledger, jurisdictions and transport are required")
	}
	return nil
}

// Service is the sportsbook.
type Service struct {
	cfg       Config
	deps      Deps
	ids       *id.Source
	metrics   *metrics
	catalogue *catalogue
	exposure  *exposure
	uncertain uncertainBets
	settler   *settler

	ready     atomic.Bool   // exposure is rebuilt: bets may be taken
	readyOnce sync.Once     // guards readyCh
	readyCh   chan struct{} // closed when ready
	closeOnce sync.Once
	closeErr  error
}

// Open opens the catalogue, loads the offer and prepares settlement. Bets are taken once Run has
// rebuilt the exposure from the open bets.
func Open(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	if err := deps.check(); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("open sportsbook: %w", err)
	}
	m, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, fmt.Errorf("open sportsbook: %w", err)
	}
	offer, err := openCatalogue(ctx, cfg.Dir, deps.Clock)
	if err != nil {
		return nil, fmt.Errorf("open sportsbook: %w", err)
	}
	s := &Service{
		cfg: cfg, deps: deps, ids: id.NewSource(deps.Clock.Now), metrics: m, catalogue: offer,
		exposure: newExposure(cfg.Exposure), readyCh: make(chan struct{}),
	}
	m.changed(nil, len(offer.listed()))
	if s.settler, err = newSettler(ctx, s); err != nil {
		_ = offer.close()
		return nil, fmt.Errorf("open sportsbook: %w", err)
	}
	return s, nil
}

// closerInterval is how often the offer is searched for events that have started.
const closerInterval = 250 * time.Millisecond

// Run closes markets at their start time, keeps the open bets and settles them, until ctx is done
// and all of it has stopped.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.settler.run(ctx) })
	g.Go(func() error { return s.runCloser(ctx) })
	g.Go(func() error { return s.runUncertain(ctx) })
	err := g.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// runCloser starts events at their time. Trouble with the disk is logged and tried again: placement
// refuses started events by itself.
func (s *Service) runCloser(ctx context.Context) error {
	ticker := time.NewTicker(closerInterval)
	defer ticker.Stop()
	for {
		if err := s.closeStarted(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.ErrorContext(ctx, "events not closed at their start", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// markReady says that the exposure of all open bets is known. Settlement calls it once.
func (s *Service) markReady() {
	s.readyOnce.Do(func() {
		s.ready.Store(true)
		close(s.readyCh)
	})
}

// Ready returns a channel that is closed when bets are taken.
func (s *Service) Ready() <-chan struct{} { return s.readyCh }

// Close closes the databases. It may be called twice.
func (s *Service) Close() error {
	s.closeOnce.Do(func() { s.closeErr = errors.Join(s.settler.close(), s.catalogue.close()) })
	return s.closeErr
}

// change makes one change of the offer and counts it.
func (s *Service) change(ctx context.Context, actor string, fn func(*draft) error) error {
	diffs, err := s.catalogue.change(ctx, actor, fn)
	if err != nil {
		return err
	}
	s.metrics.changed(diffs, len(s.catalogue.listed()))
	return nil
}
