package ledger

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/stream"
)

// job is what one call brings to one shard, or a part of it: it is applied and answered as a whole,
// so a call of a thousand transfers costs a few channel sends.
type job struct {
	entries []entry
	bytes   int
	lane    Lane
	queued  time.Time   // when; zero if nobody waits for it
	step    step        // work of a move, after the entries; nil: none
	weight  int         // rows that the step will write, about
	refused *errs.Error // why the step was not taken; nil if it was
	dry     bool        // the entries are tried and taken back
	group   *groupStep  // the entries are a group's on this shard; nil: each for itself
	err     error       // set before done is closed; nil: the entries' results hold the answers
	done    chan struct{}
	state   atomic.Int32 // who has it: jobQueued, then one of the others for good
}

// The states of a job. The writer and a caller that gives up race for a queued one.
const (
	jobQueued int32 = iota
	jobTaken
	jobWithdrawn
)

// take makes the job the writer's, unless its caller has withdrawn it.
func (j *job) take() bool { return j.state.CompareAndSwap(jobQueued, jobTaken) }

// withdraw takes the job back, unless the writer has it.
func (j *job) withdraw() { j.state.CompareAndSwap(jobQueued, jobWithdrawn) }

// checked reports whether all keys of the job must be looked up first: it may write nothing, so that no
// unique key would tell that one is there already.
func (j *job) checked() bool { return j.dry || j.group != nil }

// keys returns the keys to look up besides those of the entries.
func (j *job) keys() []string {
	if j.group == nil {
		return nil
	}
	return j.group.keys()
}

// lane is a bounded queue of jobs. The bound counts transfers, because they are what takes time.
type lane struct {
	jobs   chan *job
	queued atomic.Int64 // transfers waiting
	limit  int64
}

// offer queues the job, or reports that there is no room.
func (l *lane) offer(j *job) bool {
	n := int64(len(j.entries))
	if l.queued.Add(n) > l.limit {
		l.queued.Add(-n)
		return false
	}
	select {
	case l.jobs <- j:
		return true
	default:
		l.queued.Add(-n)
		return false
	}
}

// take returns a waiting job, or nil.
func (l *lane) take() *job {
	select {
	case j := <-l.jobs:
		l.queued.Add(-int64(len(j.entries)))
		return j
	default:
		return nil
	}
}

// shard is one shard's writer and what others may know about it.
type shard struct {
	number  int
	store   store
	clock   clock.Clock
	log     *slog.Logger
	metrics *shardMetrics
	config  Config

	interactive lane
	bulk        lane

	mu      sync.RWMutex // held for reading while a job is queued, for writing to stop
	stopped error        // why no job is taken; nil while open
	leave   error        // what jobs are told after the writer was asked to end

	// What follows belongs to the goroutine of run.
	builder *builder
	unsure  bool // the last commit's outcome is unknown: ask the store
	pending bool // the batch of unknown outcome is still in the builder
	ailing  bool // the database was waited for in vain: do not wait again until it is back
	checked int  // batches still to build with every key looked up first
	passed  passedHolds
	pace    pace
	steps   *stopwatch

	shared  bool         // with other processes
	watched atomic.Bool  // somebody asked where the log of this shard, written elsewhere, stands
	looked  atomic.Int64 // when that was read last, in microseconds; 0: never

	acked   atomic.Pointer[mark]   // how far callers of this process were answered; nil: it never wrote the shard
	noted   mark                   // what of it the directory has; the noting goroutine's
	problem atomic.Pointer[string] // why the shard is quarantined; nil: it is not

	troubles  troubles
	groups    atomic.Bool  // groups may be open that began here
	relayed   atomic.Int64 // how far the stream has come, -1: not from here
	head      atomic.Int64
	came      atomic.Int64 // where the last bucket came that another shard had before
	epoch     atomic.Int64
	lastUS    atomic.Int64
	transfers atomic.Uint64
	ring      *ring

	replicas replicas
	reads    readMetrics
}

// submit queues a job. It fails at once if the queue is full or the shard stopped.
func (s *shard) submit(l Lane, j *job) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.stopped != nil {
		return s.stopped
	}
	j.lane, j.queued = l, s.clock.Now()
	queue := &s.interactive
	if l == LaneBulk {
		queue = &s.bulk
	}
	if !queue.offer(j) {
		s.metrics.overload(l)
		return &errs.Error{
			Code: errs.CodeUnavailable, Detail: "the ledger has too much to do", RetryAfter: overloadRetry, Err: ErrNotTaken,
		}
	}
	return nil
}

const overloadRetry = 200 * time.Millisecond

// stop refuses further jobs; what is queued stays queued.
func (s *shard) stop(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped == nil {
		s.stopped = why
	}
}

var errStopped = errs.Wrap(ErrNotTaken, errs.CodeUnavailable, "the ledger is shutting down")

// run writes batches until ctx is done, then what is queued, then returns. An error means that the
// shard has another writer.
func (s *shard) run(ctx context.Context) error {
	sweep := time.NewTicker(s.config.sweepEvery())
	defer sweep.Stop()
	rest, together := time.NewTimer(0), time.NewTimer(0)
	defer rest.Stop()
	defer together.Stop()
	work := context.WithoutCancel(ctx) // a batch in hand is finished, whoever stops us
	defer s.refuseQueued(s.leave)
	for {
		select { // a lane that is never empty must not keep the writer from either
		case <-ctx.Done():
			s.stop(s.leave)
			return s.drain(work)
		case <-sweep.C:
			if err := s.sweep(work); err != nil {
				return err
			}
		default:
		}
		var first *job
		select { // what customers wait for comes first
		case first = <-s.interactive.jobs:
			s.interactive.queued.Add(-int64(len(first.entries)))
		default:
			bulk, rested := s.bulkOrRest(rest)
			select {
			case first = <-s.interactive.jobs:
				s.interactive.queued.Add(-int64(len(first.entries)))
			case <-rested:
				s.pace.from = time.Time{} // by the timer, which goes on when the clock stands still
				continue
			case first = <-bulk:
				s.bulk.queued.Add(-int64(len(first.entries)))
				s.waitForMore(ctx, 0, together)
				if err := s.write(work, s.gather(nil, first)); err != nil {
					return err
				}
				continue
			case <-sweep.C:
				if err := s.sweep(work); err != nil {
					return err
				}
				continue
			case <-ctx.Done():
				s.stop(s.leave)
				return s.drain(work)
			}
		}
		s.waitForMore(ctx, len(first.entries), together)
		if err := s.write(work, s.gather(first, nil)); err != nil {
			return err
		}
	}
}

// waitForMore lets calls that come together be committed together; see pace.waits.
func (s *shard) waitForMore(ctx context.Context, rows int, timer *time.Timer) {
	wait := s.pace.waits(rows+int(s.interactive.queued.Load()), s.clock.Now())
	if wait <= 0 {
		return
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// bulkOrRest returns the bulk lane, or, while bulk work rests, what tells when it has rested.
func (s *shard) bulkOrRest(rest *time.Timer) (<-chan *job, <-chan time.Time) {
	left := s.pace.rests(s.clock.Now())
	if left == 0 {
		return s.bulk.jobs, nil
	}
	rest.Reset(left)
	return nil, rest.C
}

// drain writes what was queued before the stop.
func (s *shard) drain(ctx context.Context) error {
	for {
		first := s.interactive.take()
		if first == nil {
			first = s.bulk.take()
		}
		if first == nil {
			return nil
		}
		if err := s.write(ctx, s.gather(first, nil)); err != nil {
			return err
		}
	}
}

// refuseQueued answers what will not be written any more.
func (s *shard) refuseQueued(why error) {
	s.stop(why)
	for {
		j := s.interactive.take()
		if j == nil {
			j = s.bulk.take()
		}
		if j == nil {
			return
		}
		j.finish(s.stopped)
	}
}

func (j *job) finish(err error) {
	if err == nil {
		err = j.refusal()
	}
	j.err = err
	close(j.done)
}

// gather takes what is waiting, up to the batch limits: interactive work first, then bulk work in
// what room is left, see [pace].
//
// There is no linger: while one batch commits the next one gathers by itself, and an idle shard
// answers at once.
func (s *shard) gather(interactive, bulk *job) []*job {
	jobs := make([]*job, 0, 64)
	rows, bytes := 0, 0
	add := func(j *job) {
		if !j.take() {
			return
		}
		jobs = append(jobs, j)
		rows += len(j.entries) + j.weight
		bytes += j.bytes
	}
	s.pace.begun = s.clock.Now()
	if interactive != nil {
		add(interactive)
		s.pace.since = 0
	} else {
		s.pace.since++
		add(bulk)
	}
	limit := s.config.batchRows()
	for rows < limit*3/4 && bytes < maxBatchBytes {
		j := s.interactive.take()
		if j == nil {
			break
		}
		add(j)
		s.pace.since = 0
	}
	if s.pace.since == 0 {
		s.pace.calls = len(jobs)
		if bulk != nil {
			s.pace.calls--
		}
	}
	if s.pace.rests(s.clock.Now()) > 0 {
		return jobs
	}
	room := s.pace.room(rows)
	for rows < room && bytes < maxBatchBytes {
		j := s.bulk.take()
		if j == nil {
			break
		}
		add(j)
	}
	return jobs
}

const (
	maxBatchBytes = 8 << 20
	// jobRows is the most transfers of one job in the interactive lane, chunkRows in the bulk lane: the grain in
	// which bulk work gets what room a batch has left.
	jobRows   = 128
	chunkRows = 32
	// checkedBatches is how many batches look every key up first after a key was met again: retries
	// come in swarms, and a look-up is cheaper than a batch built twice.
	checkedBatches = 32
)

// write builds, commits and answers one batch. Only the loss of the shard is an error; anything
// else is the callers' answer.
func (s *shard) write(ctx context.Context, jobs []*job) error {
	started, wasOpen := s.steps.begin(jobs), s.unsure
	err := s.commit(ctx, jobs)
	open := s.unsure // it may have been written
	if err == nil && (wasOpen || len(s.builder.out.rows) > 0) {
		s.troubles.writes.worked(ctx, s)
	}
	if err != nil {
		s.builder.rollback()
		s.pending = false
	}
	fenced := errors.Is(err, errFenced) || errors.Is(err, errDiverged)
	switch {
	case errors.Is(err, errDiverged):
		s.log.ErrorContext(ctx, "ledger database lost commits", "shard", s.number, "position", s.head.Load(), "error", err)
		err = errs.Wrap(errors.Join(err, s.lost(open)), errs.CodeUnavailable, "shard %d is not what it was", s.number)
		s.stopFor(err)
	case fenced:
		err = errs.Wrap(errors.Join(err, s.lost(open)), errs.CodeUnavailable, "shard %d is written elsewhere", s.number)
		s.stopFor(err)
	case err != nil:
		s.metrics.failures.Inc()
		s.troubles.writes.failed(ctx, s, err)
		err = errs.Wrap(err, errs.CodeUnavailable, "the ledger cannot write now")
	}
	for _, j := range jobs {
		j.finish(err)
	}
	if fenced {
		return err
	}
	if err == nil {
		s.measure(jobs, started)
	}
	return nil
}

// measure files how long a batch took and lets the pace of the next ones follow. What was only tried took
// the writer's time too.
func (s *shard) measure(jobs []*job, started time.Time) {
	out := &s.builder.out
	rows := len(out.rows)
	if rows > 0 {
		s.steps.end(out)
	}
	took := s.steps.last.Sub(started)
	if took <= 0 || rows+s.builder.tried == 0 {
		return // nothing to do, or the clock stepped back, or stands still in a test
	}
	if rows > 0 {
		s.metrics.batch(took, rows)
	}
	b := batchTime{took: took, waited: s.steps.took[StepQueueInteractive], rows: rows + s.builder.tried}
	for _, j := range jobs {
		b.bulk = b.bulk || j.lane == LaneBulk
		if j.lane == LaneInteractive && !j.queued.IsZero() { // a sweep is nobody's
			b.calls++
		}
	}
	s.pace.learn(b, s.steps.last)
}

// attempt builds and commits the batch once.
func (s *shard) attempt(ctx context.Context, jobs []*job, checked bool) error {
	b := s.builder
	s.pending = false
	b.reset(s.clock.Now())
	for _, j := range jobs {
		for i := range j.entries {
			if out := j.entries[i].out; out != nil {
				*out = Result{}
			}
		}
	}
	if err := b.load(ctx, jobs, checked); err != nil {
		return err
	}
	s.steps.lap(StepLoad)
	for _, j := range jobs {
		if err := b.applyJob(ctx, j); err != nil {
			return err
		}
		if err := b.take(ctx, j); err != nil {
			return err
		}
	}
	if len(b.out.rows) == 0 {
		s.steps.lap(StepApply)
		return nil
	}
	b.seal()
	s.steps.lap(StepApply)
	b.out.written = s.steps.written
	err := s.store.commit(ctx, &b.out)
	s.steps.lap(StepSync)
	if err != nil {
		if !errors.Is(err, errDuplicate) && !errors.Is(err, errFenced) {
			s.unsure, s.pending = true, true
		}
		return err
	}
	s.committed()
	return nil
}

// committed takes the batch in hand as committed, shows it and answers its callers.
func (s *shard) committed() {
	s.builder.committed()
	s.answered()
	s.publish()
	s.builder.answer()
}

// answered notes that the log stands where callers are answered up to.
func (s *shard) answered() {
	m := s.builder.state.mark()
	s.acked.Store(&m)
}

// publish lets readers and relays see the batch.
func (s *shard) publish() {
	out := &s.builder.out
	batch := stream.Batch{Shard: s.number, First: out.first, Last: out.last, At: out.at}
	if out.records > 0 {
		batch.Records = make([]stream.Record, 0, out.records)
	}
	bytes := 0
	for i := range out.rows {
		r := &out.rows[i]
		if !r.published() {
			continue
		}
		bytes += len(r.record.Data)
		batch.Records = append(batch.Records, stream.Record{
			Position: stream.Position{Shard: s.number, Seq: r.seq}, Type: r.record.Type,
			Subject: r.record.Subject, Player: r.player, Jurisdiction: r.jurisdiction, Time: out.at,
			Data: r.record.Data,
		})
	}
	if len(out.begun) > 0 {
		s.groups.Store(true)
	}
	s.lastUS.Store(out.at.UnixMicro())
	s.transfers.Add(uint64(len(out.rows)))
	s.ring.add(batch, bytes, func() { s.head.Store(out.last) })
	s.metrics.committed(out)
}

// maxSwept bounds how many holds one sweep ends.
const maxSwept = 500

// holdMark is a place in the order in which holds run out.
type holdMark struct{ us, seq int64 }

// passedHolds is how far a shard's open holds that ran out are all of players who live elsewhere. A bucket
// that comes to be served here may change that.
type passedHolds struct {
	upTo  holdMark
	lived int // of bucketStates, when it was noted
}

// ranOut returns holds that ran out, of players served here. Those of buckets that were copied, or left
// behind, end where their player lives; here they stay open for good, so they are looked at once and passed
// by from then on. What one sweep does not get to the next one does.
func (s *shard) ranOut(ctx context.Context) ([]storedHold, error) {
	const pages = 64
	now, p := s.clock.Now(), &s.passed
	if lived := s.builder.buckets.lived; lived != p.lived || now.UnixMicro() < p.upTo.us {
		*p = passedHolds{lived: lived}
	}
	for range pages {
		list, err := s.store.expired(ctx, 0, p.upTo, now, maxSwept)
		if err != nil {
			return nil, err
		}
		var out []storedHold
		for _, h := range list {
			switch {
			case s.builder.buckets.live(bucketOf(h.player)):
				out = append(out, h)
			case len(out) == 0:
				p.upTo = holdMark{h.expires.UnixMicro(), h.seq}
			}
		}
		if len(out) > 0 || len(list) < maxSwept {
			return out, nil
		}
	}
	return nil, nil
}

// sweep ends holds that ran out and that nobody has asked about.
func (s *shard) sweep(ctx context.Context) error {
	if s.unsure {
		return s.write(ctx, nil) // finds out where the log stands, even when nobody writes
	}
	list, err := s.ranOut(ctx)
	if err != nil {
		s.troubles.holds.failed(ctx, s, err)
		return nil
	}
	s.troubles.holds.worked(ctx, s)
	if len(list) == 0 {
		return nil
	}
	j := &job{done: make(chan struct{})}
	results := make([]Result, len(list)) // nobody reads them: a hold that just ended is a conflict here
	for i := range list {
		e := expireEntry(&list[i])
		e.out = &results[i]
		j.entries = append(j.entries, e)
	}
	return s.write(ctx, []*job{j})
}
