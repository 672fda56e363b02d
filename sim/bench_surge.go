package sim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"matchday/ledger"
	"matchday/sim/workload"
)

const (
	// debitRate is how many single debits a second bench ledger sends unless --rate says otherwise.
	debitRate = 5_000
	// surgeSubmitters call CommitBatch in the bulk lane, as the payout workers of a sportsbook do.
	surgeSubmitters = 4
)

// measureDebits measures single debits over HTTP at the rate of the options, against a bare handler, then
// alone, then while a bulk payout runs.
func measureDebits(ctx context.Context, o BenchOptions, r *BenchReport, p *platform, run int) error {
	if err := measureBare(ctx, o, r); err != nil {
		return err
	}
	quiet, began := newDebits(o, p.addr, p.Secrets.ServiceKey, fmt.Sprintf("debit%d-", run)), processorTicks()
	if err := quiet.play(ctx, o.length()); err != nil {
		return err
	}
	r.addStolen("debit_stolen_percent", began)
	r.add("debit_p99_ms", quiet.latency.percentiles().P99)
	r.add("debit_p50_ms", quiet.latency.percentiles().P50)
	if o.Surge == 0 {
		return nil
	}
	surge := newDebits(o, p.addr, p.Secrets.ServiceKey, fmt.Sprintf("surge%d-", run))
	sending, stop := context.WithCancel(ctx)
	defer stop()
	began = processorTicks()
	start, paid := time.Now(), make(chan error, 1)
	var took time.Duration
	go func() {
		err := payOut(sending, o, p, run)
		took = time.Since(start)
		stop()
		paid <- err
	}()
	err := r.measured(o, func() error { return surge.playWhile(ctx, sending, payoutLimit) })
	stop() // a debit that failed ends the payout too
	if err := errors.Join(err, <-paid); err != nil {
		return err
	}
	r.addStolen("debit_surge_stolen_percent", began)
	r.add("debit_surge_p99_ms", surge.latency.percentiles().P99)
	r.add("debit_surge_p50_ms", surge.latency.percentiles().P50)
	r.add("surge_s", took.Seconds())
	return nil
}

// payOut pays o.Surge bets in the bulk lane, each with a record, as fast as the ledger takes them.
func payOut(ctx context.Context, o BenchOptions, p *platform, run int) error {
	var left atomic.Int64
	left.Store(int64(o.Surge))
	var wg sync.WaitGroup
	var failed firstError
	for i := range surgeSubmitters {
		source := workload.NewLedger(fmt.Sprintf("payout%d-%d-", run, i), o.Accounts, o.Seed+uint64(200+i)) // #nosec: small
		wg.Go(func() {
			batch := make([]ledger.Transfer, ledgerBatch)
			for failed.err() == nil {
				before := left.Add(-ledgerBatch) + ledgerBatch
				if before <= 0 {
					return
				}
				failed.note(payBatch(ctx, p.Ledger, source, batch[:min(before, ledgerBatch)]))
			}
		})
	}
	wg.Wait()
	return failed.err()
}

func payBatch(ctx context.Context, books *ledger.Service, source *workload.Ledger, batch []ledger.Transfer) error {
	source.Payouts(batch)
	results, err := books.CommitBatch(ctx, ledger.LaneBulk, batch)
	if err != nil {
		return fmt.Errorf("pay out: %w", err)
	}
	for i := range results {
		if results[i].Err != nil {
			return fmt.Errorf("pay out %s: %w", batch[i].Key, results[i].Err)
		}
	}
	return nil
}
