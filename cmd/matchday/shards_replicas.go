package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"matchday/internal/clock"
	"matchday/ledger"
)

// replicasCommand is `shards replicas`.
func replicasCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "replicas",
		Short: "Ask every node of the clusters how far each shard has come there",
		Long: "Shows, for each shard on a cluster, the nodes with their positions, asked just now. A replica takes\n" +
			"reads while it answers, is not too far behind and has not been taken out. Where no primary answers,\n" +
			"BEHIND counts from the node that has most. What is down is shown as such, and is a non-zero exit.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			list, problem := ledger.Replicas(cmd.Context(), config.Ledger, clock.System{})
			if len(list) == 0 {
				return problem
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "SHARD\tNODE\tROLE\tPOSITION\tBEHIND\tREADS")
			for _, r := range list {
				fmt.Fprintln(w, replicaLine(r))
			}
			return errors.Join(w.Flush(), problem)
		},
	}
	f.registerFolder(c)
	c.AddCommand(switchReplicaCommand("add", "Let a node take reads, also one that no configuration names", true),
		switchReplicaCommand("remove", "Take a node out of reads", false))
	return c
}

// replicaLine is one line of the table.
func replicaLine(r ledger.ReplicaStatus) string {
	role, reads := "replica", "yes"
	switch {
	case r.IsPrimary:
		role, reads = "primary", "fall-back"
	case r.IsOff:
		reads = "taken out"
	}
	if r.Err != nil {
		return fmt.Sprintf("%d\t%s\t%s\t-\t-\tno: %s", r.Shard, r.Node, role, strings.ReplaceAll(r.Err.Error(), "\n", "; "))
	}
	return fmt.Sprintf("%d\t%s\t%s\t%d\t%d\t%s", r.Shard, r.Node, role, r.Position, r.Behind, reads)
}

// switchReplicaCommand is `shards replicas add` or `remove`.
func switchReplicaCommand(name, short string, on bool) *cobra.Command {
	var f processFlags
	var shards string
	c := &cobra.Command{
		Use:   name + " HOST:PORT",
		Short: short,
		Long: short + ". Running processes follow within a second; reads under way end as they began.\n" +
			"A node can be taken out also while no primary answers.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			var numbers []int
			if shards != "" {
				if numbers, err = ledger.ShardSet(shards).Numbers(); err != nil {
					return err
				}
			}
			return ledger.SetReplica(cmd.Context(), config.Ledger, clock.System{}, args[0], on, numbers)
		},
	}
	f.registerFolder(c)
	c.Flags().StringVar(&shards, "shards", "", "only these, a `list` such as 0-3,7 (default all that are on clusters)")
	return c
}
