package main

import (
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"matchday/sim"
	"matchday/sim/faults"
)

func faultsCommand() *cobra.Command {
	var o faults.Options
	c := &cobra.Command{
		Use:   "faults",
		Short: "Break a ledger under load in every way we know, and prove that nothing was lost",
		Long: "Runs the ledger in processes of its own on temporary books, sends it keyed operations from many\n" +
			"clients, and makes one fault after another: a writer killed, hung, replaced and woken, cut off, a disk\n" +
			"full, a primary database killed. For each it prints how long the ledger was away and proves from\n" +
			"outside: nothing acknowledged is lost, nothing is done twice, refusals stay refused, the history is\n" +
			"strictly serialisable, the audit is clean. A second table does the same for the bet history: relays, streams,\n" +
			"its process and its database broken while players bet, and every bet compared with the ledger's log. Anything\n" +
			"else is a non-zero exit. All rows take a quarter of an hour; those of MariaDB need mariadbd, those of full\n" +
			"disks need root.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return flagProblems(err)
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			o.Writer = func(file string) *exec.Cmd { return exec.Command(program, "faults", "writer", file) } // #nosec: ourselves
			return sim.Faults(cmd.Context(), o, version, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := c.Flags()
	flags.StringVar(&o.Engine, "engine", "", "only the rows of this storage engine: sqlite or mysql")
	flags.StringSliceVar(&o.Only, "only", nil, "only these rows: "+strings.Join(faults.Names(), ", "))
	flags.IntVar(&o.Players, "players", 0, "players whose money moves (default 40)")
	flags.IntVar(&o.Clients, "clients", 0, "clients that send operations at a time (default 16)")
	flags.IntVar(&o.Seconds, "seconds", 0, "load before each fault and after it is over (default 3)")
	flags.IntVar(&o.Burst, "burst", 0, "bets of the rows \"payout burst\" and \"large DBTx\", each a placement and a settlement (default 500,000)")
	flags.Uint64Var(&o.Seed, "seed", 1, "seed of the operations")
	flags.BoolVar(&o.JSON, "json", false, "print one JSON object")
	flags.StringVar(&o.Dir, "dir", "", "parent `folder` of the temporary data (default the system's)")
	c.AddCommand(&cobra.Command{
		Use:    "writer FILE",
		Short:  "Be a writer process of matchday faults",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return faults.RunWriter(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	})
	return c
}
