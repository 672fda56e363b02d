package web

import (
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"matchday/internal/clock"
)

const (
	defaultSignInsPerMinute = 30
	maxLimitedAddresses     = 10_000
)

// limiter bounds how often one address may try passwords by form. It forgets all addresses when it
// holds too many: that is generous once, never unbounded.
type limiter struct {
	clock  clock.Clock
	every  time.Duration // 0 is no limit
	burst  int
	mu     sync.Mutex
	byAddr map[string]*rate.Limiter
}

func newLimiter(perMinute int, clk clock.Clock) *limiter {
	if perMinute == 0 {
		perMinute = defaultSignInsPerMinute
	}
	l := &limiter{clock: clk, byAddr: map[string]*rate.Limiter{}}
	if perMinute > 0 {
		l.every = time.Minute / time.Duration(perMinute)
		l.burst = max(1, perMinute/3)
	}
	return l
}

// allow takes one try of the request's address.
func (l *limiter) allow(r *http.Request) bool {
	if l.every == 0 {
		return true
	}
	addr, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		addr = r.RemoteAddr
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.byAddr[addr]
	if !ok {
		if len(l.byAddr) >= maxLimitedAddresses {
			clear(l.byAddr)
		}
		one = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.byAddr[addr] = one
	}
	return one.AllowN(l.clock.Now(), 1)
}
