package main

import "github.com/spf13/cobra"

// shardsCommand groups what operators do with shards.
func shardsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "shards",
		Short: "Look after the ledger's shards",
		Long:  "Commands about single shards: their replicas, and their logs.",
	}
	return group(c, shardsListCommand(), replicasCommand(), resnapshotCommand())
}
