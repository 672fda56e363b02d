package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/stream"
)

// NextConfig places a second history, which is filled beside the first and can take over from it: another
// engine, other servers, a new schema. Without a folder there is none.
type NextConfig struct {
	Dir      string           `yaml:"dir"`       // folder of the second history; without one there is none
	CacheKiB int              `yaml:"cache_kib"` // page cache of each file's writer; 0 is as the first history's
	Clusters []ledger.Cluster `yaml:"clusters"`  // where its shards are, as of the first history
	Writers  int              `yaml:"writers"`   // connections that write a shard of a cluster; 0 is as the first history's

	Rate     int           `yaml:"rate"`     // bets that a process copies a second at most, all its shards together; 0 is 20,000
	Chunk    int           `yaml:"chunk"`    // bets copied in one DBTx; 0 is 4,096
	Parallel int           `yaml:"parallel"` // shards that a process copies at a time; 0 is 2
	Lag      time.Duration `yaml:"lag"`      // copying rests while either history is further behind; 0 is 500 ms
}

// Bounds of NextConfig.
const (
	maxChunk    = 50_000
	maxParallel = 64
	maxRate     = 10_000_000
)

// withDefaults returns the configuration with everything filled in that was left out.
func (c NextConfig) withDefaults(first Config) NextConfig {
	if c.Dir == "" {
		return c
	}
	c.CacheKiB = cmp.Or(c.CacheKiB, first.CacheKiB)
	c.Writers = cmp.Or(c.Writers, first.Writers)
	c.Rate = cmp.Or(c.Rate, 20_000)
	c.Chunk = cmp.Or(c.Chunk, stream.SinkRecords)
	c.Parallel = cmp.Or(c.Parallel, 2)
	c.Lag = cmp.Or(c.Lag, 500*time.Millisecond)
	c.Clusters = clustersWithDefaults(c.Clusters)
	return c
}

// validate reports every setting that cannot work.
func (c NextConfig) validate(check *errs.Check, first Config) {
	if c.Dir == "" {
		if len(c.Clusters) > 0 {
			check.Add("next.dir", "is required beside next.clusters")
		}
		return
	}
	if c.Dir == first.Dir {
		check.Add("next.dir", "must be another folder than the first history's")
	}
	bound := func(name string, n, most int) {
		if n < 0 || n > most {
			check.Add("next."+name, "must be 0 to %d", most)
		}
	}
	bound("cache_kib", c.CacheKiB, 1<<30)
	bound("writers", c.Writers, maxWriters)
	bound("rate", c.Rate, maxRate)
	bound("chunk", c.Chunk, maxChunk)
	bound("parallel", c.Parallel, maxParallel)
	if c.Lag < 0 || c.Lag > time.Minute {
		check.Add("next.lag", "must be 0 to 1m")
	}
	validateClusters(check, "next.clusters", c.Clusters, first.Shards)
	for i, one := range c.Clusters {
		for _, other := range first.Clusters {
			if one.Database == other.Database && slices.ContainsFunc(one.Nodes, func(n string) bool { return slices.Contains(other.Nodes, n) }) {
				check.Add("next.clusters["+strconv.Itoa(i)+"].database", "is the first history's on the same node")
			}
		}
	}
}

// second is a second history beside the first.
type second struct {
	shards    []*shard
	fillers   []*filler
	comparers []*comparer
	fleet     fleet
}

// nextName is the sink's name of a second history in measures.
const nextName = "history-next"

// openDesk looks up what operators chose about the second history. Where they let go of one, the other is all
// there is, until the configuration says so too.
func (s *Service) openDesk(ctx context.Context) error {
	if s.config.Next.Dir == "" {
		return nil
	}
	now := s.deps.Clock.Now()
	desk, err := OpenDesk(ctx, s.config, s.deps.Clock)
	if err != nil {
		return err
	}
	c, err := desk.Choice(ctx)
	if err != nil || c.Dropped == "" {
		s.desk = desk // Close closes it
		s.second.choose(c, now)
		return errors.Join(err, desk.forgetLooks(ctx))
	}
	s.config = s.config.without(c.Dropped)
	s.deps.Log.Warn("operators let go of a history that is still configured", "dropped", c.Dropped)
	return desk.Close()
}

// without returns the configuration of what is left once one of two histories was let go of.
func (c Config) without(dropped string) Config {
	if next := &c.Next; dropped == "first" {
		c.Dir, c.Clusters, c.Writers, c.CacheKiB = next.Dir, next.Clusters, next.Writers, next.CacheKiB
	}
	c.Next = NextConfig{}
	return c
}

// InForce returns the configuration of the history that players see when nothing was chosen for them by name or share:
// that of the second, by itself, if operators have let go of the first. It changes nothing.
func (c Config) InForce(ctx context.Context) (Config, error) {
	if c.Next.Dir == "" {
		return c, nil
	}
	rows, err := readDeskRows(ctx, c)
	if err != nil || rows == nil {
		return c, err
	}
	choice, err := (&Desk{rows: rows, next: c.nextPlace()}).Choice(ctx)
	if err = errors.Join(err, rows.close()); err != nil || choice.Dropped != "first" {
		return c, err
	}
	return c.without(choice.Dropped), nil
}

// Desk returns where operators choose what becomes of the second history. It is open until Close.
//
// Errors: conflict if no second history is configured, or one of the two had been let go of before Open.
func (s *Service) Desk() (*Desk, error) {
	if s.desk == nil {
		return nil, errs.New(errs.CodeConflict, "there is no second history (history.next), or one of the two was let go of")
	}
	return s.desk, nil
}

// openSecond opens or creates the second history.
func (s *Service) openSecond(ctx context.Context) (*second, error) {
	c := s.config.Next
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	o := &second{}
	var err error
	if o.fleet, err = openFleet(ctx, c.Clusters, mysqldb.Deps{Log: s.deps.Log, Rebuildable: true}); err != nil {
		return nil, err
	}
	at := place{dir: c.Dir, cacheKiB: c.CacheKiB, writers: c.Writers, fleet: o.fleet, sink: nextName}
	rate := stream.NewPace(c.Rate, s.deps.Clock)
	turns := make(chan struct{}, c.Parallel)
	for n, from := range s.shards {
		to, err := s.openShard(ctx, at, n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("shard %d: %w", n, err), o.close())
		}
		o.shards = append(o.shards, to) // close closes it
		f := &filler{from: from, to: to, config: c, pace: rate, turns: turns, clock: s.deps.Clock, log: s.deps.Log.With("shard", n)}
		f.store, _ = to.store.(*filled)
		o.fillers = append(o.fillers, f)
		bucketOf := hashBucket
		if to.moves != nil {
			bucketOf = to.moves.BucketOf
		}
		c := &comparer{from: from, to: to, copy: f, pace: rate, clock: s.deps.Clock, log: f.log,
			bucketOf: bucketOf, told: s.nextMetrics.compared, last: Comparison{Shard: n}}
		o.comparers = append(o.comparers, c)
		to.beside = func(ctx context.Context) { s.copyAndCompare(ctx, f, c) }
	}
	return o, nil
}

// secondRetry is how long it takes until a second history that could not be opened, or had to stop, is tried
// again.
const secondRetry = 5 * time.Second

// runSecond keeps the second history beside the first. Whatever happens to it, the first goes on.
func (s *Service) runSecond(ctx context.Context) {
	for ctx.Err() == nil {
		o, err := s.openSecond(ctx)
		if err == nil {
			s.second.set(o, "")
			err = s.feed(ctx, o)
			s.second.set(nil, "")
			err = errors.Join(err, o.close())
		}
		if ctx.Err() == nil && err != nil {
			s.second.set(nil, err.Error())
			s.deps.Log.Error("second history stopped; it is tried again", "err", err)
			wait(ctx, secondRetry)
		}
	}
}

// runDesk follows what operators choose, and tells them how far the second history is. Once they let go of it,
// it is no longer fed.
func (s *Service) runDesk(ctx context.Context) error {
	feeding, stop := context.WithCancel(ctx)
	defer stop()
	var fed sync.WaitGroup
	fed.Go(func() { s.runSecond(feeding) })
	defer fed.Wait()
	defer stop()
	for wait(ctx, deskPoll) {
		if err := s.look(ctx); err != nil && ctx.Err() == nil {
			s.deps.Log.Warn("desk of the second history not read", "err", err)
		}
		switch dropped := s.second.chosen().Dropped; {
		case dropped == "second":
			s.deps.Log.Info("second history is no longer fed")
			stop()
			<-ctx.Done()
		case dropped == "first" && !s.isGone() && s.second.main() != nil: // otherwise it is still the one that is open
			s.deps.Log.Info("first history is no longer fed")
			s.letGo()
		}
	}
	return nil
}

// letGo ends the feeding of the first history. Its databases stay open until Close.
func (s *Service) letGo() {
	close(s.gone)
	for _, h := range s.shards {
		h.meters.takeAway()
	}
}

// isGone reports whether operators have let go of the first history, so that it shows less every moment.
func (s *Service) isGone() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// untilGone returns a context that ends with ctx, or when operators let go of the first history.
func (s *Service) untilGone(ctx context.Context, g *errgroup.Group) context.Context {
	until, end := context.WithCancel(ctx)
	g.Go(func() error {
		defer end()
		select {
		case <-s.gone:
		case <-ctx.Done():
		}
		return nil
	})
	return until
}

// isLeft reports whether the first history may show less every moment: operators have let go of it, here or, as this
// process has read, everywhere. While one that is alone cannot open the second, it goes on feeding the first.
func (s *Service) isLeft() bool {
	return s.isGone() || s.deps.Hold != nil && s.second.chosen().Dropped == "first"
}

// copyFrom returns the sequence at which a second history that is empty begins to be copied to; 0 lets it begin with
// the log.
func (s *Service) copyFrom(ctx context.Context, shard int) (int64, error) {
	from := s.shards[shard]
	if s.isLeft() {
		return 0, nil
	}
	if shared, ok := from.store.(stream.SharedStore); ok && s.deps.Hold != nil { // the sink may not have seen it yet
		seq, _, err := shared.Follow(ctx)
		return seq, err
	}
	return from.sink.Position(), nil
}

const (
	// deskPoll is how often the desk is looked at, and deskTime how long a look may take.
	deskPoll = time.Second
	deskTime = 5 * time.Second
	// deskLost is how long a process that shares the history goes by a choice that it cannot read again. Then it
	// answers nobody until it can: who takes a step knows that it is in force everywhere by then.
	deskLost = 30 * time.Second
)

// look reads the choice and writes what there is to report.
func (s *Service) look(ctx context.Context) error {
	now, was := s.deps.Clock.Now(), s.second.chosen()
	ctx, cancel := context.WithTimeout(ctx, deskTime)
	defer cancel()
	c, err := s.desk.look(ctx, s.process, was.act, s.reports())
	if err != nil {
		return err
	}
	if was.Shown != c.Shown || was.Share != c.Share || len(was.Players) != len(c.Players) {
		s.deps.Log.Info("history is shown as operators chose", "shown", string(c.Shown), "share", c.Share, "players", len(c.Players))
	}
	s.second.choose(c, now)
	return nil
}

// reports says how far the shards of the second history are that this process feeds, or why it does not.
func (s *Service) reports() (list []shardReport) {
	status := s.NextStatus()
	for i := range status.Copy {
		list = append(list, shardReport{Shard: status.Copy[i].Shard, Of: len(s.shards), Copy: &status.Copy[i], Equal: &status.Equal[i]})
	}
	for n, h := range s.shards {
		if status.Trouble != "" && h.sink.IsHeld() {
			list = append(list, shardReport{Shard: n, Of: len(s.shards), Trouble: status.Trouble})
		}
	}
	return list
}

// feed feeds and fills the second history until ctx is done or a sink cannot go on. Where several processes share it, whoever
// applies a shard's log also keeps, copies and compares it: besideWriting.
func (s *Service) feed(ctx context.Context, o *second) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range o.shards {
		g.Go(func() error { return h.sink.Run(ctx) })
		if s.deps.Hold != nil {
			g.Go(func() error { s.followFor(ctx, h); return nil })
			continue
		}
		g.Go(func() error { s.keepFor(ctx, h); return nil })
		g.Go(func() error { h.beside(ctx); return nil })
	}
	return g.Wait()
}

// copyAndCompare copies a shard and compares it, until ctx is done or operators let go of the first history.
func (s *Service) copyAndCompare(ctx context.Context, f *filler, c *comparer) {
	g, ctx := errgroup.WithContext(ctx)
	both := s.untilGone(ctx, g)
	g.Go(func() error { f.run(both); return nil })
	g.Go(func() error { c.run(both); return nil })
	_ = g.Wait() // none of them fails
	s.nextMetrics.begin(f.to.number)
}

// close closes the databases.
func (o *second) close() error {
	var list []error
	for _, h := range o.shards {
		list = append(list, h.close())
	}
	return errors.Join(append(list, o.fleet.close())...)
}

// FillProgress says how far a second history's shard is copied.
type FillProgress struct {
	Shard    int           `json:"shard"`
	Position int64         `json:"position"` // of the log
	Lag      time.Duration `json:"lag_ns"`
	Done     bool          `json:"done"` // every bet is there
	Chunks   int64         `json:"chunks"`
	Bets     int64         `json:"bets"`     // copied
	Expected int64         `json:"expected"` // bets to copy, those that were placed behind the copy included; 0 while not known
	Rate     int64         `json:"rate"`     // bets a second lately
	Left     time.Duration `json:"left_ns"`  // how long it still takes; 0 while not known
	Waiting  string        `json:"waiting"`  // what copying waits for, or ""
	Since    time.Time     `json:"since"`    // since when the process copies that does, which is all that Rate and Left go by; zero before and when done
}

// progress tells how far the shard is.
func (f *filler) progress() FillProgress {
	p := FillProgress{Shard: f.to.number, Position: f.to.sink.Position(), Lag: f.to.sink.Lag(), Done: true}
	state := f.store.state()
	if state == nil {
		return p
	}
	p.Done, p.Chunks, p.Bets, p.Expected = state.isWhole(), state.chunks, state.bets, state.expected
	f.mu.Lock()
	p.Waiting = f.waiting
	if !p.Done {
		p.Since = f.begun
	}
	f.mu.Unlock()
	if p.Done {
		return p
	}
	if expected, rate, left := f.outlook(state.bets); expected > 0 {
		p.Expected, p.Rate, p.Left = expected, rate, left
	}
	return p
}

// secondHolder is the second history while it is open, and what operators chose about it.
type secondHolder struct {
	mu      sync.Mutex
	it      *second
	trouble string // why it is not open
	choice  Choice
	looked  time.Time // when it was read
}

func (h *secondHolder) set(o *second, trouble string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.it, h.trouble = o, trouble
}

func (h *secondHolder) choose(c Choice, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.choice, h.looked = c, at
}

// age is how long ago the choice was read; 0 if it cannot change any more.
func (h *secondHolder) age(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.choice.Dropped != "" {
		return 0
	}
	return now.Sub(h.looked)
}

func (h *secondHolder) chosen() Choice {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.choice
}

// main returns the second history if everybody sees it and it is open, else nil.
func (h *secondHolder) main() *second {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.choice.Shown != ShownSecond {
		return nil
	}
	return h.it
}

// shardFor returns the second history's shard if the player sees it. While it cannot be opened everybody sees the
// first, which is fed as well.
func (h *secondHolder) shardFor(n int, player id.Player) *shard {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.it == nil || !h.choice.sees(player) {
		return nil
	}
	return h.it.shards[n]
}

// NextStatus tells how far the second history is copied, shard by shard, how equal it is and who sees it: of the shards
// whose log this process applies. What others apply, who looked and the acts are the desk's to tell.
func (s *Service) NextStatus() NextStatus {
	s.second.mu.Lock() // briefly: reads and the sinks of both histories ask there whom they serve
	out := NextStatus{Choice: s.second.choice, At: s.deps.Clock.Now(), Shards: len(s.shards), Trouble: s.second.trouble}
	it := s.second.it
	s.second.mu.Unlock()
	if it == nil {
		return out
	}
	for i, f := range it.fillers {
		if !f.to.sink.IsHeld() {
			continue
		}
		p := f.progress()
		out.Copy, out.Equal = append(out.Copy, p), append(out.Equal, it.comparers[i].state())
		s.nextMetrics.copied(p)
	}
	return out
}
