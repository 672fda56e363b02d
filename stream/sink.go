package stream

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
)

// SinkRecords is how many records one commit of a sink holds at most, up to twice as many when a message ends
// later or the log is read.
const SinkRecords = 4096

const (
	sinkRecords = SinkRecords
	// sinkTogether is how far apart commits are begun while messages come thick: a commit costs a fixed
	// amount whatever is in it, and where a writer commits hundreds of small batches a second, a commit for
	// each took a tenth of all processor time. A message that comes alone never waits.
	sinkTogether = 20 * time.Millisecond
	sinkStall    = 500 * time.Millisecond
)

// Projection writes batches into the sink's database, inside the transaction that also moves the
// sink's position. The batches follow one another without a hole and without a repetition. Records
// alias the message: clone what is kept in memory. A failed projection is tried again with the same
// records, perhaps with more.
type Projection func(ctx context.Context, tx *sql.Tx, batches []Batch) error

// SinkConfig describes a sink. Name is the sink's identity in its database.
type SinkConfig struct {
	Name      string
	Shard     int
	DB        *sqldb.DB   // a SQLite file, with Apply; or
	Apply     Projection  // …
	Store     Store       // anything else
	OnApplied func(Batch) // after the commit, in order; may be nil; must not block
	Shared    *Sharing    // nil: this process is alone
	Fill      *Pace       // of records older than FillAge, of several sinks together perhaps; nil: no bound
}

// FillAge is how old records are that a sink fills in rather than follows. It is far more than sinks are behind after a stop or
// a lost node, so that SinkConfig.Fill never holds up what people wait for.
const FillAge = 10 * time.Minute

// Sink projects one shard's log into a database, each record exactly once. Its position is a row of
// that database and moves in the transaction of the data; what the stream calls its messages is
// never kept. What a stream lost, the sink reads from the log.
type Sink struct {
	config    SinkConfig
	store     Store
	transport Transport
	source    Log
	clock     clock.Clock
	log       *slog.Logger
	metrics   sinkMetrics
	load      sync.Mutex
	loaded    bool
	held      *Message  // read from the feed and not yet applied
	begun     time.Time // when the last commit was begun
	silent    int       // how often in a row the stream had nothing
	behind    bool      // the last backfill did not reach the log's head: go on at once
	shared    *shared   // nil: this process is alone

	mu       sync.Mutex
	position int64
	shown    time.Time     // everything committed until then is applied; zero if nothing is, or since when is not known
	asked    time.Time     // since when Lag was asked in vain
	moved    chan struct{} // closed when position moves
}

// NewSink returns a sink. source is where it reads what the stream no longer has.
func NewSink(c SinkConfig, t Transport, source Log, d Deps) (*Sink, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if c.Store == nil && c.DB != nil && c.Apply != nil {
		c.Store = &sqlStore{row: PositionRow{Name: c.Name, Shard: c.Shard}, db: c.DB, apply: c.Apply}
	}
	if c.Name == "" || c.Store == nil || t == nil || source == nil {
		return nil, errors.New("stream: a sink needs a name, a database with a projection or a store, a transport and a log")
	}
	if c.Shard < 0 || c.Shard >= source.Shards() {
		return nil, fmt.Errorf("stream: sink %s: no shard %d", c.Name, c.Shard)
	}
	s := &Sink{config: c, store: c.Store, transport: t, source: source, clock: d.Clock, moved: make(chan struct{}),
		log: d.Log.With("sink", c.Name, "shard", c.Shard)}
	if err := s.share(); err != nil {
		return nil, err
	}
	s.metrics = newSinkMetrics(d.Metrics, c.Name, c.Shard, s.Lag)
	s.metrics.holds(s.shared == nil)
	return s, nil
}

// Position returns the last sequence that is applied and committed.
func (s *Sink) Position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.position
}

// Lag returns how far the sink is behind: 0 when it shows the whole log, else the time since the
// last moment of which everything is shown. Where another process writes the log, and its end is known from a
// while ago, that is such a moment.
func (s *Sink) Lag() time.Duration {
	now := s.clock.Now()
	head, age, known := s.head()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch at := now.Add(-age); {
	case s.position < head || !known:
	case age == 0:
		s.shown = now
		return 0
	case at.After(s.shown):
		s.shown = at
	}
	since := s.shown
	if since.IsZero() { // behind for as long as we know
		if s.asked.IsZero() {
			s.asked = now
		}
		since = s.asked
	}
	return max(now.Sub(since), 0)
}

// head returns the end of the log and how long ago it was that.
func (s *Sink) head() (seq int64, age time.Duration, known bool) {
	if log, ok := s.source.(SharedLog); ok {
		return log.HeadAge(s.config.Shard)
	}
	return s.source.Head(s.config.Shard), 0, true
}

// ShownAt returns the moment of which everything is shown: now when the sink shows the whole log, and the log
// is written here.
func (s *Sink) ShownAt() time.Time { return s.clock.Now().Add(-s.Lag()) }

// Load reads the position, so that Position and Lag are right before Run. Run does it when nobody did.
func (s *Sink) Load(ctx context.Context) error {
	s.load.Lock()
	defer s.load.Unlock()
	if s.loaded {
		return nil
	}
	if s.shared != nil { // another process may be writing, and further than this one knows the log
		s.look(ctx)
		s.loaded = true
		return nil
	}
	seq, at, err := s.store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load sink %s: %w", s.config.Name, err)
	}
	if head := s.source.Head(s.config.Shard); seq > head {
		return fmt.Errorf("load sink %s: at %d, log at %d: %w", s.config.Name, seq, head, ErrAhead)
	}
	s.advance(seq, at)
	s.metrics.applied(seq, 0)
	s.loaded = true
	return nil
}

// WaitFor waits until the sink has applied the sequence.
//
// Errors: unavailable when ctx is done first.
func (s *Sink) WaitFor(ctx context.Context, seq int64) error {
	defer s.awaiting()()
	for {
		s.mu.Lock()
		position, moved := s.position, s.moved
		s.mu.Unlock()
		if position >= seq {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "%s is at %d-%d, not yet at %d",
				s.config.Name, s.config.Shard, position, seq)
		}
	}
}

// advance makes a committed position known.
func (s *Sink) advance(position int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moveTo(position, at)
}

// moveTo is advance with the mutex held.
func (s *Sink) moveTo(position int64, at time.Time) {
	s.position = position
	if at.After(s.shown) {
		s.shown = at
	}
	close(s.moved)
	s.moved = make(chan struct{})
}

// Run applies what the log has and then what comes, until ctx is done, when it returns nil. It
// stops with an error when another writer moves its position, or when it is ahead of the log. When its
// database has lost commits it goes back to what is there. A shared sink does not stop: it stands by while
// another process applies, and tries again what went wrong.
func (s *Sink) Run(ctx context.Context) error {
	if err := s.Load(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	if s.shared != nil {
		return s.runShared(ctx)
	}
	for {
		err := s.run(ctx)
		if !errors.Is(err, ErrRewound) {
			return err
		}
		s.metrics.errors.Inc()
		s.log.Error("sink goes back to what its database has", "position", s.Position(), "err", err)
		if err := s.rewind(ctx); err != nil {
			return err
		}
	}
}

// run is Run from the position on.
func (s *Sink) run(ctx context.Context) error {
	s.held, s.silent, s.behind = nil, 0, false
	feed := newFeed()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.receive(ctx, feed); return nil })
	g.Go(func() error { return s.applyAll(ctx, feed) })
	return g.Wait()
}

// rewind makes the position what the store says, trying until it answers or ctx is done.
func (s *Sink) rewind(ctx context.Context) error {
	for wait := (backoff{}); ; {
		seq, at, err := s.store.Load(ctx)
		if err == nil {
			s.mu.Lock()
			s.position, s.shown = seq, at
			s.mu.Unlock()
			return nil
		}
		s.log.Error("sink cannot read its position", "err", err)
		if !wait.wait(ctx) {
			return nil
		}
	}
}

// receive moves messages from the stream into the feed. When the stream breaks it begins again
// after the applied position; what is then fed twice is skipped by its headers.
func (s *Sink) receive(ctx context.Context, feed *feed) {
	var wait backoff
	for {
		err := s.transport.Consume(ctx, s.config.Shard, s.Position(), func(m Message) error {
			wait = backoff{}
			return feed.put(ctx, m)
		})
		if ctx.Err() != nil {
			return
		}
		s.log.Info("sink finds its place in the stream again", "position", s.Position(), "reason", err)
		if !wait.wait(ctx) {
			return
		}
	}
}

// applyAll applies the feed until ctx is done. What cannot be applied is tried again for ever: to
// skip it would be to show a wrong balance of things without anybody knowing.
func (s *Sink) applyAll(ctx context.Context, feed *feed) error {
	var wait backoff
	for {
		batches, err := s.next(ctx, feed)
		for piece := range pieces(batches, s.most(batches)) {
			if err = s.apply(ctx, piece, &wait); err != nil {
				break
			}
			s.rest(ctx, piece)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrFenced), errors.Is(err, ErrAhead), errors.Is(err, ErrRewound):
			return err
		case err != nil:
			s.metrics.errors.Inc()
			s.log.Error("sink cannot read its log", "position", s.Position(), "err", err)
			if !wait.wait(ctx) {
				return nil
			}
		}
	}
}

// next returns batches that follow the position without a hole: what waits in the feed, up to
// sinkRecords, or, when the stream lost something or stands still behind the log, what the log has.
func (s *Sink) next(ctx context.Context, feed *feed) ([]Batch, error) {
	if err := s.await(ctx, feed); err != nil {
		return nil, err
	}
	end := s.Position()
	if s.held == nil {
		return s.stalled(ctx, end)
	}
	if err := s.gather(ctx); err != nil {
		return nil, err
	}
	var out []Batch
	for records := 0; s.held != nil && records < sinkRecords; s.take(feed) {
		m := *s.held
		if m.Last <= end || m.Shard != s.config.Shard {
			continue
		}
		if m.First > end+1 {
			if len(out) > 0 {
				break
			}
			return s.backfill(ctx, end, "the stream has a gap")
		}
		b, err := Decode(m)
		if err != nil {
			if len(out) > 0 {
				break
			}
			s.log.Error("message cannot be read; the log is read instead", "err", err)
			return s.backfill(ctx, end, "a message cannot be read")
		}
		b = b.After(end)
		out, end, records = append(out, b), b.Last, records+len(b.Records)
	}
	return out, nil
}

// await waits until a message is held, at most sinkStall.
func (s *Sink) await(ctx context.Context, feed *feed) error {
	if s.held != nil {
		return nil
	}
	wait := sinkStall
	if s.behind {
		wait = 0
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		if s.take(feed); s.held != nil {
			s.silent, s.behind = 0, false
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-feed.came:
		case <-timer.C:
			s.silent++
			return nil
		}
	}
}

// gather waits until the next commit is due, while more messages come.
func (s *Sink) gather(ctx context.Context) error {
	now := s.clock.Now()
	wait := s.begun.Add(sinkTogether).Sub(now)
	if wait <= 0 || wait > sinkTogether { // the clock stepped back
		s.begun = now
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.begun = now.Add(wait)
	return nil
}

// take holds the next message of the feed, or none if none is waiting.
func (s *Sink) take(feed *feed) { s.held = feed.take() }

// stalled is called when the stream is silent. If the log has moved on and no message came for a
// whole sinkStall since, the log is read.
func (s *Sink) stalled(ctx context.Context, end int64) ([]Batch, error) {
	if s.Lag(); s.source.Head(s.config.Shard) <= end { // Lag notes that all is shown now
		s.silent, s.behind = 0, false
		return nil, nil
	}
	if s.silent < 2 && !s.behind {
		return nil, nil
	}
	return s.backfill(ctx, end, "the stream is silent")
}

// backfill reads the log itself.
func (s *Sink) backfill(ctx context.Context, after int64, reason string) ([]Batch, error) {
	batches, err := readAfter(ctx, s.source, s.config.Shard, after, sinkRecords)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.config.Name, err)
	}
	if len(batches) == 0 {
		return nil, fmt.Errorf("sink %s after %d-%d: %w", s.config.Name, s.config.Shard, after, ErrAhead)
	}
	s.behind = batches[len(batches)-1].Last < s.source.Head(s.config.Shard)
	s.metrics.backfills.Inc()
	s.log.Info("sink reads the log", "position", after, "reason", reason)
	return batches, nil
}

// most returns how many records of the batches go into one commit.
func (s *Sink) most(batches []Batch) int {
	if s.config.Fill == nil || len(batches) == 0 || !s.isOld(&batches[0]) {
		return 2 * sinkRecords
	}
	return min(s.config.Fill.atOnce(), 2*sinkRecords)
}

// rest leaves something to others after a commit of old records.
func (s *Sink) rest(ctx context.Context, batches []Batch) {
	if s.config.Fill == nil || !s.isOld(&batches[len(batches)-1]) {
		return
	}
	records := 0
	for _, b := range batches {
		records += len(b.Records)
	}
	if records > 0 { // who did nothing waits behind nobody
		s.config.Fill.Rest(ctx, records)
	}
}

// isOld reports whether a batch is filled in rather than followed.
func (s *Sink) isOld(b *Batch) bool { return s.clock.Now().Sub(b.At) > FillAge }

// apply commits the batches, again and again until it succeeds.
func (s *Sink) apply(ctx context.Context, batches []Batch, wait *backoff) error {
	for {
		err := s.store.Commit(ctx, batches[0].First-1, batches)
		if err == nil {
			*wait = backoff{}
			s.announce(batches)
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrRewound) {
			return err
		}
		s.metrics.errors.Inc()
		s.log.Error("sink cannot apply", "from", batches[0].First, "to", batches[len(batches)-1].Last, "err", err)
		if !wait.wait(ctx) {
			return ctx.Err()
		}
	}
}

// announce tells everybody who waits.
func (s *Sink) announce(batches []Batch) {
	last := batches[len(batches)-1]
	s.advance(last.Last, last.At)
	now, records := s.clock.Now(), 0
	for _, b := range batches {
		records += len(b.Records)
		s.metrics.observeLag(now.Sub(b.At))
		if s.config.OnApplied != nil {
			s.config.OnApplied(b)
		}
	}
	s.metrics.applied(last.Last, records)
}
