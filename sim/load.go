package sim

import (
	"context"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"matchday/sim/internal/wire"
)

// job is one piece of work of the load generator: due says when it should have started, and its
// latency counts from then.
type job struct {
	due time.Time
	n   int // number of the arrival on its curve: what it draws at random follows from it
	run task
}

// task is what a job does: arrival n, due at a time.
type task func(ctx context.Context, w *worker, n int, due time.Time)

// worker is one goroutine with one connection.
type worker struct {
	http *wire.Client
	buf  []byte // scratch for request bodies
}

// pool runs jobs on a fixed number of workers. Its queue is bounded; when it is full the pacer waits,
// and because due times stay as planned the waiting shows in the latencies.
type pool struct {
	jobs chan job
	wg   sync.WaitGroup
	done atomic.Int64
}

// maxQueued bounds the jobs that wait for a worker. The room for them is looked through by each garbage collection, beside what is measured.
const maxQueued = 1 << 13

// newPool starts n workers against addr. They stop when ctx is done or after close.
func newPool(ctx context.Context, addr string, n int, timeout time.Duration) *pool {
	p := &pool{jobs: make(chan job, maxQueued)}
	for range n {
		p.wg.Go(func() {
			w := &worker{http: wire.New(addr, timeout), buf: make([]byte, 0, 4<<10)}
			defer w.http.Close()
			for j := range p.jobs {
				if ctx.Err() == nil {
					j.run(ctx, w, j.n, j.due)
				}
				p.done.Add(1)
			}
		})
	}
	return p
}

// add queues a job and reports whether ctx left it time to.
func (p *pool) add(ctx context.Context, j job) bool {
	select {
	case p.jobs <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// waiting returns the number of queued jobs.
func (p *pool) waiting() int { return len(p.jobs) }

// close waits for the queued jobs to end. Nothing may be added after it.
func (p *pool) close() {
	close(p.jobs)
	p.wg.Wait()
}

// curve is a planned number of arrivals over time, as a cumulative count per step.
type curve struct {
	step  time.Duration
	total float64
	cum   []float64 // share of the total due at the end of each step, 0 to 1
}

// curveStep is the resolution of a curve.
const curveStep = 50 * time.Millisecond

// newCurve spreads total arrivals over span in proportion to density, a function of the time since
// the start.
func newCurve(total int, span time.Duration, density func(time.Duration) float64) curve {
	n := max(int(span/curveStep), 1)
	c := curve{step: curveStep, total: float64(total), cum: make([]float64, n)}
	sum := 0.0
	for i := range n {
		sum += max(density(time.Duration(i)*curveStep+curveStep/2), 0)
		c.cum[i] = sum
	}
	if sum == 0 {
		sum, c.cum[n-1] = 1, 1
	}
	for i := range c.cum {
		c.cum[i] /= sum
	}
	return c
}

// due returns how many arrivals are due by the time t since the start.
func (c curve) due(t time.Duration) int {
	if t <= 0 || c.total == 0 {
		return 0
	}
	i := int(t / c.step)
	if i >= len(c.cum) {
		return int(c.total)
	}
	before := 0.0
	if i > 0 {
		before = c.cum[i-1]
	}
	share := float64(t%c.step) / float64(c.step)
	return int(c.total * (before + (c.cum[i]-before)*share))
}

// at returns when the arrival number n (from 0) is due.
func (c curve) at(n int) time.Duration {
	want := (float64(n) + 0.5) / c.total
	i := sort.SearchFloat64s(c.cum, want)
	if i >= len(c.cum) {
		return time.Duration(len(c.cum)) * c.step
	}
	before := 0.0
	if i > 0 {
		before = c.cum[i-1]
	}
	share := 0.0
	if width := c.cum[i] - before; width > 0 {
		share = (want - before) / width
	}
	return time.Duration((float64(i) + share) * float64(c.step))
}

// pacer turns curves into jobs at their time.
type pacer struct {
	start  time.Time
	pool   *pool
	tracks []track
}

// track is one curve with what an arrival does.
type track struct {
	curve curve
	run   task
	sent  int
}

// pacerTick is how often the pacer looks for due arrivals. Latencies count from when they were due, so up to
// a tick of each is the generator's own, and what one tick sends comes as a burst.
const pacerTick = 250 * time.Microsecond

// play queues every arrival when it is due and returns after the last one, or when ctx is done.
func (p *pacer) play(ctx context.Context, until time.Duration) {
	tick := time.NewTicker(pacerTick)
	defer tick.Stop()
	for {
		now := time.Since(p.start)
		for i := range p.tracks {
			if !p.catchUp(ctx, &p.tracks[i], now) {
				return
			}
		}
		if now >= until {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *pacer) catchUp(ctx context.Context, t *track, now time.Duration) bool {
	for due := t.curve.due(now); t.sent < due; t.sent++ {
		at := p.start.Add(t.curve.at(t.sent))
		if !p.pool.add(ctx, job{due: at, n: t.sent, run: t.run}) {
			return false
		}
	}
	return true
}

// steady returns a curve of a constant rate.
func steady(perSecond int, span time.Duration) curve {
	total := int(float64(perSecond) * span.Seconds())
	return newCurve(total, span, func(time.Duration) float64 { return 1 })
}
