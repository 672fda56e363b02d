package sportsbook

import (
	"context"
	"slices"
	"sync"
	"time"

	"matchday/stream"
)

const (
	// uncertainAfter is how long a bet stays unanswered before the ledger is asked, and how often it
	// is asked again. Most commits end within it.
	uncertainAfter = 2 * time.Second
	// uncertainEvery is how often the list is searched for such bets.
	uncertainEvery = 250 * time.Millisecond
	// barrierWait bounds the wait for a writer that is held up.
	barrierWait = 2 * time.Second
	// maxUncertain bounds the list. Beyond it reservations are given back at once: exposure is a limit
	// on risk, and refusing all bets would be worse than a limit that is a little late.
	maxUncertain = 50_000
	// overflowAfter is how long no retry is refused after a bet found the list full. It is a guess at
	// how long a commit can take, and the one place where the answer rests on a guess.
	overflowAfter = time.Minute
	// uncertainPerPass bounds the look-ups of one pass.
	uncertainPerPass = 1_000
)

// uncertainBet is a bet that the ledger did not answer for in time: it may be committed or not.
type uncertainBet struct {
	bet   *stream.BetPlaced
	key   string
	asked []byte
	since time.Time
}

// uncertainBets keep their reservation until the ledger says what became of them. Beside the bets
// they hold the keys of all requests that may still be accepted: those of the list, and those that
// are being answered, which their callers bound.
type uncertainBets struct {
	mu       sync.Mutex
	list     []uncertainBet // oldest first
	keys     map[string]int // requests that may still be accepted, by stake key
	overflow time.Time      // when a bet last found the list full
}

// enter notes a request that may be accepted. Each ends with leave or add.
func (u *uncertainBets) enter(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.keys == nil {
		u.keys = make(map[string]int)
	}
	u.keys[key]++
}

// leave notes that a request has its final answer.
func (u *uncertainBets) leave(key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.drop(key)
}

// drop takes one request of a key out. The caller holds mu.
func (u *uncertainBets) drop(key string) {
	if u.keys[key]--; u.keys[key] <= 0 {
		delete(u.keys, key)
	}
}

// pending reports whether a request with the key may still be accepted.
func (u *uncertainBets) pending(key string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.keys[key] > 0 || !u.overflow.IsZero() && now.Sub(u.overflow) < overflowAfter
}

// add keeps the bet's reservation and its key until resolveUncertain has asked the ledger.
func (u *uncertainBets) add(b uncertainBet, e *exposure) {
	u.mu.Lock()
	full := len(u.list) >= maxUncertain
	if full {
		u.overflow = b.since
		u.drop(b.key)
	} else {
		u.list = append(u.list, b)
	}
	u.mu.Unlock()
	if full {
		e.release(b.bet)
	}
}

// due takes out the bets that are old enough to ask about.
func (u *uncertainBets) due(now time.Time) []uncertainBet {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for n < min(len(u.list), uncertainPerPass) && now.Sub(u.list[n].since) >= uncertainAfter {
		n++
	}
	due := slices.Clone(u.list[:n])
	u.list = slices.Delete(u.list, 0, n)
	return due
}

// runUncertain clears up bets the ledger did not answer for.
func (s *Service) runUncertain(ctx context.Context) error {
	ticker := time.NewTicker(uncertainEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			s.resolveUncertain(ctx)
		}
	}
}

// resolveUncertain asks the ledger about bets it did not answer for. First the writers finish what
// they had in hand, however long that takes: only then is a bet that is not there known not to come.
// It gives its reservation back; so does one whose key stands for an earlier bet, which has its own.
func (s *Service) resolveUncertain(ctx context.Context) {
	due := s.uncertain.due(s.deps.Clock.Now())
	past := make(map[int]bool) // shards that have finished, or not, by number
	for _, b := range due {
		shard := s.deps.Ledger.ShardOf(b.bet.PlayerID)
		finished, asked := past[shard]
		if !asked {
			finished = s.finished(ctx, shard)
			past[shard] = finished
		}
		if !finished || !s.resolved(ctx, &b) {
			b.since = s.deps.Clock.Now()
			s.uncertain.add(b, s.exposure)
			continue
		}
		s.uncertain.leave(b.key)
	}
}

// finished reports whether a shard's writer has finished all it had in hand.
func (s *Service) finished(ctx context.Context, shard int) bool {
	ctx, cancel := context.WithTimeout(ctx, barrierWait)
	defer cancel()
	return s.deps.Ledger.Barrier(ctx, shard) == nil
}

// resolved looks up what became of a bet, and reports whether the ledger could say.
func (s *Service) resolved(ctx context.Context, b *uncertainBet) bool {
	result, found, err := s.deps.Ledger.Lookup(ctx, b.bet.PlayerID, b.key, b.asked)
	if err != nil && !isFinal(err) {
		return false
	}
	if err == nil && found && result.Err == nil {
		receipt, readErr := replayedReceipt(result)
		if readErr == nil && receipt.BetID == b.bet.BetID {
			return true // the reservation is the bet's own now
		}
	}
	s.exposure.release(b.bet)
	return true
}
