package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

// Config says where the books are and how they are written. The zero value of every field but Dir
// is a safe default.
type Config struct {
	Dir    string `yaml:"dir"`    // folder of the SQLite files and of the directory
	Shards int    `yaml:"shards"` // 0 is 2; may grow once the folder has books, never shrink

	// Clusters are where shards live that are no SQLite file in Dir.
	Clusters  []Cluster       `yaml:"clusters"`
	Directory DirectoryConfig `yaml:"directory"`

	QueuedInteractive int           `yaml:"queued_interactive"` // transfers waiting per shard, 0 is 20,000 (less with many shards)
	QueuedBulk        int           `yaml:"queued_bulk"`        // transfers waiting per shard, 0 is 100,000 (less with many shards)
	BatchRows         int           `yaml:"batch_rows"`         // transfers per commit, 0 is 1,024
	CachedAccounts    int           `yaml:"cached_accounts"`    // per shard, 0 is 200,000 (less with many shards)
	PageCacheKiB      int           `yaml:"page_cache_kib"`     // of the database, per shard, 0 is 6 MiB (less with many shards)
	Readers           int           `yaml:"readers"`            // read connections per shard, 0 is 4 (2 with many shards)
	SweepEvery        time.Duration `yaml:"sweep_every"`        // for holds that ran out, 0 is 1 s
	MaxReplicaLag     time.Duration `yaml:"max_replica_lag"`    // a replica further behind gets no reads, 0 is 5 s
	SlowBatch         time.Duration `yaml:"slow_batch"`         // what takes longer is remembered for staff, 0 is 50 ms
	FailoverWait      time.Duration `yaml:"failover_wait"`      // callers wait so long for a lost database, 0 is 10 s

	// Several processes may share the shards: each that sets InternalListen writes its share of them,
	// does for the others what only the writer of a shard can, and takes over from one that dies.
	// Without it this process writes them all.
	InternalListen     string        `yaml:"internal_listen"`      // address for the other processes, such as 127.0.0.1:0
	InternalAddress    string        `yaml:"internal_address"`     // where they reach it; default the address listened on
	InternalSecretFile string        `yaml:"internal_secret_file"` // what they show each other; default internal.secret in dir, made when missing
	InternalCAFile     string        `yaml:"internal_ca_file"`     // who vouches for the processes' certificates; with the next two, and required beyond this machine
	InternalCertFile   string        `yaml:"internal_cert_file"`   // what this process shows the others, for the host of its address
	InternalKeyFile    string        `yaml:"internal_key_file"`    // the private key of internal_cert_file
	Process            string        `yaml:"process"`              // this process's name among them, the same after a restart; default a new one each start
	Lease              time.Duration `yaml:"lease"`                // without a sign of life for so long, a process's shards are taken over; 0 is 3 s

	maxPages int  // bounds each file: tests of a full disk
	relaxed  bool // commits need not survive a power cut: an import is run again after one
}

const maxShards = 256

// Validate returns one error that names every field that is out of range.
func (c Config) Validate() error {
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	within := func(name string, value, most int) {
		if value < 0 || value > most {
			check.Add(name, "must be 0 to %d", most)
		}
	}
	within("shards", c.Shards, maxShards)
	within("queued_interactive", c.QueuedInteractive, 10_000_000)
	within("queued_bulk", c.QueuedBulk, 10_000_000)
	within("batch_rows", c.BatchRows, 100_000)
	within("cached_accounts", c.CachedAccounts, 100_000_000)
	within("page_cache_kib", c.PageCacheKiB, 64<<20)
	within("readers", c.Readers, 1000)
	if c.SweepEvery < 0 || c.SweepEvery > time.Hour {
		check.Add("sweep_every", "must be 0 to 1h")
	}
	if c.MaxReplicaLag < 0 || c.MaxReplicaLag > time.Hour {
		check.Add("max_replica_lag", "must be 0 to 1h")
	}
	c.validateSharing(&check)
	if c.SlowBatch < 0 || c.SlowBatch > time.Hour {
		check.Add("slow_batch", "must be 0 to 1h")
	}
	if c.FailoverWait < 0 || c.FailoverWait > time.Hour {
		check.Add("failover_wait", "must be 0 to 1h")
	}
	c.validateClusters(&check)
	return check.Err()
}

// validateSharing checks what several processes need.
func (c Config) validateSharing(check *errs.Check) {
	secure := c.InternalCAFile != "" && c.InternalCertFile != "" && c.InternalKeyFile != ""
	if !secure && (c.InternalCAFile != "" || c.InternalCertFile != "" || c.InternalKeyFile != "") {
		check.Add("internal_ca_file", "goes together with internal_cert_file and internal_key_file: each process shows the others a certificate")
	}
	for name, address := range map[string]string{"internal_listen": c.InternalListen, "internal_address": c.InternalAddress} {
		if address == "" {
			continue
		}
		if host, _, err := net.SplitHostPort(address); err != nil {
			check.Add(name, "must be host:port")
		} else if !secure && !isLoopback(host) {
			check.Add(name, "is reached from other machines: that needs internal_ca_file, internal_cert_file and internal_key_file")
		}
	}
	if c.InternalListen == "" && (c.InternalAddress != "" || c.Process != "" || c.Lease != 0) {
		check.Add("internal_listen", "is required with internal_address, process and lease")
	}
	if c.Process != "" && !isName(c.Process, 64) {
		check.Add("process", "must be 1 to 64 letters, digits, underscores or hyphens")
	}
	if c.Lease < 0 || c.Lease > 0 && (c.Lease < 100*time.Millisecond || c.Lease > 10*time.Minute) {
		check.Add("lease", "must be 100ms to 10m")
	}
}

// isLoopback reports whether a host is this machine. No host is every address.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isShared reports whether several processes share the shards.
func (c Config) isShared() bool { return c.InternalListen != "" }

func (c Config) lease() time.Duration { return orDefault(c.Lease, 3*time.Second) }

// lockWait is how long a write waits for another process's lock on a file: with several processes
// not so long that a take-over waits for a process that hangs. 0 is the default.
func (c Config) lockWait() time.Duration {
	if c.isShared() {
		return time.Second
	}
	return 0
}

// poll is how often processes look at each other: three looks make a lease.
func (c Config) poll() time.Duration { return c.lease() / 3 }

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

func (c Config) shards() int               { return orDefault(c.Shards, 2) }
func (c Config) batchRows() int            { return orDefault(c.BatchRows, 1024) }
func (c Config) readers() int              { return orDefault(c.Readers, c.share(16, 2, 4)) }
func (c Config) sweepEvery() time.Duration { return orDefault(c.SweepEvery, time.Second) }
func (c Config) failoverWait() time.Duration {
	return orDefault(c.FailoverWait, 10*time.Second)
}
func (c Config) slowBatch() time.Duration { return orDefault(c.SlowBatch, 50*time.Millisecond) }

// Deps is what the ledger needs from its process. All are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service is the ledger: every shard of one process, with one writer each.
type Service struct {
	clock     clock.Clock
	config    Config
	place     *placed
	reads     shardReaders
	shards    []*shard
	directory *directory
	marks     *markCopy
	groups    groupsInHand
	log       *slog.Logger
	fleet     *fleet
	ids       *id.Source
	since     [buckets]atomic.Int64 // where each bucket came to its shard
	asked     signal                // a move began, or is to stop
	figures   *metrics
	survey    survey

	// Only when several processes share the shards.
	keeper *keeper
	peers  *peers
	server *peerServer
	owners atomic.Pointer[owners]
	views  views

	closing sync.Once
	closed  error
}

// Open opens or creates the books in c.Dir and takes every shard over: from here on no earlier
// writer can commit. Commits wait until Run.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if d.Clock == nil || d.Log == nil || d.Metrics == nil {
		return nil, errs.New(errs.CodeInternal, "ledger needs a clock, a log and a metrics registry")
	}
	c = c.sized()
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create ledger folder: %w", err)
	}
	m, err := newMetrics(d.Metrics, c.shards())
	if err != nil {
		return nil, fmt.Errorf("register ledger metrics: %w", err)
	}
	s := &Service{clock: d.Clock, config: c, log: d.Log, ids: id.NewSource(d.Clock.Now), figures: m}
	if err := s.open(ctx, d, m); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens the shards' databases and the directory, and takes over what this process writes.
func (s *Service) open(ctx context.Context, d Deps, m *metrics) error {
	var err error
	if s.fleet, err = openFleet(ctx, s.config.Clusters, mysqldb.Deps{Log: d.Log}); err != nil {
		return err
	}
	if err := s.openShards(ctx, d, m); err != nil {
		return err
	}
	if s.directory, err = openDirectory(ctx, s.config, s.fleet, d.Clock, s.layout); err != nil {
		return err
	}
	if s.marks, err = openMarkCopy(ctx, s.config, d.Clock.Now()); err != nil {
		return err
	}
	home, err := s.directory.placement(ctx, 0)
	if err != nil {
		return err
	}
	s.place = newPlaced(home)
	s.reads.place = s.place
	if err := watchWritable(d.Metrics, s); err != nil {
		return fmt.Errorf("register ledger metrics: %w", err)
	}
	if s.config.isShared() {
		return s.join(ctx, d)
	}
	return s.takeAll(ctx)
}

// takeAll takes every shard over, for a process that has them to itself.
func (s *Service) takeAll(ctx context.Context) error {
	if err := s.directory.refuseOthers(ctx); err != nil {
		return err
	}
	return s.each(ctx, func(ctx context.Context, one *shard) error {
		err := s.takeOver(ctx, one)
		if errors.Is(err, errQuarantined) && s.heal(ctx, one) == nil {
			err = s.takeOver(ctx, one)
		}
		if lost, ok := errors.AsType[*divergence](err); ok {
			err = s.quarantine(ctx, one, lost)
		}
		if errors.Is(err, errQuarantined) {
			return s.leaveAlone(ctx, one)
		}
		return err
	})
}

// openAtOnce bounds how many shards are opened at the same time.
const openAtOnce = 8

// each calls fn for every shard, a few at the same time, and returns the first error.
func (s *Service) each(ctx context.Context, fn func(ctx context.Context, one *shard) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(openAtOnce)
	for _, one := range s.shards {
		g.Go(func() error { return fn(ctx, one) })
	}
	return g.Wait()
}

// openShards opens every shard's database, without taking any over.
func (s *Service) openShards(ctx context.Context, d Deps, m *metrics) error {
	for number := range s.config.shards() {
		s.shards = append(s.shards, newShard(s.config, number, d, m.shard(number)))
	}
	err := s.each(ctx, func(ctx context.Context, one *shard) error {
		opened, err := s.openStore(ctx, one, d.Clock.Now())
		if err != nil {
			return fmt.Errorf("open ledger shard %d: %w", one.number, err)
		}
		one.store, one.builder.store = opened, opened
		return nil
	})
	for _, one := range s.shards {
		s.reads.stores = append(s.reads.stores, one.store)
	}
	return err
}

// openStore opens one shard's database, where the configuration says that it lives.
func (s *Service) openStore(ctx context.Context, one *shard, now time.Time) (store, error) {
	if cluster, ok := s.fleet.byShard[one.number]; ok {
		return openMySQL(ctx, cluster, one.number, now)
	}
	return openSQLite(ctx, s.config, one.number, now, one.metrics.watchWAL(one.number, one.log))
}

// first returns how many shards the books began with: new ones with what is configured.
func (s *Service) first(ctx context.Context) (int, error) {
	state, err := s.shards[0].store.state(ctx)
	switch {
	case errs.Is(err, errs.CodeNotFound):
		return s.config.shards(), nil
	case err != nil:
		return 0, fmt.Errorf("read ledger shard 0: %w", err)
	}
	return state.shards, nil
}

// newShard returns a shard without a database yet.
func newShard(c Config, number int, d Deps, m *shardMetrics) *shard {
	s := &shard{
		number: number, clock: d.Clock, log: d.Log, config: c, metrics: m, leave: errStopped,
		reads:   m.all.shardReads(number),
		steps:   newStopwatch(d.Clock, m, number, c.slowBatch()),
		builder: newBuilder(number, nil, c.CachedAccounts, c.knownKeys()),
		ring:    newRing(0, c.ringBytes()), pace: newPace(c.batchRows()), troubles: newTroubles(),
	}
	s.relayed.Store(-1)
	s.interactive.open(c.QueuedInteractive)
	s.bulk.open(c.QueuedBulk)
	return s
}

// takeOver raises the shard's epoch, so that no earlier writer can commit any more, and makes the
// shard's writer go on from where the log stands. A log that lacks what was answered, by the directory
// or by this process's memory, is errDiverged and left as it is.
func (s *Service) takeOver(ctx context.Context, one *shard) error {
	t, err := s.directory.tenancy(ctx, one.number)
	if err != nil {
		return fmt.Errorf("take over ledger shard %d: %w", one.number, err)
	}
	if t.problem != "" {
		return fmt.Errorf("take over ledger shard %d: %w: %s", one.number, errQuarantined, t.problem)
	}
	marks, err := s.wanted(ctx, one, t)
	if err != nil {
		return fmt.Errorf("take over ledger shard %d: %w", one.number, err)
	}
	state, err := one.store.takeOver(ctx, takeover{
		shard: one.number, shards: madeFor(one.number, s.directory.first),
		writer: s.ids.New("wri"), above: t.accepted, marks: marks,
	})
	if err != nil {
		return fmt.Errorf("take over ledger shard %d: %w", one.number, err)
	}
	owned, err := ownedBuckets(ctx, one.store, one.number, s.place.current.Load())
	if err != nil {
		return fmt.Errorf("read buckets of ledger shard %d: %w", one.number, err)
	}
	one.adopt(state, owned)
	for _, r := range owned {
		if r.state == bucketLive {
			s.since[r.bucket].Store(r.seq)
		}
	}
	one.log.InfoContext(ctx, "ledger shard opened", "shard", one.number, "epoch", state.epoch, "position", state.seq)
	return nil
}

// adopt makes the writer go on from where the log stands, as if it had never written before.
func (s *shard) adopt(state shardState, owned []bucketRow) {
	s.builder.state = state
	s.answered()
	s.builder.tenure++
	s.builder.cache.clear()
	s.builder.buckets.load(owned)
	s.unsure, s.pending, s.ailing, s.checked = false, false, false, 0
	s.groups.Store(true) // an earlier writer may have left some
	s.cameWith(owned)
	s.head.Store(state.seq)
	s.epoch.Store(state.epoch)
	s.lastUS.Store(state.at.UnixMicro())
	s.ring.reset(state.seq)
}

func (l *lane) open(limit int) {
	l.limit = int64(limit)
	l.jobs = make(chan *job, limit)
}

// Run writes until ctx is done; then it takes no more work, commits what it had taken, and returns.
// It returns an error if another writer took a shard, or the database of one has lost commits that
// were answered: this process may not write any more. A shard of the latter kind is quarantined, and the
// next process opens the others; see [AcceptLoss]. Run may be called once.
//
// When several processes share the shards, losing one stops that shard only. Run then returns an error
// if another process was started under this one's name.
func (s *Service) Run(ctx context.Context) error {
	if s.keeper != nil {
		return s.runShared(ctx)
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, one := range s.shards {
		g.Go(func() error { return s.write(ctx, one) })
	}
	g.Go(func() error { return s.watchReplicas(ctx) })
	g.Go(func() error { return s.sweepGroups(ctx) })
	g.Go(func() error { return s.runMoves(ctx) })
	g.Go(func() error { return s.watchMarks(ctx) })
	g.Go(func() error { return s.watchQuarantines(ctx) })
	g.Go(func() error { return s.watchSettings(ctx) })
	err := g.Wait()
	s.noteLast(ctx)
	return err
}

// Close gives up the files. Call it after Run has returned; it may be called twice.
func (s *Service) Close() error {
	s.closing.Do(func() {
		var list []error
		for _, one := range s.shards {
			one.refuseQueued(errStopped)
			list = append(list, one.replicas.close())
			if one.store != nil {
				list = append(list, one.store.close())
			}
		}
		if s.server != nil {
			list = append(list, s.server.close())
		}
		if s.directory != nil {
			list = append(list, s.directory.close())
		}
		list = append(list, s.marks.close())
		list = append(list, s.fleet.close())
		s.closed = errors.Join(list...)
	})
	return s.closed
}

// ShardOf returns the shard that keeps the player's accounts now: buckets can move.
func (s *Service) ShardOf(p id.Player) int { return s.place.shardOf(p) }

// home returns the shard that keeps the player's accounts. A process that was started before a shard
// was added does not know it, and says so.
func (s *Service) home(p id.Player) (*shard, error) {
	n := s.ShardOf(p)
	if n >= len(s.shards) {
		return nil, errs.Wrap(ErrNotTaken, errs.CodeUnavailable, "shard %d is not in this process's configuration", n)
	}
	return s.shards[n], nil
}
