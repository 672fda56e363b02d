package history

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/stream"
)

// Config places the projection's databases. Shards must be the ledger's number; 0 takes it from there.
type Config struct {
	Dir      string        `yaml:"dir"`       // folder of the files
	Shards   int           `yaml:"shards"`    // those of the ledger: the process sets it
	ReadWait time.Duration `yaml:"read_wait"` // how long a read waits for its position; 0 is 2 s
	CacheKiB int           `yaml:"cache_kib"` // page cache of each file's writer; 0 is 6 MiB

	// Clusters keep the shards that they name, as those of the ledger do; the others are files. Which
	// shards the two rooms have there need not be the same.
	Clusters []ledger.Cluster `yaml:"clusters"`
	Writers  int              `yaml:"writers"` // connections that write a shard of a cluster; 0 is 2

	// FillRate bounds how many records a second go into a history that fills itself, or has been away for long, all shards
	// together: those that are older than ten minutes. It must be more than the ledger commits, or the history never gets
	// there. 0 is no bound.
	FillRate int `yaml:"fill_rate"`

	Next NextConfig `yaml:"next"` // a second history that is to take over
}

// maxWriters bounds Config.Writers.
const maxWriters = 16

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	c.ReadWait = cmp.Or(c.ReadWait, 2*time.Second)
	c.CacheKiB = cmp.Or(c.CacheKiB, 6<<10)
	c.Writers = cmp.Or(c.Writers, 2)
	c.Clusters = clustersWithDefaults(c.Clusters)
	c.Next = c.Next.withDefaults(c)
	return c
}

func clustersWithDefaults(list []ledger.Cluster) []ledger.Cluster {
	list = slices.Clone(list)
	for i := range list {
		list[i].Config = list[i].Config.WithDefaults()
	}
	return list
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if c.Shards < 0 {
		check.Add("shards", "must not be negative")
	}
	if c.ReadWait < 0 || c.ReadWait > time.Minute {
		check.Add("read_wait", "must be 0 to 1m")
	}
	if c.CacheKiB < 0 {
		check.Add("cache_kib", "must not be negative")
	}
	if c.Writers < 0 || c.Writers > maxWriters {
		check.Add("writers", "must be 0 to %d", maxWriters)
	}
	if c.FillRate < 0 || c.FillRate > maxRate {
		check.Add("fill_rate", "must be 0 to %d", maxRate)
	}
	validateClusters(&check, "clusters", c.Clusters, c.Shards)
	c.Next.validate(&check, c)
	return check.Err()
}

// validateClusters reports what is wrong with clusters that keep shards of so many; 0 is not known.
func validateClusters(check *errs.Check, name string, list []ledger.Cluster, shards int) {
	owner := map[int]string{}
	for i, one := range list {
		field := fmt.Sprintf("%s[%d]", name, i)
		numbers, err := one.Shards.Numbers()
		if err != nil {
			check.Add(field+".shards", "must be a list such as 0-3,7")
		}
		for _, n := range numbers {
			if other, ok := owner[n]; ok {
				check.Add(field+".shards", "shard %d is on %s already", n, other)
			}
			owner[n] = one.Name
			if shards > 0 && n >= shards {
				check.Add(field+".shards", "there is no shard %d of %d", n, shards)
			}
		}
		one.Config.Validate(check, field)
	}
}

// Deps are what the room needs; none may be nil.
type Deps struct {
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Transport stream.Transport
	Source    stream.Log          // the ledger's log, read where the stream has lost something
	ShardOf   func(id.Player) int // where a player's bets are

	// Since is the sequence at which the player came to that shard, 0 if from the beginning. Nil means
	// that players never move.
	Since func(id.Player) int64

	// KeepYears is how many years after placement a settled bet is kept at least, by jurisdiction; 0 is for
	// ever, and so is a jurisdiction that is not there.
	KeepYears map[id.Jurisdiction]int

	// Zone is the time zone whose days a jurisdiction's summaries go by. Nil is UTC everywhere.
	Zone Zone

	// Hold says when this process is the one that writes a shard, as stream.Sharing has it, where several
	// processes share the history. Nil means that this one is alone.
	Hold func(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error
}

// check refuses missing dependencies.
func (d Deps) check() error {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Transport == nil || d.Source == nil || d.ShardOf == nil {
		return errors.New("history: clock, log, metrics, transport, source and shard of a player are required")
	}
	return nil
}

// firstFile returns the first of so many shards that no cluster of the list keeps, -1 if there is none.
func firstFile(list []ledger.Cluster, shards int) int {
	on := map[int]bool{}
	for _, one := range list {
		numbers, _ := one.Shards.Numbers() // Validate says what is wrong with them
		for _, n := range numbers {
			on[n] = true
		}
	}
	for n := range shards {
		if !on[n] {
			return n
		}
	}
	return -1
}

// CheckShared reports what keeps several processes from sharing the history of so many shards.
func (c Config) CheckShared(shards int) error {
	var check errs.Check
	all := func(field string, list []ledger.Cluster) {
		if n := firstFile(list, shards); n >= 0 {
			check.Add(field, "must have every shard where several processes share the history: shard %d would be a file, which is of the one process that has it", n)
		}
	}
	all("clusters", c.Clusters)
	if c.Next.Dir != "" {
		all("next.clusters", c.Next.Clusters)
	}
	return check.Err()
}

// Service answers for the history of all shards.
type Service struct {
	config  Config
	deps    Deps
	shards  []*shard
	fleet   fleet
	second  secondHolder
	fill    *stream.Pace  // nil: no bound
	desk    *Desk         // nil: no second history
	process string        // this one's name at the desk
	gone    chan struct{} // closed when operators have let go of the first history

	nextMetrics nextMetrics
	asks        chan digestAsk

	metrics keepMetrics

	mu          sync.Mutex
	subscribers map[int]func(stream.Batch)
	subscribed  int
}

// shard is the history of one ledger shard.
type shard struct {
	number int
	store  store
	sink   *stream.Sink
	course catchUp
	meters ownMeters        // of this shard alone
	moves  stream.BucketLog // nil: no bucket can come or go
	kept   *keeper
	zone   Zone
	which  Shown // of the two histories: ShownFirst or ShownSecond

	// beside copies and compares a shard of a second history, while this process applies its log; nil for one of a first.
	beside func(ctx context.Context)
}

// sinkName is the projection's name in its files and measures.
const sinkName = "history"

// Open opens or creates the files and reads their positions. Nothing moves before Run.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	c.Shards = cmp.Or(c.Shards, d.Source.Shards())
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	if c.Shards != d.Source.Shards() {
		return nil, fmt.Errorf("open history: %d shards, the ledger has %d", c.Shards, d.Source.Shards())
	}
	if d.Hold != nil {
		if err := c.CheckShared(c.Shards); err != nil {
			return nil, fmt.Errorf("open history: %w", err)
		}
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	s := &Service{config: c, deps: d, process: processName(), fill: stream.NewPace(c.FillRate, d.Clock), metrics: newKeepMetrics(d.Metrics), nextMetrics: newNextMetrics(d.Metrics),
		subscribers: make(map[int]func(stream.Batch)), asks: make(chan digestAsk, maxDigestAsks), gone: make(chan struct{})}
	err := s.openDesk(ctx)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	c = s.config
	if s.fleet, err = openFleet(ctx, c.Clusters, mysqldb.Deps{Log: d.Log, Rebuildable: true}); err != nil {
		return nil, errors.Join(fmt.Errorf("open history: %w", err), s.Close())
	}
	at := place{dir: c.Dir, cacheKiB: c.CacheKiB, writers: c.Writers, fleet: s.fleet, sink: sinkName}
	for n := range c.Shards {
		h, err := s.openShard(ctx, at, n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open history shard %d: %w", n, err), s.Close())
		}
		s.shards = append(s.shards, h)
	}
	return s, nil
}

// place is where a history is.
type place struct {
	dir               string
	cacheKiB, writers int
	fleet             fleet
	sink              string // its sinks' name in measures
}

// openShard opens one database.
func (s *Service) openShard(ctx context.Context, at place, number int) (*shard, error) {
	h := &shard{number: number, kept: &keeper{}, which: ShownFirst, course: catchUp{paced: s.fill != nil}}
	if at.sink == nextName {
		h.which = ShownSecond
	}
	all := newDigests(s.deps.Zone, h.kept)
	h.zone = all.zone
	s.metrics.begin(number)
	s.nextMetrics.begin(number)
	h.moves, _ = s.deps.Source.(stream.BucketLog) // a log of one shard for ever need not be one
	p := projector{shard: number, moves: h.moves, kept: h.kept, digests: all}
	if cluster := at.fleet[number]; cluster != nil {
		store := openMySQL(cluster, s.deps.Clock, p, at.writers)
		if s.deps.Hold != nil {
			store.share()
		}
		h.store = store
	} else {
		file, err := openSQLite(filePath(at.dir, number), fileOptions(at.cacheKiB), s.deps.Clock, p)
		if err != nil {
			return nil, err
		}
		h.store = file
	}
	if err := s.prepare(ctx, h, at.sink); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// prepare brings a database up to date and makes its sink.
func (s *Service) prepare(ctx context.Context, h *shard, sink string) error {
	if err := errors.Join(h.store.prepare(ctx), h.store.createFill(ctx)); err != nil {
		return err
	}
	raise := s.raise
	if s.deps.Hold != nil { // they are for the process that writes to raise
		raise = s.followFloors
	}
	if err := raise(ctx, h); err != nil { // before anything is read
		return err
	}
	if err := s.readyMonths(ctx, h); err != nil { // a bet without a month is in order: it is tried again
		s.deps.Log.WarnContext(ctx, "months of bets not made", "shard", h.number, "error", err)
		s.metrics.fail(h.number)
	}
	c := stream.SinkConfig{Name: sink, Shard: h.number, Fill: s.fill}
	if sink == nextName {
		beside := &filled{store: h.store, kept: h.kept}
		h.store = beside
		c.OnApplied = func(b stream.Batch) {
			if s.second.main() != nil {
				s.announce(b)
			}
		}
		if s.deps.Hold == nil {
			if err := s.startFill(ctx, h); err != nil {
				return err
			}
		}
	} else {
		c.OnApplied = func(b stream.Batch) {
			if s.second.main() == nil {
				s.announce(b)
			}
		}
		if err := refuseHalf(ctx, h.store); err != nil {
			return err
		}
	}
	c.Store = h.store
	if s.deps.Hold != nil {
		c.Shared = &stream.Sharing{Hold: s.deps.Hold,
			Begin:  func(ctx context.Context) error { return s.beginWriting(ctx, h) },
			Beside: func(ctx context.Context) { s.besideWriting(ctx, h) }}
	}
	var err error
	h.meters.Registerer = s.deps.Metrics
	h.sink, err = stream.NewSink(c, s.deps.Transport, s.deps.Source, stream.Deps{Clock: s.deps.Clock, Log: s.deps.Log, Metrics: &h.meters})
	if err != nil {
		return err
	}
	return h.sink.Load(ctx)
}

// beginWriting does what is for the process that begins to write a shared shard.
func (s *Service) beginWriting(ctx context.Context, h *shard) error {
	if err := s.raise(ctx, h); err != nil {
		return err
	}
	return s.startFill(ctx, h)
}

// startFill begins the copy to a shard of a second history that is empty.
func (s *Service) startFill(ctx context.Context, h *shard) error {
	beside, ok := h.store.(*filled)
	if !ok {
		return nil
	}
	seq, err := s.copyFrom(ctx, h.number)
	if err != nil {
		return err
	}
	return startFill(ctx, beside, seq, s.deps.Clock.Now())
}

// besideWriting does what is for the process that writes a shared shard, until ctx is done.
func (s *Service) besideWriting(ctx context.Context, h *shard) {
	var all sync.WaitGroup
	all.Go(func() { s.keepFor(ctx, h) })
	all.Go(func() { s.takeAsks(ctx, h) })
	if h.beside != nil {
		all.Go(func() { h.beside(ctx) })
	}
	all.Wait()
}

// processName names this process among those that look at a desk.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unnamed"
	}
	return fmt.Sprintf("%.200s:%d:%s", host, os.Getpid(), rand.Text()[:6])
}

// close closes a shard's database.
func (h *shard) close() error { return h.store.close() }

// Run keeps the history up with the log until ctx is done, when it returns nil.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	first := s.untilGone(ctx, g)
	for _, h := range s.shards {
		g.Go(func() error { return h.sink.Run(first) })
		keep := s.keepFor
		if s.deps.Hold != nil { // months are dropped by the process that writes
			keep = s.followFor
		}
		g.Go(func() error { keep(first, h); return nil })
	}
	if s.desk != nil {
		g.Go(func() error { return s.runDesk(ctx) })
	}
	g.Go(func() error { s.makeDigests(ctx); return nil })
	g.Go(func() error { s.followCourses(ctx); return nil })
	if err := g.Wait(); err != nil {
		return fmt.Errorf("run history: %w", err)
	}
	return nil
}

// Close closes the databases. It may be called twice; Run should have returned before.
func (s *Service) Close() error {
	var err error
	for _, h := range s.shards {
		err = errors.Join(err, h.close())
	}
	if s.desk != nil {
		err = errors.Join(err, s.desk.Close())
	}
	return errors.Join(err, s.fleet.close())
}

// ShardLag says how far one shard's history is, and how far behind.
type ShardLag struct {
	Shard    int
	History  Shown // ShownFirst or ShownSecond: which one it is of
	Position int64
	Lag      time.Duration // 0 when the whole log is shown
	Held     bool          // this process applies the log; else it reads what another one applies
	Trouble  string        // why it does not although it is its turn, in words; "" is none
	CatchUp  CatchUp       // while it is far behind
}

// Lag reports every shard, in order: of the second history while everybody sees that one, else of the first.
func (s *Service) Lag() []ShardLag {
	shown := s.main()
	out := make([]ShardLag, len(shown))
	for i, h := range shown {
		out[i] = ShardLag{Shard: h.number, History: h.which, Position: h.sink.Position(), Lag: h.sink.Lag(), Held: h.sink.IsHeld(), Trouble: h.sink.Trouble()}
		if out[i].Lag >= farBehind { // the course is looked at once a second: it may not know yet that it has ended
			out[i].CatchUp = h.course.outlook(s.deps.Clock.Now())
		}
	}
	return out
}

// main returns the shards of the history that players see unless they were chosen to see the other one.
func (s *Service) main() []*shard {
	if o := s.second.main(); o != nil {
		return o.shards
	}
	return s.shards
}

// WaitFor waits until the history shows the position.
//
// Errors: unavailable when ctx is done first; invalid for an unknown shard.
func (s *Service) WaitFor(ctx context.Context, at stream.Position) error {
	if at.Shard < 0 || at.Shard >= len(s.shards) {
		return errs.New(errs.CodeInvalid, "position %s names an unknown shard", at)
	}
	return s.main()[at.Shard].sink.WaitFor(ctx, at.Seq)
}

// Subscribe calls fn after each applied batch, in the order of a shard's log, until cancel is
// called. fn must not block: it holds up the shard's history.
func (s *Service) Subscribe(fn func(stream.Batch)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribed++
	key := s.subscribed
	s.subscribers[key] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, key)
	}
}

// announce tells the subscribers of a batch, oldest subscription first.
func (s *Service) announce(b stream.Batch) {
	s.mu.Lock()
	keys := make([]int, 0, len(s.subscribers))
	for key := range s.subscribers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	fns := make([]func(stream.Batch), len(keys))
	for i, key := range keys {
		fns[i] = s.subscribers[key]
	}
	s.mu.Unlock()
	for _, fn := range fns {
		fn(b)
	}
}
