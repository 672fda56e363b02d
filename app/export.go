package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"matchday/internal/clock"
	"matchday/ledger"
)

// ExportLedger writes the books of a data folder as NDJSON, read-only: beside a running process or
// without one.
func ExportLedger(ctx context.Context, c Config, w io.Writer, o ledger.ExportOptions) (ledger.ExportReport, error) {
	from := c.withDefaults().Ledger
	books, err := ledger.OpenReader(ctx, from.Dir, from.Clusters...)
	if err != nil {
		return ledger.ExportReport{}, err
	}
	report, err := books.Export(ctx, w, o)
	return report, errors.Join(err, books.Close())
}

// ImportLedger makes the books of a data folder, which nothing may run on, equal to an export.
func ImportLedger(ctx context.Context, c Config, files []ledger.NamedReader, progress func(transfers int64)) (ledger.ImportReport, error) {
	c = c.withDefaults()
	if err := c.Validate(); err != nil {
		return ledger.ImportReport{}, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return ledger.ImportReport{}, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(c.Data, "lock"))
	if err != nil {
		return ledger.ImportReport{}, fmt.Errorf("data folder %s is in use by another matchday: %w", c.Data, err)
	}
	report, err := ledger.Import(ctx, c.Ledger, files, ledger.ImportOptions{Clock: clock.System{}, Progress: progress})
	return report, errors.Join(err, lock.Close())
}
