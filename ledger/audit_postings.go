package ledger

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"matchday/internal/sqldb"
	"matchday/money"
)

// digest is a hash of a set of postings that does not depend on their order, so that the log (by
// sequence) and the posting table (by account) can be compared while each is read its own way.
type digest struct {
	count int64
	sum   uint64
	mixed uint64
}

// add mixes one posting in.
func (d *digest) add(account, seq, amount, balance, held int64) {
	h := uint64(0x9e3779b97f4a7c15)
	for _, v := range [...]int64{account, seq, amount, balance, held} {
		h ^= uint64(v) // #nosec: bits only
		h *= 0xff51afd7ed558ccd
		h ^= bits.RotateLeft64(h, 29)
		h += 0xc4ceb9fe1a85ec53
	}
	d.count++
	d.sum += h
	d.mixed += bits.RotateLeft64(h*0x9fb21c651e98df25, 17)
}

// checkHolds finds a hold that ended in a way no transfer tells of.
func (a *auditor) checkHolds() error {
	const q = `
		SELECT h.seq, h.state, h.resolved_seq
		FROM hold h
		LEFT JOIN transfer t ON t.seq = h.resolved_seq AND t.hold_seq = h.seq AND t.seq <> h.seq
		LEFT JOIN transfer m ON m.seq = h.seq AND m.kind IN (?, ?) AND m.state = 1
		WHERE m.seq IS NULL OR (h.state <> 1 AND t.seq IS NULL)
		ORDER BY h.seq
		LIMIT 1`
	var seq int64
	var state holdState
	var resolved sql.NullInt64
	err := oneRow(a.on.QueryContext(a.ctx, q, KindHold, KindGroupPrepare))(&seq, &state, &resolved)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return sqldb.Wrap("check holds", err)
	}
	return found("a hold ends by a transfer", "hold", seqKey(seq), "a transfer", fmt.Sprintf("%s by %d", state, resolved.Int64))
}

// postingWalk reads the posting table account by account.
type postingWalk struct {
	*auditor
	open []openHolds // of the accounts that are still to come

	account       int64
	balance, held int64
	seq           int64
}

// openHolds is what an account has reserved by the hold table.
type openHolds struct{ account, amount int64 }

// walkPostings checks every account: each posting continues from the one before, the rule of the
// account's type holds after each, and what is held equals the open holds. (That all balances
// together are zero follows: the postings are those of the log, where each transfer's sum to zero.)
func (a *auditor) walkPostings() error {
	const open = `
		SELECT account_id, SUM(amount_minor)
		FROM hold
		WHERE state = 1
		GROUP BY account_id
		ORDER BY account_id`
	const q = `
		SELECT account_id, seq, amount_minor, balance_minor, held_minor, rule
		FROM posting
		ORDER BY account_id, seq`
	w := &postingWalk{auditor: a}
	err := eachRow(a.on.QueryContext(a.ctx, open))(func(rows *sql.Rows) error {
		var h openHolds
		err := rows.Scan(&h.account, &h.amount)
		w.open = append(w.open, h)
		return err
	})
	if err != nil {
		return sqldb.Wrap("read open holds", err)
	}
	err = eachRow(a.on.QueryContext(a.ctx, q))(w.row)
	if err != nil {
		return a.causeOf(sqldbOrFinding("read postings", err))
	}
	if err := w.endAccount(); err != nil {
		return err
	}
	if len(w.open) > 0 {
		return w.heldByNobody()
	}
	a.report.Postings += a.posted.count
	return a.checkElsewhere()
}

// causeOf returns the first posting that no transfer has instead of a finding about postings, if there is one:
// a posting too many is what is wrong, and the balance after it is right.
func (a *auditor) causeOf(err error) error {
	var f *Finding
	if !errors.As(err, &f) {
		return err
	}
	return cmp.Or(a.findUnlogged(), err)
}

// row checks one posting.
func (w *postingWalk) row(rows *sql.Rows) error {
	var p posting
	if err := rows.Scan(&p.account, &p.seq, &p.amount, &p.balance, &p.held, &p.rule); err != nil {
		return err
	}
	key := postingKey(p.account, p.seq)
	if p.account != w.account {
		if err := w.endAccount(); err != nil {
			return err
		}
		if p.account < 1 || p.account >= int64(len(w.accounts)) {
			return found("postings name accounts", "posting", key, "an account", p.account)
		}
		w.account, w.balance, w.held, w.seq = p.account, 0, 0, 0
	}
	if p.seq > w.auditor.seq {
		return found("postings belong to transfers", "posting", key, fmt.Sprintf("seq <= %d", w.auditor.seq), p.seq)
	}
	if p.seq <= w.seq {
		return found("a transfer has one posting on an account", "posting", key, fmt.Sprintf("seq > %d", w.seq), p.seq)
	}
	want, ok := money.AddMinor(w.balance, p.amount)
	if !ok || p.balance != want {
		return found("a balance is the one before plus the amount", "posting", key,
			fmt.Sprintf("%d, as it was %d after seq %d and %d was added", want, w.balance, w.seq, p.amount), p.balance)
	}
	if rule := w.ruleOf(p.account, p.seq); p.rule != rule {
		return found("a posting has its account's rule", "posting", key, rule, p.rule)
	}
	if !p.rule.allows(p.balance, p.held) {
		return found("available is never below zero", "posting", key, "at least 0", p.balance-p.held)
	}
	w.balance, w.held, w.seq = p.balance, p.held, p.seq
	w.posted.add(p.account, p.seq, p.amount, p.balance, p.held)
	return nil
}

// allows is the CHECK constraint of the posting table in Go.
func (r rule) allows(balance, held int64) bool {
	switch r {
	case ruleFree:
		return held == 0
	case ruleAvailable:
		return held >= 0 && balance >= held
	case ruleOwed:
		return held == 0 && balance <= 0
	case ruleLimited:
		return held >= 0 // what the limits allow is proved where the log is read, by kind and time
	default:
		return false
	}
}

func postingKey(account, seq int64) string { return fmt.Sprintf("account_id %d seq %d", account, seq) }

// endAccount checks the account whose last posting was just read.
func (w *postingWalk) endAccount() error {
	if w.account == 0 {
		return nil
	}
	var open int64
	if len(w.open) > 0 && w.open[0].account < w.account {
		return w.heldByNobody()
	}
	if len(w.open) > 0 && w.open[0].account == w.account {
		open, w.open = w.open[0].amount, w.open[1:]
	}
	w.moved.add(w.accounts[w.account], w.balance)
	if err := w.addTransit(w.accounts[w.account], w.balance); err != nil {
		return err
	}
	if w.held != open {
		return found("what is held equals the open holds", "posting", postingKey(w.account, w.seq), open, w.held)
	}
	return nil
}

// heldByNobody is the finding of an open hold whose account has no postings.
func (w *postingWalk) heldByNobody() error {
	return found("what is held equals the open holds", "hold", fmt.Sprintf("account_id %d", w.open[0].account), 0, w.open[0].amount)
}

// comparePostings compares the postings of the log with the posting table. Both were digested while
// they were read; only if the digests differ is the first difference looked for.
func (a *auditor) comparePostings() error {
	if a.logged == a.posted {
		return nil
	}
	if err := a.findUnposted(); err != nil {
		return err
	}
	return a.findUnlogged()
}

// findUnposted finds the first line of the log that the posting table has not, or has otherwise.
func (a *auditor) findUnposted() error {
	const q = `
		SELECT t.seq, t.lines
		FROM transfer t
		WHERE t.state = 1 AND t.seq > ?
		ORDER BY t.seq
		LIMIT ?`
	const one = `
		SELECT amount_minor, balance_minor, held_minor
		FROM posting
		WHERE account_id = ? AND seq = ?`
	rows := newCursor(a, q, func(scan func(...any) error) (r row, key int64, err error) {
		err = scan(&r.seq, &r.lines)
		return r, r.seq, err
	})
	for {
		r, ok, err := rows.next()
		if err != nil {
			return sqldb.Wrap("compare postings", err)
		}
		if !ok {
			return nil
		}
		lines, err := decodeLines(nil, r.lines)
		if err != nil {
			return found("postings are readable", "transfer", seqKey(r.seq), "2 to 8 lines", err)
		}
		for _, want := range lines {
			got := line{account: want.account}
			err := oneRow(a.on.QueryContext(a.ctx, one, want.account, r.seq))(&got.amount, &got.balance, &got.held)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return found("postings equal the log", "posting", postingKey(want.account, r.seq), want, "none")
			case err != nil:
				return sqldb.Wrap("compare postings", err)
			case got != want:
				return found("postings equal the log", "posting", postingKey(want.account, r.seq), want, got)
			}
		}
	}
}

// findUnlogged finds the first posting that no transfer has.
func (a *auditor) findUnlogged() error {
	const q = `
		SELECT p.account_id, p.seq, t.lines
		FROM posting p
		LEFT JOIN transfer t ON t.seq = p.seq AND t.state = 1
		ORDER BY p.account_id, p.seq`
	err := eachRow(a.on.QueryContext(a.ctx, q))(func(rows *sql.Rows) error {
		var account, seq int64
		var encoded []byte
		if err := rows.Scan(&account, &seq, &encoded); err != nil {
			return err
		}
		lines, _ := decodeLines(nil, encoded)
		if !slices.ContainsFunc(lines, func(l line) bool { return l.account == account }) {
			return found("postings equal the log", "posting", postingKey(account, seq), "a line of a transfer", "none")
		}
		return nil
	})
	return sqldbOrFinding("compare postings", err)
}
