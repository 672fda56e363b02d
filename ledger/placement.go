package ledger

import (
	"sync"
	"sync/atomic"

	"matchday/id"
)

// buckets is the number of parts the players are cut into. A bucket lives on one shard; moving one
// is how a shard is relieved, so there are many more of them than shards.
const buckets = 1024

// placement says which shard each bucket lives on. It is never changed: a newer one takes its place.
type placement struct {
	version int64 // of the directory it was read from; 0 is an even spread without directory
	shards  [buckets]uint16
}

// newPlacement spreads the buckets evenly over the shards.
func newPlacement(shards int) *placement {
	var p placement
	for b := range p.shards {
		p.shards[b] = uint16(b * shards / buckets) // #nosec: below maxShards
	}
	return &p
}

func (p *placement) shardOf(player id.Player) int { return int(p.shards[bucketOf(player)]) }

// BucketOf returns the bucket of a player, 0 to 1,023. It never changes.
func BucketOf(p id.Player) int { return bucketOf(p) }

// bucketOf hashes the player with FNV-1a, folded to the number of buckets. The result is stored by
// where rows are, so it may never change.
func bucketOf[P ~string | ~[]byte](player P) int {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for i := range len(player) {
		hash = (hash ^ uint64(player[i])) * prime
	}
	return int((hash ^ hash>>32) % buckets) // #nosec: below 1,024
}

// placed is the placement as this process knows it, swapped whole when buckets have moved.
type placed struct {
	current atomic.Pointer[placement]
	changes signal
}

func newPlaced(p *placement) *placed {
	var out placed
	out.current.Store(p)
	return &out
}

func (p *placed) shardOf(player id.Player) int { return p.current.Load().shardOf(player) }

// advance swaps in a placement, unless the one in place is as new.
func (p *placed) advance(next *placement) {
	for {
		old := p.current.Load()
		if old.version >= next.version {
			return
		}
		if p.current.CompareAndSwap(old, next) {
			p.changes.raise()
			return
		}
	}
}

// signal wakes everybody who waits for the next change of something.
type signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed at the next change. Take it before the look at what may
// change, so that no change falls between.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// raise says that there was a change.
func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// madeFor is the number of shards that a shard's own row keeps for good: for a shard of the first set
// their number, for one that was added later its place. So the row of shard 0 tells the even spread
// that the books began with.
func madeFor(shard, first int) int { return max(first, shard+1) }
