package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

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
	err = errors.Join(err, mariadb.Cleanup())
	if len(rows) == 0 {
		return err
	}
	report := faults.Report{
		Name: "faults", Machine: machine(), Commit: version, Command: strings.Join(commandLine(), " "), Rows: rows,
		Settings: o.Settings(),
	}
	return errors.Join(report.Write(out, o.JSON), err)
}
