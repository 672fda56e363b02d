package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

// Config says where the books are and how they are written. The zero value of every field but Dir
// is a safe default.
type Config struct {
	Dir    string `yaml:"dir"`
	Shards int    `yaml:"shards"` // 0 is 2; may not change once the folder has books

	QueuedInteractive int           `yaml:"queued_interactive"` // transfers waiting per shard, 0 is 20,000
	QueuedBulk        int           `yaml:"queued_bulk"`        // transfers waiting per shard, 0 is 100,000
	BatchRows         int           `yaml:"batch_rows"`         // transfers per commit, 0 is 1,024
	CachedAccounts    int           `yaml:"cached_accounts"`    // per shard, 0 is 200,000
	PageCacheKiB      int           `yaml:"page_cache_kib"`     // of the database, per shard, 0 is 16 MiB
	Readers           int           `yaml:"readers"`            // read connections per shard, 0 is 4
	SweepEvery        time.Duration `yaml:"sweep_every"`        // for holds that ran out, 0 is 1 s

	maxPages int // bounds each file: tests of a full disk
}

const (
	maxShards    = 256
	defaultQueue = 20_000
)

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
	return check.Err()
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

func (c Config) shards() int               { return orDefault(c.Shards, 2) }
func (c Config) batchRows() int            { return orDefault(c.BatchRows, 1024) }
func (c Config) readers() int              { return orDefault(c.Readers, 4) }
func (c Config) sweepEvery() time.Duration { return orDefault(c.SweepEvery, time.Second) }

// Deps is what the ledger needs from its process. All are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Service is the ledger: every shard of one process, with one writer each.
type Service struct {
	clock  clock.Clock
	place  placement
	reads  shardReaders
	shards []*shard

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
	if c.PageCacheKiB == 0 {
		c.PageCacheKiB = defaultCacheKiB
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create ledger folder: %w", err)
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("register ledger metrics: %w", err)
	}
	s := &Service{clock: d.Clock, place: newPlacement(c.shards())}
	s.reads.place = &s.place
	for number := range c.shards() {
		opened, err := openShard(ctx, c, number, d, m)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open ledger shard %d: %w", number, err), s.Close())
		}
		s.shards = append(s.shards, opened)
		s.reads.stores = append(s.reads.stores, opened.store)
	}
	return s, nil
}

// openShard opens one shard's file and takes it over.
func openShard(ctx context.Context, c Config, number int, d Deps, m *metrics) (*shard, error) {
	st, err := openSQLite(ctx, c, number, d.Clock.Now())
	if err != nil {
		return nil, err
	}
	state, err := st.takeOver(ctx, number, c.shards())
	if err != nil {
		return nil, errors.Join(err, st.close())
	}
	s := &shard{
		number: number, store: st, clock: d.Clock, log: d.Log, config: c, metrics: m.shard(number),
		builder: newBuilder(number, st, orDefault(c.CachedAccounts, 200_000), knownKeys),
		ring:    newRing(state.seq), recent: recentBatches, bulkRows: chunkRows,
	}
	s.interactive.open(orDefault(c.QueuedInteractive, defaultQueue))
	s.bulk.open(orDefault(c.QueuedBulk, 5*defaultQueue))
	s.builder.state = state
	s.head.Store(state.seq)
	s.epoch.Store(state.epoch)
	s.lastUS.Store(state.at.UnixMicro())
	d.Log.InfoContext(ctx, "ledger shard opened", "shard", number, "epoch", state.epoch, "position", state.seq)
	return s, nil
}

// defaultCacheKiB is the writer's page cache. More is slower: after a page split SQLite walks its
// whole cache at the commit, and with 64 MiB that was a third of a small batch's time. What the
// cache misses the system's own cache has.
const defaultCacheKiB = 16 << 10

// knownKeys is how many of the keys seen last a shard remembers.
const knownKeys = 32 << 10

func (l *lane) open(limit int) {
	l.limit = int64(limit)
	l.jobs = make(chan *job, limit)
}

// Run writes until ctx is done; then it takes no more work, commits what it had taken, and returns.
// It returns an error if another writer took a shard: this process may not write any more. Run may
// be called once.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, one := range s.shards {
		g.Go(func() error { return one.run(ctx) })
	}
	return g.Wait()
}

// Close gives up the files. Call it after Run has returned; it may be called twice.
func (s *Service) Close() error {
	s.closing.Do(func() {
		var list []error
		for _, one := range s.shards {
			one.refuseQueued()
			list = append(list, one.store.close())
		}
		s.closed = errors.Join(list...)
	})
	return s.closed
}

// Commit commits one transfer and answers when it is durable.
//
// Idempotency: see [Transfer]. If ctx ends first the answer is CodeUnavailable and the transfer may
// still commit; asking again with the same key tells.
//
// Errors: those of doc.go; the error is also in Result.Err.
func (s *Service) Commit(ctx context.Context, lane Lane, t Transfer) (Result, error) {
	var result Result
	e, err := prepare(&t)
	if err != nil {
		return Result{Err: err}, err
	}
	e.out = &result
	one := s.shards[s.ShardOf(t.Player)]
	j := &job{entries: []entry{e}, bytes: e.size, done: make(chan struct{})}
	if err := one.submit(lane, j); err != nil {
		return Result{Err: err}, err
	}
	if err := j.wait(ctx); err != nil {
		return Result{Err: err}, err
	}
	return result, result.Err
}

// wait returns when the job is answered or ctx is done.
func (j *job) wait(ctx context.Context) error {
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "gave up waiting for the ledger; ask again with the same key")
	}
}

// MaxBatch bounds one CommitBatch.
const MaxBatch = 10_000

// CommitBatch commits transfers of any mix of players and shards, each for itself: one that is
// refused does not hold up the others. Transfers of one player are applied in the order given. The
// error is set only if the call as a whole is wrong; each transfer's answer is its Result's Err.
func (s *Service) CommitBatch(ctx context.Context, lane Lane, list []Transfer) ([]Result, error) {
	if len(list) > MaxBatch {
		return nil, errs.New(errs.CodeTooLarge, "%d transfers in one call, at most %d", len(list), MaxBatch)
	}
	// Results move to the caller only after their job is answered: a writer may still fill those of
	// a job that the caller gave up on.
	results := make([]Result, len(list))
	written := make([]Result, len(list))
	perShard := make([][]entry, len(s.shards))
	origin := make([][]int, len(s.shards))
	for i := range list {
		e, err := prepare(&list[i])
		if err != nil {
			results[i].Err = err
			continue
		}
		e.out = &written[i]
		n := s.ShardOf(list[i].Player)
		perShard[n] = append(perShard[n], e)
		origin[n] = append(origin[n], i)
	}
	type part struct {
		job    *job
		origin []int
	}
	var parts []part
	for n, entries := range perShard {
		for start := 0; start < len(entries); start += chunkRows {
			end := min(start+chunkRows, len(entries))
			j := &job{entries: entries[start:end], done: make(chan struct{})}
			for i := range j.entries {
				j.bytes += j.entries[i].size
			}
			p := part{j, origin[n][start:end]}
			if err := s.shards[n].submit(lane, j); err != nil {
				fail(results, origin[n][start:], err) // none after it either: order is kept
				break
			}
			parts = append(parts, p)
		}
	}
	for _, p := range parts {
		if err := p.job.wait(ctx); err != nil {
			fail(results, p.origin, err)
			continue
		}
		for _, i := range p.origin {
			results[i] = written[i]
		}
	}
	return results, nil
}

// fail answers the results at the indexes with err.
func fail(results []Result, indexes []int, err error) {
	for _, i := range indexes {
		results[i].Err = err
	}
}

// ShardOf returns the shard that keeps the player's accounts.
func (s *Service) ShardOf(p id.Player) int { return s.place.shardOf(p) }
