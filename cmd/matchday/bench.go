package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"matchday/sim"
)

// benchmarks are the subcommands of bench.
var benchmarks = []struct {
	name, short string
	run         func(ctx context.Context, o sim.BenchOptions, out io.Writer) error
}{
	{"ledger", "durable transfers a minute: in process, through the batch endpoint, and single debits", sim.BenchLedger},
	{"bets", "accepted bets a minute over HTTP, history on", sim.BenchBets},
	{"payout", "a million winning bets from result to paid and visible in history", sim.BenchPayout},
	{"history", "updates a minute of the bet history through log, stream and sink, beside raw upserts", sim.BenchHistory},
	{"rebuild", "a second bet history filled while bets flow: rate, effect on live lag, equality at the end", sim.BenchRebuild},
	{"month", "a month of ledger life: memory, bytes a transfer, restart, audit", sim.BenchMonth},
	{"replicas", "balance reads a second from the replicas of a MariaDB primary, with their freshness", sim.BenchReplicas},
	{"reads", "balance and history reads a second over HTTP, with their freshness", sim.BenchReads},
}

func benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine",
		Long: "Each benchmark starts what it needs in a temporary folder, ends by itself and prints its figures with\n" +
			"machine, commit and settings: median, least and most of its runs. The load generator shares the cores.",
	}
	for _, b := range benchmarks {
		c.AddCommand(benchmarkCommand(b.name, b.short, b.run))
	}
	return group(c)
}

func benchmarkCommand(name, short string, measure func(context.Context, sim.BenchOptions, io.Writer) error) *cobra.Command {
	var o sim.BenchOptions
	c := &cobra.Command{
		Use:   name,
		Short: short,
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return flagProblems(err)
			}
			o.Commit = version
			return measure(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Engine, "engine", "sqlite", "storage engine of the shards: sqlite; ledger, history, rebuild and month also mysql, on a throw-away MariaDB")
	flags.IntVar(&o.Shards, "shards", 2, "ledger shards")
	flags.IntVar(&o.Runs, "runs", 0, "measurements; the median is printed (default 3, payout 1)")
	flags.IntVar(&o.Seconds, "seconds", 0, "length of one measurement (default 10)")
	flags.IntVar(&o.Accounts, "accounts", 0, "players with money (default 10,000, month 1,000,000)")
	flags.IntVar(&o.Bets, "bets", 0, "payout: winning bets (default 1,000,000); history: bets (default 400,000); rebuild: bets to copy (default 5,000,000)")
	flags.IntVar(&o.Rate, "rate", 0, "open-loop requests a second for latency figures (default 1,000, ledger 5,000)")
	flags.IntVar(&o.Surge, "surge", 1_000_000, "ledger: payouts while single debits run; 0 is none")
	flags.BoolVar(&o.Scale, "scale", false, "ledger: processor time a transfer for 1 to 8 shards and 10 thousand to 5 million accounts")
	flags.BoolVar(&o.Baseline, "baseline", false, "ledger: what a team would write on MariaDB instead: row locks, and a stored procedure")
	flags.IntVar(&o.Transfers, "transfers", 0, "month: transfers in all (default 10,000,000)")
	flags.IntVar(&o.Workers, "workers", 0, "connections of the load generator (default 256)")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the workload")
	flags.BoolVar(&o.JSON, "json", false, "print one JSON object")
	flags.StringVar(&o.Dir, "dir", "", "parent `folder` of the temporary data (default the system's)")
	flags.StringVar(&o.CPUProfile, "cpuprofile", "", "write a CPU profile to this `file`")
	flags.StringVar(&o.MemProfile, "memprofile", "", "write a heap profile to this `file`")
	return c
}
