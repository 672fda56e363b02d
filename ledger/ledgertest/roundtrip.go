package ledgertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"matchday/internal/clock"
	"matchday/ledger"
)

// sameBooks exports the log of the engine, verifies the file, makes books of it in a fresh folder, and
// checks that an export of those is the same byte for byte: sequences, seals, balances, holds, records.
// An import of the file cut off anywhere comes first: it must fail, and leave what the whole one goes on from.
func sameBooks(t T, s *ledger.Service, cut func(most int) int) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	var first bytes.Buffer
	report, err := s.Export(ctx, &first, ledger.ExportOptions{})
	if err != nil {
		t.Fatalf("export: %v", err)
	}
	verified, err := ledger.Verify(ctx, one("first", first.Bytes()), ledger.VerifyOptions{})
	if err != nil || !verified.Whole || verified.Transfers != report.Transfers {
		t.Fatalf("verify: %+v, %v, want %d transfers", verified, err, report.Transfers)
	}
	sums, byType := map[string]int64{}, map[string]int64{}
	for _, total := range verified.Totals {
		sums[string(total.Currency)] += total.PostedMinor
		byType[string(total.Currency)+total.Type] += total.PostedMinor
	}
	for currency, sum := range sums {
		if sum != 0 {
			t.Fatalf("all balances in %s sum to %d, want 0", currency, sum)
		}
	}
	trial, err := s.TrialBalance(ctx, time.Time{})
	if err != nil {
		t.Fatalf("trial balance: %v", err)
	}
	for _, l := range trial {
		sums[string(l.Currency)] += l.CreditMinor - l.DebitMinor
		byType[string(l.Currency)+l.Type] -= l.CreditMinor - l.DebitMinor
	}
	for what, sum := range sums {
		if sum != 0 {
			t.Fatalf("the trial balance in %s sums to %d, want 0: %+v", what, sum, trial)
		}
	}
	for what, sum := range byType {
		if sum != 0 {
			t.Fatalf("the balances of %s are %d more by the log than in the trial balance %+v", what, sum, trial)
		}
	}
	if moves, err := s.Moves(ctx, "", 1); err != nil || len(moves) > 0 {
		return // books whose buckets have moved verify, and are not imported yet
	}
	dir, err := os.MkdirTemp("", "matchday-import-*")
	if err != nil {
		t.Fatalf("make folder: %v", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	config := ledger.Config{Dir: dir, Shards: s.Shards()}
	o := ledger.ImportOptions{Clock: clock.NewManual(Start)}
	if _, err := ledger.Import(ctx, config, one("part", first.Bytes()[:cut(first.Len()-2)]), o); err == nil {
		t.Fatalf("a file that is cut off imports without an error")
	}
	done, err := ledger.Import(ctx, config, one("whole", first.Bytes()), o)
	if err != nil || done.Read != report.Transfers {
		t.Fatalf("import: %+v, %v, want %d transfers read", done, err, report.Transfers)
	}
	again, err := ledger.Import(ctx, config, one("whole", first.Bytes()), o)
	if err != nil || again.Imported != 0 {
		t.Fatalf("import again: %+v, %v, want nothing new", again, err)
	}
	sameExport(ctx, t, dir, first.Bytes())
	audit, err := ledger.Audit(ctx, ledger.AuditOptions{Dir: dir})
	if err != nil || len(audit.Findings) > 0 || audit.Transfers != report.Transfers {
		t.Fatalf("audit of imported books: %+v, %v", audit, err)
	}
}

// sameExport checks that the books in a folder export as want.
func sameExport(ctx context.Context, t T, dir string, want []byte) {
	t.Helper()
	books, err := ledger.OpenReader(ctx, dir)
	if err != nil {
		t.Fatalf("open imported books: %v", err)
	}
	defer func() { _ = books.Close() }()
	var got bytes.Buffer
	if _, err := books.Export(ctx, &got, ledger.ExportOptions{}); err != nil {
		t.Fatalf("export imported books: %v", err)
	}
	a, b := bytes.Split(got.Bytes(), []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range min(len(a), len(b)) {
		if !bytes.Equal(a[i], b[i]) {
			t.Fatalf("line %d of the imported books' export:\n%s\nwant\n%s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("imported books export %d lines, want %d", len(a), len(b))
	}
}

// one is a list of one file.
func one(name string, content []byte) []ledger.NamedReader {
	return []ledger.NamedReader{{Name: fmt.Sprintf("%s (%d bytes)", name, len(content)), Reader: bytes.NewReader(content)}}
}
