package ledger

import (
	"time"

	"matchday/errs"
)

// undo is how far a batch was when something began that may be taken back: a dry run, a step of a group or
// of a move. It notes what changes from then on. At most one is open at a time.
type undo struct {
	last, accounts                                int64
	at                                            time.Time
	opened, rows, postings, fresh, ended, answers int
	records                                       int
	buckets, copied, shares, bucketRows           int
	limits, notes, begunGroups, endedGroups       int

	saved []savedAccount
	holds []savedHold
}

// savedAccount is an account as it was before one posting.
type savedAccount struct {
	account      *account
	posted, held int64
	limits       *limitsExtra
}

// savedHold is a hold as it was before it ended.
type savedHold struct {
	entry    *holdEntry
	state    holdState
	posted   int64
	resolved int64
	dirty    bool
}

func (u *undo) account(a *account) {
	u.saved = append(u.saved, savedAccount{a, a.posted, a.held, a.limits})
}

// saveHold notes what a hold is before it ends.
func (b *builder) saveHold(h *holdEntry) {
	if b.undo == nil {
		return
	}
	u := b.undo
	u.holds = append(u.holds, savedHold{h, h.state, h.posted, h.resolved, h.dirty})
}

// mayUndo begins what may be taken back.
func (b *builder) mayUndo() {
	o := &b.out
	b.undo = &undo{
		last: o.last, accounts: o.accounts, at: o.at, opened: len(o.opened), rows: len(o.rows), postings: len(o.postings),
		fresh: len(o.newHolds), ended: len(o.oldHolds), answers: len(b.answers), records: o.records,
		buckets: len(o.buckets), copied: len(o.copied), shares: len(o.shares), bucketRows: len(b.buckets.undo),
		limits: len(o.limits), notes: len(o.notes), begunGroups: len(o.begun), endedGroups: len(o.ended),
	}
}

// keep ends it: what was applied stays.
func (b *builder) keep() { b.undo = nil }

// takeBack makes the batch what it was at mayUndo. Balances and lines that were
// encoded since stay in their buffers, where nothing points at them any more.
func (b *builder) takeBack() {
	u, o := b.undo, &b.out
	b.undo = nil
	for i := len(u.saved) - 1; i >= 0; i-- {
		s := &u.saved[i]
		s.account.posted, s.account.held, s.account.limits = s.posted, s.held, s.limits
	}
	for i := len(u.holds) - 1; i >= 0; i-- {
		s := &u.holds[i]
		s.entry.state, s.entry.posted, s.entry.resolved, s.entry.dirty = s.state, s.posted, s.resolved, s.dirty
	}
	for i := u.rows; i < len(o.rows); i++ {
		delete(b.pending, o.rows[i].key)
	}
	for _, h := range o.newHolds[u.fresh:] {
		delete(b.holds, h.key)
	}
	for _, a := range o.opened[u.opened:] {
		b.cache.remove(a)
	}
	b.buckets.rollbackTo(u.bucketRows)
	o.last, o.accounts, o.at, o.records = u.last, u.accounts, u.at, u.records
	o.opened, o.rows, o.postings = o.opened[:u.opened], o.rows[:u.rows], o.postings[:u.postings]
	o.newHolds, o.oldHolds = o.newHolds[:u.fresh], o.oldHolds[:u.ended]
	o.buckets, o.copied, o.shares = o.buckets[:u.buckets], o.copied[:u.copied], o.shares[:u.shares]
	o.limits, o.notes = o.limits[:u.limits], o.notes[:u.notes]
	o.begun, o.ended = o.begun[:u.begunGroups], o.ended[:u.endedGroups]
	b.answers = b.answers[:u.answers]
}

// refused returns why the newest row was refused, nil if it was committed.
func (b *builder) refused() *errs.Error {
	if r := &b.out.rows[len(b.out.rows)-1]; r.code != "" {
		return errs.New(r.code, "%s", r.detail)
	}
	return nil
}
