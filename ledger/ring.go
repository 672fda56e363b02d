package ledger

import (
	"sort"
	"sync"
	"time"

	"matchday/stream"
)

// ring keeps the batches committed last, so that relays which keep up need no read at all. It is
// bounded by number and by bytes of payload.
type ring struct {
	mu      sync.Mutex
	batches []stream.Batch // in order, without a gap
	sizes   []int
	bytes   int
	limit   int   // of bytes
	after   int64 // the sequence before batches[0]
	changed chan struct{}
}

const ringBatches = 512

func newRing(head int64, limit int) *ring {
	return &ring{after: head, limit: limit, changed: make(chan struct{})}
}

// add appends a batch and wakes who waits. Visible runs inside, before anybody is woken.
func (r *ring) add(b stream.Batch, bytes int, visible func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, b)
	r.sizes = append(r.sizes, bytes)
	r.bytes += bytes
	drop := 0
	for len(r.batches)-drop > ringBatches || (r.bytes > r.limit && len(r.batches)-drop > 1) {
		r.after = r.batches[drop].Last
		r.bytes -= r.sizes[drop]
		r.batches[drop] = stream.Batch{}
		drop++
	}
	r.batches, r.sizes = r.batches[drop:], r.sizes[drop:]
	visible()
	close(r.changed)
	r.changed = make(chan struct{})
}

// reset empties the ring: the log now ends at head.
func (r *ring) reset(head int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches, r.sizes, r.bytes, r.after = nil, nil, 0, head
	close(r.changed)
	r.changed = make(chan struct{})
}

// read returns batches after the sequence, as many as have about maxRecords records. It reports
// false if the ring does not reach back that far.
func (r *ring) read(after int64, maxRecords int) ([]stream.Batch, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if after < r.after {
		return nil, false
	}
	first := len(r.batches)
	for first > 0 && r.batches[first-1].Last > after {
		first--
	}
	last, records := first, 0
	for last < len(r.batches) && (last == first || records+len(r.batches[last].Records) <= maxRecords) &&
		last-first < maxBatchesPerRead {
		records += len(r.batches[last].Records)
		last++
	}
	return append([]stream.Batch(nil), r.batches[first:last]...), true
}

// firstAfter returns the commit time of the first batch after the sequence; false if the ring does
// not reach back that far or has none.
func (r *ring) firstAfter(seq int64) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.after {
		return time.Time{}, false
	}
	i := sort.Search(len(r.batches), func(i int) bool { return r.batches[i].Last > seq })
	if i == len(r.batches) {
		return time.Time{}, false
	}
	return r.batches[i].At, true
}

// wait returns the channel that is closed at the next commit.
func (r *ring) wait() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}
