package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/sim/internal/wire"
)

// Streams of random numbers, one for each kind of arrival.
const (
	drawsOfDeposits = iota + 10
	drawsOfBets
	drawsOfReads
	drawsOfScript
)

// draws returns the random numbers of one arrival: the same for the same seed, whoever runs it.
func (s *sunday) draws(kind, n int) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed, uint64(kind)<<40|uint64(n))) // #nosec: not for secrets
}

// singlesOfTheDay is the share of singles while there are games enough for parlays. Over the whole day,
// with its night game, seven bets in ten are singles.
const singlesOfTheDay = 62

// carefulAttempts is how many bets one arrival tries while it keeps clear of kick-offs. After those it
// tries with a pause, and up to the last kick-off.
const carefulAttempts = 10

// bet is one arrival of the bets: a player sees the offer, fills in a slip and gets it accepted, if
// need be after a changed price or with another bet. It gives up only when the last game is under way.
func (s *sunday) bet(ctx context.Context, w *worker, n int, due time.Time) {
	rng := s.draws(drawsOfBets, n)
	overdraw := rng.IntN(400) == 0 // a few try with more than they have
	for attempt := 0; ctx.Err() == nil; attempt++ {
		careful := attempt < carefulAttempts
		if !careful {
			if !s.takesBets() {
				break
			}
			pause(ctx, 20*time.Millisecond)
		}
		slip, ok := s.fillIn(ctx, w, rng, careful, overdraw && attempt == 0)
		if !ok {
			continue
		}
		slip.key = "b" + strconv.Itoa(n) + "." + strconv.Itoa(attempt)
		switch s.place(ctx, w, &slip, due) {
		case "":
			return
		case errs.CodeUnavailable:
			return // noted as unresolved
		}
	}
	s.short.Add(1)
}

// takesBets reports whether a game of the day has not kicked off on the platform.
func (s *sunday) takesBets() bool {
	return slices.ContainsFunc(s.day.games, func(g Game) bool { return time.Until(s.kickoff(g)) > 0 })
}

// fillIn chooses games that are still open, selections, stake and a player who has the money; the
// stake is reserved from the player's spare money.
func (s *sunday) fillIn(ctx context.Context, w *worker, rng *rand.Rand, careful, overdraw bool) (slip, bool) {
	legs := drawLegs(rng, singlesOfTheDay)
	stake := drawStake(rng, legs)
	player := s.crowd.reserve(rng, stake)
	if player < 0 {
		stake = stakes[0]
		if player = s.crowd.reserve(rng, stake); player < 0 {
			s.topUp(ctx, w, rng)
			player = s.crowd.reserve(rng, stake)
		}
		if player < 0 {
			return slip{}, false
		}
	}
	p := &s.crowd.players[player]
	games := s.drawGames(rng, s.board.at(p.territory), legs, careful)
	if len(games) == 0 {
		p.spare.Add(stake)
		return slip{}, false
	}
	if overdraw {
		if more := p.spare.Load() + 2*stake; more < 500_00 {
			p.spare.Add(stake - more)
			stake = more
		}
	}
	out := slip{player: player, stake: stake, policy: drawPolicy(rng), legs: make([]selection, len(games))}
	for i, g := range games {
		out.legs[i] = drawSelection(rng, s.board.at(p.territory).games[g])
	}
	return out, true
}

// topUp makes a deposit for some player right now: nobody drawn had the money.
func (s *sunday) topUp(ctx context.Context, w *worker, rng *rand.Rand) {
	s.deposit(ctx, w, len(s.crowd.players)+rng.IntN(1<<40), time.Now())
}

// drawGames returns up to n different games that have not kicked off, the next ones more likely.
// Careful players leave out those whose kick-off is near.
func (s *sunday) drawGames(rng *rand.Rand, shown *offer, n int, careful bool) []int {
	now := s.day.realAt(time.Since(s.start))
	if careful {
		// Nobody starts a bet that, as slow as answers are now, might commit after the kick-off.
		slow := time.Duration(2 * s.slow.Load())
		now = now.Add(max(s.day.guard()/2, s.day.real(slow)))
	}
	type candidate struct {
		game   int
		weight float64
	}
	open, sum := make([]candidate, 0, 16), 0.0
	for i, g := range s.day.games {
		left := g.Kickoff.Sub(now)
		if !careful {
			left = s.day.real(time.Until(s.kickoff(g))) // up to a second of the run later
		}
		if left <= 0 || len(shown.games[i]) == 0 {
			continue
		}
		weight := 0.12 + exp(-left, betRamp)
		open, sum = append(open, candidate{i, weight}), sum+weight
	}
	games := make([]int, 0, n)
	for len(games) < n && len(open) > 0 {
		at, pick := rng.Float64()*sum, 0
		for pick < len(open)-1 && at >= open[pick].weight {
			at -= open[pick].weight
			pick++
		}
		games, sum = append(games, open[pick].game), sum-open[pick].weight
		open = slices.Delete(open, pick, pick+1)
	}
	return games
}

// place sends a slip until it has an answer. It returns "" for an accepted bet, the code of a refusal,
// or CodeUnavailable when no answer was to be had.
func (s *sunday) place(ctx context.Context, w *worker, b *slip, due time.Time) errs.Code {
	p := &s.crowd.players[b.player]
	request, buf := b.request(p, w.buf)
	w.buf = buf
	var answer receipt
	sent := time.Now()
	err := s.keepSending(ctx, w.http, &request, &answer)
	s.noteSlow(time.Since(sent))
	if err == nil {
		s.latency["place_bet"].since(due)
		s.windowBets.since(due)
		s.accept(ctx, w, b, &answer)
		return ""
	}
	if retryable(err) {
		s.mu.Lock()
		s.unresolved = append(s.unresolved, *b)
		s.mu.Unlock()
		return errs.CodeUnavailable
	}
	code := errs.CodeOf(err)
	p.spare.Add(b.stake)
	s.mu.Lock()
	s.refused[string(code)]++
	s.mu.Unlock()
	switch code {
	case errs.CodePriceChanged, errs.CodeSuspended, errs.CodeLimitReached, errs.CodeInsufficientFunds:
		if code == errs.CodePriceChanged {
			_ = s.board.refresh(ctx, w.http, p.territory) // look again before the next try
		}
	default:
		s.failures.note(fmt.Errorf("bet %s of player %s: unexpected answer: %w", b.key, p.id, err))
	}
	return code
}

// noteSlow keeps the longest answer of late.
func (s *sunday) noteSlow(took time.Duration) {
	for {
		slow := s.slow.Load()
		if int64(took) <= slow || s.slow.CompareAndSwap(slow, int64(took)) {
			return
		}
	}
}

// keepSending is persist with the retries counted.
func (s *sunday) keepSending(ctx context.Context, client *wire.Client, r *wire.Request, answer any) error {
	err := call(ctx, client, r, answer)
	if err != nil && retryable(err) && ctx.Err() == nil {
		s.retried.Add(1)
		pause(ctx, 20*time.Millisecond)
		err = persist(ctx, client, r, answer)
	}
	return err
}

// accept tracks an accepted bet, and now and then reads it back at the position of its answer.
func (s *sunday) accept(ctx context.Context, w *worker, b *slip, answer *receipt) {
	tracked, err := answer.tracked(b.player, b.stake)
	if err != nil {
		s.failures.note(fmt.Errorf("receipt of bet %s: %w", answer.ID, err))
		return
	}
	if answer.Replayed {
		s.replayed.Add(1)
	}
	s.bets.add(tracked)
	s.crowd.players[b.player].staked.Add(b.stake)
	s.accepted.add(1)
	if s.accepted.total.Load()%97 != 0 {
		return
	}
	began := time.Now()
	request := wire.Request{Method: "GET", Path: "/v1/bets/" + answer.ID, Token: s.crowd.players[b.player].token, Position: answer.Position}
	if err := call(ctx, w.http, &request, nil); err == nil {
		s.fresh.Add(1)
		s.latency["bet_after_write"].since(began)
	} else if errs.Is(err, errs.CodeNotFound) {
		s.stale.Add(1)
	}
}

// read is one arrival of the reads: mostly the balance, sometimes the bets.
func (s *sunday) read(ctx context.Context, w *worker, n int, due time.Time) {
	rng := s.draws(drawsOfReads, n)
	player := s.crowd.anyFunded(rng)
	if player < 0 {
		return
	}
	name, path := "balance", "/v1/me/balance"
	if rng.IntN(4) == 0 {
		name, path = "history", "/v1/me/bets?limit=20"
	}
	request := wire.Request{Method: "GET", Path: path, Token: s.crowd.players[player].token}
	if err := call(ctx, w.http, &request, nil); err != nil {
		if ctx.Err() == nil && !retryable(err) {
			s.failures.note(fmt.Errorf("read %s: %w", name, err))
		}
		return
	}
	s.latency[name].since(due)
	s.windowReads.since(due)
	s.reads.add(1)
}

// pendingDeposit is a deposit whose end is not known yet.
type pendingDeposit struct {
	player int
	minor  int64
}

// payment is what the generator reads of a deposit.
type payment struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// deposit is one arrival of the deposits: everybody's first one, then top-ups of some.
func (s *sunday) deposit(ctx context.Context, w *worker, n int, due time.Time) {
	rng := s.draws(drawsOfDeposits, n)
	player := n
	if n >= len(s.crowd.players) {
		player = rng.IntN(len(s.crowd.players))
	}
	p := &s.crowd.players[player]
	minor := 50_00 + 10_00*rng.Int64N(46)
	methods := []string{drawMethod(rng), "card"} // who is declined takes another card
	for i, method := range methods {
		body := append([]byte(nil), `{"amount":`...)
		body = appendAmount(body, minor, p.territory)
		body = append(body, `,"method":"`+method+`"}`...)
		request := wire.Request{Method: "POST", Path: "/v1/me/deposits", Token: p.token, Key: fmt.Sprintf("d%d.%d", n, i), Body: body}
		var answer payment
		if err := s.keepSending(ctx, w.http, &request, &answer); err != nil {
			if ctx.Err() == nil {
				s.failures.note(fmt.Errorf("deposit d%d of player %s: %w", n, p.id, err))
			}
			return
		}
		s.latency["deposit"].since(due)
		if s.credited(player, minor, answer) {
			return
		}
	}
}

// credited books the outcome of a deposit on our side; false is declined.
func (s *sunday) credited(player int, minor int64, answer payment) bool {
	switch answer.Status {
	case "completed":
		s.crowd.credit(player, minor)
		s.deposits.add(1)
	case "pending":
		s.mu.Lock()
		s.pending[answer.ID] = pendingDeposit{player, minor}
		s.mu.Unlock()
	default:
		s.declined.Add(1)
		return false
	}
	return true
}

// drawMethod returns a sandbox card: nearly always a good one.
func drawMethod(rng *rand.Rand) string {
	switch n := rng.IntN(1000); {
	case n < 20:
		return "card-declined"
	case n < 30:
		return "card-timeout"
	case n < 35:
		return "card-slow"
	}
	return "card"
}

// chasePending asks after the deposits that were pending, once each.
func (s *sunday) chasePending(ctx context.Context, client *wire.Client) {
	s.mu.Lock()
	asked := make(map[string]pendingDeposit, len(s.pending))
	for id, d := range s.pending {
		asked[id] = d
	}
	s.mu.Unlock()
	for id, d := range asked {
		var answer payment
		request := wire.Request{Method: "GET", Path: "/v1/me/deposits/" + id, Token: s.crowd.players[d.player].token}
		if err := call(ctx, client, &request, &answer); err != nil || answer.Status == "pending" {
			continue
		}
		s.mu.Lock()
		delete(s.pending, id)
		s.mu.Unlock()
		s.credited(d.player, d.minor, answer)
	}
}
