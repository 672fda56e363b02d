package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"matchday/app"
)

func auditCommand() *cobra.Command {
	var f processFlags
	var exports []string
	c := &cobra.Command{
		Use:   "audit",
		Short: "Prove the books of a data folder, and name the first row that is wrong",
		Long: "Reads every shard from its first transfer and proves: postings sum to zero, balances equal their\n" +
			"postings, nothing available is below zero, sequences have no gap, seals verify; that open bets equal\n" +
			"the escrow, and that bets and history say what the log says. It changes nothing and works beside a\n" +
			"running matchday. A broken invariant is a non-zero exit. With --seals it proves an export instead, and\n" +
			"needs no books: seals, sums, balances and holds, naming the first wrong line.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(exports) > 0 {
				return verifyFiles(cmd, exports)
			}
			config, err := f.load()
			if err != nil {
				return err
			}
			progress := func(line string) { _, _ = io.WriteString(cmd.ErrOrStderr(), line+"\n") }
			report, err := app.Audit(cmd.Context(), config, progress)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), report)
			return report.Err()
		},
	}
	f.registerFolder(c)
	c.Flags().StringArrayVar(&exports, "seals", nil, "prove this `export` instead (- is standard input); repeat it for exports that follow one another")
	return c
}
