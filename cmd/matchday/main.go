// Command matchday is the whole platform in one binary: `up` runs it embedded, `sunday` plays a
// game day on it, `bench` measures it, `audit` proves its books.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"matchday/internal/natsnode"
)

// version is set by the build: `make build`.
var version = "unknown"

func main() {
	if isNode, err := natsnode.Main(); isNode { // a stream node of `matchday faults`
		if err != nil {
			fmt.Fprintln(os.Stderr, "matchday:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	useProcs()
	useMemory()
	root := rootCommand()
	if err := root.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "matchday:", err)
		}
		stop()
		os.Exit(exitCode(err))
	}
}

// rootCommand is the command with all its subcommands.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "matchday",
		Short: "A betting platform over one ledger",
		Long: "Matchday takes bets for many jurisdictions over one financial ledger and pays them out at the\n" +
			"speed of sports. `matchday up` runs all of it on this machine; nothing else is needed.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	return group(root, upCommand(), serveCommand(), sundayCommand(), benchCommand(), faultsCommand(), auditCommand(), ledgerCommand(), shardsCommand(), historyCommand(), profileCommand(), configCommand(), rolesCommand())
}
