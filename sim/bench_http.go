package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/sim/internal/wire"
	"matchday/sim/workload"
)

// batchConnections is how many clients send transfer batches at a time.
const batchConnections = 4

// benchLedgerHTTP measures the batch endpoint and single debits on a whole platform.
func benchLedgerHTTP(ctx context.Context, o BenchOptions, r *BenchReport, dir string, run int) error {
	return onPlatform(ctx, o, dir, func(p *platform) error {
		if err := fund(ctx, p.Ledger, workload.NewLedger("fund-", o.Accounts, o.Seed)); err != nil {
			return err
		}
		if err := measureBatches(ctx, o, r, p, run); err != nil {
			return err
		}
		err := poll(ctx, "projections to catch up", 5*time.Minute, func() (bool, error) { return p.historyShowsAll(), nil })
		if err != nil {
			return err
		}
		return measureDebits(ctx, o, r, p, run)
	})
}

// onPlatform runs f on a fresh platform and stops it.
func onPlatform(ctx context.Context, o BenchOptions, dir string, f func(p *platform) error) error {
	if o.Engine == engineMySQL {
		return errs.New(errs.CodeInvalid, "engine mysql is measured by bench ledger and bench month only")
	}
	p, err := startPlatform(ctx, dir, o.Shards, simulationConfig)
	if err != nil {
		return err
	}
	return errors.Join(f(p), p.close())
}

// measureBatches sends batches of a thousand as fast as they are answered.
func measureBatches(ctx context.Context, o BenchOptions, r *BenchReport, p *platform, run int) error {
	var committed atomic.Int64
	load, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for i := range batchConnections {
		wg.Go(func() {
			source := workload.NewLedger(fmt.Sprintf("http%d-%d-", run, i), o.Accounts, o.Seed+uint64(100+i)) // #nosec: small
			if err := sendBatches(load, p, source, &committed); err != nil {
				stop(err)
			}
		})
	}
	got, err := steadySpeed(load, o.length(), &committed, cpuTime)
	stop(nil)
	wg.Wait()
	if err != nil {
		return err
	}
	r.add("batch_api_transfers_per_min", got.perMinute)
	return nil
}

func sendBatches(ctx context.Context, p *platform, source *workload.Ledger, committed *atomic.Int64) error {
	client := wire.New(p.addr, requestTimeout)
	defer client.Close()
	want := fmt.Appendf(nil, `"committed":%d,`, ledgerBatch)
	var body []byte
	for ctx.Err() == nil {
		body = source.AppendBatch(body[:0], ledgerBatch)
		answer, err := client.Do(ctx, &wire.Request{Method: "POST", Path: "/v1/ledger/transfers/batch", Token: p.Secrets.ServiceKey, Body: body})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if answer.Status != 200 || !bytes.Contains(answer.Body[:min(len(answer.Body), 200)], want) {
			return fmt.Errorf("batch answered %d %.400s", answer.Status, answer.Body)
		}
		committed.Add(ledgerBatch)
	}
	return nil
}

// debits is an open loop of single stakes through the ledger API.
type debits struct {
	o       BenchOptions
	addr    string // host:port
	token   string
	mu      sync.Mutex
	source  *workload.Ledger
	latency *latency
	failed  firstError
}

// newDebits returns debits for the ledger API at addr, with keys that start with prefix.
func newDebits(o BenchOptions, addr, token, prefix string) *debits {
	return &debits{o: o, addr: addr, token: token, latency: newLatency(), source: workload.NewLedger(prefix, o.Accounts, o.Seed+50)}
}

// play sends the debits at the rate of the options for the length and waits for the last answer.
func (d *debits) play(ctx context.Context, length time.Duration) error {
	return d.playWhile(ctx, ctx, length)
}

// playWhile is play that sends no more once sending is done; what is under way is still waited for.
func (d *debits) playWhile(ctx, sending context.Context, length time.Duration) error {
	pool := newPool(ctx, d.addr, openLoopConnections(d.o), requestTimeout)
	p := pacer{start: time.Now(), pool: pool, tracks: []track{{curve: steady(d.o.Rate, length), run: d.one}}}
	p.play(sending, length)
	pool.close()
	return d.failed.err()
}

// openLoopConnections is how many requests an open loop has under way at most: enough that a slow
// answer does not hold back the next request.
func openLoopConnections(o BenchOptions) int { return max(o.Workers, 256) }

// one sends one debit.
func (d *debits) one(ctx context.Context, w *worker, _ int, due time.Time) {
	d.mu.Lock()
	t := d.source.Debit()
	d.mu.Unlock()
	w.buf = workload.AppendTransfer(w.buf[:0], &t)
	err := call(ctx, w.http, &wire.Request{Method: "POST", Path: "/v1/ledger/transfers", Token: d.token, Body: w.buf}, nil)
	if ctx.Err() != nil {
		return
	}
	d.failed.note(err)
	d.latency.since(due)
}

// BenchReads measures balance and history reads over HTTP: as many as are answered with half the
// connections of bench bets, and how soon a plain history read shows a bet after its answer.
func BenchReads(ctx context.Context, o BenchOptions, out io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("reads", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "players": benchPlayers(o), "seconds": o.Seconds, "runs": o.Runs, "connections": o.Workers, "seed": o.Seed,
	})
	r.Data = "three balance reads to one history page of 20 bets, players evenly; freshness: one bet after another, read back without a position until it is shown"
	r.Excluded = "sign-up, funding and the bets placed before the reads"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		return onPlatform(ctx, o, dir, func(p *platform) error { return measureReads(ctx, o, r, p) })
	})
}

func measureReads(ctx context.Context, o BenchOptions, r *BenchReport, p *platform) error {
	h, err := newBetHouse(ctx, o, p)
	if err != nil {
		return err
	}
	if err := h.placeFor(ctx, 2*time.Second); err != nil {
		return err
	}
	if err := h.caughtUp(ctx); err != nil {
		return err
	}
	var n atomic.Int64
	read := func(ctx context.Context, w *worker, draw int) error {
		path := "/v1/me/balance"
		if draw%4 == 3 {
			path = "/v1/me/bets?limit=20"
		}
		player := &h.crowd.players[(draw*7919)%len(h.crowd.players)]
		if err := call(ctx, w.http, &wire.Request{Method: "GET", Path: path, Token: player.token}, nil); err != nil {
			return err
		}
		n.Add(1)
		return nil
	}
	var elapsed time.Duration
	err = r.measured(o, func() (err error) {
		elapsed, err = h.closedLoop(ctx, o.length(), read)
		return err
	})
	if err != nil {
		return err
	}
	r.add("reads_per_s", float64(n.Load())/elapsed.Seconds())
	fresh, err := h.freshness(ctx, 1_000)
	if err != nil {
		return err
	}
	r.add("freshness_p99_ms", fresh.percentiles().P99)
	r.add("freshness_p50_ms", fresh.percentiles().P50)
	return nil
}
