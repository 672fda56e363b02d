package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"matchday/app"
)

// resnapshotCommand is `shards resnapshot`.
func resnapshotCommand() *cobra.Command {
	var f processFlags
	var shard int
	c := &cobra.Command{
		Use:   "resnapshot",
		Short: "Let a relay whose binlog was purged go on from the shard's tables",
		Long: "A relay that finds the binlog purged beyond the end of its stream stops, because reading the tables\n" +
			"instead is a load that an operator should choose. This is the choice, for one shard and once. It is\n" +
			"left in the data folder of the process that runs the relay, which goes on within a second, or when it\n" +
			"next finds the binlog purged.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			if err := app.AllowResnapshot(config, shard); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "The relay of shard %d may read the shard's tables.\n", shard)
			return err
		},
	}
	f.registerFolder(c)
	c.Flags().IntVar(&shard, "shard", 0, "the `number` of the shard")
	_ = c.MarkFlagRequired("shard")
	return c
}
