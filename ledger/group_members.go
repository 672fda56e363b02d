package ledger

import (
	"context"

	"matchday/errs"
)

// What a step finds and does for one transfer of a group. A player may have moved since an earlier step, alone
// or with others of the group, so nothing is concluded from the part that the transfer belongs to
// today: its rows came along with the player and are found by its own keys.

// isOf reports whether the row belongs to the group.
func (s *seen) isOf(group string) bool {
	x, err := decodeExtra(s.extra)
	return err == nil && x.Group == group
}

// isLinked reports whether the refusal says no more than that another transfer was refused, or nothing.
func (r *groupRefusal) isLinked() bool { return r == nil || r.code == errs.CodeLinkedFailed }

// reserved reports whether the log has a reservation for the transfer, whatever became of it.
func (b *builder) reserved(j *job, n int) bool {
	_, ok := b.reservation(j, n)
	return ok
}

func (b *builder) reservation(j *job, n int) (seen, bool) {
	group := j.group.plan.key
	old, ok := b.seen(reservationKey(group, j.group.indexes[n]))
	return old, ok && old.print == j.entries[n].print && old.isOf(group)
}

// ownRows counts the part's transfers that this batch made under their own keys.
func (b *builder) ownRows(j *job) int {
	own := 0
	for n := range j.entries {
		if _, now := b.pending[j.entries[n].t.Key]; now && b.isMember(j, n) {
			own++
		}
	}
	return own
}

func (b *builder) isMember(j *job, n int) bool {
	old, used := b.seen(j.entries[n].t.Key)
	return used && old.isOf(j.group.plan.key)
}

// refusedBefore says why the part's transfers cannot all be made: one was refused while it was being prepared,
// or its key was used outside the group. What is reserved will be made whatever happened to its key. A
// group that has not begun has left nothing here, and one without an outcome has made nothing: such a key
// was used outside.
func (b *builder) refusedBefore(j *job, begun bool) *groupRefusal {
	var why *groupRefusal
	for n := range j.entries {
		e, i := &j.entries[n], j.group.indexes[n]
		old, used := b.seen(e.t.Key)
		switch {
		case !used || !why.isLinked() || begun && b.reserved(j, n):
		case !begun || old.code == "" || !old.isOf(j.group.plan.key):
			c := conflict(e.t.Key, "group").(*errs.Error) //nolint:errorlint,forcetypeassert // made here
			why = &groupRefusal{i, c.Code, c.Detail}
		default:
			why = &groupRefusal{i, old.code, old.text}
		}
	}
	return why
}

// finishMembers brings the outcome to the part's transfers. One that cannot be finished fails the step, not
// the others of the part nor of the batch.
func (b *builder) finishMembers(ctx context.Context, j *job, refusal *groupRefusal) error {
	for n := range j.entries {
		err := b.finishMember(ctx, j, n, refusal)
		if own, ok := asAnswer(err); ok {
			j.group.reply.err = own
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) finishMember(ctx context.Context, j *job, n int, refusal *groupRefusal) error {
	answered := b.isMember(j, n)
	if refusal == nil && !answered {
		return b.complete(ctx, j, n)
	}
	if err := b.release(ctx, j, n); err != nil {
		return err
	}
	if answered {
		return b.apply(ctx, &j.entries[n])
	}
	b.refuseMember(j, n, refusal)
	return nil
}

// complete makes a transfer that was reserved. Nothing can refuse it any more. If its key was used outside the
// group after the group began, it gets a key of the group's. An answered error says that the books lack
// what a reservation leaves.
func (b *builder) complete(ctx context.Context, j *job, n int) error {
	e, group, i := &j.entries[n], j.group.plan.key, j.group.indexes[n]
	if _, used := b.seen(e.t.Key); used {
		t := *e.t
		t.Key = completionKey(group, i)
		other := *e
		other.t, e = &t, &other
		if _, done := b.seen(t.Key); done {
			return b.apply(ctx, e)
		}
	}
	reserved, ok := b.reservation(j, n)
	accounts := b.accountsOf(e)
	if !ok || accounts == nil {
		return broken("transfer %d of group %s was never reserved", i, group)
	}
	var h *holdEntry
	if reserved.holds {
		var err error
		if h, err = b.findHold(ctx, reservationKey(group, i)); err != nil {
			return err
		}
		if h.state != holdOpen {
			return broken("the reservation of transfer %d of group %s is %s", i, group, h.state)
		}
		b.saveHold(h)
	}
	r := b.begin(e)
	for n, a := range accounts {
		held := int64(0)
		if h != nil && a == h.source {
			held = -h.amount
		}
		b.post(r, a, e.t.Postings[n].AmountMinor, held)
	}
	if h != nil {
		h.state, h.posted = holdPosted, h.amount
		b.endHold(h, r)
	}
	b.finish(r, e)
	return nil
}

// release gives back what was reserved for a transfer, if anything was.
func (b *builder) release(ctx context.Context, j *job, n int) error {
	e, group, i := &j.entries[n], j.group.plan.key, j.group.indexes[n]
	reserved, ok := b.reservation(j, n)
	if !ok || !reserved.holds {
		return nil
	}
	h, err := b.findHold(ctx, reservationKey(group, i))
	if err != nil || h.state != holdOpen {
		return err
	}
	t := &Transfer{
		Key: releaseKey(group, i), Kind: KindRelease, Player: e.t.Player, Jurisdiction: e.t.Jurisdiction,
		Currency: e.t.Currency, HoldKey: h.key,
	}
	b.end(h, &entry{t: t, print: t.fingerprint(), extra: encodeExtra(extra{Group: group})})
	return nil
}
