package stream

import (
	"context"
	"sync"
	"time"

	"matchday/internal/clock"
)

// Pace spreads work over time, for all who share it.
type Pace struct {
	rate  int // a second
	clock clock.Clock
	mu    sync.Mutex
	last  time.Time // when it was asked last
	free  time.Time // when all that was asked for until then is done
}

// NewPace returns a pace of so much a second at most; nil if that is 0, for no bound.
func NewPace(rate int, c clock.Clock) *Pace {
	if rate == 0 {
		return nil
	}
	return &Pace{rate: rate, clock: c}
}

// Rest waits for as long as n take at the rate, behind those who rest already, or until ctx is done. What the clock steps back
// is not waited for.
func (p *Pace) Rest(ctx context.Context, n int) {
	p.mu.Lock()
	now := p.clock.Now()
	if now.Before(p.last) {
		p.free = p.free.Add(now.Sub(p.last))
	}
	if p.last = now; p.free.Before(now) {
		p.free = now
	}
	p.free = p.free.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	d := p.free.Sub(now)
	p.mu.Unlock()
	pause(ctx, d)
}

// atOnce is how much is done between two rests that are short: a quarter of a second's.
func (p *Pace) atOnce() int { return max(p.rate/4, 1) }
