package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/history"
	"matchday/internal/clock"
)

// laterClock is ahead of the machine's.
type laterClock struct {
	clock.System
	by atomic.Int64 // nanoseconds
}

func (c *laterClock) Now() time.Time { return c.System.Now().Add(time.Duration(c.by.Load())) }

// TestTheLagTellsOfAHistoryThatFillsItself: a second process's, with nothing in it, which takes all bets for an hour old and fills them
// in at four a second, until they are new to it and it has them at once.
func TestTheLagTellsOfAHistoryThatFillsItself(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, token := s.signUp(nj)
	for range 300 { // a deposit each
		s.fund(token, "5.00", "USD")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	later := &laterClock{}
	later.by.Store(int64(time.Hour))
	fresh := must(history.Open(ctx, history.Config{Dir: t.TempDir(), FillRate: 4}, history.Deps{Clock: later, Log: s.log, Metrics: prometheus.NewRegistry(),
		Transport: s.streams.Transport(), Source: s.ledger, ShardOf: s.ledger.ShardOf}))(t)
	go func() { ran <- fresh.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		_ = fresh.Close()
	}()
	deps := s.api.deps
	deps.History, deps.Metrics = fresh, prometheus.NewRegistry()
	web := httptest.NewServer(must(New(s.api.cfg, deps))(t).Handler())
	defer web.Close()
	trader := s.trader()
	lag := func(ok func(l Lag) bool) bool {
		found := false
		s.at(web.URL, func() {
			for _, l := range into[List[Lag]](s.do("GET", "/v1/operator/lag", trader, nil).want(http.StatusOK)).Items {
				if l.Head > 200 && ok(l) { // the player's shard
					found = true
				}
			}
		})
		return found
	}
	s.poll("progress", func() bool {
		return lag(func(l Lag) bool {
			c := l.CatchingUp
			return c != nil && c.Remaining > 0 && c.Remaining <= l.Head && c.Rate > 0 && c.LeftSeconds > 0 && l.LagSeconds > 3000
		})
	})
	later.by.Store(0)
	s.poll("the end of it", func() bool { return lag(func(l Lag) bool { return l.CatchingUp == nil && l.Position == l.Head }) })
}
