package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"matchday/errs"
	"matchday/internal/mariadb"
	"matchday/sim/faults"
)

// Faults makes every fault of package faults and prints the table. A fault that costs an operation is an
// error, after the table. Progress gets a line a row; nil is none.
func Faults(ctx context.Context, o faults.Options, version string, out, progress io.Writer) error {
	rows, err := faults.Run(ctx, o, func(r faults.Row) {
		if progress != nil {
			fmt.Fprintln(progress, r.Line())
		}
	})
	bets, failed := faults.RunBets(ctx, o, func(r faults.BetsRow) {
		if progress != nil {
			fmt.Fprintln(progress, r.Line())
		}
	})
	err = errors.Join(err, failed, mariadb.Cleanup())
	if len(rows)+len(bets) == 0 {
		return errors.Join(err, errs.New(errs.CodeInvalid, "no row is both of engine %q and among %v", o.Engine, o.Only))
	}
	report := faults.Report{
		Name: "faults", Machine: machine(), Commit: version, Command: strings.Join(commandLine(), " "), Rows: rows, Bets: bets,
		Settings: o.Settings(),
	}
	return errors.Join(report.Write(out, o.JSON), err)
}
