package sim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/sim/internal/wire"
	"matchday/sim/workload"
)

// BenchBets measures accepted bets over HTTP with every check and history on: as many as are answered,
// counted until history shows the last of them, and the latency at a fixed rate.
func BenchBets(ctx context.Context, o BenchOptions, out io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("bets", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "players": benchPlayers(o), "seconds": o.Seconds, "runs": o.Runs,
		"connections": o.Workers, "place_rate": o.Rate, "seed": o.Seed, "durability": "synchronous=FULL",
	})
	r.Data = "workload bets: singles 7 in 10, parlays of two to four legs, on eight games; every player has money enough"
	r.Excluded = "sign-up, funding and one second of warm-up; the time until history shows the last bet is included"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		return onPlatform(ctx, o, dir, func(p *platform) error { return measureBets(ctx, o, r, p) })
	})
}

func measureBets(ctx context.Context, o BenchOptions, r *BenchReport, p *platform) error {
	h, err := newBetHouse(ctx, o, p)
	if err != nil {
		return err
	}
	if err := h.placeFor(ctx, warmUp); err != nil {
		return err
	}
	at, err := h.placeSteadily(ctx, o.Rate, o.length())
	if err != nil {
		return err
	}
	r.add("place_p99_ms", at.percentiles().P99)
	r.add("place_p50_ms", at.percentiles().P50)
	before, start, cpu := h.accepted.Load(), time.Now(), cpuTime()
	err = r.measured(o, func() error {
		if err := h.placeFor(ctx, o.length()); err != nil {
			return err
		}
		return h.caughtUp(ctx)
	})
	if err != nil {
		return err
	}
	n := h.accepted.Load() - before
	r.add("bets_per_min", float64(n)/time.Since(start).Minutes())
	r.add("cpu_us_per_bet", float64((cpuTime()-cpu).Microseconds())/float64(max(n, 1)))
	return nil
}

// benchPlayers bounds the players who sign up for a benchmark: that is not what it measures.
func benchPlayers(o BenchOptions) int { return min(o.Accounts, 5_000) }

// betHouse is a platform with an offer and players with money, ready to bet.
type betHouse struct {
	o        BenchOptions
	p        *platform
	crowd    *crowd
	board    *board
	accepted atomic.Int64
	next     atomic.Int64
}

func newBetHouse(ctx context.Context, o BenchOptions, p *platform) (*betHouse, error) {
	h := &betHouse{o: o, p: p, crowd: newCrowd(benchPlayers(o))}
	pool := newPool(ctx, p.addr, o.Workers, requestTimeout)
	err := h.crowd.signUpAll(ctx, pool, func() {})
	pool.close()
	if err != nil {
		return nil, err
	}
	if err := h.fundAll(ctx); err != nil {
		return nil, err
	}
	return h, h.openOffer(ctx)
}

// fundAll gives every player money straight in the ledger.
func (h *betHouse) fundAll(ctx context.Context) error {
	var batch []ledger.Transfer
	flush := func() error {
		results, err := h.p.Ledger.CommitBatch(ctx, ledger.LaneInteractive, batch)
		for i := range results {
			if err == nil {
				err = results[i].Err
			}
		}
		batch = batch[:0]
		if err != nil {
			return fmt.Errorf("fund players: %w", err)
		}
		return nil
	}
	for i := range h.crowd.players {
		p := &h.crowd.players[i]
		t := workload.Territories()[p.territory]
		batch = append(batch, workload.Deposit("fund-"+p.id, id.Player(p.id), t, workload.FundMinor))
		h.crowd.credit(i, workload.FundMinor)
		if len(batch) == ledgerBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return flush()
}

// openOffer uploads the fictional slate, a day ahead, and reads it as players do.
func (h *betHouse) openOffer(ctx context.Context) error {
	games, err := importFiction(ctx, h.p)
	if err != nil {
		return err
	}
	h.board = newBoard(h.p.addr, games)
	client := wire.New(h.p.addr, requestTimeout)
	defer client.Close()
	for territory := range h.board.offers {
		if err := h.board.refresh(ctx, client, territory); err != nil {
			return err
		}
	}
	return nil
}

// importFiction uploads the fictional slate with kick-offs from tomorrow on.
func importFiction(ctx context.Context, p *platform) ([]Game, error) {
	slate, err := fictionSlate(1)
	if err != nil {
		return nil, err
	}
	var file bytes.Buffer
	move := time.Until(slate.Games[0].Kickoff) - 24*time.Hour
	if err := slate.WriteCSV(&file, slate.Games, func(kick time.Time) time.Time { return kick.Add(-move) }); err != nil {
		return nil, err
	}
	client := wire.New(p.addr, requestTimeout)
	defer client.Close()
	request := wire.Request{Method: "POST", Path: "/v1/operator/events/import", Token: p.staff, Type: "text/csv", Body: file.Bytes()}
	if err := call(ctx, client, &request, nil); err != nil {
		return nil, fmt.Errorf("import the slate: %w", err)
	}
	return slate.Games, nil
}

// closedLoop calls f on every connection, again as soon as it returns, for the length. It returns the
// time from the start to the last answer.
func (h *betHouse) closedLoop(ctx context.Context, length time.Duration, f func(ctx context.Context, w *worker, n int) error) (time.Duration, error) {
	start := time.Now()
	var wg sync.WaitGroup
	var failed firstError
	for range h.o.Workers {
		wg.Go(func() {
			w := &worker{http: wire.New(h.p.addr, requestTimeout)}
			defer w.http.Close()
			for time.Since(start) < length && ctx.Err() == nil && failed.err() == nil {
				failed.note(f(ctx, w, int(h.next.Add(1))))
			}
		})
	}
	wg.Wait()
	return time.Since(start), failed.err()
}

// placeFor places bets as fast as they are answered.
func (h *betHouse) placeFor(ctx context.Context, length time.Duration) error {
	_, err := h.closedLoop(ctx, length, func(ctx context.Context, w *worker, n int) error {
		_, _, err := h.place(ctx, w, n)
		return err
	})
	return err
}

// placeSteadily places bets at a fixed rate and returns their latency from when they were due.
func (h *betHouse) placeSteadily(ctx context.Context, rate int, length time.Duration) (*latency, error) {
	at := newLatency()
	var failed firstError
	pool := newPool(ctx, h.p.addr, openLoopConnections(h.o), requestTimeout)
	base := int(h.next.Add(int64(rate)*int64(length/time.Second) + 1))
	p := pacer{start: time.Now(), pool: pool, tracks: []track{{curve: steady(rate, length), run: func(ctx context.Context, w *worker, n int, due time.Time) {
		_, _, err := h.place(ctx, w, base-1-n)
		failed.note(err)
		at.since(due)
	}}}}
	p.play(ctx, length)
	pool.close()
	return at, failed.err()
}

// place places bet number n and returns its receipt.
func (h *betHouse) place(ctx context.Context, w *worker, n int) (*receipt, *bettor, error) {
	rng := rand.New(rand.NewPCG(h.o.Seed, uint64(n))) // #nosec: not for secrets
	player := rng.IntN(len(h.crowd.players))
	p := &h.crowd.players[player]
	shown := h.board.at(p.territory)
	legs := drawLegs(rng, 70)
	s := slip{player: player, stake: drawStake(rng, legs), policy: "none", key: "n" + strconv.Itoa(n)}
	for _, g := range rng.Perm(len(shown.games))[:legs] {
		s.legs = append(s.legs, drawSelection(rng, shown.games[g]))
	}
	var request wire.Request
	request, w.buf = s.request(p, w.buf)
	var answer receipt
	if err := call(ctx, w.http, &request, &answer); err != nil {
		return nil, p, fmt.Errorf("place bet %d: %w", n, err)
	}
	h.accepted.Add(1)
	return &answer, p, nil
}

// caughtUp waits until history shows everything.
func (h *betHouse) caughtUp(ctx context.Context) error {
	return poll(ctx, "history to catch up", 5*time.Minute, func() (bool, error) { return h.p.historyShowsAll(), nil })
}

// freshness places n bets one after another and measures how soon a read without a position shows each.
func (h *betHouse) freshness(ctx context.Context, n int) (*latency, error) {
	out := newLatency()
	w := &worker{http: wire.New(h.p.addr, requestTimeout)}
	defer w.http.Close()
	for range n {
		answer, p, err := h.place(ctx, w, int(h.next.Add(1)))
		if err != nil {
			return nil, err
		}
		start := time.Now()
		for {
			err := call(ctx, w.http, &wire.Request{Method: "GET", Path: "/v1/bets/" + url.PathEscape(answer.ID), Token: p.token}, nil)
			if err == nil {
				break
			}
			if !errs.Is(err, errs.CodeNotFound) || time.Since(start) > time.Minute {
				return nil, fmt.Errorf("read back bet %s: %w", answer.ID, err)
			}
		}
		out.since(start)
	}
	return out, nil
}

// moneylineHome returns the id of the home selection of a game's moneyline.
func (h *betHouse) moneylineHome(game int) (selection, error) {
	for _, s := range h.board.at(0).games[game] {
		if s.market == "moneyline" && s.code == "home" {
			return s, nil
		}
	}
	return selection{}, fmt.Errorf("game %d has no moneyline", game)
}
