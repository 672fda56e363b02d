package ledger

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"time"

	"matchday/internal/clock"
	"matchday/internal/sqltime"
)

// Step is one part of the time between a call and its answer. Queue steps are measured for each job
// (a call, or a chunk of up to 128 of its transfers), the others for each batch.
type Step uint8

// The steps of a commit, in the order in which they happen.
const (
	StepQueueInteractive Step = iota // from the call until the writer takes its batch up
	StepQueueBulk                    // the same, for the bulk lane
	StepLoad                         // reading accounts and keys that are not in memory
	StepApply                        // the rules: postings, balances, seal
	StepSQL                          // the statements of the DBTx
	StepSync                         // its commit: write-ahead log and fsync, or the cluster's answer
	StepAnswer                       // showing it to readers and relays, answering the callers
	stepCount
)

// String returns the name of the step in metrics and on the staff pages.
func (s Step) String() string {
	return [...]string{"queue_interactive", "queue_bulk", "load", "apply", "sql", "sync", "answer"}[s]
}

// StepTime says how long one step took within the last minute.
type StepTime struct {
	Step  Step
	Count int64 // jobs or batches
	Total time.Duration
	P50   time.Duration // upper bounds of a histogram with two buckets for each doubling
	P99   time.Duration
	Max   time.Duration
}

// ShardSteps is where the time of one shard's commits went within the last minute.
type ShardSteps struct {
	Shard   int
	Batches int64
	Rows    int64
	Steps   []StepTime // one for each Step, in order
}

// SlowBatch is a batch that took longer than Config.SlowBatch, the queue apart.
type SlowBatch struct {
	Shard int
	At    time.Time // when it was answered
	First int64     // its first and last sequence
	Last  int64
	Took  time.Duration
	Steps [stepCount]time.Duration // by Step; of the queue steps the longest wait in the batch
}

// CommitSteps returns where the time of each shard's commits went within the last minute.
func (s *Service) CommitSteps() []ShardSteps {
	now := s.clock.Now()
	out := make([]ShardSteps, 0, len(s.shards))
	for _, one := range s.shards {
		out = append(out, one.steps.window.read(one.number, now))
	}
	return out
}

// SlowBatches returns the slow batches seen last, newest first, a few for each shard.
func (s *Service) SlowBatches() []SlowBatch {
	var out []SlowBatch
	for _, one := range s.shards {
		out = append(out, one.steps.window.slowBatches()...)
	}
	slices.SortStableFunc(out, func(a, b SlowBatch) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Shard, b.Shard)) })
	return out
}

// stopwatch times the steps of the batch in hand. It belongs to the shard's writer; what it has
// measured goes to the metrics and to the window, which others read.
type stopwatch struct {
	clock   clock.Clock
	metrics *shardMetrics
	window  *stepWindow
	slow    time.Duration
	last    time.Time
	took    [stepCount]time.Duration
	written func() // ends StepSQL: the store calls it before its commit
}

func newStopwatch(c clock.Clock, m *shardMetrics, shard int, slow time.Duration) *stopwatch {
	w := &stopwatch{clock: c, metrics: m, slow: slow, window: &stepWindow{shard: shard}}
	w.written = func() { w.lap(StepSQL) } // made once: a method value for each batch would be an allocation
	return w
}

// begin starts the batch of the jobs and notes how long they waited.
func (w *stopwatch) begin(jobs []*job) time.Time {
	w.last = w.clock.Now()
	clear(w.took[:])
	for _, j := range jobs {
		if j.queued.IsZero() {
			continue // the writer's own: a sweep
		}
		waited := max(0, w.last.Sub(j.queued))
		step := StepQueueInteractive
		if j.lane == LaneBulk {
			step = StepQueueBulk
		}
		w.took[step] = max(w.took[step], waited)
		w.metrics.steps[step].Observe(waited.Seconds())
		w.window.add(step, waited, w.last)
	}
	return w.last
}

// lap ends a step. A batch that is built twice has its steps added up.
func (w *stopwatch) lap(s Step) {
	now := w.clock.Now()
	w.took[s] += max(0, now.Sub(w.last)) // a clock may step back
	w.last = now
}

// end files the steps of a batch that committed.
func (w *stopwatch) end(b *batch) {
	w.lap(StepAnswer)
	var whole time.Duration
	for s := StepLoad; s < stepCount; s++ {
		whole += w.took[s]
		w.metrics.steps[s].Observe(w.took[s].Seconds())
		w.window.add(s, w.took[s], w.last)
	}
	w.window.batch(len(b.rows), w.last)
	sqltime.Process().Observe("shard", "write batch", w.took[StepSQL])
	sqltime.Process().Observe("shard", "commit batch", w.took[StepSync])
	if whole > w.slow {
		w.window.addSlow(SlowBatch{At: w.last, First: b.first, Last: b.last, Took: whole, Steps: w.took})
	}
}

// StepWindow is how far back [Service.CommitSteps] looks.
const StepWindow = windowSlots * slotLength

const (
	windowSlots = 12
	slotLength  = 5 * time.Second
	// stepBuckets reach, two for each doubling of firstBucket, to 0.8 s; the last one takes what is above.
	stepBuckets = 34
	firstBucket = 8 * time.Microsecond
	// keptSlow bounds the slow batches that a shard remembers.
	keptSlow = 16
)

// stepWindow adds up the steps of a shard's batches over the last minute.
type stepWindow struct {
	mu    sync.Mutex // the writer's, but for a read now and then
	shard int
	slots [windowSlots]stepSlot
	slow  []SlowBatch // a ring: next is the oldest once it is full
	next  int
}

// stepSlot is what happened in slotLength of time.
type stepSlot struct {
	number  int64 // of the slot since 1970; another number than asked for is an old round
	batches int64
	rows    int64
	steps   [stepCount]stepSum
}

// stepSum is one step in one slot.
type stepSum struct {
	count   int64
	total   time.Duration
	most    time.Duration
	buckets [stepBuckets]uint32
}

func slotNumber(at time.Time) int64 { return at.UnixMicro() / slotLength.Microseconds() }

// slot returns the slot of the time, emptied if it held an older round.
func (w *stepWindow) slot(at time.Time) *stepSlot {
	number := slotNumber(at)
	s := &w.slots[uint64(number)%windowSlots] // #nosec G115: times before 1970 land somewhere too
	if s.number != number {
		*s = stepSlot{number: number}
	}
	return s
}

func (w *stepWindow) add(step Step, took time.Duration, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := &w.slot(at).steps[step]
	sum.count++
	sum.total += took
	sum.most = max(sum.most, took)
	sum.buckets[stepBucket(took)]++
}

func (w *stepWindow) batch(rows int, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.slot(at)
	s.batches++
	s.rows += int64(rows)
}

func (w *stepWindow) addSlow(b SlowBatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b.Shard = w.shard
	if len(w.slow) < keptSlow {
		w.slow = append(w.slow, b)
		return
	}
	w.slow[w.next] = b
	w.next = (w.next + 1) % keptSlow
}

func (w *stepWindow) slowBatches() []SlowBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slow)
}

// read adds up the slots of the last minute.
func (w *stepWindow) read(shard int, now time.Time) ShardSteps {
	out := ShardSteps{Shard: shard, Steps: make([]StepTime, stepCount)}
	var sums [stepCount]stepSum
	newest := slotNumber(now)
	w.mu.Lock()
	for i := range w.slots {
		slot := &w.slots[i]
		if slot.number <= newest-windowSlots || slot.number > newest {
			continue
		}
		out.Batches += slot.batches
		out.Rows += slot.rows
		for s := range slot.steps {
			sums[s].merge(&slot.steps[s])
		}
	}
	w.mu.Unlock()
	for s := range sums {
		sum := &sums[s]
		out.Steps[s] = StepTime{
			Step: Step(s), Count: sum.count, Total: sum.total, P50: sum.quantile(50), P99: sum.quantile(99), Max: sum.most, // #nosec G115: small
		}
	}
	return out
}

func (s *stepSum) merge(o *stepSum) {
	s.count += o.count
	s.total += o.total
	s.most = max(s.most, o.most)
	for i := range o.buckets {
		s.buckets[i] += o.buckets[i]
	}
}

// quantile returns the upper bound of the bucket that per cent of the values reach, at most the
// largest value.
func (s *stepSum) quantile(percent int64) time.Duration {
	if s.count == 0 {
		return 0
	}
	rank := (s.count*percent + 99) / 100
	var seen int64
	for i := range s.buckets {
		if seen += int64(s.buckets[i]); seen >= rank {
			return min(s.most, bucketEnd(i))
		}
	}
	return s.most
}

// stepBucket returns the bucket of a duration: two for each doubling, from firstBucket.
func stepBucket(d time.Duration) int {
	n := uint64(max(d, 0) / (firstBucket / 2)) // #nosec G115: not negative
	if n < 2 {
		return 0
	}
	doubling := bits.Len64(n) - 2
	upperHalf := int(n >> doubling & 1) // #nosec G115: one bit
	return min(1+2*doubling+upperHalf, stepBuckets-1)
}

// bucketEnd returns where a bucket ends: stepBucket of anything below is at most i.
func bucketEnd(i int) time.Duration {
	if i == 0 {
		return firstBucket
	}
	whole := firstBucket << ((i - 1) / 2)
	if i%2 == 1 {
		return whole + whole/2
	}
	return 2 * whole
}
