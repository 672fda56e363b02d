package history

import (
	"cmp"
	"context"
	"slices"

	"matchday/stream"
)

// kinds counts what lies in a stretch of the log, or was copied, by what it costs.
type kinds [kindCount]int64

const (
	kindPlaced  = iota
	kindSettled // also what settles anew
	kindPassed  // any other record: read, and passed over
	kindNone    // a sequence without a record
	kindCount
)

// all is how many there are of any kind.
func (k kinds) all() (n int64) {
	for _, one := range k {
		n += one
	}
	return n
}

// and returns both together.
func (k kinds) and(other kinds) kinds {
	for i, n := range other {
		k[i] += n
	}
	return k
}

// at returns what they cost.
func (k kinds) at(costs kinds) (work int64) {
	for i, n := range k {
		work += n * costs[i]
	}
	return work
}

// share returns how so many are divided if they are as these are.
func (k kinds) share(n int64) (out kinds) {
	most := 0
	for i, one := range k {
		out[i] = n * one / max(k.all(), 1)
		if one > k[most] {
			most = i
		}
	}
	out[most] += n - out.all() // what was rounded off
	return out
}

// kindsAfter counts the first sequences behind one, not more than a sample has.
func kindsAfter(after int64, batches []stream.Batch) (k kinds) {
	last := min(batches[len(batches)-1].Last, after+sampleLength)
	for _, b := range batches {
		for i := range b.Records {
			switch r := &b.Records[i]; {
			case r.Position.Seq <= after || r.Position.Seq > last:
			case r.Type == stream.TypeBetPlaced:
				k[kindPlaced]++
			case r.Type == stream.TypeBetSettled:
				k[kindSettled]++
			default:
				k[kindPassed]++
			}
		}
	}
	k[kindNone] = max(last-after-k.all(), 0)
	return k
}

// logMix says of what a log consists from a sequence on, by samples of it. What is between two samples is taken to be as the nearer
// one; without any, all is taken to be of one kind. A log does not change, so nothing is read twice.
type logMix struct {
	first   int64 // the sequence before
	samples []sample
}

// sample is what lies right behind a sequence.
type sample struct {
	after int64
	found kinds
}

const (
	sampleLength  = 64  // sequences of a sample; a batch is read whole
	sampleEvery   = 96  // parts of the log, longer than which there is no stretch without a sample in the end
	samplesAtOnce = 16  // for each look at a shard
	maxSamples    = 512 // of a log that grew a hundredfold meanwhile; then the newest sample stands for the rest
)

// next returns where the next sample is to be taken: in the middle of the longest stretch without one, so that those there are always lie
// evenly. It is false where all stretches are short.
func (m *logMix) next(head int64) (after int64, ok bool) {
	if len(m.samples) >= maxSamples {
		return 0, false
	}
	longest, from := max((head-m.first)/sampleEvery, 2*sampleLength), m.first
	for i := range len(m.samples) + 1 {
		to := head
		if i < len(m.samples) {
			to = m.samples[i].after
		}
		if to-from > longest {
			longest, after, ok = to-from, from+(to-from)/2, true
		}
		from = to
	}
	return after, ok
}

// add keeps a sample.
func (m *logMix) add(s sample) {
	i, _ := slices.BinarySearchFunc(m.samples, s.after, func(one sample, after int64) int { return cmp.Compare(one.after, after) })
	m.samples = slices.Insert(m.samples, i, s)
}

// between says what lies behind one sequence up to another.
func (m *logMix) between(after, last int64) (k kinds) {
	for i, s := range m.samples {
		end := last
		if i+1 < len(m.samples) {
			end = min(last, s.after+(m.samples[i+1].after-s.after)/2)
		}
		if end > after {
			k, after = k.and(s.found.share(end-after)), end
		}
	}
	k[kindPlaced] += max(last-after, 0) // not sampled yet
	return k
}

// sample reads some samples of the log that the shard does not show yet. What cannot be read is tried again at the next look.
func (c *catchUp) sample(ctx context.Context, log stream.Log, shard int) {
	for range samplesAtOnce {
		mix, after := c.unsampled()
		if mix == nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, courseEvery) // looks go on, whatever the log does
		batches, err := log.ReadLog(limited, shard, after, sampleLength)
		cancel()
		if err != nil || len(batches) == 0 {
			return
		}
		c.mu.Lock()
		mix.add(sample{after, kindsAfter(after, batches)})
		c.mu.Unlock()
	}
}

// unsampled returns where the next sample belongs; nil if there is none to take.
func (c *catchUp) unsampled() (mix *logMix, after int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.course == nil {
		return nil, 0
	}
	after, ok := c.mix.next(c.head)
	if !ok {
		return nil, 0
	}
	return c.mix, after
}
