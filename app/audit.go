package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/sportsbook"
)

// AuditReport is what an audit of a data folder found.
type AuditReport struct {
	Ledger     ledger.AuditReport
	Sportsbook sportsbook.AuditReport
	History    history.AuditReport

	// NoBets says that no sportsbook has ever run on these books: there are no bets to compare.
	NoBets bool

	findings []string
}

// String returns the report as lines for a terminal, the findings last.
func (r AuditReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ledger      %d shards, %d accounts, %d transfers, %d postings\n",
		r.Ledger.Shards, r.Ledger.Accounts, r.Ledger.Transfers, r.Ledger.Postings)
	escrow := "open stakes equal the escrow"
	switch {
	case r.NoBets:
		escrow = "nothing compared: no sportsbook has run on these books"
	case !r.Sportsbook.EscrowCompared:
		escrow = "open stakes not compared with the escrow: the ledger did not stand still"
	}
	fmt.Fprintf(&b, "sportsbook  %d bets, %d of them open, %d waiting for a settlement under way; %s\n",
		r.Sportsbook.Bets, r.Sportsbook.Open, r.Sportsbook.Waiting, escrow)
	for _, s := range r.History.Shards {
		fmt.Fprintf(&b, "history     shard %d: %d bets, %d of them open, compared with the log up to %d of %d\n",
			s.Shard, s.Bets, s.Open, s.Position, s.Head)
	}
	switch {
	case len(r.findings) > 0:
	case r.NoBets:
		b.WriteString("The books are sound. Bets were not compared with them: there are none here.\n")
	case r.Sportsbook.EscrowCompared && r.Sportsbook.Waiting == 0:
		b.WriteString("The books are sound.\n")
	default:
		b.WriteString("Nothing is broken, but see above for what could not be proved: audit again when the ledger is quiet.\n")
	}
	for _, f := range r.findings {
		b.WriteString("BROKEN      " + f + "\n")
	}
	return b.String()
}

// Err returns an error if an invariant is broken.
func (r AuditReport) Err() error {
	if len(r.findings) == 0 {
		return nil
	}
	return fmt.Errorf("%d broken invariants; the first: %s", len(r.findings), r.findings[0])
}

// Audit proves a data folder, read-only, beside a running process or without one: the ledger's
// invariants, then that open bets and history say what the ledger's log says. What breaks an
// invariant is in the report; an error means that the audit could not be made.
func Audit(ctx context.Context, c Config, progress func(line string)) (AuditReport, error) {
	shards := func(shard int, seq, head int64) {
		progress(fmt.Sprintf("ledger shard %d: %d of %d", shard, seq, head))
	}
	return audit(ctx, c.withDefaults(), shards, progress)
}

// audit is Audit with the progress of the ledger's shards in numbers.
func audit(ctx context.Context, c Config, shards func(shard int, seq, head int64), progress func(line string)) (AuditReport, error) {
	var r AuditReport
	var err error
	r.Ledger, err = ledger.Audit(ctx, ledger.AuditOptions{Dir: c.Ledger.Dir, Clusters: c.Ledger.Clusters, Progress: shards})
	if err != nil {
		return r, err
	}
	for _, f := range r.Ledger.Findings {
		r.findings = append(r.findings, "ledger "+f.String())
	}
	books, err := ledger.OpenReader(ctx, c.Ledger.Dir, c.Ledger.Clusters...)
	if err != nil {
		return r, err
	}
	err = r.projections(ctx, c, books, progress)
	return r, errors.Join(err, books.Close())
}

// projections compares what was derived from the log with the log.
func (r *AuditReport) projections(ctx context.Context, c Config, books *ledger.Reader, progress func(string)) error {
	if _, err := os.Stat(filepath.Join(c.Sportsbook.Dir, "catalogue.db")); err == nil {
		progress("bets against log, results and escrow")
		var codes []id.Jurisdiction
		for _, entry := range c.Jurisdictions.Jurisdictions {
			codes = append(codes, entry.Code)
		}
		r.Sportsbook, err = sportsbook.Audit(ctx, sportsbook.AuditOptions{
			Dir: c.Sportsbook.Dir, Clock: clock.System{}, Retention: c.Sportsbook.Settlement.Retention, Log: books, Balance: books.Balance,
			Jurisdictions: codes,
		})
		if err != nil {
			return err
		}
		for _, f := range r.Sportsbook.Findings {
			r.findings = append(r.findings, fmt.Sprintf("sportsbook shard %d: %s: %s %s: expected %s, found %s",
				f.Shard, f.Invariant, f.Table, f.Key, f.Expected, f.Found))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	} else {
		r.NoBets = true
	}
	progress("history against log")
	jurisdictions, err := jurisdiction.New(c.Jurisdictions)
	if err != nil {
		return err
	}
	c.History.Shards = c.Ledger.ShardCount()
	shown, err := c.History.InForce(ctx)
	if err != nil {
		return err
	}
	r.History, err = history.Audit(ctx, history.AuditOptions{Dir: shown.Dir, Clusters: shown.Clusters, Log: books, Zone: zoneOf(jurisdictions)})
	if difference, ok := errors.AsType[*errs.Error](err); ok && difference.Code == errs.CodeInternal {
		r.findings = append(r.findings, err.Error())
		return nil
	}
	return err
}
