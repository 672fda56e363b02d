package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"matchday/app"
	"matchday/ledger"
)

func ledgerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Take the books out as a file, and make books of such a file",
		Long: "An export is NDJSON with everything that the seals cover: who has it can prove it without us\n" +
			"(matchday audit --seals FILE) and make equal books of it. See docs/ledger-export.md.",
	}
	return group(c, exportCommand(), importCommand())
}

func exportCommand() *cobra.Command {
	var f processFlags
	var from string
	var shards []int
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the ledger's log to standard output, one JSON object a line",
		Long: "Writes every commit of the ledger with all that its seal covers. It changes nothing, works beside a\n" +
			"running matchday and ends at the heads of that moment, which it prints to standard error: give them\n" +
			"to --from to go on there later.",
		Example: "  matchday ledger export > books.ndjson\n  matchday ledger export --from 0:4711,1:4699 > later.ndjson",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			positions, err := parsePositions(from)
			if err != nil {
				return usageError{err}
			}
			config, err := f.load()
			if err != nil {
				return err
			}
			say := func(text string) { _, _ = io.WriteString(cmd.ErrOrStderr(), text+"\n") }
			o := ledger.ExportOptions{From: positions, Progress: func(shard int, seq, head int64) {
				say(fmt.Sprintf("shard %d: %d of %d", shard, seq, head))
			}}
			if cmd.Flags().Changed("shard") {
				o.Shards = shards
			} else if len(positions) > 0 {
				o.Shards = slices.Sorted(maps.Keys(positions))
			}
			report, err := app.ExportLedger(cmd.Context(), config, cmd.OutOrStdout(), o)
			if err != nil {
				return err
			}
			say(fmt.Sprintf("%d transfers; the next export goes on with --from %s", report.Transfers, positionsText(report.Heads)))
			return nil
		},
	}
	f.registerFolder(c)
	c.Flags().StringVar(&from, "from", "", "go on after these positions, `shard:sequence` separated by commas; other shards are left out")
	c.Flags().IntSliceVar(&shards, "shard", nil, "only this `shard`; may be repeated")
	return c
}

func importCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "import FILE...",
		Short: "Make empty books equal to an export, proving every line",
		Long: "Reads exports in the order given (- is standard input) into the books of the data folder, which nothing\n" +
			"may run on: sequences, seals and balances become those of the source. Every commit is proved before it is\n" +
			"written. Run it again after an interruption: it goes on after what is there. Books that hold something\n" +
			"else are refused.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name the files to import, or - for standard input")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := f.load()
			if err != nil {
				return err
			}
			files, done, err := openFiles(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			report, err := app.ImportLedger(cmd.Context(), config, files, func(n int64) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%d transfers\n", n)
			})
			if report.Read > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%d transfers read, %d of them new\n%s", report.Read, report.Imported, headLines(report.Heads))
			}
			return err
		},
	}
	f.registerFolder(c)
	return c
}

// openFiles opens the files; - is standard input.
func openFiles(cmd *cobra.Command, names []string) ([]ledger.NamedReader, func(), error) {
	var list []ledger.NamedReader
	var open []*os.File
	done := func() {
		for _, file := range open {
			_ = file.Close()
		}
	}
	for _, name := range names {
		if name == "-" {
			list = append(list, ledger.NamedReader{Name: "standard input", Reader: cmd.InOrStdin()})
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			done()
			return nil, nil, err
		}
		open = append(open, file)
		list = append(list, ledger.NamedReader{Name: name, Reader: file})
	}
	return list, done, nil
}

// parsePositions reads shard:sequence,shard:sequence.
func parsePositions(text string) (map[int]int64, error) {
	out := map[int]int64{}
	if text == "" {
		return out, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		left, right, ok := strings.Cut(part, ":")
		shard, err := strconv.Atoi(left)
		seq, seqErr := strconv.ParseInt(right, 10, 64)
		if _, twice := out[shard]; !ok || err != nil || seqErr != nil || shard < 0 || seq < 0 || twice {
			return nil, fmt.Errorf("--from: %q is not a list of positions such as 0:4711,1:4699", text)
		}
		out[shard] = seq
	}
	return out, nil
}

// positionsText is what parsePositions reads.
func positionsText(heads []ledger.ExportHead) string {
	parts := make([]string, len(heads))
	for i, h := range heads {
		parts[i] = fmt.Sprintf("%d:%d", h.Shard, h.Seq)
	}
	return strings.Join(parts, ",")
}

func headLines(heads []ledger.ExportHead) string {
	var out strings.Builder
	for _, h := range heads {
		fmt.Fprintf(&out, "head        %d-%d %s\n", h.Shard, h.Seq, h.Seal)
	}
	return out.String()
}

// verifyFiles proves exports without any books.
func verifyFiles(cmd *cobra.Command, names []string) error {
	files, done, err := openFiles(cmd, names)
	if err != nil {
		return err
	}
	defer done()
	r, err := ledger.Verify(cmd.Context(), files, ledger.VerifyOptions{Progress: func(n int64) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d transfers\n", n)
	}})
	out := cmd.OutOrStdout()
	if err != nil {
		fmt.Fprintf(out, "%d transfers before the first wrong line\n%s", r.Transfers, headLines(r.Heads))
		return err
	}
	fmt.Fprintf(out, "export      %d shards, %d accounts, %d transfers, %d postings\n", r.Shards, r.Accounts, r.Transfers, r.Postings)
	for _, t := range r.Totals {
		fmt.Fprintf(out, "balance     %s %-12s %d minor units, %d of them held\n", t.Currency, t.Type, t.PostedMinor, t.HeldMinor)
	}
	fmt.Fprint(out, headLines(r.Heads))
	if r.Whole {
		fmt.Fprintln(out, "Seals, sums, balances and holds are right. Compare the heads with published ones: a log cut off at its end verifies too.")
	} else {
		fmt.Fprintln(out, "What is in the file is right, from where it begins; it is not all of the books.")
	}
	return nil
}
