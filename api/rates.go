package api

import (
	"sync"
	"time"
)

// rateKind is one of the curves of the game-day board.
type rateKind int

const (
	rateDeposits rateKind = iota
	rateBets
	rateReads
	ratePayouts
	rateKinds
)

// ratesWindow is how many seconds the board looks back.
const ratesWindow = 600

// rates counts what happened in each of the last seconds, in a ring of one slot a second.
type rates struct {
	mu    sync.Mutex
	last  int64 // unix second of the newest slot
	slots [ratesWindow][rateKinds]int64
}

func newRates(now time.Time) *rates { return &rates{last: now.Unix()} }

// count adds n at now. What is older than the window, because a clock stepped back, is dropped.
func (r *rates) count(kind rateKind, n int64, now time.Time) {
	second := now.Unix()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(second)
	if second > r.last-ratesWindow {
		r.slots[second%ratesWindow][kind] += n
	}
}

// advance clears the slots between the newest and second.
func (r *rates) advance(second int64) {
	if second-r.last >= ratesWindow {
		r.slots = [ratesWindow][rateKinds]int64{}
		r.last = second
	}
	for r.last < second {
		r.last++
		r.slots[r.last%ratesWindow] = [rateKinds]int64{}
	}
}

// series returns the last ten minutes up to the last whole second, oldest first.
func (r *rates) series(now time.Time) Rates {
	const steps = ratesWindow - 1
	out := Rates{StepSeconds: 1, Deposits: make([]int64, steps), Bets: make([]int64, steps), Reads: make([]int64, steps), Payouts: make([]int64, steps)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(now.Unix())
	from := r.last - steps
	out.From = time.Unix(from, 0).UTC()
	for i := range steps {
		slot := r.slots[(from+int64(i))%ratesWindow]
		out.Deposits[i], out.Bets[i], out.Reads[i], out.Payouts[i] = slot[rateDeposits], slot[rateBets], slot[rateReads], slot[ratePayouts]
	}
	return out
}
