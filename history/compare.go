package history

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

// Buckets that players are counted by.
const compareBuckets = 1024

// Bounds of a comparison.
const (
	maxDifferences = 20              // named; all are counted
	maxSuspects    = 10_000          // remembered from one pass to the next
	comparePause   = 5 * time.Minute // after a pass that found nothing
	compareAgain   = time.Second     // after one that did
)

// Comparison says how equal the two histories of a shard are, by the last pass over both.
type Comparison struct {
	Shard     int          `json:"shard"`
	Passes    int64        `json:"passes"`
	At        time.Time    `json:"at"`        // of the last pass's end
	Bets      int64        `json:"bets"`      // compared in it
	Skipped   int64        `json:"skipped"`   // not compared: they changed while they were read
	Buckets   int          `json:"buckets"`   // of players, that have bets
	Unequal   int          `json:"unequal"`   // buckets whose counts or content hashes differ, twice running
	Suspected int64        `json:"suspected"` // bets that differed in the last pass
	Different int64        `json:"different"` // bets that differed in the last two
	Named     []Difference `json:"named"`     // the first of them
	Problem   string       `json:"problem"`
}

// Difference is a bet that is not the same in both histories.
type Difference struct {
	Bucket int       `json:"bucket"`
	Player id.Player `json:"player"`
	Bet    id.Bet    `json:"bet"`
	What   string    `json:"what"` // "missing in the second", "only in the second", "differs"
}

// comparer compares one shard of both histories, pass after pass. Each reads a run of both, in a snapshot of
// each; what changed after the earlier of the two positions is left out on both sides, so the rest is of one
// common position. A difference counts when two passes running find the same one: the first may have been
// the moment at which a bucket of players came to one history and not yet to the other.
type comparer struct {
	from, to *shard
	copy     *filler
	pace     *stream.Pace
	clock    clock.Clock
	log      *slog.Logger
	bucketOf func(id.Player) int
	told     func(Comparison)

	suspects map[betKey]suspect // of the pass before
	mu       sync.Mutex
	last     Comparison
}

// suspect is a difference that one pass found.
type suspect struct {
	what          string
	first, second uint64 // hashes
}

// bucketSum is the number and the sum of the content hashes of a bucket's bets in one history.
type bucketSum struct {
	bets int64
	sum  uint64
}

// pass is one pass of a comparer.
type pass struct {
	seed          maphash.Seed
	first, second [compareBuckets]bucketSum
	found         map[betKey]suspect
	bets, skipped int64
}

func (c *comparer) state() Comparison {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// run compares for as long as ctx is not done, once everything is copied. What an earlier run found is forgotten: another
// process may have written since.
func (c *comparer) run(ctx context.Context) {
	seed := maphash.MakeSeed()
	c.suspects = nil
	c.mu.Lock()
	c.last = Comparison{Shard: c.from.number}
	c.mu.Unlock()
	for pause := compareAgain; wait(ctx, pause); {
		pause = compareAgain
		if !c.copy.store.state().isWhole() {
			continue
		}
		p := &pass{seed: seed, found: map[betKey]suspect{}}
		if err := c.pass(ctx, p); err != nil {
			c.mu.Lock()
			c.last.Problem = err.Error()
			c.mu.Unlock()
			continue
		}
		if c.finish(p) {
			pause = comparePause
		}
	}
}

// pass reads both histories to their ends.
func (c *comparer) pass(ctx context.Context, p *pass) error {
	for after, more := (betKey{}), true; more; {
		if err := c.copy.calm(ctx); err != nil {
			return err
		}
		a, err := readChunk(ctx, c.from.store, after, c.copy.config.Chunk)
		if err != nil {
			return fmt.Errorf("first history: %w", err)
		}
		b, err := readChunk(ctx, c.to.store, after, c.copy.config.Chunk)
		if err != nil {
			return fmt.Errorf("second history: %w", err)
		}
		after, more = c.common(p, &a, &b)
		c.pace.Rest(ctx, len(a.bets))
	}
	c.copy.note("")
	return nil
}

// common compares what two chunks have in common, and returns where the next ones begin.
func (c *comparer) common(p *pass, a, b *chunk) (upTo betKey, more bool) {
	for _, one := range []*chunk{a, b} {
		if !one.last {
			if end := one.bets[len(one.bets)-1].betKey; !more || end.compare(upTo) < 0 {
				upTo, more = end, true
			}
		}
	}
	i, j := 0, 0
	within := func(list []*change, n int) bool {
		return n < len(list) && (!more || list[n].compare(upTo) <= 0)
	}
	for within(a.bets, i) || within(b.bets, j) {
		order := 0
		switch {
		case !within(a.bets, i):
			order = 1
		case !within(b.bets, j):
			order = -1
		default:
			order = a.bets[i].compare(b.bets[j].betKey)
		}
		var first, second *change
		if order <= 0 {
			first = a.bets[i]
			i++
		}
		if order >= 0 {
			second = b.bets[j]
			j++
		}
		c.bet(p, first, second, a.at, b.at)
	}
	return upTo, more
}

// bet compares one bet; nil is not there.
func (c *comparer) bet(p *pass, first, second *change, a, b marks) {
	one := cmp.Or(first, second)
	common := min(a.of(one.player), b.of(one.player))
	for _, of := range []*change{first, second} {
		if of == nil {
			continue
		}
		over := of.settlement.state != stateOpen && of.bet < max(c.from.kept.floor(of.jurisdiction), c.to.kept.floor(of.jurisdiction))
		if of.settlement.seq > common || over {
			p.skipped++
			return
		}
	}
	p.bets++
	bucket := c.bucketOf(one.player) % compareBuckets
	s := suspect{first: p.add(&p.first[bucket], first), second: p.add(&p.second[bucket], second)}
	switch {
	case s.first == s.second:
		return
	case second == nil:
		s.what = "missing in the second"
	case first == nil:
		s.what = "only in the second"
	default:
		s.what = "differs"
	}
	if len(p.found) < maxSuspects {
		p.found[one.betKey] = s
	}
}

// add adds a bet to its bucket and returns its hash; 0 if it is not there.
func (p *pass) add(to *bucketSum, c *change) uint64 {
	if c == nil {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(p.seed)
	s := &c.settlement
	fmt.Fprintf(&h, "%q %q %q %d %d %d %d %d %d %q ", c.player, c.bet, c.jurisdiction, c.placedSeq, s.seq, s.state, s.version, s.settledUS, s.payout, s.outcomes)
	fmt.Fprintf(&h, "%q %q %d %d %d ", c.slip.Product, c.slip.Currency, c.placedAt.UnixMicro(), c.slip.StakeMinor, c.slip.PotentialPayoutMinor)
	_, _ = h.Write(c.legs) // it has no error to return
	fmt.Fprintf(&h, " %d", s.atUS)
	for i := range c.earlier {
		e := &c.earlier[i]
		fmt.Fprintf(&h, " %d %d %d %d %d %q", e.version, e.seq, e.state, e.atUS, e.payout, e.outcomes)
	}
	sum := h.Sum64() | 1
	to.bets++
	to.sum += sum
	return sum
}

// finish makes a pass known and reports whether it found nothing at all.
func (c *comparer) finish(p *pass) bool {
	now := Comparison{Shard: c.from.number, Passes: c.state().Passes + 1, At: c.clock.Now(), Bets: p.bets, Skipped: p.skipped,
		Suspected: int64(len(p.found))}
	unequal := map[int]bool{}
	for _, k := range slices.SortedFunc(maps.Keys(p.found), betKey.compare) {
		s := p.found[k]
		if c.suspects[k] != s {
			continue
		}
		bucket := c.bucketOf(k.player) % compareBuckets
		now.Different++
		unequal[bucket] = p.first[bucket] != p.second[bucket]
		if len(now.Named) < maxDifferences {
			now.Named = append(now.Named, Difference{Bucket: bucket, Player: k.player, Bet: k.bet, What: s.what})
		}
	}
	for i := range p.first {
		if p.first[i].bets > 0 || p.second[i].bets > 0 {
			now.Buckets++
		}
	}
	now.Unequal = len(unequal)
	c.suspects = p.found
	c.mu.Lock()
	c.last = now
	c.mu.Unlock()
	c.told(now)
	if now.Different > 0 {
		c.log.Error("second history differs", "bets", now.Different, "buckets", now.Unequal)
	}
	return len(p.found) == 0
}

// hashBucket stands in for the buckets of a log that has none.
func hashBucket(p id.Player) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(p)) // it has no error to return
	return int(h.Sum32() % compareBuckets)
}
