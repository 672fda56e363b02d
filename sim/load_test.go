package sim

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestPacerSendsEveryArrivalOnce(t *testing.T) {
	t.Parallel()
	const n, span = 500, 200 * time.Millisecond
	pool := newPool(t.Context(), "127.0.0.1:1", 4, time.Second)
	seen := make([]atomic.Int32, n)
	p := pacer{start: time.Now(), pool: pool, tracks: []track{{
		curve: newCurve(n, span, func(time.Duration) float64 { return 1 }),
		run:   func(_ context.Context, _ *worker, i int, _ time.Time) { seen[i].Add(1) },
	}}}
	p.play(t.Context(), span+curveStep)
	pool.close()
	for i := range seen {
		if got := seen[i].Load(); got != 1 {
			t.Fatalf("arrival %d ran %d times, want once", i, got)
		}
	}
}

// One worker that takes longer than the arrivals are apart: the waiting of later ones must count.
func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	t.Parallel()
	const n, work = 10, 20 * time.Millisecond
	pool := newPool(t.Context(), "127.0.0.1:1", 1, time.Second)
	at := newLatency()
	due := time.Now()
	for i := range n {
		pool.add(t.Context(), job{due: due, n: i, run: func(ctx context.Context, _ *worker, _ int, due time.Time) {
			pause(ctx, work)
			at.since(due)
		}})
	}
	pool.close()
	if got := at.percentiles(); got.Count != n || got.Max < float64(n*work.Milliseconds())*0.95 {
		t.Errorf("%d latencies up to %.0f ms, want %d up to %d", got.Count, got.Max, n, n*work.Milliseconds())
	}
}

func TestPoolDropsWorkAfterItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	pool := newPool(ctx, "127.0.0.1:1", 1, time.Second)
	cancel()
	ran := false
	pool.jobs <- job{run: func(context.Context, *worker, int, time.Time) { ran = true }}
	pool.close()
	if ran || pool.waiting() != 0 {
		t.Errorf("a job ran after the context was done: %v; %d wait", ran, pool.waiting())
	}
}

func TestMetersKeepWhatComesLate(t *testing.T) {
	t.Parallel()
	m := newMeter(time.Now().Add(-time.Hour), time.Second, 10*time.Second)
	m.add(3)
	if got := m.total.Load(); got != 3 {
		t.Errorf("total %d, want 3", got)
	}
	if got := maxOf(m.perSecond()); got != 0 {
		t.Errorf("a bin has %g of what came after the last one", got)
	}
	g := newGauge(time.Now(), time.Minute, time.Minute)
	g.observe(5)
	g.observe(2)
	if got := g.values(1)[0]; got != 5 {
		t.Errorf("gauge %g, want the largest, 5", got)
	}
}
