package ledger

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"

	"matchday/internal/sqldb"
	"matchday/money"
)

// featureWalk is what the walk over the log keeps to prove limits, metadata and groups.
type featureWalk struct {
	limited map[int64]*limitedAccount // by number; few accounts have limits
	notes   int64                     // rows of kind metadata
	limits  int64                     // rows of kind limits
	begun   int64
	ended   int64

	group     string // whose transfers were read last
	committed int    // of them
	refused   int
}

// limitedAccount is an account with limits at a place of the log.
type limitedAccount struct {
	limitsExtra
	since         int64 // its first row of kind limits
	balance, held int64
}

// checkFeatures checks what a row says and does beyond its own postings.
func (w *logWalk) checkFeatures(r *row) error {
	f := &w.features
	if r.code == "" && len(f.limited) > 0 {
		if err := w.checkLimited(r); err != nil {
			return err
		}
	}
	if r.extra == nil {
		return nil
	}
	var made batch
	x, err := made.derive(r, w.firstAccount())
	if err != nil {
		return found("what a row has besides its columns is readable", "transfer", seqKey(r.seq), "JSON", err)
	}
	f.notes += int64(len(made.notes))
	f.begun += int64(len(made.begun))
	f.ended += int64(len(made.ended))
	for _, l := range made.limits {
		if err := w.changeLimits(r, l); err != nil {
			return err
		}
	}
	return w.checkGroup(r, &x)
}

func (w *logWalk) firstAccount() int64 {
	if len(w.lines) == 0 {
		return 0
	}
	return w.lines[0].account
}

// changeLimits takes new limits of an account; their versions have no gap.
func (w *logWalk) changeLimits(r *row, l accountLimits) error {
	f := &w.features
	f.limits++
	old := f.limited[l.account]
	version, since := int64(0), r.seq
	if old != nil {
		version, since = old.Version, old.since
	}
	if l.Version != version+1 || len(w.lines) != 1 {
		return found("versions of limits have no gap", "transfer", seqKey(r.seq), version+1, l.Version)
	}
	if f.limited == nil {
		f.limited = map[int64]*limitedAccount{}
	}
	f.limited[l.account] = &limitedAccount{
		limitsExtra: l.limitsExtra, since: since, balance: w.lines[0].balance, held: w.lines[0].held,
	}
	return nil
}

// checkLimited checks each line against the limits that its account has at this place of the log.
func (w *logWalk) checkLimited(r *row) error {
	for _, l := range w.lines {
		a := w.features.limited[l.account]
		if a == nil {
			continue
		}
		if err := a.check(r, l); err != nil {
			return err
		}
		a.balance, a.held = l.balance, l.held
	}
	return nil
}

// check checks one line. What was reserved before may be moved whatever the limits say since; what a
// group brings was judged when it was reserved.
func (a *limitedAccount) check(r *row, l line) error {
	k := &kinds[r.kind]
	before, after := a.balance-a.held, l.balance-l.held
	due := k.due || k.resolves || k.internal && r.kind != KindGroupPrepare
	if after < before {
		if least := a.floor(due); after < least {
			return found("limits are kept", "transfer", seqKey(r.seq), fmt.Sprintf("at least %d available", least), after)
		}
		if a.Freeze != FreezeNone && !due {
			return found("limits are kept", "transfer", seqKey(r.seq), "nothing from a frozen account", l.amount)
		}
	}
	if l.amount > 0 && !due && r.extra == nil {
		if a.Freeze == FreezeAll {
			return found("limits are kept", "transfer", seqKey(r.seq), "nothing to a closed account", l.amount)
		}
		if a.MaxMinor != nil && l.balance > *a.MaxMinor {
			return found("limits are kept", "transfer", seqKey(r.seq), fmt.Sprintf("at most %d", *a.MaxMinor), l.balance)
		}
	}
	return nil
}

// checkGroup checks that the transfers of a group before its outcome all committed or none. Copied rows
// are not judged: a bucket brings only its own players' part of a group.
func (w *logWalk) checkGroup(r *row, x *extra) error {
	if x.Group == "" || r.origin.copied() {
		return nil
	}
	f := &w.features
	if x.Group != f.group {
		f.group, f.committed, f.refused = x.Group, 0, 0
	}
	switch {
	case r.kind != KindGroup && strings.HasPrefix(r.key, groupPrefix):
		return nil // a row of the ledger's own for the group
	case r.kind != KindGroup && r.code == "":
		f.committed++
		return nil
	case r.kind != KindGroup:
		f.refused++
		return nil
	case x.Outcome == nil:
		return found("a group has an outcome", "transfer", seqKey(r.seq), "an outcome", "none")
	case r.code == "" && (f.committed != x.Outcome.Members || f.refused != 0):
		return found("a group commits as a whole", "transfer", seqKey(r.seq),
			fmt.Sprintf("%d transfers", x.Outcome.Members), fmt.Sprintf("%d, and %d refused", f.committed, f.refused))
	case r.code != "" && f.committed != 0:
		return found("a refused group moves nothing", "transfer", seqKey(r.seq), "no transfer", f.committed)
	}
	f.group = ""
	return nil
}

// ruleOf is the rule that a posting of the account has at a place of the log.
func (a *auditor) ruleOf(account, seq int64) rule {
	if l := a.features.limited[account]; l != nil && seq >= l.since {
		return ruleLimited
	}
	return a.accounts[account].kind.rule()
}

// checkTables checks that the tables of limits, metadata and groups say what the log says: every row of
// theirs is one of the log's, and there are as many.
func (a *auditor) checkTables() error {
	for _, step := range []func() error{a.checkLimitTable, a.checkMetadataTable, a.checkGroupTable, a.readReservations} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) checkLimitTable() error {
	const q = `
		SELECT l.account_id, l.seq, l.version, l.min_minor, l.max_minor, l.freeze, COALESCE(t.kind, 0), t.extra, t.lines
		FROM account_limit l
		LEFT JOIN transfer t ON t.seq = l.seq AND t.state = 1
		ORDER BY l.account_id, l.seq`
	var count int64
	err := eachRow(a.on.QueryContext(a.ctx, q))(func(rows *sql.Rows) error {
		var l accountLimits
		var r row
		if err := rows.Scan(&l.account, &l.seq, &l.Version, &l.MinMinor, &l.MaxMinor, &l.Freeze, &r.kind, &r.extra, &r.lines); err != nil {
			return err
		}
		count++
		logged := a.derived(&r).limits
		if len(logged) != 1 || !logged[0].equal(&l) {
			return found("limits are those of the log", "account_limit", postingKey(l.account, l.seq), "the log's", fmt.Sprintf("version %d", l.Version))
		}
		return nil
	})
	if err == nil && count != a.features.limits {
		err = found("limits are those of the log", "account_limit", "all", a.features.limits, count)
	}
	return sqldbOrFinding("read limits", err)
}

func (l *accountLimits) equal(other *accountLimits) bool {
	same := func(x, y *int64) bool { return x == nil && y == nil || x != nil && y != nil && *x == *y }
	return l.account == other.account && l.Version == other.Version && l.Freeze == other.Freeze &&
		same(l.MinMinor, other.MinMinor) && same(l.MaxMinor, other.MaxMinor)
}

func (a *auditor) checkMetadataTable() error {
	const q = `
		SELECT m.account_id, m.seq, m.data, COALESCE(t.kind, 0), t.extra, t.lines
		FROM account_metadata m
		LEFT JOIN transfer t ON t.seq = m.seq AND t.state = 1
		ORDER BY m.account_id, m.seq`
	var count int64
	err := eachRow(a.on.QueryContext(a.ctx, q))(func(rows *sql.Rows) error {
		var n accountNote
		var r row
		if err := rows.Scan(&n.account, &n.seq, &n.data, &r.kind, &r.extra, &r.lines); err != nil {
			return err
		}
		count++
		if string(n.data) == "null" { // no metadata, as moves and imports of earlier versions wrote it
			n.data = noMetadata
		}
		logged := a.derived(&r).notes
		if len(logged) != 1 || logged[0].account != n.account || !bytes.Equal(logged[0].data, n.data) {
			return found("metadata is that of the log", "account_metadata", postingKey(n.account, n.seq), "the log's", string(n.data))
		}
		return nil
	})
	if err == nil && count != a.features.notes {
		err = found("metadata is that of the log", "account_metadata", "all", a.features.notes, count)
	}
	return sqldbOrFinding("read metadata", err)
}

// derived is what the tables should have of a row; nothing if the row is not there or unreadable.
func (a *auditor) derived(r *row) *batch {
	var out batch
	lines, err := decodeLines(nil, r.lines)
	if err != nil {
		return &out
	}
	var account int64
	if len(lines) > 0 {
		account = lines[0].account
	}
	_, _ = out.derive(r, account) // readable: the walk over the log has read it
	return &out
}

func (a *auditor) checkGroupTable() error {
	const q = `
		SELECT g.seq, g.state, COALESCE(t.kind, 0), COALESCE(t.player, ''), t.extra, COALESCE(e.kind, 0), e.extra
		FROM grp g
		LEFT JOIN transfer t ON t.seq = g.seq AND t.state = 1
		LEFT JOIN transfer e ON e.seq = g.ended_seq AND e.state = 1
		ORDER BY g.seq`
	var begun, ended int64
	err := eachRow(a.on.QueryContext(a.ctx, q))(func(rows *sql.Rows) error {
		var seq, state int64
		var first, last row
		if err := rows.Scan(&seq, &state, &first.kind, &first.player, &first.extra, &last.kind, &last.extra); err != nil {
			return err
		}
		begun++
		began, _ := decodeExtra(first.extra)
		end, _ := decodeExtra(last.extra)
		if first.kind != KindGroupBegin || state == 2 && (last.kind != KindGroupEnd || end.Group != began.Group) {
			return found("groups are those of the log", "grp", seqKey(seq), "a group of the log", fmt.Sprintf("state %d", state))
		}
		if state == 2 {
			ended++
		} else if !a.isAway(first.player) { // or it ends on the shard that its first player moved to
			a.report.opened(began.Group)
		}
		return nil
	})
	if err == nil && (begun != a.features.begun || ended != a.features.ended) {
		err = found("groups are those of the log", "grp", "all", fmt.Sprintf("%d begun, %d ended", a.features.begun, a.features.ended),
			fmt.Sprintf("%d begun, %d ended", begun, ended))
	}
	return sqldbOrFinding("read groups", err)
}

// transitSums are the balances of the transit accounts of all shards, by jurisdiction and currency.
type transitSums map[[2]string]int64

// add counts the final balance of an account.
func (a *auditor) addTransit(account auditAccount, balance int64) error {
	if account.kind != typeTransit {
		return nil
	}
	if a.report.transits == nil {
		a.report.transits = transitSums{}
	}
	at := [2]string{a.nameOf(account.jurisdiction), a.nameOf(account.currency)}
	sum, ok := money.AddMinor(a.report.transits[at], balance)
	if !ok {
		return found("transits sum to zero", "account", at[0], 0, "overflow")
	}
	a.report.transits[at] = sum
	return nil
}

// head reads where the log of a shard ends now.
func (s *bookShard) head(ctx context.Context) (int64, error) {
	const q = `
		SELECT COALESCE(MAX(seq), 0)
		FROM shard`
	on, end, err := s.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	var head int64
	err = oneRow(on.QueryContext(ctx, q))(&head)
	return head, sqldb.Wrap("read head", err)
}
