package sportsbook

import (
	"time"

	"matchday/id"
)

// Bounds of what is kept of payouts that the ledger refuses for good.
const (
	maxStuck     = 10_000 // more of them are left to the audit, and to the next start
	stuckFirst   = time.Minute
	stuckLongest = time.Hour
)

// stuckBet is a bet whose payout the ledger refused for good. It is in nobody's way: its pass goes on
// without it, the payer names it in the log, and it is tried again now and then.
type stuckBet struct {
	seq   int64
	tries int
	due   time.Time // when to try again
}

// refused hears from the payer that a command can never be committed.
func (t *settler) refused(c *payoutCommand) { t.shards[t.ledger.ShardOf(c.PlayerID)].refused(c) }

// refused takes a bet out of flight. A command that is not the one in flight is an old one.
func (w *shardSettler) refused(c *payoutCommand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.flights[c.BetID]
	if f == nil || f.command.Version != c.Version {
		return
	}
	delete(w.flights, c.BetID)
	w.t.metrics.flights(w.shard, len(w.flights))
	s := w.stuck[c.BetID]
	if s == nil && len(w.stuck) < maxStuck {
		s = &stuckBet{seq: f.bet.seq}
		w.stuck[c.BetID] = s
	}
	if s != nil {
		s.due = w.t.clock.Now().Add(min(stuckFirst<<min(s.tries, 10), stuckLongest))
		s.tries++
	}
	signal(w.confirmed)
	signal(w.wake)
}

// retryStuck notes the stuck bets that are due as late. The caller holds mu.
func (w *shardSettler) retryStuck(now time.Time) {
	for _, s := range w.stuck {
		if !s.due.After(now) {
			s.due = now.Add(stuckLongest) // the payer's next refusal says better
			w.noteLate(s.seq)
		}
	}
}

// unstick forgets that a bet was stuck: it was settled after all, or there is nothing to pay any more.
func (w *shardSettler) unstick(betID id.Bet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.stuck, betID)
}

// nextStuck returns when the first stuck bet is due, zero if none is. The caller holds mu.
func (w *shardSettler) nextStuck() (due time.Time) {
	for _, s := range w.stuck {
		if due.IsZero() || s.due.Before(due) {
			due = s.due
		}
	}
	return due
}
