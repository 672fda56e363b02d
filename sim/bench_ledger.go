package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/sim/workload"
)

const (
	ledgerSubmitters = 8     // goroutines that call CommitBatch
	ledgerBatch      = 1_000 // transfers a call, the most that the batch API takes
	warmUp           = time.Second
)

// BenchLedger measures the ledger with the ledger workload of package workload: transfers in process
// through CommitBatch, transfers through the batch API, and single debits over HTTP at a fixed rate.
func BenchLedger(ctx context.Context, o BenchOptions, out io.Writer) error {
	o.Rate = orDefault(o.Rate, debitRate)
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("ledger", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "accounts": o.Accounts, "seconds": o.Seconds, "runs": o.Runs,
		"batch": ledgerBatch, "submitters": ledgerSubmitters, "record_bytes": workload.RecordBytes, "durability": "synchronous=FULL",
		"debit_rate": o.Rate, "surge": o.Surge, "seed": o.Seed,
	})
	r.Data = "workload.Ledger: 4 stakes to 1 deposit, a tenth of the players make six tenths; log and seals on"
	r.Excluded = "funding the players and one second of warm-up; transfers_per_min runs without relays and projections, the HTTP figures with the whole platform"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		if err := benchLedgerInProcess(ctx, o, r, dir+"/ledger", run); err != nil {
			return err
		}
		return benchLedgerHTTP(ctx, o, r, dir+"/platform", run)
	})
}

// benchLedgerInProcess measures one run of CommitBatch and audits what it wrote.
func benchLedgerInProcess(ctx context.Context, o BenchOptions, r *BenchReport, dir string, run int) error {
	deps := ledger.Deps{Clock: clock.System{}, Log: quietLog(), Metrics: prometheus.NewRegistry()}
	books, err := ledger.Open(ctx, ledger.Config{Dir: dir, Shards: o.Shards}, deps)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- books.Run(ctx) }()
	err = fund(ctx, books, workload.NewLedger("fund-", o.Accounts, o.Seed))
	if err == nil {
		err = r.measured(o, func() error { return measureLedger(ctx, o, r, books, run) })
	}
	stop()
	return errors.Join(err, <-ended, books.Close())
}

func measureLedger(ctx context.Context, o BenchOptions, r *BenchReport, books *ledger.Service, run int) error {
	var committed atomic.Int64
	ctx, cancel := context.WithTimeout(ctx, warmUp+o.length())
	defer cancel()
	var wg sync.WaitGroup
	failures := make(chan error, ledgerSubmitters)
	for i := range ledgerSubmitters {
		source := workload.NewLedger(fmt.Sprintf("run%d-%d-", run, i), o.Accounts, o.Seed+uint64(i)+1) // #nosec: small
		wg.Go(func() { failures <- submit(ctx, books, source, &committed) })
	}
	pause(ctx, warmUp)
	start, cpu, before := time.Now(), cpuTime(), committed.Load()
	<-ctx.Done()
	elapsed, used, n := time.Since(start), cpuTime()-cpu, committed.Load()-before
	wg.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return err
		}
	}
	if n == 0 {
		return errors.New("nothing was committed")
	}
	r.add("transfers_per_min", float64(n)/elapsed.Minutes())
	r.add("cpu_us_per_transfer", float64(used.Microseconds())/float64(n))
	return nil
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

// fund gives every player of the workload their money.
func fund(ctx context.Context, books *ledger.Service, source *workload.Ledger) error {
	for from := 0; from < source.Players(); from += ledgerBatch {
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
}
