package ledger

import (
	"context"
	"time"

	"matchday/errs"
)

// group does one step of a group on the builder's shard. A step that cannot be done is taken back and
// answered; the others of its batch go on.
func (b *builder) group(ctx context.Context, j *job) error {
	j.group.reply = groupReply{}
	err := b.groupStep(ctx, j)
	own, ok := asAnswer(err)
	if !ok {
		return err
	}
	if b.undo != nil {
		b.takeBack()
	}
	j.group.reply = groupReply{err: own}
	return nil
}

func (b *builder) groupStep(ctx context.Context, j *job) error {
	s := j.group
	if !b.serves(s) {
		s.reply.err = errElsewhere
		return nil
	}
	if s.dry {
		return b.tryGroup(ctx, j)
	}
	switch s.do {
	case groupBegin:
		return b.beginGroup(s)
	case groupPrepare:
		return b.prepareGroup(ctx, j)
	case groupDecide:
		return b.decideGroup(ctx, j)
	case groupFinish:
		return b.finishMembers(ctx, j, j.group.refusal)
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
	if s.do == groupPrepare || s.do == groupFinish || s.do == groupDecide && !s.alone {
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
	failed, err := b.decideMembers(ctx, j, begun)
	switch {
	case err != nil:
		return err
	case failed == nil:
		b.outcome(j, nil)
		return nil
	case failed.logged || begun: // a group that has begun elsewhere must have an outcome
		return b.refuseGroup(ctx, j, &failed.groupRefusal)
	default:
		j.answerUnlogged(&failed.groupRefusal)
		return nil
	}
}

// decideMembers applies the deciding shard's transfers unless the group is refused already: by a shard that
// prepared, or by what the log has of a transfer.
func (b *builder) decideMembers(ctx context.Context, j *job, begun bool) (*failedMember, error) {
	s := j.group
	why := s.refusal
	if why.isLinked() {
		if found := b.refusedBefore(j, begun); found != nil {
			why = found
		}
	}
	if why != nil {
		return &failedMember{groupRefusal: *why}, nil
	}
	return b.applyAll(ctx, j, begun)
}

// failedMember is the transfer for which a group fails; logged if the log keeps such a refusal.
type failedMember struct {
	groupRefusal
	logged bool
}

// applyAll applies the entries, or takes them back at the first that is refused.
func (b *builder) applyAll(ctx context.Context, j *job, begun bool) (*failedMember, error) {
	b.mayUndo()
	failed, err := b.applyEach(ctx, j, begun)
	switch {
	case err != nil:
		return nil, err
	case failed != nil:
		b.takeBack()
	default:
		b.keep()
	}
	return failed, nil
}

// applyEach applies the entries up to the first that is refused. Those that were reserved, here or before
// their player moved here, are completed.
func (b *builder) applyEach(ctx context.Context, j *job, begun bool) (*failedMember, error) {
	for n := range j.entries {
		if begun && b.reserved(j, n) {
			if err := b.complete(ctx, j, n); err != nil {
				return nil, err
			}
			continue
		}
		err := b.decide(ctx, &j.entries[n])
		failed, logged := asAnswer(err)
		if err != nil && !logged || failed != nil && failed.Code == errs.CodeInternal { // that is no reason to refuse
			return nil, err
		}
		logged = failed == nil
		if failed == nil {
			failed = b.refused()
		}
		if failed != nil {
			return &failedMember{groupRefusal{j.group.indexes[n], failed.Code, failed.Detail}, logged}, nil
		}
	}
	return nil, nil
}

// refuseGroup logs the refusal of a part's transfers and of the group, and gives back what was reserved
// for them.
func (b *builder) refuseGroup(ctx context.Context, j *job, why *groupRefusal) error {
	b.mayUndo()
	for n := range j.entries {
		if err := b.release(ctx, j, n); err != nil {
			return err
		}
	}
	b.keep()
	for n := range j.entries {
		b.refuseMember(j, n, why)
	}
	b.outcome(j, why)
	j.group.reply.refusal = why
	return nil
}

// refuseMember logs that a transfer of the part is not made. A key that has an answer keeps it.
func (b *builder) refuseMember(j *job, n int, why *groupRefusal) {
	e := &j.entries[n]
	refusal := why.of(j.group.indexes[n])
	if old, used := b.seen(e.t.Key); used {
		if old.isOf(j.group.plan.key) && old.code != "" {
			refusal = errs.New(old.code, "%s", old.text)
		}
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
			a = b.open(e.t.Postings[i].Account, e.t.Currency)
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
	x := extra{Group: s.plan.key, Outcome: &outcomeExtra{Members: b.ownRows(j)}}
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
			s.reply.err = errs.Wrap(err, errs.CodeInternal, "the outcome of group %s cannot be read", s.plan.key)
			return nil
		}
		s.reply.refusal = &groupRefusal{*x.Outcome.Failed, old.code, old.text}
	}
	return b.finishMembers(ctx, j, s.reply.refusal)
}

// answerUnlogged answers a part's transfers without a trace in the log.
func (j *job) answerUnlogged(why *groupRefusal) {
	for n := range j.entries {
		j.entries[n].out.Err = why.of(j.group.indexes[n])
	}
	j.group.reply.refusal = why
}

// prepareGroup reserves what the part's transfers need: debits of players are held, accounts are opened,
// credits are tried against the limits. If one is refused, so are all of the part that are not reserved yet, for
// good; what is reserved is given back when the group ends.
func (b *builder) prepareGroup(ctx context.Context, j *job) error {
	s := j.group
	if s.reply.refusal = b.refusedBefore(j, true); s.reply.refusal != nil {
		return nil
	}
	b.mayUndo()
	refusal, err := b.reserveEach(ctx, j)
	switch {
	case err != nil:
		return err
	case refusal != nil:
		b.takeBack()
		s.reply.refusal = refusal
		b.refuseUnreserved(j)
	default:
		b.keep()
	}
	return nil
}

// reserveEach reserves for the part's transfers up to the first that is refused.
func (b *builder) reserveEach(ctx context.Context, j *job) (*groupRefusal, error) {
	s := j.group
	credits := map[*account]int64{}
	for n := range j.entries {
		if b.reserved(j, n) {
			continue
		}
		refusal, err := b.reserveMember(ctx, &j.entries[n], s.plan.key, s.indexes[n], credits)
		if err != nil {
			return nil, err
		}
		if refusal != nil {
			return &groupRefusal{s.indexes[n], refusal.Code, refusal.Detail}, nil
		}
	}
	return nil, nil
}

// refuseUnreserved logs the refusal of the part's transfers for which nothing is reserved.
func (b *builder) refuseUnreserved(j *job) {
	for n := range j.entries {
		if !b.reserved(j, n) {
			b.refuseMember(j, n, j.group.reply.refusal)
		}
	}
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
		case e.types[n].ofPlayer():
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
