package stream

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 20 * time.Millisecond
	backoffMost  = 2 * time.Second
)

// backoff waits longer after each failure in a row, with jitter, up to a bound. Its zero value is
// ready; set it to its zero value after a success.
type backoff struct{ next time.Duration }

// wait returns false when ctx is done.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, backoffFirst), backoffMost)
	return pause(ctx, b.next/2+rand.N(b.next/2))
}

// pause waits for d and returns false when ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
