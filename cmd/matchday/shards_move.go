package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/user"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"matchday/internal/clock"
	"matchday/ledger"
)

// atDesk runs do with the desk of the configured books.
func (f *processFlags) atDesk(ctx context.Context, do func(*ledger.MoveDesk) error) error {
	config, err := f.load()
	if err != nil {
		return err
	}
	desk, err := ledger.OpenMoveDesk(ctx, config.Effective().Ledger, clock.System{})
	if err != nil {
		return err
	}
	return errors.Join(do(desk), desk.Close())
}

// moveCommand is `shards move`.
func moveCommand() *cobra.Command {
	var f processFlags
	var r ledger.MoveRequest
	c := &cobra.Command{
		Use:   "move BUCKETS",
		Short: "Begin to move buckets of players to another shard",
		Long: "Asks, in the directory, for a move of buckets such as 0-99,120 from the shard where they live. The\n" +
			"process that writes that shard begins within two seconds and goes on after a restart; `shards moves`\n" +
			"shows how far it is. Players bet and are paid meanwhile; when a bucket changes sides, at the end, its\n" +
			"players wait for less than a second as a rule. Moves that share a shard are done one after the other, in\n" +
			"the order in which they were asked for; others at the same time.",
		Example: "  matchday shards move 0-99 --from 0 --to 2\n  matchday shards move 7,19 --from 1 --to 0 --rate 5000",
		Args:    oneArg("the buckets to move, such as 0-99"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if r.Buckets, err = ledger.ParseBuckets(args[0]); err != nil {
				return usageError{err}
			}
			r.By = commandCaller()
			return f.atDesk(cmd.Context(), func(desk *ledger.MoveDesk) error {
				m, err := desk.Start(cmd.Context(), r)
				if err != nil {
					return flagProblems(err)
				}
				return printMoves(cmd.OutOrStdout(), []ledger.Move{m})
			})
		},
	}
	f.registerFolder(c)
	c.Flags().IntVar(&r.From, "from", 0, "the `shard` where all of them live")
	c.Flags().IntVar(&r.To, "to", 0, "the `shard` to move them to")
	c.Flags().IntVar(&r.Rate, "rate", 0, "copy at most this `number` of transfers a second; 0 is no limit")
	_ = c.MarkFlagRequired("from")
	_ = c.MarkFlagRequired("to")
	return c
}

// movesCommand is `shards moves`.
func movesCommand() *cobra.Command {
	var f processFlags
	limit := 20
	c := &cobra.Command{
		Use:   "moves [MOVE]",
		Short: "How far moves of buckets are, newest first",
		Long: "Shows each move with the buckets that have changed sides, the transfers copied, how long one bucket's\n" +
			"players had to wait at most, and how long it will still take at this speed; of one that waits for another,\n" +
			"for which. Reads the directory only.",
		Example: "  matchday shards moves\n  matchday shards moves mov_01kb0000000000000000000000",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.atDesk(cmd.Context(), func(desk *ledger.MoveDesk) error {
				if len(args) == 1 {
					m, err := desk.Find(cmd.Context(), args[0])
					if err != nil {
						return err
					}
					return printMoves(cmd.OutOrStdout(), []ledger.Move{m})
				}
				list, err := desk.Moves(cmd.Context(), "", max(1, limit))
				if err != nil {
					return err
				}
				return printMoves(cmd.OutOrStdout(), list)
			})
		},
	}
	f.registerFolder(c)
	c.Flags().IntVar(&limit, "limit", limit, "show at most this `number` of moves")
	return c
}

// abortMoveCommand is `shards abort`.
func abortMoveCommand() *cobra.Command {
	var f processFlags
	c := &cobra.Command{
		Use:   "abort MOVE",
		Short: "Stop a move of buckets",
		Long: "Buckets that have changed sides stay there, the others stay where they were, served all the time. What\n" +
			"was copied of them is kept and counts for nothing; a later move goes on from it.",
		Example: "  matchday shards abort mov_01kb0000000000000000000000",
		Args:    oneArg("the move to stop; `matchday shards moves` lists them"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.atDesk(cmd.Context(), func(desk *ledger.MoveDesk) error {
				m, err := desk.Abort(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printMoves(cmd.OutOrStdout(), []ledger.Move{m})
			})
		},
	}
	f.registerFolder(c)
	return c
}

// rebalanceCommand is `shards rebalance`.
func rebalanceCommand() *cobra.Command {
	var f processFlags
	var dryRun bool
	var rate int
	c := &cobra.Command{
		Use:   "rebalance",
		Short: "Spread the buckets evenly over all shards",
		Long: "Asks for as many moves as it takes for every shard to have as many buckets as any other, give or take\n" +
			"one, with as few buckets as possible. Those that share a shard are done one after the other; see\n" +
			"`shards move`.",
		Example: "  matchday shards rebalance --dry-run\n  matchday shards rebalance --rate 5000",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.atDesk(cmd.Context(), func(desk *ledger.MoveDesk) error {
				plan, err := desk.Rebalance(cmd.Context())
				if err != nil {
					return err
				}
				var list []ledger.Move
				for _, r := range plan {
					r.Rate, r.By = rate, commandCaller()
					m := ledger.Move{ID: "-", Buckets: r.Buckets, From: r.From, To: r.To, Step: "planned"}
					if !dryRun {
						if m, err = desk.Start(cmd.Context(), r); err != nil { // those before it go on
							return errors.Join(printMoves(cmd.OutOrStdout(), list), flagProblems(err))
						}
					}
					list = append(list, m)
				}
				return printMoves(cmd.OutOrStdout(), list)
			})
		},
	}
	f.registerFolder(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only show the moves")
	c.Flags().IntVar(&rate, "rate", 0, "of each move: copy at most this `number` of transfers a second; 0 is no limit")
	return c
}

// oneArg asks for exactly one argument and says what it is.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{errors.New("name " + what)}
		}
		return nil
	}
}

// commandCaller is who a move is noted to be asked for by: the account that runs the command.
func commandCaller() string {
	if who, err := user.Current(); err == nil {
		return "command line, " + who.Username
	}
	return "command line"
}

// printMoves writes the moves as a table, and what holds one up below it.
func printMoves(out io.Writer, list []ledger.Move) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MOVE\tFROM\tTO\tSTEP\tSWITCHED\tTRANSFERS\tLONGEST PAUSE\tSTILL\tBY\tBUCKETS")
	for i := range list {
		m := &list[i]
		still := "-"
		if left, known := m.Remaining(); known {
			still = left.Round(time.Second).String()
		}
		step := m.Step
		if m.WaitsFor != "" {
			step = "waiting"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d of %d\t%d\t%s\t%s\t%s\t%s\n", m.ID, m.From, m.To, step, m.Switched, len(m.Buckets), m.Rows,
			m.LongestPause.Round(time.Millisecond), still, cmp.Or(m.By, "-"), ledger.FormatBuckets(m.Buckets))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := range list {
		if list[i].WaitsFor != "" {
			fmt.Fprintf(out, "%s waits for %s: they share a shard\n", list[i].ID, list[i].WaitsFor)
		}
		if list[i].Problem != "" {
			fmt.Fprintf(out, "%s is held up: %s\n", list[i].ID, list[i].Problem)
		}
	}
	return nil
}
