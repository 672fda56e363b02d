package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"matchday/id"
	"matchday/sim/serial"
	"matchday/sim/workload"
)

const (
	tryFor       = time.Second           // one try of a client
	pauseBetween = 2 * time.Millisecond  // operations of one client
	pauseRetry   = 20 * time.Millisecond // tries of one operation
	resolveLimit = 10 * time.Minute      // for an answer to every operation, once the fault is over
	maxPerPlayer = 1_500                 // operations: the checker's time grows with the square
)

// load is a crowd of clients and what they were told.
type load struct {
	target  target
	history *serial.Recorder
	players int
	seed    uint64
	started int64 // on the history's clock

	ops  atomic.Int64
	wg   sync.WaitGroup
	stop context.CancelFunc
	end  context.CancelFunc

	mu         sync.Mutex
	unresolved []string // keys that nobody ever answered
}

// newLoad returns a load that has not begun.
func newLoad(t target, players int, seed uint64) *load {
	return &load{target: t, history: serial.NewRecorder(), players: players, seed: seed}
}

// begin starts the clients. They work until halt.
func (l *load) begin(ctx context.Context, clients int) {
	ctx, l.end = context.WithCancel(ctx)
	fresh, stop := context.WithCancel(ctx)
	l.stop = stop
	l.started = l.history.Now()
	for n := range clients {
		c := &client{load: l, number: n, rng: rand.New(rand.NewPCG(l.seed, uint64(n)))} // #nosec: not for secrets
		l.wg.Go(func() { c.run(ctx, fresh) })
	}
}

// halt lets the clients begin nothing new and waits until each has its last answer.
func (l *load) halt() error {
	l.stop()
	limit := time.AfterFunc(resolveLimit, l.end)
	l.wg.Wait()
	limit.Stop()
	l.end()
	if len(l.unresolved) > 0 {
		return fmt.Errorf("%d operations have no answer %s after the fault, %s among them", len(l.unresolved), resolveLimit, l.unresolved[0])
	}
	if l.ops.Load() == 0 {
		return errors.New("the load did nothing")
	}
	return nil
}

// client sends one operation after another and each until it is answered.
type client struct {
	load   *load
	number int
	rng    *rand.Rand
	next   int
	past   []serial.Op // answered ones with keys, to be sent again
	holds  []serial.Op // acknowledged, perhaps ended since
}

// maxPast bounds what a client remembers.
const maxPast = 200

func (c *client) run(ctx, fresh context.Context) {
	limit := int64(c.load.players) * maxPerPlayer
	for fresh.Err() == nil && c.load.ops.Add(1) <= limit {
		o := c.draw()
		if !c.resolve(ctx, &o) {
			c.load.mu.Lock()
			c.load.unresolved = append(c.load.unresolved, o.Key)
			c.load.mu.Unlock()
			return
		}
		pause(fresh, pauseBetween)
	}
}

// resolve sends the operation until it is answered, and records every try.
func (c *client) resolve(ctx context.Context, o *serial.Op) bool {
	for ctx.Err() == nil {
		try, cancel := context.WithTimeout(ctx, tryFor)
		o.Call = c.load.history.Now()
		answer, notTaken := c.load.target.do(try, o)
		cancel()
		o.Answer = answer
		if !notTaken {
			c.load.history.Add(*o)
		}
		if !answer.Unknown {
			c.remember(o)
			return true
		}
		pause(ctx, pauseRetry)
	}
	return false
}

func (c *client) remember(o *serial.Op) {
	if o.Action == serial.Read || o.Action == serial.Lookup {
		return
	}
	c.past = append(c.past, *o)
	c.past = c.past[max(0, len(c.past)-maxPast):]
	if o.Action == serial.Hold && o.Answer.Code == "" {
		c.holds = append(c.holds, *o)
		c.holds = c.holds[max(0, len(c.holds)-maxPast):]
	}
}

// draw returns the next operation: mostly debits and deposits, then holds and their ends, reads, and now
// and then a key that was used before, for the same request or for another.
func (c *client) draw() serial.Op {
	c.next++
	player := c.rng.IntN(c.load.players)
	o := serial.Op{
		Client: c.number, Player: playerID(player), Minor: int64(1 + c.rng.IntN(400)),
		Key: fmt.Sprintf("c%d-%d", c.number, c.next),
	}
	switch n := c.rng.IntN(40); {
	case n < 11:
		o.Action = serial.Deposit
	case n < 24:
		o.Action = serial.Debit
	case n < 28:
		o.Action = serial.Hold
	case n < 32 && len(c.holds) > 0:
		h := &c.holds[c.rng.IntN(len(c.holds))]
		o.Action, o.Player, o.HoldKey, o.Minor = serial.Post, h.Player, h.Key, int64(c.rng.IntN(2))*(1+h.Minor/2)
		if c.rng.IntN(2) == 0 {
			o.Action, o.Minor = serial.Release, 0
		}
	case n < 35 && len(c.past) > 0:
		o = c.past[c.rng.IntN(len(c.past))]
		switch n := c.rng.IntN(4); {
		case n == 0:
			o.Action, o.HoldKey, o.Minor = serial.Lookup, "", 0
		case n == 1 && o.Action != serial.Release && o.Answer.Position.Seq > 0:
			o.Minor++ // another request under a key that is answered for good
		}
		o.Answer, o.Return = serial.Answer{}, 0
	default:
		o.Action, o.Key, o.Minor = serial.Read, "", 0
	}
	return o
}

// playerID returns the id of player number n.
func playerID(n int) id.Player { return workload.Player(n) }

// pause waits, or returns when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
