package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/sim/internal/wire"
	"matchday/sim/workload"
)

// bettor is one simulated player with what we know of their money: only what was acknowledged.
type bettor struct {
	id        string
	token     string
	territory int
	deposited atomic.Int64 // completed deposits
	staked    atomic.Int64 // accepted stakes
	spare     atomic.Int64 // what they believe they can stake, reservations for bets under way taken off
}

// crowd is all simulated players.
type crowd struct {
	players []bettor
	mu      sync.RWMutex
	funded  []int // players with a first deposit
}

func newCrowd(n int) *crowd {
	c := &crowd{players: make([]bettor, n)}
	for i := range c.players {
		c.players[i].territory = i % len(workload.Territories())
	}
	return c
}

// simPassword is every simulated player's; their accounts live in a folder that is thrown away.
const simPassword = "correct horse battery"

// maxTries bounds how often one request is sent under one key before it counts as unresolved.
const maxTries = 12

// signUp opens the account of player n and signs them in.
func (c *crowd) signUp(ctx context.Context, client *wire.Client, n int) error {
	p := &c.players[n]
	territory := workload.Territories()[p.territory].Code
	body := fmt.Appendf(nil, `{"email":"player%d@example.com","password":%q,"display_name":"Player %d","birth_date":"1990-01-01","jurisdiction":%q}`,
		n, simPassword, n, territory)
	err := persist(ctx, client, &wire.Request{Method: "POST", Path: "/v1/players", Body: body}, nil)
	if err != nil && !errs.Is(err, errs.CodeConflict) { // a conflict is our own earlier try
		return fmt.Errorf("sign up player %d: %w", n, err)
	}
	body = fmt.Appendf(nil, `{"email":"player%d@example.com","password":%q,"jurisdiction":%q}`, n, simPassword, territory)
	var session struct {
		Token    string `json:"token"`
		PlayerID string `json:"player_id"`
	}
	if err := persist(ctx, client, &wire.Request{Method: "POST", Path: "/v1/sessions", Body: body}, &session); err != nil {
		return fmt.Errorf("sign in player %d: %w", n, err)
	}
	p.id, p.token = session.PlayerID, session.Token
	return nil
}

// signUpAll signs everybody up on the pool's connections and returns the first error.
func (c *crowd) signUpAll(ctx context.Context, p *pool, done func()) error {
	var wg sync.WaitGroup
	var first atomic.Pointer[error]
	for i := range c.players {
		wg.Add(1)
		ok := p.add(ctx, job{due: time.Now(), n: i, run: func(ctx context.Context, w *worker, n int, _ time.Time) {
			defer wg.Done()
			if first.Load() != nil {
				return
			}
			if err := c.signUp(ctx, w.http, n); err != nil {
				first.CompareAndSwap(nil, &err)
				return
			}
			done()
		}})
		if !ok {
			wg.Done()
			return ctx.Err()
		}
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

// credit notes a completed deposit.
func (c *crowd) credit(n int, minor int64) {
	p := &c.players[n]
	p.spare.Add(minor)
	if p.deposited.Add(minor) == minor {
		c.mu.Lock()
		c.funded = append(c.funded, n)
		c.mu.Unlock()
	}
}

// anyFunded returns a random player who has made a deposit, or -1.
func (c *crowd) anyFunded(rng *rand.Rand) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.funded) == 0 {
		return -1
	}
	return c.funded[rng.IntN(len(c.funded))]
}

// reserve returns a random player who can stake the amount, which is taken off their spare money, or
// -1 if a dozen draws found none.
func (c *crowd) reserve(rng *rand.Rand, minor int64) int {
	for range 12 {
		n := c.anyFunded(rng)
		if n < 0 {
			return -1
		}
		if p := &c.players[n]; p.spare.Add(-minor) >= 0 {
			return n
		}
		c.players[n].spare.Add(minor)
	}
	return -1
}

// persist is call, sent again while the outcome is unknown. The request must be safe to repeat.
func persist(ctx context.Context, client *wire.Client, r *wire.Request, answer any) error {
	wait := 20 * time.Millisecond
	for try := 1; ; try++ {
		err := call(ctx, client, r, answer)
		if err == nil || !retryable(err) || try == maxTries || ctx.Err() != nil {
			return err
		}
		pause(ctx, wait)
		wait = min(2*wait, time.Second)
	}
}

// pause waits for d or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
