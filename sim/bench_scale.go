package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"matchday/ledger"
	"matchday/sim/workload"
)

// scalePoint is one size that the scaling run measures.
type scalePoint struct{ shards, accounts int }

// scalePoints vary the shards at one number of accounts and the accounts at one number of shards.
var scalePoints = []scalePoint{
	{1, 100_000}, {2, 100_000}, {4, 100_000}, {8, 100_000},
	{2, 10_000}, {2, 1_000_000}, {2, 5_000_000},
}

func (p scalePoint) figure(name string) string {
	return fmt.Sprintf("%s_%d_shards_%d_accounts", name, p.shards, p.accounts)
}

// benchLedgerScale measures processor time a transfer and transfers a minute in process for each of the
// points. The players of a point are funded once; its runs follow one another on the same books.
func benchLedgerScale(ctx context.Context, o BenchOptions, points []scalePoint, out io.Writer) error {
	r := newBenchReport("ledger-scale", o.Commit, map[string]any{
		"engine": o.Engine, "seconds": o.Seconds, "runs": o.Runs, "batch": ledgerBatch, "submitters": ledgerSubmitters,
		"record_bytes": workload.RecordBytes, "durability": durability(o.Engine), "seed": o.Seed,
	})
	r.Data = "workload.Ledger in process, for several numbers of shards and accounts; log and seals on"
	r.Excluded = "funding the players and one second of warm-up a run; no relays and projections; the database server's processor time is in the figure"
	for _, p := range points {
		err := inTempDir(o.Dir, func(dir string) error { return measurePoint(ctx, o, r, p, dir) })
		if err != nil {
			return fmt.Errorf("bench ledger, %d shards, %d accounts: %w", p.shards, p.accounts, err)
		}
	}
	if o.JSON {
		return r.write(out, true)
	}
	return errors.Join(r.write(out, false), writeScale(out, r, points))
}

// measurePoint measures every run of one point.
func measurePoint(ctx context.Context, o BenchOptions, r *BenchReport, p scalePoint, dir string) error {
	o.Shards, o.Accounts = p.shards, p.accounts
	return onBooks(ctx, o, dir, func(books *ledger.Service, cpu cpuClock) error {
		if err := fund(ctx, books, workload.NewLedger("fund-", o.Accounts, o.Seed)); err != nil {
			return err
		}
		for run := range o.Runs {
			m, err := measureLedger(ctx, o, books, cpu, run)
			if err != nil {
				return err
			}
			r.add(p.figure("cpu_us_per_transfer"), m.cpuMicros)
			r.add(p.figure("transfers_per_min"), m.perMinute)
		}
		return nil
	})
}

// writeScale prints the points as a table of their own.
func writeScale(out io.Writer, r *BenchReport, points []scalePoint) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush reports
	printf("\nshards\taccounts\tCPU µs a transfer\ttransfers a minute\t\n")
	for _, p := range points {
		printf("%d\t%s\t%s\t%s\t\n", p.shards, thousands(int64(p.accounts)),
			number(r.Figures[p.figure("cpu_us_per_transfer")].Median), number(r.Figures[p.figure("transfers_per_min")].Median))
	}
	return w.Flush()
}
