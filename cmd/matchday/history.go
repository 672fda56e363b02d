package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
)

// historyCommand is `history`: what becomes of a second bet history.
func historyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "history",
		Short: "A second bet history beside the first: how far it is, and who sees it",
		Long: "With history.next configured a process fills a second bet history beside the first and compares the\n" +
			"two. These commands show how far it is and choose who sees it. Every process follows within two seconds.\n" +
			"docs/runbooks/history-rebuild.md goes through it step by step.",
	}
	return group(c, historyStatusCommand(), historyShareCommand(),
		historyStepCommand("switch", "Show the second history to everybody",
			"Refused while the second history is not complete, has not been compared, or differs. The first goes on\n"+
				"being fed, so that `history back` can undo it at once.", noArgs,
			func(ctx context.Context, d *history.Desk, r history.ActRequest, _ []string) (history.Choice, error) {
				return d.Switch(ctx, r)
			}),
		historyStepCommand("back", "Show the first history to everybody again",
			"Takes back `history share` and `history switch`. The second goes on being fed.", noArgs,
			func(ctx context.Context, d *history.Desk, r history.ActRequest, _ []string) (history.Choice, error) {
				return d.Back(ctx, r)
			}),
		historyStepCommand("drop first|second", "Let go of the history that nobody sees",
			"It is no longer fed. It cannot be taken back. Nothing is deleted. Change the configuration before the\n"+
				"next start.", oneArg("first or second"),
			func(ctx context.Context, d *history.Desk, r history.ActRequest, args []string) (history.Choice, error) {
				return d.Drop(ctx, r, args[0])
			}))
}

// atHistoryDesk runs do at the desk of the configured histories.
func (f *processFlags) atHistoryDesk(ctx context.Context, do func(*history.Desk) error) error {
	config, err := f.load()
	if err != nil {
		return err
	}
	c := config.Effective()
	c.History.Shards = c.Ledger.ShardCount()
	d, err := history.OpenDesk(ctx, c.History, clock.System{})
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.Close())
}

// historyStepCommand is a command that changes who sees what.
func historyStepCommand(use, short, long string, args cobra.PositionalArgs,
	step func(context.Context, *history.Desk, history.ActRequest, []string) (history.Choice, error),
) *cobra.Command {
	var f processFlags
	var r history.ActRequest
	c := &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			r.By = commandCaller()
			return f.atHistoryDesk(cmd.Context(), func(d *history.Desk) error {
				c, err := step(cmd.Context(), d, r, args)
				if err != nil {
					return flagProblems(err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), choiceLine(c))
				return err
			})
		},
	}
	f.registerFolder(c)
	c.Flags().StringVar(&r.Reason, "reason", "", "why this is right; `text` for whoever asks later")
	_ = c.MarkFlagRequired("reason")
	return c
}

// historyShareCommand is `history share`.
func historyShareCommand() *cobra.Command {
	var percent int
	var players []string
	c := historyStepCommand("share", "Show the second history to some players",
		"Chooses players in a hundred by a hash of their id, the same ones each time, and those who are named. Refused\n"+
			"while the second history is not complete, has not been compared, or differs.", noArgs,
		func(ctx context.Context, d *history.Desk, r history.ActRequest, _ []string) (history.Choice, error) {
			var list []id.Player
			for _, p := range players {
				list = append(list, id.Player(p))
			}
			return d.Share(ctx, r, percent, list)
		})
	c.Example = "  matchday history share --percent 5 --reason \"first look, ticket 4711\"\n" +
		"  matchday history share --players plr_01kb0000000000000000000000 --reason \"our own account\""
	c.Flags().IntVar(&percent, "percent", 0, "players in a hundred")
	c.Flags().StringSliceVar(&players, "players", nil, "`players` who see it besides, by id")
	return c
}

// historyStatusCommand is `history status`.
func historyStatusCommand() *cobra.Command {
	var f processFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "How far the second history is, how equal, and who sees it",
		Long: "Shows for each shard what was copied, at what rate and how long it still takes, what the last comparison\n" +
			"found, the last steps of operators, and the processes that do not go by the last one yet. Each shard's figures\n" +
			"are those of the process that applies its log.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.atHistoryDesk(cmd.Context(), func(d *history.Desk) error {
				s, err := d.Status(cmd.Context())
				if err != nil {
					return err
				}
				if asJSON {
					e := json.NewEncoder(cmd.OutOrStdout())
					e.SetIndent("", "  ")
					return e.Encode(s)
				}
				return printHistory(cmd.OutOrStdout(), s)
			})
		},
	}
	f.registerFolder(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// choiceLine says who sees what.
func choiceLine(c history.Choice) string {
	line := "Everybody sees the first history."
	switch c.Shown {
	case history.ShownSecond:
		line = "Everybody sees the second history."
	case history.ShownShare:
		line = fmt.Sprintf("%d %% of the players, and %d by name, see the second history.", c.Share, len(c.Players))
	}
	if c.Dropped != "" {
		line += " The " + c.Dropped + " is let go of: change the configuration."
	}
	return line
}

// printHistory writes the status for people.
func printHistory(out io.Writer, s history.NextStatus) error {
	fmt.Fprintln(out, choiceLine(s.Choice))
	switch {
	case s.At.IsZero():
		fmt.Fprintln(out, "No process has fed the second history yet.")
	case s.Trouble != "":
		fmt.Fprintf(out, "At %s it could not be fed: %s\n", s.At.Format(time.RFC3339), s.Trouble)
	default:
		fmt.Fprintf(out, "As of %s:\n", s.At.Format(time.RFC3339))
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SHARD\tCHUNKS\tBETS\tOF\tA SECOND\tSTILL\tLAG\tCOMPARED\tBUCKETS\tUNEQUAL\tDIFFERENT\tWAITS FOR")
	for i, p := range s.Copy {
		still := "-"
		switch {
		case p.Done:
			still = "done"
		case p.Left > 0:
			still = p.Left.Round(time.Second).String()
		}
		e := s.Equal[i]
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", p.Shard, p.Chunks, p.Bets, p.Expected, p.Rate, still,
			p.Lag.Round(time.Millisecond), e.Bets, e.Buckets, e.Unequal, e.Different, p.Waiting)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if n := len(s.Copy); !s.At.IsZero() && n < s.Shards {
		fmt.Fprintf(out, "%d of %d shards: no process has said anything of the others.\n", n, s.Shards)
	}
	current := 0
	for _, l := range s.Looks {
		if l.Current {
			current++
			continue
		}
		fmt.Fprintf(out, "Process %s does not go by the last step, or has another second history configured; it looked here last at %s.\n", l.Process, l.At.Format(time.RFC3339))
	}
	if len(s.Looks) > 0 {
		fmt.Fprintf(out, "Of %d processes %d go by the last step.\n", len(s.Looks), current)
	}
	for _, e := range s.Equal {
		for _, d := range e.Named {
			fmt.Fprintf(out, "Bucket %d, player %s, bet %s: %s.\n", d.Bucket, d.Player, d.Bet, d.What)
		}
	}
	for _, a := range s.Acts {
		fmt.Fprintf(out, "%s  %s, by %s: %s\n", a.At.Format(time.RFC3339), a.What, a.By, a.Reason)
	}
	return nil
}
