package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"matchday/internal/clock"
	"matchday/ledger"
)

// acceptLossCommand is `shards accept-loss`.
func acceptLossCommand() *cobra.Command {
	var f processFlags
	var r ledger.LossRequest
	c := &cobra.Command{
		Use:   "accept-loss",
		Short: "Give up commits that were answered and are in no database any more",
		Long: "A shard whose database lacks commits that were answered is quarantined: nobody writes it. `shards list`\n" +
			"says what is missing. If a node that has it can still be made the primary, do that: the shard is released\n" +
			"by itself. Otherwise this command ends the quarantine. The shard goes on at --seq, which must be where\n" +
			"its log ends; what was answered beyond is given up. Who did it, when and why is recorded for good.\n" +
			"Streams and projections may show what was lost: docs/runbooks/primary-lost.md says what to do then.",
		Example: "  matchday shards accept-loss --shard 3 --seq 118 --reason \"node b burnt down, ticket 4711\"",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			r.By = commandCaller()
			l, err := ledger.AcceptLoss(cmd.Context(), config.Effective().Ledger, clock.System{}, r)
			if err != nil {
				return flagProblems(err)
			}
			fmt.Fprint(cmd.OutOrStdout(), lossLine(l))
			return nil
		},
	}
	f.registerFolder(c)
	c.Flags().IntVar(&r.Shard, "shard", 0, "the quarantined `shard`")
	c.Flags().Int64Var(&r.Seq, "seq", 0, "the `sequence` where its log ends, and goes on")
	c.Flags().StringVar(&r.Reason, "reason", "", "why this is right; `text` for whoever asks later")
	for _, name := range []string{"shard", "seq", "reason"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

// lossLine says what was given up, by whom and why.
func lossLine(l ledger.Loss) string {
	given := fmt.Sprintf("transfers %d to %d of epoch %d are given up", l.KeptSeq+1, l.LostSeq, l.LostEpoch)
	if l.LostSeq <= l.KeptSeq {
		given = fmt.Sprintf("what epoch %d answered up to %d is given up for what the log has", l.LostEpoch, l.LostSeq)
	}
	return fmt.Sprintf("Shard %d goes on at %d (epoch %d, seal %s): %s.\n  Accepted %s by %s: %s\n",
		l.Shard, l.KeptSeq, l.KeptEpoch, l.KeptSeal, given, l.At.Format(time.RFC3339), l.By, l.Reason)
}
