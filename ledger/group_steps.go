package ledger

import (
	"context"
	"errors"
	"time"

	"matchday/errs"
)

// group does one step of a group on the builder's shard.
func (b *builder) group(ctx context.Context, j *job) error {
	s := j.group
	s.reply = groupReply{}
	if !b.serves(s) {
		s.reply.err = errElsewhere
		return nil
	}
	switch s.do {
	case groupBegin:
		return b.beginGroup(s)
	case groupPrepare:
		return b.prepareGroup(ctx, j)
	case groupDecide:
		return b.decideGroup(ctx, j)
	case groupFinish:
		return b.finishGroup(ctx, j)
	default:
		return b.endGroup(s)
	}
}

// serves reports whether the players of a step live on this shard.
func (b *builder) serves(s *groupStep) bool {
	for _, i := range s.indexes {
		if !b.buckets.live(s.plan.entries[i].bucket) {
			return false
		}
	}
	return true
}

// keys returns the keys of a step besides those of its entries.
func (s *groupStep) keys() []string {
	group := s.plan.key
	out := []string{outcomeKey(group), beginKey(group), endKey(group)}
	if s.do == groupPrepare || s.do == groupFinish {
		for _, i := range s.indexes {
			out = append(out, reservationKey(group, i), completionKey(group, i))
		}
	}
	return out
}

// seen is what the log has under a key, this batch included.
type seen struct {
	seq   int64
	print fingerprint
	code  errs.Code
	text  string
	extra []byte
	holds bool
}

func (b *builder) seen(key string) (seen, bool) {
	if index, ok := b.pending[key]; ok {
		r := &b.out.rows[index]
		return seen{r.seq, r.print, r.code, r.detail, r.extra, r.holdSeq != 0}, true
	}
	if old := b.stored[key]; old != nil {
		return seen{old.seq, old.print, old.code, old.detail, old.extra, old.holdSeq != 0}, true
	}
	return seen{}, false
}

// isOf reports whether the row belongs to the group.
func (s *seen) isOf(group string) bool {
	x, err := decodeExtra(s.extra)
	return err == nil && x.Group == group
}

// beginGroup keeps the group as it was asked for.
func (b *builder) beginGroup(s *groupStep) error {
	s.reply.begun = true
	_, s.reply.decided = b.seen(outcomeKey(s.plan.key))
	_, s.reply.ended = b.seen(endKey(s.plan.key))
	old, ok := b.seen(s.head.t.Key)
	if !ok && s.reply.decided { // it never went over several shards
		old, ok = b.seen(outcomeKey(s.plan.key))
	}
	if ok {
		if old.print != s.head.print {
			s.reply.err = conflict(s.plan.key, "transfers")
		}
		return nil
	}
	r := b.begin(&s.head)
	b.finish(r, &s.head)
	b.out.begun = append(b.out.begun, r.seq)
	return nil
}

// endGroup notes that every shard has the outcome.
func (b *builder) endGroup(s *groupStep) error {
	_, begun := b.seen(beginKey(s.plan.key))
	if _, ended := b.seen(s.head.t.Key); ended || !begun {
		return nil
	}
	r := b.begin(&s.head)
	b.finish(r, &s.head)
	b.out.ended = append(b.out.ended, endedGroup{beginKey(s.plan.key), r.seq})
	return nil
}

// decideGroup commits or refuses the transfers of the deciding shard together with the outcome. For a
// group on one shard that is all there is.
func (b *builder) decideGroup(ctx context.Context, j *job) error {
	s := j.group
	old, begun := b.seen(beginKey(s.plan.key))
	if s.alone && begun {
		s.reply.begun = true // over several shards, before its players came together on this one
		if old.print != s.head.print {
			s.reply.err = conflict(s.plan.key, "transfers")
		}
		return nil
	}
	if outcome, ok := b.seen(s.head.t.Key); ok {
		return b.repeatOutcome(ctx, j, &outcome)
	}
	if s.refusal != nil {
		b.refuseGroup(j, s.refusal)
		return nil
	}
	for n := range j.entries {
		if _, used := b.seen(j.entries[n].t.Key); used {
			return b.keyUsed(j, n, begun)
		}
	}
	failed, err := b.applyAll(ctx, j)
	if err != nil {
		return err
	}
	if failed != nil {
		if failed.logged || begun {
			b.refuseGroup(j, &failed.groupRefusal)
		} else {
			j.answerUnlogged(&failed.groupRefusal)
		}
		return nil
	}
	b.outcome(j, nil)
	return nil
}

// keyUsed answers a group one of whose keys was used outside of it. A group that has begun elsewhere
// must have an outcome, so it is refused; another leaves no trace.
func (b *builder) keyUsed(j *job, n int, begun bool) error {
	s := j.group
	e := conflict(j.entries[n].t.Key, "group").(*errs.Error) //nolint:errorlint,forcetypeassert // made here
	r := &groupRefusal{failed: s.indexes[n], code: e.Code, detail: e.Detail}
	if begun {
		b.refuseGroup(j, r)
		return nil
	}
	j.answerUnlogged(r)
	return nil
}

// failedMember is the transfer for which a group fails; logged if the log keeps such a refusal.
type failedMember struct {
	groupRefusal
	logged bool
}

// applyAll applies the entries, or takes them back at the first that is refused.
func (b *builder) applyAll(ctx context.Context, j *job) (*failedMember, error) {
	b.mayUndo()
	for n := range j.entries {
		err := b.decide(ctx, &j.entries[n])
		failed, logged := asAnswer(err)
		if err != nil && !logged {
			return nil, err
		}
		logged = failed == nil
		if failed == nil {
			failed = b.refused()
		}
		if failed != nil {
			b.takeBack()
			return &failedMember{groupRefusal{j.group.indexes[n], failed.Code, failed.Detail}, logged}, nil
		}
	}
	b.keep()
	return nil, nil
}

// refuseGroup logs the refusal of a part's transfers and of the group.
func (b *builder) refuseGroup(j *job, why *groupRefusal) {
	b.refuseMembers(j, why)
	b.outcome(j, why)
	j.group.reply.refusal = why
}

// refuseMembers logs that none of the part's transfers is made. A key that was used outside the group
// keeps its answer there.
func (b *builder) refuseMembers(j *job, why *groupRefusal) {
	for n := range j.entries {
		b.refuseMember(j, n, why)
	}
}

func (b *builder) refuseMember(j *job, n int, why *groupRefusal) {
	e := &j.entries[n]
	refusal := why.of(j.group.indexes[n])
	if _, used := b.seen(e.t.Key); used {
		e.out.Err = refusal
		return
	}
	b.refuse(e, b.accountsOf(e), refusal)
}

// accountsOf returns the accounts of an entry's postings for the lines of a refusal, opened if need be; none
// if one of them has another currency.
func (b *builder) accountsOf(e *entry) []*account {
	out := make([]*account, len(e.t.Postings))
	for i := range e.t.Postings {
		a := b.cache.find(e.t.Postings[i].Account)
		if a == nil {
			a = b.open(e.t.Postings[i].Account, e.parts[i], e.t.Currency)
		}
		if a.currency != e.t.Currency {
			return nil
		}
		out[i] = a
	}
	return out
}

// outcome appends the group's own row after its transfers.
func (b *builder) outcome(j *job, why *groupRefusal) {
	s := j.group
	head := s.head
	x := extra{Group: s.plan.key, Outcome: &outcomeExtra{Members: len(j.entries)}}
	if why != nil {
		x.Outcome.Failed = &why.failed
	}
	head.extra = encodeExtra(x)
	r := b.begin(&head)
	if why != nil {
		r.code, r.detail = why.code, why.detail
	}
	b.finish(r, &head)
}

// repeatOutcome answers a group that was decided before.
func (b *builder) repeatOutcome(ctx context.Context, j *job, old *seen) error {
	s := j.group
	if old.print != s.head.print {
		s.reply.err = conflict(s.plan.key, "transfers")
		return nil
	}
	s.reply.again = true
	if old.code != "" {
		x, err := decodeExtra(old.extra)
		if err != nil || x.Outcome == nil || x.Outcome.Failed == nil {
			return errors.Join(errs.New(errs.CodeInternal, "the outcome of group %s cannot be read", s.plan.key), err)
		}
		s.reply.refusal = &groupRefusal{*x.Outcome.Failed, old.code, old.text}
	}
	for n := range j.entries {
		if err := b.repeat(ctx, j, n, s.reply.refusal); err != nil {
			return err
		}
	}
	return nil
}

// repeat answers one transfer of a group that was decided: from its row, or, if its key was used outside
// the group, from the refusal.
func (b *builder) repeat(ctx context.Context, j *job, n int, refusal *groupRefusal) error {
	e := &j.entries[n]
	if old, ok := b.seen(e.t.Key); ok && old.isOf(j.group.plan.key) {
		return b.apply(ctx, e)
	}
	if refusal == nil {
		return errs.New(errs.CodeInternal, "transfer %s of a committed group is not in the log", e.t.Key)
	}
	e.out.Replayed, e.out.Err = true, refusal.of(j.group.indexes[n])
	return nil
}

// answerUnlogged answers a part's transfers without a trace in the log.
func (j *job) answerUnlogged(why *groupRefusal) {
	for n := range j.entries {
		j.entries[n].out.Err = why.of(j.group.indexes[n])
	}
	j.group.reply.refusal = why
}

// prepareGroup reserves what the part's transfers need: debits of players are held, accounts are opened,
// credits are tried against the limits. If one is refused, all of the part are, for good.
func (b *builder) prepareGroup(ctx context.Context, j *job) error {
	s := j.group
	if old, ok := b.seen(reservationKey(s.plan.key, s.indexes[0])); ok && old.isOf(s.plan.key) {
		return nil
	}
	for n := range j.entries {
		old, used := b.seen(j.entries[n].t.Key)
		switch {
		case !used:
		case !old.isOf(s.plan.key):
			e := conflict(j.entries[n].t.Key, "group").(*errs.Error) //nolint:errorlint,forcetypeassert // made here
			s.reply.refusal = &groupRefusal{s.indexes[n], e.Code, e.Detail}
			return nil
		case s.reply.refusal == nil || old.code != errs.CodeLinkedFailed:
			s.reply.refusal = &groupRefusal{s.indexes[n], old.code, old.text}
		}
	}
	if s.reply.refusal != nil {
		return nil // refused before
	}
	b.mayUndo()
	credits := map[*account]int64{}
	for n := range j.entries {
		refusal, err := b.reserveMember(ctx, &j.entries[n], s.plan.key, s.indexes[n], credits)
		if err != nil {
			return err
		}
		if refusal != nil {
			b.takeBack()
			s.reply.refusal = &groupRefusal{s.indexes[n], refusal.Code, refusal.Detail}
			b.refuseMembers(j, s.reply.refusal)
			return nil
		}
	}
	b.keep()
	return nil
}

// never is when the reservation of a group would run out: only its group ends it.
var never = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// reserveMember reserves for one transfer of a group, by a row of its own.
func (b *builder) reserveMember(ctx context.Context, e *entry, group string, i int, credits map[*account]int64) (*errs.Error, error) {
	var source, target *account
	var amount int64
	accounts := b.accountsOf(e)
	if accounts == nil {
		return errs.New(errs.CodeInvalid, "an account of the transfer is not in %s", e.t.Currency), nil
	}
	for n, a := range accounts {
		minor := e.t.Postings[n].AmountMinor
		switch {
		case minor > 0:
			target = a
			credits[a] += minor
			minor = credits[a] // with what the group brings besides
		case e.parts[n].player != "":
			source, amount = a, -minor
		}
		refusal, err := b.admitOne(ctx, a, minor, &kinds[e.t.Kind])
		if refusal != nil || err != nil {
			return refusal, err
		}
	}
	head := entry{
		print: e.print, extra: encodeExtra(extra{Group: group}),
		t: &Transfer{
			Key: reservationKey(group, i), Kind: KindGroupPrepare, Player: e.t.Player, Jurisdiction: e.t.Jurisdiction,
			Currency: e.t.Currency,
		},
	}
	if source != nil {
		b.reserve(&head, source, target, amount, never)
		return nil, nil
	}
	b.finish(b.begin(&head), &head)
	return nil, nil
}

// finishGroup brings the outcome to a shard that was asked to prepare.
func (b *builder) finishGroup(ctx context.Context, j *job) error {
	s := j.group
	for n := range j.entries {
		e := &j.entries[n]
		old, used := b.seen(e.t.Key)
		var err error
		switch {
		case used && old.isOf(s.plan.key):
			err = b.apply(ctx, e)
		case s.refusal == nil:
			err = b.complete(ctx, e, s.plan.key, s.indexes[n], used)
		default:
			err = b.release(ctx, e, s.plan.key, s.indexes[n])
			b.refuseMember(j, n, s.refusal)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// complete makes a transfer whose part was reserved. Nothing can refuse it any more. If its key was used
// outside the group after the group began, it gets a key of the group's.
func (b *builder) complete(ctx context.Context, e *entry, group string, i int, used bool) error {
	if used {
		t := *e.t
		t.Key = completionKey(group, i)
		other := *e
		other.t, e = &t, &other
		if _, done := b.seen(t.Key); done {
			return b.apply(ctx, e)
		}
	}
	reserved, ok := b.seen(reservationKey(group, i))
	accounts := b.accountsOf(e)
	if !ok || accounts == nil {
		return errs.New(errs.CodeInternal, "transfer %d of group %s was never reserved", i, group)
	}
	var h *holdEntry
	if reserved.holds {
		var err error
		if h, err = b.findHold(ctx, reservationKey(group, i)); err != nil {
			return err
		}
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
		b.saveHold(h)
		h.state, h.posted = holdPosted, h.amount
		b.endHold(h, r)
	}
	b.finish(r, e)
	return nil
}

// release gives back what was reserved for a transfer, if anything was.
func (b *builder) release(ctx context.Context, e *entry, group string, i int) error {
	reserved, ok := b.seen(reservationKey(group, i))
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
