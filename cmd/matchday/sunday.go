package main

import (
	"github.com/spf13/cobra"

	"matchday/sim"
)

func sundayCommand() *cobra.Command {
	var o sim.SundayOptions
	c := &cobra.Command{
		Use:   "sunday",
		Short: "Play a game day through the HTTP API and prove every bet",
		Long: "Starts the platform in a temporary folder, signs players up, and plays the busiest day of a week\n" +
			"compressed in time: deposits ramp into kick-off, bets follow them, balances are read with every\n" +
			"score, payouts surge after each final whistle. Writes report.html, report.json, bets.csv and\n" +
			"transfers.csv, grades every bet a second time, audits the books, and fails if anything is off.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return flagProblems(err)
			}
			return sim.Sunday(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Slate, "slate", "", "season `file`; empty plays the built-in slate")
	flags.IntVar(&o.Week, "week", 1, "week of the season")
	flags.IntVar(&o.Players, "players", 2_000, "players who sign up")
	flags.IntVar(&o.Bets, "bets", 20_000, "bets to be accepted")
	flags.Float64Var(&o.Minutes, "minutes", 2, "length of the compressed day")
	flags.StringVar(&o.Out, "out", "out/sunday", "`folder` for the report and the tables")
	flags.Uint64Var(&o.Seed, "seed", 0, "seed of the simulation; 0 draws one and prints it")
	flags.StringVar(&o.Dir, "data", "", "keep the platform's data in this `folder`")
	flags.IntVar(&o.Shards, "shards", 2, "ledger shards")
	flags.IntVar(&o.Workers, "workers", 0, "connections of the load generator")
	return c
}
