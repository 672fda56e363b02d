package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"matchday/ledger"
)

// AuditReport is what an audit of a data folder found.
type AuditReport struct {
	Ledger ledger.AuditReport
}

// String returns the report as lines for a terminal.
func (r AuditReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ledger     %d shards, %d accounts, %d transfers, %d postings\n",
		r.Ledger.Shards, r.Ledger.Accounts, r.Ledger.Transfers, r.Ledger.Postings)
	return b.String()
}

// Err returns the findings as one error, nil if the books are sound.
func (r AuditReport) Err() error {
	var problems []error
	for _, f := range r.Ledger.Findings {
		problems = append(problems, errors.New(f.String()))
	}
	return errors.Join(problems...)
}

// Audit proves the books of a data folder.
func Audit(ctx context.Context, c Config, progress func(line string)) (AuditReport, error) {
	c = c.withDefaults()
	var report AuditReport
	var err error
	report.Ledger, err = ledger.Audit(ctx, ledger.AuditOptions{Dir: c.Ledger.Dir, Progress: func(shard int, seq, head int64) {
		progress(fmt.Sprintf("ledger shard %d: %d of %d", shard, seq, head))
	}})
	return report, err
}
