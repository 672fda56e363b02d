package history

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// section is a stretch of a made-up log, by what lies in it and what one of each kind costs there, in microseconds.
type section struct {
	found kinds
	costs kinds
}

// saidOf are the ratios of what a shard that is looked at each second said was left to what it then took, at parts of a log.
func saidOf(paced bool, log []section, at []float64) (out []float64) {
	const each = 4096 // sequences of a commit
	noise := rand.New(rand.NewPCG(1, 2))
	var took []time.Duration
	var whole, shown int64
	var rest time.Duration
	for _, p := range log {
		one := p.found.at(p.costs) * each / p.found.all()
		for range p.found.all() / each {
			took = append(took, time.Duration(one)*time.Microsecond*time.Duration(80+noise.IntN(41))/100)
			whole, rest = whole+each, rest+took[len(took)-1]
		}
	}
	now := time.UnixMicro(1_600_000_000_000_000)
	looked := now
	c := catchUp{paced: paced}
	c.look(now, 0, whole, time.Hour)
	for _, d := range took {
		now, shown, rest = now.Add(d), shown+each, rest-d
		if now.Sub(looked) < courseEvery {
			continue
		}
		looked = now
		c.look(now, shown, whole, time.Hour)
		for range samplesAtOnce {
			if mix, after := c.unsampled(); mix != nil {
				mix.add(sample{after, foundAt(log, after)})
			}
		}
		if len(out) < len(at) && shown >= int64(at[len(out)]*float64(whole)) {
			out = append(out, float64(c.outlook(now).Left)/float64(rest))
		}
	}
	return out
}

// foundAt is a sample of a made-up log.
func foundAt(log []section, after int64) kinds {
	for _, p := range log {
		if after -= p.found.all(); after < 0 {
			return p.found.share(sampleLength)
		}
	}
	return kinds{}
}

// TestAnEstimateKnowsWhatTheRestOfTheLogHolds: what comes costs less, or more, than what was applied until now.
func TestAnEstimateKnowsWhatTheRestOfTheLogHolds(t *testing.T) {
	t.Parallel()
	const n = 400 * 4096
	usual := kinds{30, 10, 3, 1}
	placed, settled, both := kinds{n, 0, 0, 0}, kinds{0, n, 0, 0}, kinds{n / 2, n / 4, n / 8, n / 8}
	deposits := kinds{0, 0, n / 2, n / 2}
	for name, c := range map[string]struct {
		paced bool
		log   []section
		at    []float64 // nil: at each quarter
	}{
		"placements and then payouts":              {log: []section{{placed, usual}, {settled, usual}}},
		"payouts cost a little less than thought":  {log: []section{{placed, usual}, {settled, kinds{30, 9, 3, 1}}}},
		"payouts cost a little more than thought":  {log: []section{{placed, usual}, {settled, kinds{30, 11, 3, 1}}}},
		"payouts, a few placements, then payouts":  {log: []section{{settled, usual}, {both, usual}, {settled, usual}}},
		"all of them all along":                    {log: []section{{both, usual}, {both, usual}}},
		"deposits between two seasons":             {log: []section{{both, usual}, {deposits, usual}, {both, usual}}},
		"both cost the same, which shows soon":     {log: []section{{placed, kinds{20, 20, 1, 1}}, {settled, kinds{20, 20, 1, 1}}, {placed, kinds{20, 20, 1, 1}}, {settled, kinds{20, 20, 1, 1}}}, at: []float64{0.6, 0.7, 0.8}},
		"payouts cost more, which shows soon":      {log: []section{{placed, kinds{20, 30, 1, 1}}, {settled, kinds{20, 30, 1, 1}}, {placed, kinds{20, 30, 1, 1}}, {settled, kinds{20, 30, 1, 1}}}, at: []float64{0.6, 0.7, 0.8}},
		"at a rate all records take as long":       {paced: true, log: []section{{placed, kinds{50, 50, 50, 0}}, {settled, kinds{50, 50, 50, 0}}}},
		"at a rate, and half of it has no records": {paced: true, log: []section{{both, kinds{50, 50, 50, 0}}, {kinds{0, 0, 0, n}, kinds{50, 50, 50, 1}}, {both, kinds{50, 50, 50, 0}}}, at: []float64{0.25, 0.5, 0.75}},
	} {
		if c.at == nil {
			c.at = quarters
		}
		for i, ratio := range saidOf(c.paced, c.log, c.at) {
			t.Logf("%s: at %.2f of the way %.2f of what it then took", name, c.at[i], ratio)
			if ratio < 0.8 || ratio > 1.2 {
				t.Errorf("%s: at %.2f of the way %.2f of what it then took", name, c.at[i], ratio)
			}
		}
	}
}

// TestSamplesLieEvenly over a log, also while they are being taken and when it grows, and there is an end of them.
func TestSamplesLieEvenly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		m := logMix{first: rapid.Int64Range(0, 1e9).Draw(rt, "first")}
		head, read := m.first, 0
		for range rapid.IntRange(1, 20).Draw(rt, "times") {
			head += rapid.Int64Range(0, 1e7).Draw(rt, "grown")
			for range rapid.IntRange(0, 200).Draw(rt, "looks") {
				after, ok := m.next(head)
				if !ok {
					break
				}
				if after <= m.first || after >= head {
					rt.Fatalf("a sample after %d of what lies from %d to %d", after, m.first, head)
				}
				m.add(sample{after, kinds{0, sampleLength}})
				read++
			}
			if read > maxSamples {
				rt.Fatalf("%d samples", read)
			}
			from := m.first + rapid.Int64Range(0, head-m.first).Draw(rt, "from")
			k := m.between(from, head)
			if k.all() != head-from || read > 0 && k[kindSettled] != head-from {
				rt.Fatalf("%v from %d to %d", k, from, head)
			}
		}
		for ; ; read++ {
			after, ok := m.next(head)
			if !ok {
				break
			}
			m.add(sample{after, kinds{sampleLength}})
		}
		from, longest := m.first, int64(0)
		for _, s := range append(m.samples, sample{after: head}) {
			longest, from = max(longest, s.after-from), s.after
		}
		if read < maxSamples && longest > max((head-m.first)/sampleEvery, 2*sampleLength) {
			rt.Fatalf("nothing is known of %d of %d sequences", longest, head-m.first)
		}
	})
}

// TestAShareIsAllOfIt whatever is rounded.
func TestAShareIsAllOfIt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var k kinds
		for i := range k {
			k[i] = rapid.Int64Range(0, sampleLength).Draw(rt, "found")
		}
		n := rapid.Int64Range(0, 1e12).Draw(rt, "n")
		got := k.share(n)
		if got.all() != n {
			rt.Fatalf("%v of %v for %d", got, k, n)
		}
		for i := range k {
			if got[i] < 0 || k.all() > 0 && k[i] == 0 && got[i] > 0 {
				rt.Fatalf("%v of %v for %d", got, k, n)
			}
		}
	})
}
