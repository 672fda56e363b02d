package sim

import (
	"context"
	"io"

	"matchday/errs"
)

func benchLedgerHTTP(ctx context.Context, o BenchOptions, r *BenchReport, dir string, run int) error {
	return nil
}

// BenchBets measures placement over HTTP with history on.
func BenchBets(ctx context.Context, o BenchOptions, out io.Writer) error {
	return errs.New(errs.CodeUnavailable, "being built")
}

// BenchPayout measures a result's way to the last player paid.
func BenchPayout(ctx context.Context, o BenchOptions, out io.Writer) error {
	return errs.New(errs.CodeUnavailable, "being built")
}

// BenchReads measures balance and history reads.
func BenchReads(ctx context.Context, o BenchOptions, out io.Writer) error {
	return errs.New(errs.CodeUnavailable, "being built")
}

// Sunday plays a game day.
func Sunday(ctx context.Context, o SundayOptions, out io.Writer) error {
	return errs.New(errs.CodeUnavailable, "being built")
}
