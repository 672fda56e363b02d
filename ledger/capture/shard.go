package capture

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"matchday/internal/clock"
	"matchday/stream"
)

// shard is what the reader has ready for one shard's relay. The rule of it all: a batch that
// connects to what the relay has is handed over; what the binlog has passed and is no longer here
// is read from the books; what it has not passed is waited for.
type shard struct {
	number int
	books  stream.Log
	reader *reader
	clock  clock.Clock
	log    *slog.Logger
	config Config

	mu      sync.Mutex
	ready   []stream.Batch // in order without a gap, the newest ends at seen
	sizes   []int
	records int
	bytes   int
	seen    int64 // the binlog has passed this sequence, or will repeat it
	after   int64 // what the relay has
	wanted  bool  // there is a relay
	idle    bool  // nobody takes batches: keep none
	lost    error // why nothing can be read any more
	changed chan struct{}
	taken   chan struct{} // closed when the relay took something

	permit   bool      // a new snapshot is allowed, once
	snapshot *progress // of a new snapshot that runs
}

func newShard(number int, c Config, d Deps, r *reader) *shard {
	return &shard{
		number: number, books: d.Books, reader: r, clock: d.Clock, log: d.Log, config: c, idle: true,
		changed: make(chan struct{}), taken: make(chan struct{}),
	}
}

// maxBatches bounds what is ready in number: batches without records cost memory too.
const maxBatches = 4096

// full reports whether there is no room for a batch.
func (s *shard) full(records, bytes int) bool {
	return len(s.ready) > 0 && (len(s.ready) >= maxBatches ||
		s.records+records > s.config.BufferRecords ||
		s.bytes+bytes > s.config.BufferBytes)
}

// put adds a batch that the binlog has committed. If there is no room it waits for the relay as long
// as that takes something now and then; after that it drops what is ready, and the relay reads the
// books until it has caught up. It returns early when stop is closed.
func (s *shard) put(b stream.Batch, bytes int, stop <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.idle && s.full(len(b.Records), bytes) {
		taken := s.taken
		s.mu.Unlock()
		went := s.waitTaken(taken, stop)
		s.mu.Lock()
		if !went {
			s.log.Info("capture reads ahead no more until the relay has caught up", "shard", s.number, "after", s.after, "seen", s.seen)
			s.reader.metrics.drops.Inc()
			s.drop()
		}
	}
	if b.Last <= s.seen { // a repetition
		return
	}
	if b.First > s.seen+1 || s.idle {
		s.drop() // what is between comes from the books
	}
	if !s.idle {
		s.ready, s.sizes = append(s.ready, b), append(s.sizes, bytes)
		s.records += len(b.Records)
		s.bytes += bytes
	}
	s.seen = b.Last
	s.wake()
}

// skip notes a batch that the binlog has passed without keeping it.
func (s *shard) skip(last int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last > s.seen {
		idle := s.idle
		s.drop()
		s.seen, s.idle = last, idle
		s.wake()
	}
}

// waitTaken reports whether the relay took something within the patience of the others.
func (s *shard) waitTaken(taken, stop <-chan struct{}) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-taken:
		return true
	case <-stop:
	case <-timer.C:
	}
	return false
}

// drop forgets what is ready; the relay gets it from the books.
func (s *shard) drop() {
	s.ready, s.sizes, s.records, s.bytes, s.idle = nil, nil, 0, 0, true
}

// wake tells the relay to look again.
func (s *shard) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// closed is a channel that is.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// wait implements Changed. A batch that is ready but not yet committed for good is waited for at the
// books.
func (s *shard) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.after >= s.seen {
		return s.changed
	}
	committed := s.books.Changed(s.number) // before the look
	if s.books.Head(s.number) > s.after {
		return closed
	}
	return committed
}

// read implements ReadLog.
func (s *shard) read(ctx context.Context, after int64, maxRecords int) ([]stream.Batch, error) {
	s.mu.Lock()
	if s.lost != nil {
		defer s.mu.Unlock()
		return nil, s.lost
	}
	s.take(after)
	if after >= s.seen {
		s.idle = false // from here on the relay keeps up
		s.mu.Unlock()
		return nil, nil
	}
	if len(s.ready) > 0 && s.ready[0].First <= after+1 {
		if list, ok := s.committed(maxRecords); ok {
			s.mu.Unlock()
			return list, nil
		}
		s.drop()
	}
	s.mu.Unlock()
	return s.fromBooks(ctx, after, maxRecords)
}

// take drops what the relay has.
func (s *shard) take(after int64) {
	s.after = after
	n := 0
	for n < len(s.ready) && s.ready[n].Last <= after {
		s.records -= len(s.ready[n].Records)
		s.bytes -= s.sizes[n]
		s.ready[n] = stream.Batch{}
		n++
	}
	if n > 0 {
		s.ready, s.sizes = s.ready[n:], s.sizes[n:]
		close(s.taken)
		s.taken = make(chan struct{})
	}
}

// committed returns the batches that are ready and committed for good. It reports false if they may
// be of a primary of the past: that one's last batches may never have been committed for good, and the
// books may have others at the same sequences.
func (s *shard) committed(maxRecords int) ([]stream.Batch, bool) {
	head := s.books.Head(s.number)
	if !s.reader.isCurrent() { // asked after the head: see there
		return nil, false
	}
	n, records := 0, 0
	for n < len(s.ready) && s.ready[n].Last <= head && (n == 0 || records+len(s.ready[n].Records) <= maxRecords) {
		records += len(s.ready[n].Records)
		n++
	}
	s.reader.metrics.fromBinlog.Add(n)
	return append([]stream.Batch(nil), s.ready[:n]...), true
}

// fromBooks reads the tables.
func (s *shard) fromBooks(ctx context.Context, after int64, maxRecords int) ([]stream.Batch, error) {
	list, err := s.books.ReadLog(ctx, s.number, after, maxRecords)
	if err != nil {
		return nil, err
	}
	s.reader.metrics.fromTables.Add(len(list))
	s.mu.Lock()
	snapshot := s.snapshot
	if len(list) > 0 && list[len(list)-1].Last >= s.seen {
		s.snapshot = nil
	}
	s.mu.Unlock()
	if snapshot != nil {
		err = snapshot.read(ctx, s, list)
	}
	return list, err
}

// resume implements Resume.
func (s *shard) resume(ctx context.Context, after int64, source string) error {
	s.mu.Lock()
	s.take(after)
	s.wanted = true
	if after < s.seen && (len(s.ready) == 0 || s.ready[0].First > after+1) {
		s.drop()
	}
	lost := s.lost
	s.mu.Unlock()
	if s.books.Head(s.number) <= after { // nothing is missing, wherever the binlog begins
		source = ""
	} else if err := s.reader.check(ctx, s, after, source); err != nil {
		return err
	}
	if lost != nil {
		s.mu.Lock()
		s.lost = nil
		s.mu.Unlock()
	}
	if err := s.reader.join(ctx, s, after, source); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = s.idle && after < s.seen
	s.reader.metrics.stopped(s.number, false)
	return nil
}

// begin places the shard at a start of the reader: the binlog goes on after seen.
func (s *shard) begin(seen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
	s.seen = seen
	s.idle = !s.wanted || s.after < seen
	s.wake()
}

// fail ends the relay with why.
func (s *shard) fail(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = why
	s.reader.metrics.stopped(s.number, true)
	s.wake()
}

// allow lets a new snapshot begin.
func (s *shard) allow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.permit = true
}

// mayResnapshot reports whether a new snapshot is allowed, and if so uses up the permission.
func (s *shard) mayResnapshot(after int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.permit && s.config.OnPurged != OnPurgedResnapshot {
		return false
	}
	s.permit = false
	s.snapshot = &progress{from: after, begun: s.clock.Now(), told: s.clock.Now()}
	return true
}

// passed returns the sequence that the binlog has passed.
func (s *shard) passed() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// takesNothing reports whether records of a DBTx that has brought so many need not be kept: nobody
// takes them now, or they would never fit.
func (s *shard) takesNothing(records, bytes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idle || records > s.config.BufferRecords || bytes > s.config.BufferBytes
}
