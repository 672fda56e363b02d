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
	cluster *onCluster // nil: a file
	held    held       // where several processes deliver

	known   atomic.Pointer[[]Subscription] // as of the last look
	stale   atomic.Bool                    // a sink has changed a subscription, or found one that is not known
	changed chan struct{}                  // asks the run loop to look at the subscriptions again

	mu      sync.Mutex // making of sinks, and changes of subscriptions one after another
	sinks   []*stream.Sink
	workers map[string]*worker // of the run loop
}

// Open opens or creates the database. Deliveries wait until Run.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	if err := errors.Join(c.Validate(), d.validate()); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	if d.Hold != nil {
		if err := c.CheckShared(); err != nil {
			return nil, err
		}
	}
	g, err := newGuard(c.Allow)
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register notify metrics: %w", err)
	}
	s := &Service{cfg: c, deps: d, clock: d.Clock, log: d.Log, metrics: m, guard: g, http: g.client(c.Timeout),
		ids: id.NewSource(d.Clock.Now), changed: make(chan struct{}, 1), workers: map[string]*worker{}}
	if err := s.openStore(ctx); err != nil {
		return nil, err
	}
	err = s.refresh(ctx)
	if err == nil && (s.cluster != nil || len(*s.known.Load()) > 0) { // others may subscribe there at any time
		s.sinks, err = s.newSinks(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.store.close())
	}
	return s, nil
}

// openStore opens the database where the configuration says that it is.
func (s *Service) openStore(ctx context.Context) (err error) {
	var e engine
	if s.cfg.isOnCluster() {
		s.cluster, err = openCluster(ctx, s.cfg.Cluster, s.deps.Source.Shards(), s.isShared(), s.log, s.clock.Now())
		e = s.cluster
	} else {
		e, err = openFile(ctx, s.cfg.Dir, s.clock.Now())
	}
	if err != nil {
		return err
	}
	s.store = &store{engine: e}
	return nil
}

// isShared reports whether other processes may deliver too.
func (s *Service) isShared() bool { return s.deps.Hold != nil }

// Close closes the database. Call it after Run has returned; it may be called twice.
func (s *Service) Close() error {
	s.http.CloseIdleConnections()
	return s.store.close()
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
		sink, err := stream.NewSink(s.sinkConfig(shard), s.deps.Transport, s.deps.Source,
			stream.Deps{Clock: s.clock, Log: s.log, Metrics: s.deps.Metrics})
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

// sinkConfig says where a shard's sink writes.
func (s *Service) sinkConfig(shard int) stream.SinkConfig {
	c := stream.SinkConfig{Name: sinkName(shard), Shard: shard, OnApplied: func(stream.Batch) { s.wake() }}
	if s.cluster == nil {
		c.DB = s.store.engine.(*file).db
		c.Apply = func(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
			return s.project(ctx, tx, batches)
		}
		return c
	}
	c.Store = &outbox{onCluster: s.cluster, shard: shard, row: stream.PositionRow{Name: c.Name, Shard: shard},
		head: func() int64 { return s.deps.Source.Head(shard) }, apply: s.project}
	if s.isShared() {
		c.Shared = &stream.Sharing{Hold: s.deps.Hold, Beside: func(ctx context.Context) {
			s.wake() // what the process before has left
			s.held.during(ctx, shard)
		}}
	}
	return c
}

// project queues what the subscriptions want, in the DBTx of the position. They are held there: one may have been
// made meanwhile, by another process too, and its maker was told that from then on nothing is missed.
func (s *Service) project(ctx context.Context, on conn, batches []stream.Batch) error {
	subscriptions, err := s.store.holdSubscriptions(ctx, on)
	if err != nil {
		return err
	}
	if len(subscriptions) != len(*s.known.Load()) {
		s.stale.Store(true)
	}
	now := s.clock.Now()
	for i := range subscriptions {
		one := &subscriptions[i]
		var list []stream.Record
		for _, b := range batches {
			for i := range b.Records {
				if one.wants(&b.Records[i]) {
					list = append(list, b.Records[i])
				}
			}
		}
		if err := s.offer(ctx, on, one.ID, list, now); err != nil {
			return err
		}
	}
	return nil
}

// offer queues records for a subscription, or disables one that has too many.
func (s *Service) offer(ctx context.Context, on conn, subscription string, list []stream.Record, now time.Time) error {
	if len(list) == 0 {
		return nil
	}
	n, err := s.store.waiting(ctx, on, subscription)
	if err != nil {
		return err
	}
	if n+len(list) <= s.cfg.MaxQueued {
		return s.store.queue(ctx, on, subscription, list, now)
	}
	reason := fmt.Sprintf("its queue is full; the first event it missed is %s", list[0].Position)
	s.log.ErrorContext(ctx, "webhook subscription disabled", "subscription_id", subscription, "reason", reason)
	s.stale.Store(true)
	return s.store.disable(ctx, on, subscription, reason)
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
	err := s.store.insert(ctx, &one, func(on conn) error {
		for shard := 0; first && shard < s.deps.Source.Shards(); shard++ {
			if err := stream.SkipTo(ctx, on, sinkName(shard), shard, s.deps.Source.Head(shard)); err != nil {
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
	one, err := s.store.subscription(ctx, s.store.engine, subscription, "")
	if err != nil {
		return Subscription{}, err
	}
	list := []Subscription{one}
	err = s.store.count(ctx, list)
	return list[0], err
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
	now := s.clock.Now()
	record := stream.Record{Type: TypePing, Subject: subscription, Time: now, Data: json.RawMessage(`{}`),
		Position: stream.Position{Shard: 0, Seq: -now.UnixMicro()}} // no sequence of a log is below zero
	return s.changing(ctx, func() error {
		return s.store.inDBTx(ctx, func(on conn) error {
			if _, err := s.store.subscription(ctx, on, subscription, s.store.hold()); err != nil {
				return err
			}
			return s.store.queue(ctx, on, subscription, []stream.Record{record}, now)
		})
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
			work, stop := context.WithCancel(ctx)
			w = newWorker(s, one.ID, stop)
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
