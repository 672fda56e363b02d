package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"matchday/sim/internal/wire"
	"matchday/stream"
)

// samplePeriod is how often lag and latencies are sampled.
const samplePeriod = 20 * time.Millisecond

// settleLimit bounds the wait for the last bet after the last whistle.
const settleLimit = 10 * time.Minute

// watch counts what history shows, asks after pending deposits, and samples lag and latencies until
// the returned function is called.
func (s *sunday) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan stream.Batch, 4096)
	unsubscribe := s.p.History.Subscribe(func(b stream.Batch) {
		s.shown.visible(b)
		select {
		case batches <- b:
		case <-ctx.Done():
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case b := <-batches:
				s.seen(b)
			case <-ctx.Done():
				return
			}
		}
	})
	wg.Go(func() { s.sample(ctx) })
	wg.Go(func() {
		client := wire.New(s.p.addr, requestTimeout)
		defer client.Close()
		for ctx.Err() == nil {
			s.chasePending(ctx, client)
			pause(ctx, 500*time.Millisecond)
		}
	})
	return func() {
		unsubscribe()
		cancel()
		wg.Wait()
	}
}

// seen counts the settlements of one batch that history has just shown.
func (s *sunday) seen(b stream.Batch) {
	now := time.Now()
	for _, r := range b.Records {
		if r.Type != stream.TypeBetSettled {
			continue
		}
		var settled struct {
			PayoutMinor int64 `json:"payout_minor"`
		}
		if err := json.Unmarshal(r.Data, &settled); err != nil {
			s.failures.note(fmt.Errorf("record at %s: %w", r.Position, err))
			continue
		}
		bet := s.bets.settle(r.Subject)
		if bet == nil {
			continue
		}
		s.settled.Add(1)
		if settled.PayoutMinor > 0 {
			s.payouts.add(1)
		}
		s.decided(bet, now)
	}
}

// decided books a settled bet to the game of its legs that ended last.
func (s *sunday) decided(bet *trackedBet, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := -1
	for _, leg := range bet.legs {
		g, ok := s.board.games[leg.Game]
		if !ok || s.games[g].entered.IsZero() {
			continue
		}
		if latest < 0 || s.games[g].entered.After(s.games[latest].entered) {
			latest = g
		}
	}
	if latest >= 0 {
		s.games[latest].decided++
		s.games[latest].last = now
	}
}

// sample reads the history lag and closes the windows of the latency curves.
func (s *sunday) sample(ctx context.Context) {
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	window := int(s.bin / samplePeriod)
	for i := 1; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		lag := s.historyLag()
		s.history.add(lag)
		s.lag.observe(lag.Microseconds())
		if i%window == 0 {
			s.slow.Store(s.slow.Load() * 9 / 10)
			s.betP99.observe(int64(s.windowBets.takeP99() * 1000))
			s.readP99.observe(int64(s.windowReads.takeP99() * 1000))
		}
	}
}

// settleUp ends the day's watching: every accepted bet settled and visible, every deposit ended.
func (s *sunday) settleUp(ctx context.Context) error {
	stop := s.progress.every(func() string {
		return fmt.Sprintf("settling: %s of %s bets", thousands(s.settled.Load()), thousands(int64(s.bets.count())))
	})
	defer stop()
	err := poll(ctx, "settlement of the last bets", settleLimit, func() (bool, error) {
		s.mu.Lock()
		pending := len(s.pending)
		s.mu.Unlock()
		return pending == 0 && int(s.settled.Load()) >= s.bets.count(), s.failures.err()
	})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil // the checks will name what is missing
	}
	return err
}

// finish asks again for what had no answer, and waits until history shows the whole log.
func (s *sunday) finish(ctx context.Context) error {
	client := wire.New(s.p.addr, requestTimeout)
	defer client.Close()
	w := &worker{http: client}
	s.mu.Lock()
	open := s.unresolved
	s.unresolved = nil
	s.mu.Unlock()
	for i := range open {
		s.place(ctx, w, &open[i], time.Now())
	}
	return poll(ctx, "history to show the whole log", settleLimit, func() (bool, error) { return s.historyShowsAll(), nil })
}

// historyShowsAll reports whether history has passed every shard's last position.
func (s *sunday) historyShowsAll() bool { return s.p.historyShowsAll() }

// historyShowsAll reports whether history has passed every shard's last position.
func (p *platform) historyShowsAll() bool {
	shown := p.History.Lag()
	for _, l := range shown {
		if l.Position < p.Ledger.Head(l.Shard) {
			return false
		}
	}
	return len(shown) == p.Ledger.Shards()
}
