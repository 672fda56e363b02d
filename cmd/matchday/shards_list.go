package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"matchday/app"
	"matchday/ledger"
)

func shardsListCommand() *cobra.Command {
	var f processFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "Each shard with its owner, position, lag, rate, size and buckets",
		Long: "Reads the directory and each shard's database, beside running processes or without any, asks the\n" +
			"owners how far their streams are, and changes nothing in the books. A part that is down costs only its\n" +
			"own rows, with the reason in ERROR. LAST MINUTE is committed transfers, BEHIND what the shard's stream\n" +
			"does not show yet (- if nobody who publishes it answers).",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			list, err := app.ListShards(cmd.Context(), config)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(list)
			}
			return printShards(cmd.OutOrStdout(), list)
		},
	}
	f.registerFolder(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// mebibytes is a size in MiB with one digit after the point, rounded up: what is there is not nothing.
func mebibytes(bytes int64) string {
	tenths := (bytes*10 + 1<<20 - 1) >> 20
	return fmt.Sprintf("%d.%d", tenths/10, tenths%10)
}

// printShards writes the list as a table.
func printShards(out io.Writer, list []ledger.ShardEntry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tENGINE\tOWNER\tADDRESS\tEPOCH\tPOSITION\tBEHIND\tLAST MINUTE\tLAST COMMIT\tBUCKETS\tMIB\tERROR")
	dash := func(text string) string {
		if text == "" {
			return "-"
		}
		return text
	}
	for _, s := range list {
		last := "-"
		if !s.LastCommit.IsZero() {
			last = s.LastCommit.Format(time.RFC3339)
		}
		if s.Quarantine != "" && s.Error == "" {
			s.Error = "quarantined, see below"
		}
		behind := "-"
		if s.Stream != nil {
			behind = strconv.FormatInt(max(0, s.Position-*s.Stream), 10)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\t%d\t%s\t%s\n",
			s.Shard, s.Engine, dash(s.Owner), dash(s.Address), s.Epoch, s.Position, behind, s.LastMinute, last, s.Buckets, mebibytes(s.Bytes), dash(strings.ReplaceAll(s.Error, "\n", "; ")))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range list {
		printQuarantine(out, &list[i])
	}
	return nil
}

// printQuarantine says what a quarantined shard lacks and what can be done, and which losses were
// accepted before.
func printQuarantine(out io.Writer, s *ledger.ShardEntry) {
	if s.Quarantine != "" {
		fmt.Fprintf(out, "\nShard %d is quarantined since %s and written by nobody:\n%s.\n"+
			"Make the node that has everything the primary: the shard is released by itself.\n",
			s.Shard, s.Since.Format(time.RFC3339), s.Quarantine)
		if s.Error == "" { // its position is known
			fmt.Fprintf(out, "If it is gone for good: matchday shards accept-loss --shard %d --seq %d --reason \"...\"\n", s.Shard, s.Position)
		}
	}
	for _, l := range s.Losses {
		fmt.Fprintf(out, "\n%s", lossLine(l))
	}
}
