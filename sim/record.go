package sim

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"matchday/stream"
)

// latency is a histogram in microseconds, safe for concurrent use.
type latency struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram
}

// maxLatency bounds what a histogram holds; longer waits count as this.
const maxLatency = 10 * time.Minute

func newLatency() *latency {
	return &latency{h: hdrhistogram.New(1, maxLatency.Microseconds(), 3)}
}

// since records the time from due until now.
func (l *latency) since(due time.Time) { l.add(time.Since(due)) }

func (l *latency) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.h.RecordValue(min(max(d.Microseconds(), 1), maxLatency.Microseconds())) // in range by the line above
}

// visible records for each settlement of a batch that history has just shown how long ago it was committed.
func (l *latency) visible(b stream.Batch) {
	settled := int64(0)
	for i := range b.Records {
		if b.Records[i].Type == stream.TypeBetSettled {
			settled++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	age := min(max(time.Since(b.At).Microseconds(), 1), maxLatency.Microseconds())
	_ = l.h.RecordValues(age, settled) // in range by the line above
}

// percentiles in milliseconds, as reports and benches print them.
type percentiles struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func (l *latency) percentiles() percentiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	ms := func(q float64) float64 { return float64(l.h.ValueAtQuantile(q)) / 1000 }
	return percentiles{
		Count: l.h.TotalCount(), P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9),
		Max: float64(l.h.Max()) / 1000,
	}
}

// takeP99 returns the 99th percentile in milliseconds since the last call and starts anew.
func (l *latency) takeP99() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.h.TotalCount() == 0 {
		return 0
	}
	p := float64(l.h.ValueAtQuantile(99)) / 1000
	l.h.Reset()
	return p
}

// meter counts one kind of thing over the run, in bins of equal width.
type meter struct {
	total atomic.Int64
	bins  []atomic.Int64
	start time.Time
	width time.Duration
}

func newMeter(start time.Time, width, span time.Duration) *meter {
	return &meter{start: start, width: width, bins: make([]atomic.Int64, int(span/width)+1)}
}

// add counts n now; what comes after the last bin counts in the total only.
func (m *meter) add(n int64) {
	m.total.Add(n)
	i := int(time.Since(m.start) / m.width)
	if i >= 0 && i < len(m.bins) {
		m.bins[i].Add(n)
	}
}

// perSecond returns the bins as rates.
func (m *meter) perSecond() []float64 {
	out := make([]float64, len(m.bins))
	for i := range m.bins {
		out[i] = float64(m.bins[i].Load()) / m.width.Seconds()
	}
	return out
}

// gauge keeps the largest value seen in each bin.
type gauge struct {
	bins  []atomic.Int64
	start time.Time
	width time.Duration
}

func newGauge(start time.Time, width, span time.Duration) *gauge {
	return &gauge{start: start, width: width, bins: make([]atomic.Int64, int(span/width)+1)}
}

func (g *gauge) observe(v int64) {
	i := int(time.Since(g.start) / g.width)
	if i < 0 || i >= len(g.bins) {
		return
	}
	for {
		old := g.bins[i].Load()
		if v <= old || g.bins[i].CompareAndSwap(old, v) {
			return
		}
	}
}

// values returns the bins divided by unit.
func (g *gauge) values(unit float64) []float64 {
	out := make([]float64, len(g.bins))
	for i := range g.bins {
		out[i] = float64(g.bins[i].Load()) / unit
	}
	return out
}
