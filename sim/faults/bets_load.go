package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"matchday/id"
	"matchday/sim/workload"
	"matchday/stream"
)

// betFacts are what a bet shows.
type betFacts struct {
	Player  id.Player
	Stake   int64
	Version int
	Status  string
	Payout  int64
}

// shownBet is a bet of the history, as a line of text.
type shownBet struct {
	Bet id.Bet
	betFacts
}

// betsClient asks the bets process.
type betsClient struct {
	addr func() string
	http *http.Client
}

// ask asks once. Whatever goes wrong on the way is unknown.
func (c *betsClient) ask(ctx context.Context, limit time.Duration, o *betOp) (a betReply) {
	a.Unknown = true
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	body, err := json.Marshal(o)
	if err != nil {
		return a
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr()+betsPath, bytes.NewReader(body))
	if err != nil {
		return a
	}
	response, err := c.http.Do(request)
	if err != nil {
		return a
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	var got betReply
	if err := json.NewDecoder(io.LimitReader(response.Body, maxOpBytes)).Decode(&got); err != nil || response.StatusCode != http.StatusOK {
		return a
	}
	return got
}

// must asks until there is an answer.
func (c *betsClient) must(ctx context.Context, o *betOp) (betReply, error) {
	for ctx.Err() == nil {
		a := c.ask(ctx, tryFor, o)
		if a.Problem != "" {
			return a, errors.New(a.Problem)
		}
		if !a.Unknown {
			return a, nil
		}
		pause(ctx, pauseRetry)
	}
	return betReply{}, ctx.Err()
}

// knownBet is a bet as its player knows it.
type knownBet struct {
	player  id.Player
	version int             // that was acknowledged last
	at      stream.Position // of that
	seen    int             // highest version that a read has shown, -1 if none has found it
}

// betLoad is players who bet and settle, and watchers who look at their bets meanwhile.
type betLoad struct {
	client  *betsClient
	players int
	seed    uint64

	mu        sync.Mutex
	bets      map[id.Bet]*knownBet
	order     []id.Bet
	settled   int
	reads     int
	backwards int // reads that showed less than one before, or less than they asked for
	problem   error

	wg        sync.WaitGroup
	stop, end context.CancelFunc
}

const (
	betWatchers = 2
	maxBets     = 50_000 // of a run
	maxVersion  = 4      // of a bet
	firstPlayer = 500_000
)

// begin gives players their money and starts clients and watchers.
func (l *betLoad) begin(ctx context.Context, clients int) error {
	for n := range l.players {
		if _, err := l.client.must(ctx, &betOp{Do: doFund, Player: workload.Player(firstPlayer + n)}); err != nil {
			return err
		}
	}
	ctx, l.end = context.WithCancel(ctx)
	fresh, stop := context.WithCancel(ctx)
	l.stop = stop
	for n := range clients {
		l.wg.Go(func() {
			if err := l.play(ctx, fresh, n); err != nil && ctx.Err() == nil {
				l.fail(err)
			}
		})
	}
	for n := range betWatchers {
		l.wg.Go(func() { l.watch(fresh, rand.New(rand.NewPCG(l.seed, uint64(1_000+n)))) }) // #nosec: not for secrets
	}
	return nil
}

// halt lets nobody begin anything new and waits until each has its last answer.
func (l *betLoad) halt() error {
	l.stop()
	limit := time.AfterFunc(resolveLimit, l.end)
	l.wg.Wait()
	limit.Stop()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problem
}

func (l *betLoad) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem = errors.Join(l.problem, err)
}

// play is one client: it places bets and settles its own, again and again.
func (l *betLoad) play(ctx, fresh context.Context, number int) error {
	rng := rand.New(rand.NewPCG(l.seed, uint64(number))) // #nosec: not for secrets
	ids := id.NewSource(time.Now)
	var own []id.Bet
	for fresh.Err() == nil && l.count() < maxBets {
		o := betOp{Do: doPlace, Bet: ids.NewBet(), Player: workload.Player(firstPlayer + rng.IntN(l.players))}
		if len(own) > 0 && rng.IntN(2) == 0 {
			bet := own[len(own)-1-rng.IntN(min(len(own), 50))]
			known := l.known(bet)
			if o = (betOp{Do: doSettle, Bet: bet, Player: known.player, Version: known.version + 1}); o.Version > maxVersion {
				continue
			}
		}
		a, err := l.client.must(ctx, &o)
		if err != nil {
			return fmt.Errorf("%s %s: %w", o.Do, o.Bet, err)
		}
		if o.Do == doPlace {
			own = append(own, o.Bet)
		}
		l.note(&o, a.Position)
		pause(fresh, pauseBetween)
	}
	return nil
}

func (l *betLoad) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.order)
}

func (l *betLoad) known(bet id.Bet) knownBet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.bets[bet]
}

// note keeps what was acknowledged.
func (l *betLoad) note(o *betOp, at stream.Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if o.Do == doPlace {
		l.bets[o.Bet] = &knownBet{player: o.Player, at: at, seen: -1}
		l.order = append(l.order, o.Bet)
		return
	}
	b := l.bets[o.Bet]
	b.version, b.at = o.Version, at
	l.settled++
}

// watch reads bets: what a bet has shown once, or what the reader asks for by the position of its write, is
// the least that it may show.
func (l *betLoad) watch(fresh context.Context, rng *rand.Rand) {
	for ; fresh.Err() == nil; pause(fresh, pauseBetween) {
		l.mu.Lock()
		if len(l.order) == 0 {
			l.mu.Unlock()
			continue
		}
		newest := min(len(l.order), 200)
		bet := l.order[len(l.order)-1-rng.IntN(newest)]
		b := *l.bets[bet]
		l.mu.Unlock()
		o, least := betOp{Do: doFind, Bet: bet, Player: b.player}, b.seen
		if rng.IntN(2) == 0 {
			o.At, least = &b.at, max(b.seen, b.version)
		}
		a := l.client.ask(fresh, 5*tryFor, &o)
		if a.Unknown || a.Problem != "" {
			continue
		}
		shown := a.Version
		if !a.Found {
			shown = -1
		}
		l.mu.Lock()
		l.reads++
		if shown < least {
			l.backwards++
		}
		l.bets[bet].seen = max(l.bets[bet].seen, shown)
		l.mu.Unlock()
	}
}
