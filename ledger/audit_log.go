package ledger

import (
	"bytes"
	"database/sql"
	"fmt"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// logWalk reads the log once, in order, with a cursor on each table the seals cover.
type logWalk struct {
	*auditor
	transfers *cursor[row]
	batches   *cursor[auditBatch]
	accounts  *cursor[sealedAccount]
	holds     *cursor[storedHold]
	sealer    *sealer

	before  auditBatch // the batch before
	now     auditBatch // the batch being read
	last    int64      // sequence read last
	records int        // of the batch being read
	lines   []line
	buf     []byte
}

type auditBatch struct {
	first, last, atUS, epoch, accounts int64
	records                            int
	seal                               []byte
}

type sealedAccount struct {
	id                              int64
	address, jurisdiction, currency string
}

// walkLog checks every transfer and every batch: no gap, postings that balance and are allowed, time
// and epoch that never run back, and seals that verify.
func (a *auditor) walkLog() error {
	w := &logWalk{auditor: a, sealer: newSealer()}
	w.openCursors()
	for {
		r, ok, err := w.transfers.next()
		if err != nil {
			return sqldb.Wrap("read transfers", err)
		}
		if !ok {
			break
		}
		if err := w.transfer(&r); err != nil {
			return err
		}
	}
	if w.last > 0 {
		if err := w.endBatch(); err != nil {
			return err
		}
	}
	if w.last != a.seq {
		return found("sequences have no gap", "shard", "id 1", seqKey(w.last), seqKey(a.seq))
	}
	extra, ok, err := w.batches.next()
	if err != nil {
		return sqldb.Wrap("read batches", err)
	}
	if ok {
		return found("every batch has its transfers", "batch", fmt.Sprintf("last_seq %d", extra.last), "transfers", "none")
	}
	if w.before.accounts != a.opened {
		return found("every account was opened by a batch", "shard", "id 1", w.before.accounts, a.opened)
	}
	a.report.Transfers += w.last
	return nil
}

func (w *logWalk) openCursors() {
	const transfers = `
		SELECT t.seq, t.key, t.kind, t.state, COALESCE(t.code, ''), COALESCE(t.detail, ''), t.player,
			t.jurisdiction, t.currency, t.fingerprint, COALESCE(t.hold_seq, 0), t.lines, t.record_type,
			COALESCE(t.subject, ''), t.data, COALESCE(t.origin_shard, 0), COALESCE(t.origin_seq, 0),
			COALESCE(t.origin_at_us, 0), t.extra
		FROM transfer t
		WHERE t.seq > ?
		ORDER BY t.seq
		LIMIT ?`
	const batches = `
		SELECT first_seq, last_seq, at_us, epoch, accounts, records, seal
		FROM batch
		WHERE last_seq > ?
		ORDER BY last_seq
		LIMIT ?`
	const accounts = `
		SELECT id, address, jurisdiction, currency
		FROM account
		WHERE id > ?
		ORDER BY id
		LIMIT ?`
	const holds = `
		SELECT seq, account_id, counter_id, jurisdiction, currency, amount_minor, expires_us, state
		FROM hold
		WHERE seq > ?
		ORDER BY seq
		LIMIT ?`
	w.transfers = newCursor(w.auditor, transfers, scanLogged)
	w.batches = newCursor(w.auditor, batches, func(scan func(...any) error) (b auditBatch, key int64, err error) {
		err = scan(&b.first, &b.last, &b.atUS, &b.epoch, &b.accounts, &b.records, &b.seal)
		return b, b.last, err
	})
	w.accounts = newCursor(w.auditor, accounts, func(scan func(...any) error) (a sealedAccount, key int64, err error) {
		err = scan(&a.id, &a.address, &a.jurisdiction, &a.currency)
		return a, a.id, err
	})
	w.holds = newCursor(w.auditor, holds, func(scan func(...any) error) (h storedHold, key int64, err error) {
		var expiresUS int64
		err = scan(&h.seq, &h.account, &h.counter, &h.jurisdiction, &h.currency, &h.amount, &expiresUS, &h.state)
		h.expires = fromMicros(expiresUS)
		return h, h.seq, err
	})
}

// scanLogged reads one row of the log.
func scanLogged(scan func(...any) error) (r row, key int64, err error) {
	var state int
	var print, data []byte
	var kind, subject sql.NullString
	err = scan(&r.seq, &r.key, &r.kind, &state, &r.code, &r.detail, &r.player, &r.jurisdiction,
		&r.currency, &print, &r.holdSeq, &r.lines, &kind, &subject, &data,
		&r.origin.shard, &r.origin.seq, &r.origin.atUS, &r.extra)
	copy(r.print[:], print)
	if kind.Valid {
		r.record = &stream.Draft{Type: kind.String, Subject: subject.String, Data: data}
	}
	return r, r.seq, err
}

// transfer checks one row of the log.
func (w *logWalk) transfer(r *row) error {
	if r.seq != w.last+1 {
		return found("sequences have no gap", "transfer", seqKey(r.seq), seqKey(w.last+1), seqKey(r.seq))
	}
	if w.last == w.now.last {
		if err := w.beginBatch(r.seq); err != nil {
			return err
		}
	}
	w.last = r.seq
	if err := w.checkRow(r); err != nil {
		return err
	}
	w.sealer.row(r)
	if r.published() {
		w.records++
	}
	if r.seq%16384 == 0 {
		w.progress(w.shard, r.seq, w.seq)
	}
	return nil
}

// beginBatch closes the batch before seq and opens the one that starts there.
func (w *logWalk) beginBatch(seq int64) error {
	if seq > 1 {
		if err := w.endBatch(); err != nil {
			return err
		}
	}
	b, ok, err := w.batches.next()
	if err != nil {
		return sqldb.Wrap("read batches", err)
	}
	if !ok {
		return found("every transfer is in a batch", "transfer", seqKey(seq), "a batch", "none")
	}
	key := fmt.Sprintf("last_seq %d", b.last)
	switch {
	case b.first != seq:
		return found("batches have no gap", "batch", key, fmt.Sprintf("first_seq %d", seq), fmt.Sprintf("first_seq %d", b.first))
	case b.atUS < w.before.atUS:
		return found("time never runs back", "batch", key, fmt.Sprintf("at_us >= %d", w.before.atUS), b.atUS)
	case b.epoch < w.before.epoch || b.epoch > w.epoch:
		return found("epochs only rise", "batch", key, fmt.Sprintf("%d to %d", w.before.epoch, w.epoch), b.epoch)
	case b.accounts < w.before.accounts:
		return found("accounts are never closed", "batch", key, w.before.accounts, b.accounts)
	}
	w.now, w.records = b, 0
	var previous seal
	copy(previous[:], w.before.seal)
	w.sealer.begin(previous, b.first, b.last, b.atUS, b.epoch, b.accounts)
	for number := w.before.accounts + 1; number <= b.accounts; number++ {
		account, ok, err := w.accounts.next()
		if err != nil {
			return sqldb.Wrap("read accounts", err)
		}
		if !ok {
			return found("every account of a batch exists", "batch", key, fmt.Sprintf("account %d", number), "none")
		}
		w.sealer.account(account.id, account.address, account.jurisdiction, account.currency)
	}
	return nil
}

// endBatch checks the batch that was read.
func (w *logWalk) endBatch() error {
	b := w.now
	key := fmt.Sprintf("last_seq %d", b.last)
	if w.last != b.last {
		return found("every batch has its transfers", "batch", key, seqKey(b.last), seqKey(w.last))
	}
	if w.records != b.records {
		return found("a batch counts its records", "batch", key, w.records, b.records)
	}
	if got := w.sealer.end(); !bytes.Equal(got[:], b.seal) {
		return found("seals verify", "batch", key, fmt.Sprintf("%x", got[:8]), fmt.Sprintf("%x", b.seal[:min(8, len(b.seal))]))
	}
	w.before = b
	return nil
}

// checkRow checks what one transfer must keep by itself.
func (w *logWalk) checkRow(r *row) error {
	key := seqKey(r.seq)
	lines, err := decodeLines(w.lines[:0], r.lines)
	if err != nil {
		return found("postings are readable", "transfer", key, "2 to 8 lines", err)
	}
	w.lines = lines
	if w.buf = appendLines(w.buf[:0], lines); !bytes.Equal(w.buf, r.lines) {
		return found("postings are readable", "transfer", key, fmt.Sprintf("%x", w.buf), fmt.Sprintf("%x", r.lines))
	}
	if !r.kind.valid() {
		return found("kinds are known", "transfer", key, "a kind", r.kind)
	}
	var sum int64
	for _, l := range lines {
		if err := w.checkLine(r, l); err != nil {
			return err
		}
		var ok bool
		if sum, ok = money.AddMinor(sum, l.amount); !ok {
			return found("postings sum to zero", "transfer", key, 0, "overflow")
		}
		if r.code == "" {
			w.logged.add(l.account, r.seq, l.amount, l.balance, l.held)
		}
	}
	if sum != 0 {
		return found("postings sum to zero", "transfer", key, 0, sum)
	}
	if err := w.checkFeatures(r); err != nil {
		return err
	}
	if r.code == "" && (r.holdSeq != 0 || r.kind == KindHold || kinds[r.kind].resolves) {
		return w.checkHoldRow(r)
	}
	return nil
}

// checkLine checks one posting of a transfer against its account.
func (w *logWalk) checkLine(r *row, l line) error {
	key := seqKey(r.seq)
	if l.account >= int64(len(w.auditor.accounts)) {
		return found("postings name accounts", "transfer", key, "an account", l.account)
	}
	account := w.auditor.accounts[l.account]
	if got := w.nameOf(account.jurisdiction); id.Jurisdiction(got) != r.jurisdiction {
		return found("a transfer stays in its jurisdiction", "transfer", key, r.jurisdiction, got)
	}
	if got := w.nameOf(account.currency); money.Currency(got) != r.currency {
		return found("a transfer has one currency", "transfer", key, r.currency, got)
	}
	if l.amount == 0 || kinds[r.kind].resolves {
		return nil
	}
	allowed := kinds[r.kind].credits
	if l.amount < 0 {
		allowed = kinds[r.kind].debits
	}
	if !allowed.has(account.kind) {
		return found("kinds move only what they may", "transfer", key, r.kind, account.kind)
	}
	return nil
}

// checkHoldRow checks a transfer that makes or ends a hold against the hold's row.
func (w *logWalk) checkHoldRow(r *row) error {
	key := seqKey(r.seq)
	if r.kind == KindHold || r.kind == KindGroupPrepare {
		h, ok, err := w.holds.next()
		if err != nil {
			return sqldb.Wrap("read holds", err)
		}
		if !ok || h.seq != r.seq || r.holdSeq != r.seq || len(w.lines) != 1 || h.account != w.lines[0].account {
			return found("every hold has its transfer", "transfer", key, "a hold", fmt.Sprintf("hold of seq %d", h.seq))
		}
		w.sealer.later(&h)
		return nil
	}
	const q = `
		SELECT state, COALESCE(resolved_seq, 0), posted_minor, amount_minor
		FROM hold
		WHERE seq = ?`
	var state holdState
	var resolved, posted, amount int64
	if err := oneRow(w.on.QueryContext(w.ctx, q, r.holdSeq))(&state, &resolved, &posted, &amount); err != nil {
		return sqldbOrMissing(err, r)
	}
	want := holdPosted // a post, or a group's transfer that was reserved
	switch r.kind {
	case KindRelease:
		want = holdReleased
	case KindExpire:
		want = holdExpired
	}
	if state != want || resolved != r.seq {
		return found("a hold ends once", "hold", seqKey(r.holdSeq),
			fmt.Sprintf("%s by %d", want, r.seq), fmt.Sprintf("%s by %d", state, resolved))
	}
	moved := int64(0)
	switch {
	case r.kind == KindPost && len(w.lines) == 2:
		moved = w.lines[1].amount
	case !kinds[r.kind].resolves:
		moved = amount
	}
	if posted != moved {
		return found("a hold posts what its transfer moved", "hold", seqKey(r.holdSeq), moved, posted)
	}
	return nil
}

func sqldbOrMissing(err error, r *row) error {
	if err == sql.ErrNoRows { //nolint:errorlint // straight from Scan
		return found("a hold's end names a hold", "transfer", seqKey(r.seq), fmt.Sprintf("hold %d", r.holdSeq), "none")
	}
	return sqldb.Wrap("read hold", err)
}

// cursor reads a table in the order of its key, beside others. It reads pages, because a MySQL
// connection has one open result at a time and the snapshot is the connection's.
type cursor[T any] struct {
	*auditor
	q     string // rows whose key is above the first parameter, in its order, as many as the second
	scan  func(scan func(...any) error) (v T, key int64, err error)
	page  []T
	read  int // of the page
	after int64
	last  bool // there is no page after this one
}

const cursorPage = 1000

func newCursor[T any](a *auditor, q string, scan func(func(...any) error) (T, int64, error)) *cursor[T] {
	return &cursor[T]{auditor: a, q: q, scan: scan}
}

// next returns the next row, or false at the end.
func (c *cursor[T]) next() (T, bool, error) {
	var zero T
	if c.read == len(c.page) {
		if c.last {
			return zero, false, nil
		}
		clear(c.page)
		c.page, c.read = c.page[:0], 0
		err := eachRow(c.on.QueryContext(c.ctx, c.q, c.after, cursorPage))(func(rows *sql.Rows) error {
			v, key, err := c.scan(rows.Scan)
			c.page, c.after = append(c.page, v), key
			return err
		})
		if err != nil {
			return zero, false, err
		}
		if c.last = len(c.page) < cursorPage; len(c.page) == 0 {
			return zero, false, nil
		}
	}
	c.read++
	return c.page[c.read-1], true, nil
}
