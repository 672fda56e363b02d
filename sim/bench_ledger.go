package sim

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/ledger"
	"matchday/sim/workload"
)

const (
	ledgerSubmitters = 8     // goroutines that call CommitBatch
	ledgerBatch      = 1_000 // transfers a call, the most that the batch API takes
	warmUp           = time.Second
)

// BenchLedger measures the ledger with the ledger workload of package workload: transfers in process
// through CommitBatch, transfers through the batch API, and single debits over HTTP at a fixed rate. With
// Scale it measures how processor time a transfer changes with shards and accounts; with Baseline what a
// team would write on MariaDB instead.
func BenchLedger(ctx context.Context, o BenchOptions, out io.Writer) error {
	o.Rate = orDefault(o.Rate, debitRate)
	o, err := o.withDefaults()
	switch {
	case err != nil:
		return err
	case o.Baseline:
		return benchBaseline(ctx, o, out)
	case o.Scale:
		return benchLedgerScale(ctx, o, scalePoints, out)
	}
	r := newBenchReport("ledger", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "accounts": o.Accounts, "seconds": o.Seconds, "runs": o.Runs,
		"batch": ledgerBatch, "submitters": ledgerSubmitters, "record_bytes": workload.RecordBytes, "durability": durability(o.Engine),
		"debit_rate": o.Rate, "surge": o.Surge, "seed": o.Seed,
	})
	r.Data = "workload.Ledger: 4 stakes to 1 deposit, a tenth of the players make six tenths; log and seals on"
	r.Excluded = "funding the players and one second of warm-up; transfers_per_min runs without relays and projections, the HTTP figures with the whole platform"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		if err := benchLedgerInProcess(ctx, o, r, dir+"/books", run); err != nil {
			return err
		}
		if o.Engine == engineMySQL {
			return nil // the figures over HTTP are those of the embedded platform
		}
		return benchLedgerHTTP(ctx, o, r, dir+"/platform", run)
	})
}

// benchLedgerInProcess measures one run of CommitBatch on books of its own.
func benchLedgerInProcess(ctx context.Context, o BenchOptions, r *BenchReport, dir string, run int) error {
	return onBooks(ctx, o, dir, func(books *ledger.Service, cpu cpuClock) error {
		if err := fund(ctx, books, workload.NewLedger("fund-", o.Accounts, o.Seed)); err != nil {
			return err
		}
		return r.measured(o, func() error {
			m, err := measureLedger(ctx, o, books, cpu, run)
			if err != nil {
				return err
			}
			r.add("transfers_per_min", m.perMinute)
			r.add("cpu_us_per_transfer", m.cpuMicros)
			return nil
		})
	})
}

// speed is what a run of transfers came to.
type speed struct{ perMinute, cpuMicros float64 }

// steadySpeed lets load run for the warm-up and then for length, and tells how fast count grew in that
// time. It goes on until something was counted: a slow machine stretches a run, it does not empty it.
// It ends early with the cause of ctx, which whoever makes the load ends when it fails.
func steadySpeed(ctx context.Context, length time.Duration, count *atomic.Int64, cpu cpuClock) (speed, error) {
	pause(ctx, warmUp)
	start, used, before := time.Now(), cpu(), count.Load()
	pause(ctx, length)
	for count.Load() == before && ctx.Err() == nil {
		pause(ctx, 10*time.Millisecond)
	}
	elapsed, spent, n := time.Since(start), cpu()-used, count.Load()-before
	if err := context.Cause(ctx); err != nil {
		return speed{}, err
	}
	return speed{perMinute: float64(n) / elapsed.Minutes(), cpuMicros: float64(spent.Microseconds()) / float64(n)}, nil
}

// measureLedger commits batches in process for the length of the options, after a warm-up.
func measureLedger(ctx context.Context, o BenchOptions, books *ledger.Service, cpu cpuClock, run int) (speed, error) {
	var committed atomic.Int64
	load, stop := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	for i := range ledgerSubmitters {
		source := workload.NewLedger(fmt.Sprintf("run%d-%d-", run, i), o.Accounts, o.Seed+uint64(i)+1) // #nosec: small
		wg.Go(func() {
			if err := submit(load, books, source, &committed); err != nil {
				stop(err)
			}
		})
	}
	got, err := steadySpeed(load, o.length(), &committed, cpu)
	stop(nil)
	wg.Wait()
	return got, err
}

// submit commits batches until ctx is done; a call that ctx cut short does not count.
func submit(ctx context.Context, books *ledger.Service, source *workload.Ledger, committed *atomic.Int64) error {
	batch := make([]ledger.Transfer, ledgerBatch)
	for ctx.Err() == nil {
		source.Next(batch)
		results, err := books.CommitBatch(ctx, ledger.LaneInteractive, batch)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range results {
			if results[i].Err != nil {
				return fmt.Errorf("transfer %s: %w", batch[i].Key, results[i].Err)
			}
		}
		committed.Add(int64(len(results)))
	}
	return nil
}

// funders is how many calls give players their money at a time.
const funders = 4

// fund gives every player of the workload their money.
func fund(ctx context.Context, books *ledger.Service, source *workload.Ledger) error {
	g, ctx := errgroup.WithContext(ctx)
	for n := range funders {
		g.Go(func() error {
			for from := n * ledgerBatch; from < source.Players(); from += funders * ledgerBatch {
				results, err := books.CommitBatch(ctx, ledger.LaneInteractive, source.Fund(from, from+ledgerBatch))
				if err != nil {
					return fmt.Errorf("fund players: %w", err)
				}
				for i := range results {
					if results[i].Err != nil {
						return fmt.Errorf("fund players: %w", results[i].Err)
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}
