package main

import "github.com/spf13/cobra"

// shardsCommand groups what operators do with shards.
func shardsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shards",
		Short: "Look after the ledger's shards",
		Long:  "Commands about single shards: who writes them, which players live on them, their replicas and logs.",
	}
	return group(c, shardsListCommand(), moveCommand(), movesCommand(), abortMoveCommand(), rebalanceCommand(), replicasCommand(), resnapshotCommand(), acceptLossCommand())
}
