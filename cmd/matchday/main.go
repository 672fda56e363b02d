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

	"matchday/errs"
)

// version is set by the build: `make build`.
var version = "unknown"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	if err := root.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, context.Canceled) {
			fmt.Fprintln(os.Stderr, "matchday:", message(err))
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
	root.AddCommand(upCommand(), serveCommand(), sundayCommand(), benchCommand(), auditCommand(), configCommand(), rolesCommand())
	return root
}

// message is an error as a person reads it: without the code where the text says enough.
func message(err error) string {
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Code == errs.CodeInvalid && len(e.Fields) > 0 {
		text := "invalid settings"
		for _, f := range e.Fields {
			text += "\n  --" + f.Location + ": " + f.Message
		}
		return text
	}
	return err.Error()
}

// exitCode is 2 for wrong arguments or configuration, 130 after an interrupt, 1 for all else.
func exitCode(err error) int {
	switch {
	case errs.Is(err, errs.CodeInvalid):
		return 2
	case errors.Is(err, context.Canceled):
		return 130
	}
	return 1
}
