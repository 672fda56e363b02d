package sportsbook

import (
	"context"
	"slices"
	"sync"
	"time"

	"matchday/stream"
)

const (
	// uncertainAfter is how long an unanswered bet may still be waiting in the ledger's queue.
	uncertainAfter = 15 * time.Second
	// maxUncertain bounds the list. Beyond it reservations are given back at once: exposure is a limit
	// on risk, and refusing all bets would be worse than a limit that is a little late.
	maxUncertain = 50_000
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

// uncertainBets keep their reservation until the ledger says what became of them.
type uncertainBets struct {
	mu   sync.Mutex
	list []uncertainBet // oldest first
}

// add keeps the bet's reservation until settle has asked the ledger.
func (u *uncertainBets) add(b uncertainBet, e *exposure) {
	u.mu.Lock()
	full := len(u.list) >= maxUncertain
	if !full {
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

// resolveUncertain asks the ledger about bets it did not answer for. A bet that is not there gives
// its reservation back; so does one whose key stands for an earlier bet, which has its own.
func (s *Service) resolveUncertain(ctx context.Context) {
	now := s.deps.Clock.Now()
	for _, b := range s.uncertain.due(now) {
		result, found, err := s.deps.Ledger.Lookup(ctx, b.bet.PlayerID, b.key, b.asked)
		if err != nil && !isFinal(err) {
			b.since = now
			s.uncertain.add(b, s.exposure)
			continue
		}
		if err == nil && found && result.Err == nil {
			receipt, readErr := replayedReceipt(result)
			if readErr == nil && receipt.BetID == b.bet.BetID {
				continue
			}
		}
		s.exposure.release(b.bet)
	}
}
