package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

// Service keeps subscriptions and delivers to them while Run is running.
type Service struct {
	cfg     Config
	deps    Deps
	clock   clock.Clock
	log     *slog.Logger
	metrics *metrics
	store   *store
	guard   guard
	http    *http.Client
	ids     *id.Source

	known   atomic.Pointer[[]Subscription] // as of the last change
	stale   atomic.Bool                    // a sink has changed a subscription
	changed chan struct{}                  // asks the run loop to look at the subscriptions again

	mu      sync.Mutex // making of sinks, and changes of subscriptions one after another
	sinks   []*stream.Sink
	workers map[string]*worker // of the run loop
}

// Open opens or creates the database in c.Dir. Deliveries wait until Run.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	if err := errors.Join(c.Validate(), d.validate()); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	g, err := newGuard(c.Allow)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register notify metrics: %w", err)
	}
	st, err := openStore(ctx, c.Dir, d.Clock.Now())
	if err != nil {
		return nil, err
	}
	s := &Service{cfg: c, deps: d, clock: d.Clock, log: d.Log, metrics: m, store: st, guard: g, http: g.client(c.Timeout),
		ids: id.NewSource(d.Clock.Now), changed: make(chan struct{}, 1), workers: map[string]*worker{}}
	if err := s.refresh(ctx); err != nil {
		return nil, errors.Join(err, st.db.Close())
	}
	if len(*s.known.Load()) > 0 {
		if s.sinks, err = s.newSinks(ctx); err != nil {
			return nil, errors.Join(err, st.db.Close())
		}
	}
	return s, nil
}

// Close closes the database. Call it after Run has returned; it may be called twice.
func (s *Service) Close() error {
	s.http.CloseIdleConnections()
	return s.store.db.Close()
}

// refresh reads the subscriptions after a change.
func (s *Service) refresh(ctx context.Context) error {
	list, err := s.store.subscriptions(ctx)
	if err != nil {
		return err
	}
	s.known.Store(&list)
	var queued, dead, disabled int
	for i := range list {
		queued, dead = queued+list[i].Queued, dead+list[i].Dead
		if list[i].State == StateDisabled {
			disabled++
		}
	}
	s.metrics.queued.Set(float64(queued))
	s.metrics.dead.Set(float64(dead))
	s.metrics.disabled.Set(float64(disabled))
	return nil
}

func sinkName(shard int) string { return "webhooks-" + strconv.Itoa(shard) }

// newSinks makes a sink for each shard's log.
func (s *Service) newSinks(ctx context.Context) ([]*stream.Sink, error) {
	sinks := make([]*stream.Sink, s.deps.Source.Shards())
	for shard := range sinks {
		sink, err := stream.NewSink(stream.SinkConfig{
			Name: sinkName(shard), Shard: shard, DB: s.store.db, Apply: s.project, OnApplied: func(stream.Batch) { s.wake() },
		}, s.deps.Transport, s.deps.Source, stream.Deps{Clock: s.clock, Log: s.log, Metrics: s.deps.Metrics})
		if err == nil {
			err = sink.Load(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("sink of shard %d: %w", shard, err)
		}
		sinks[shard] = sink
	}
	return sinks, nil
}

// project queues what the subscriptions want, in the DBTx of the position.
func (s *Service) project(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
	now := s.clock.Now()
	for _, one := range *s.known.Load() {
		var list []stream.Record
		for _, b := range batches {
			for i := range b.Records {
				if one.wants(&b.Records[i]) {
					list = append(list, b.Records[i])
				}
			}
		}
		if len(list) == 0 {
			continue
		}
		n, err := waiting(ctx, tx, one.ID)
		if err != nil {
			return err
		}
		if n+len(list) > s.cfg.MaxQueued {
			reason := fmt.Sprintf("its queue is full; the first event it missed is %s", list[0].Position)
			s.log.ErrorContext(ctx, "webhook subscription disabled", "subscription_id", one.ID, "reason", reason)
			if err := disable(ctx, tx, one.ID, reason); err != nil {
				return err
			}
			s.stale.Store(true)
			continue
		}
		if err := queue(ctx, tx, one.ID, list, now); err != nil {
			return err
		}
	}
	return nil
}

// event is the body of a delivery, a CloudEvent.
type event struct {
	SpecVersion  string          `json:"specversion"`
	ID           string          `json:"id"`
	Source       string          `json:"source"`
	Type         string          `json:"type"`
	Subject      string          `json:"subject"`
	Time         time.Time       `json:"time"`
	Player       id.Player       `json:"player,omitempty"`
	Jurisdiction id.Jurisdiction `json:"jurisdiction,omitempty"`
	ContentType  string          `json:"datacontenttype"`
	Data         json.RawMessage `json:"data"`
}

func eventBody(r *stream.Record) ([]byte, error) {
	return json.Marshal(event{
		SpecVersion: "1.0", ID: r.Position.String(), Source: "/matchday/ledger/" + strconv.Itoa(r.Position.Shard), Type: r.Type,
		Subject: r.Subject, Time: r.Time, Player: r.Player, Jurisdiction: r.Jurisdiction, ContentType: "application/json", Data: r.Data,
	})
}

// wake lets the run loop look at subscriptions and workers at what is due. It never blocks.
func (s *Service) wake() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Subscribe makes a subscription to what commits from now on and returns it with the secret that
// signs its requests; nobody can read it again.
func (s *Service) Subscribe(ctx context.Context, n NewSubscription) (Subscription, string, error) {
	if err := n.validate(s.guard); err != nil {
		return Subscription{}, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := Subscription{ID: s.ids.New("whk"), URL: n.URL, Types: n.Types, Jurisdiction: n.Jurisdiction, State: StateActive,
		CreatedBy: n.CreatedBy, CreatedAt: s.clock.Now(), secret: newSecret()}
	first := s.sinks == nil
	err := s.store.insert(ctx, &one, func(tx *sql.Tx) error {
		for shard := 0; first && shard < s.deps.Source.Shards(); shard++ {
			if err := stream.SkipTo(ctx, tx, sinkName(shard), shard, s.deps.Source.Head(shard)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Subscription{}, "", fmt.Errorf("subscribe: %w", err)
	}
	if err := s.refresh(ctx); err != nil {
		return Subscription{}, "", fmt.Errorf("subscribe: %w", err)
	}
	if first {
		if s.sinks, err = s.newSinks(ctx); err != nil {
			return Subscription{}, "", fmt.Errorf("subscribe: %w", err)
		}
	}
	s.wake()
	return one, one.secret, nil
}

// List returns every subscription, the oldest first.
func (s *Service) List(ctx context.Context) ([]Subscription, error) {
	return s.store.subscriptions(ctx)
}

// Find returns one subscription.
func (s *Service) Find(ctx context.Context, subscription string) (Subscription, error) {
	list, err := s.store.subscriptions(ctx)
	if err != nil {
		return Subscription{}, err
	}
	for _, one := range list {
		if one.ID == subscription {
			return one, nil
		}
	}
	return Subscription{}, errs.New(errs.CodeNotFound, "there is no such subscription")
}

// rotation is how long the old secret signs too.
const rotation = 24 * time.Hour

// RotateSecret gives the subscription a new secret; the old one signs too for a day.
func (s *Service) RotateSecret(ctx context.Context, subscription string) (string, error) {
	secret := newSecret()
	return secret, s.changing(ctx, func() error { return s.store.rotate(ctx, subscription, secret, s.clock.Now().Add(rotation)) })
}

// Pause lets records queue up; Resume sends them, and gives a disabled subscription a fresh start.
func (s *Service) Pause(ctx context.Context, subscription string) error {
	return s.changing(ctx, func() error { return s.store.setState(ctx, subscription, StatePaused, "") })
}

// Resume makes a paused or disabled subscription active.
func (s *Service) Resume(ctx context.Context, subscription string) error {
	return s.changing(ctx, func() error { return s.store.setState(ctx, subscription, StateActive, "") })
}

// Delete ends a subscription and drops its deliveries.
func (s *Service) Delete(ctx context.Context, subscription string) error {
	return s.changing(ctx, func() error { return s.store.remove(ctx, subscription) })
}

// TypePing is the type of a test delivery.
const TypePing = "matchday.webhook.ping"

// Ping queues a test delivery.
func (s *Service) Ping(ctx context.Context, subscription string) error {
	one, err := s.Find(ctx, subscription)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	record := stream.Record{Type: TypePing, Subject: one.ID, Time: now, Data: json.RawMessage(`{}`),
		Position: stream.Position{Shard: 0, Seq: -now.UnixMicro()}} // no sequence of a log is below zero
	return s.changing(ctx, func() error {
		return s.store.db.InTx(ctx, func(tx *sql.Tx) error { return queue(ctx, tx, one.ID, []stream.Record{record}, now) })
	})
}

// Deliveries returns a subscription's deliveries, newest first: those with an id below before, 0 for
// the newest.
func (s *Service) Deliveries(ctx context.Context, subscription string, before int64, limit int) ([]Delivery, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	return s.store.deliveries(ctx, subscription, before, min(max(limit, 1), 1000))
}

// Redeliver queues a delivery again, whatever became of it.
func (s *Service) Redeliver(ctx context.Context, subscription string, delivery int64) error {
	return s.changing(ctx, func() error { return s.store.redeliver(ctx, subscription, delivery, s.clock.Now()) })
}

// changing runs a change and lets everybody know.
func (s *Service) changing(ctx context.Context, change func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := change(); err != nil {
		return err
	}
	defer s.wake()
	return s.refresh(ctx)
}

const (
	// lookEvery is how often workers look for what is due, countEvery how many of those pass until
	// subscriptions are read again with what waits for them.
	lookEvery  = time.Second
	countEvery = 5
)

// Run queues and delivers until ctx is done, then waits for the requests under way and returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	running := false
	for ticks := 0; ; {
		s.mu.Lock()
		if !running && s.sinks != nil {
			running = true
			for _, sink := range s.sinks {
				g.Go(func() error { return sink.Run(ctx) })
			}
		}
		s.mu.Unlock()
		s.tend(ctx, g)
		select {
		case <-ctx.Done():
			return g.Wait()
		case <-tick.C:
			ticks++
		case <-s.changed:
		}
		if ticks < countEvery && !s.stale.Swap(false) {
			continue
		}
		ticks = 0
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "webhook subscriptions not read", "error", err)
		}
	}
}

// tend starts and ends workers, one for each active subscription, and wakes them.
func (s *Service) tend(ctx context.Context, g *errgroup.Group) {
	active := map[string]bool{}
	for _, one := range *s.known.Load() {
		if one.State != StateActive {
			continue
		}
		active[one.ID] = true
		w := s.workers[one.ID]
		if w == nil {
			var work context.Context
			w = &worker{service: s, id: one.ID, woken: make(chan struct{}, 1)}
			work, w.stop = context.WithCancel(ctx)
			s.workers[one.ID] = w
			g.Go(func() error { w.run(work); return nil })
		}
		w.wake()
	}
	for name, w := range s.workers {
		if !active[name] {
			w.stop()
			delete(s.workers, name)
		}
	}
}
