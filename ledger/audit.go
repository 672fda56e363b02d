package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"matchday/internal/sqldb"
)

// AuditOptions says what to audit.
type AuditOptions struct {
	Dir      string
	Clusters []Cluster // where the shards are that have no file in Dir
	// Progress is called now and then while the log is read; nil is no calls.
	Progress func(shard int, seq, head int64)
}

// AuditReport is what an audit found.
type AuditReport struct {
	Shards    int
	Accounts  int64
	Transfers int64
	Postings  int64
	Findings  []Finding // empty: the books are sound; otherwise the first of each unsound shard

	heads        []int64 // of the shards, as audited
	openGroups   map[string]struct{}
	reservations []reservation
	transits     transitSums
	homes        map[int]int // bucket -> the shard that serves it or is about to give it away
}

// Finding names the first row of a shard that breaks an invariant.
type Finding struct {
	Shard     int
	Invariant string // for example "postings sum to zero"
	Table     string
	Key       string // of the row, for example "seq 17"
	Expected  string
	Found     string
}

// String returns the finding as one line.
func (f Finding) String() string {
	return fmt.Sprintf("shard %d: %s: %s %s: expected %s, found %s", f.Shard, f.Invariant, f.Table, f.Key, f.Expected, f.Found)
}

// Error makes a finding an error inside the audit, where the first one ends a shard's audit.
func (f *Finding) Error() string { return f.String() }

// found returns a finding; the shard is filled in by Audit.
func found(invariant, table, key string, expected, got any) error {
	return &Finding{
		Invariant: invariant, Table: table, Key: key,
		Expected: fmt.Sprint(expected), Found: fmt.Sprint(got),
	}
}

func seqKey(seq int64) string { return fmt.Sprintf("seq %d", seq) }

// Audit proves the invariants of the books in a folder and on clusters, or names the first row of each
// shard that breaks one. It reads one committed state of each shard, beside a running writer if there is one,
// and changes nothing. Memory is a few bytes per account, whatever the length of the log. While it
// reads, the files' write-ahead logs cannot be emptied and may grow.
//
// Not proved: that the newest batches are all there. A log cut at its end verifies; compare its head
// with one that was published elsewhere. That nothing is reserved for a group that has ended, and that the
// transits of all shards sum to zero (if no group is open), is proved only if nobody wrote while the
// shards were read one after the other.
func Audit(ctx context.Context, o AuditOptions) (AuditReport, error) {
	opened, err := openBooks(ctx, o.Dir, o.Clusters, 1)
	if err != nil {
		return AuditReport{}, err
	}
	report, err := audit(ctx, opened, &o)
	return report, errors.Join(err, opened.close())
}

// audit audits one shard after the other.
func audit(ctx context.Context, opened *bookSet, o *AuditOptions) (AuditReport, error) {
	report := AuditReport{Shards: len(opened.shards)}
	first := 0
	for n := range opened.shards {
		err := auditShard(ctx, &opened.shards[n], n, &first, o, &report)
		var f *Finding
		switch {
		case errors.As(err, &f):
			f.Shard = n
			report.Findings = append(report.Findings, *f)
		case err != nil:
			return report, fmt.Errorf("audit shard %d: %w", n, err)
		}
	}
	return report, report.checkGroups(func(shard int) (int64, error) { return opened.shards[shard].head(ctx) })
}

// auditShard audits one shard in one snapshot. first is the number of shards that the books began
// with; shard 0 sets it.
func auditShard(ctx context.Context, one *bookShard, n int, first *int, o *AuditOptions, report *AuditReport) error {
	on, end, err := one.snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	a := &auditor{ctx: ctx, on: on, shard: n, first: first, progress: o.Progress, report: report}
	if a.progress == nil {
		a.progress = func(int, int64, int64) {}
	}
	for _, step := range []func() error{a.readShard, a.readBuckets, a.readAccounts, a.walkLog, a.checkHolds, a.walkPostings, a.comparePostings, a.checkTables} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// auditor audits one shard. Its steps run in order; the first finding ends it.
type auditor struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	on       querier         // one snapshot
	shard    int
	first    *int
	progress func(shard int, seq, head int64)
	report   *AuditReport

	seq      int64 // head of the log
	epoch    int64
	opened   int64 // accounts
	accounts []auditAccount
	names    []string      // jurisdictions and currencies, by the numbers in accounts
	logged   digest        // of the postings as the transfers have them
	posted   digest        // of the posting table
	away     [buckets]bool // buckets of which the shard has only a copy
	moved    movedSums
	features featureWalk
}

// auditAccount is what the audit keeps of every account.
type auditAccount struct {
	kind         accountType
	away         bool        // it is a copy: the player is served by another shard
	of           accountType // of an elsewhere account: which type it balances
	jurisdiction uint8       // index into names
	currency     uint8
}

// readShard reads the shard's own row.
func (a *auditor) readShard() error {
	const q = `
		SELECT shard, shards, epoch, seq, accounts
		FROM shard
		WHERE id = 1`
	var number, of int
	err := oneRow(a.on.QueryContext(a.ctx, q))(&number, &of, &a.epoch, &a.seq, &a.opened)
	if errors.Is(err, sql.ErrNoRows) {
		return found("the shard knows its place", "shard", "id 1", "a row", "none")
	}
	if err != nil {
		return sqldb.Wrap("read shard", err)
	}
	a.report.heads = append(a.report.heads, a.seq)
	if a.shard == 0 {
		*a.first = of
	}
	if want := madeFor(a.shard, *a.first); number != a.shard || of != want || *a.first > a.report.Shards {
		return found("the shard knows its place", "shard", "id 1",
			fmt.Sprintf("shard %d of %d", a.shard, min(want, a.report.Shards)), fmt.Sprintf("shard %d of %d", number, of))
	}
	return nil
}

// readAccounts reads the types of all accounts and checks that their numbers have no gap.
func (a *auditor) readAccounts() error {
	const q = `
		SELECT id, address, jurisdiction, currency
		FROM account
		ORDER BY id`
	a.accounts = make([]auditAccount, 1, min(a.opened+1, 1<<20))
	err := eachRow(a.on.QueryContext(a.ctx, q))(func(rows *sql.Rows) error {
		var number int64
		var address, jurisdiction, currency string
		if err := rows.Scan(&number, &address, &jurisdiction, &currency); err != nil {
			return err
		}
		key := fmt.Sprintf("id %d", number)
		if want := int64(len(a.accounts)); number != want {
			return found("account numbers have no gap", "account", key, want, number)
		}
		parts, ok := parseAddress(address)
		if !ok {
			return found("addresses are well-formed", "account", key, "an address", address)
		}
		if string(parts.jurisdiction) != jurisdiction {
			return found("an account is in its address's jurisdiction", "account", key, parts.jurisdiction, jurisdiction)
		}
		a.accounts = append(a.accounts, auditAccount{
			kind: parts.kind, away: a.isAway(parts.player), of: elsewhereOf(address), jurisdiction: a.name(jurisdiction), currency: a.name(currency),
		})
		return nil
	})
	if err != nil {
		return sqldbOrFinding("read accounts", err)
	}
	if got := int64(len(a.accounts) - 1); got != a.opened {
		return found("account numbers have no gap", "account", fmt.Sprintf("id %d", a.opened), a.opened, got)
	}
	a.report.Accounts += a.opened
	return nil
}

// name returns the number of a text that few accounts differ in.
func (a *auditor) name(text string) uint8 {
	for i, known := range a.names {
		if known == text {
			return uint8(i) // #nosec: bounded below
		}
	}
	if len(a.names) == 255 { // more than the world has licensed territories and we have currencies
		return 255
	}
	a.names = append(a.names, text)
	return uint8(len(a.names) - 1) // #nosec: bounded above
}

func (a *auditor) nameOf(number uint8) string {
	if int(number) >= len(a.names) {
		return "(other)"
	}
	return a.names[number]
}

// sqldbOrFinding wraps a driver's error and leaves a finding alone.
func sqldbOrFinding(op string, err error) error {
	var f *Finding
	if err == nil || errors.As(err, &f) {
		return err
	}
	return sqldb.Wrap(op, err)
}
