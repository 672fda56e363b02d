package ledger

import (
	"context"

	"matchday/errs"
	"matchday/stream"
)

// DryRunGroup answers what CommitGroup would answer now, and stores nothing: no sequence is used, no key is
// taken and nothing is reserved. Each shard of the group tries its transfers as one job of the bulk lane.
//
// Results have the balances of a commit, and a position only if the group was decided before; those of a
// refused group have errors alone. A group that began and is not decided yet is tried from where it stands.
// It promises nothing: another call may come first, also between two shards.
//
// Errors: those of CommitGroup. Unavailable always means that nothing was done.
func (s *Service) DryRunGroup(ctx context.Context, g Group) ([]Result, error) {
	p, err := planGroup(g)
	if err != nil {
		return p.results, err
	}
	err = s.retryHere(ctx, func() error { return s.tryGroup(ctx, p) })
	return p.results, p.finalError(err)
}

// tryGroup has the shards that the players have now try a group, the deciding one first, and puts together
// what they found as drive does.
func (s *Service) tryGroup(ctx context.Context, p *groupPlan) error {
	parts, err := s.spread(p)
	if err != nil {
		return err
	}
	if len(parts) > 1 {
		if err := s.mayBegin(ctx, p, parts); err != nil {
			return err
		}
	}
	home, err := s.groupStep(ctx, LaneBulk, p, groupStep{do: groupDecide, dry: true}, parts[0])
	if err != nil {
		return err
	}
	step := groupStep{do: groupPrepare, dry: true}
	if home.again {
		step = groupStep{do: groupFinish, dry: true, refusal: home.refusal}
	}
	var refusal *groupRefusal
	for _, part := range parts[1:] {
		reply, err := s.groupStep(ctx, LaneBulk, p, step, part)
		if err != nil {
			return err
		}
		if reply.refusal != nil && refusal.isLinked() {
			refusal = reply.refusal
		}
	}
	if refusal.isLinked() && home.refusal != nil {
		refusal = home.refusal
	}
	p.answerTry(home.again, refusal)
	return nil
}

// answerTry makes the results what the group as a whole would answer. Those of one that was decided before
// are what the shards have.
func (p *groupPlan) answerTry(again bool, refusal *groupRefusal) {
	for i := range p.results {
		switch {
		case again:
			p.results[i].Replayed = true
		case refusal != nil:
			p.results[i] = Result{Err: refusal.of(i)}
		}
	}
}

// tryGroup does what a step would and takes it back. Where transfers would only be reserved they are
// completed too: their balances are part of the answer.
func (b *builder) tryGroup(ctx context.Context, j *job) error {
	s := j.group
	made, first := len(b.out.rows), len(b.answers)
	b.mayUndo()
	b.tried += len(j.entries)
	var err error
	switch s.do {
	case groupDecide:
		err = b.tryDecide(ctx, j)
	case groupPrepare:
		err = b.tryPrepare(ctx, j)
	case groupFinish:
		err = b.finishMembers(ctx, j, s.refusal)
	default:
		err = broken("step %d of a group cannot be tried", s.do)
	}
	if err != nil {
		return err
	}
	if s.reply.refusal == nil || s.reply.again {
		b.fillTried(first, made)
	}
	b.takeBack()
	return nil
}

// tryDecide decides a group, or repeats what was decided.
func (b *builder) tryDecide(ctx context.Context, j *job) error {
	s := j.group
	if outcome, ok := b.seen(s.head.t.Key); ok {
		return b.repeatOutcome(ctx, j, &outcome)
	}
	old, begun := b.seen(beginKey(s.plan.key))
	if begun && old.print != s.head.print {
		s.reply.err = conflict(s.plan.key, "transfers")
		return nil
	}
	if s.reply.refusal = b.refusedBefore(j, begun); s.reply.refusal != nil {
		return nil
	}
	failed, err := b.applyEach(ctx, j, begun)
	if failed != nil {
		s.reply.refusal = &failed.groupRefusal
	}
	return err
}

// tryPrepare reserves what the part's transfers need and completes them.
func (b *builder) tryPrepare(ctx context.Context, j *job) error {
	s := j.group
	if s.reply.refusal = b.refusedBefore(j, true); s.reply.refusal != nil {
		return nil
	}
	refusal, err := b.reserveEach(ctx, j)
	if err != nil || refusal != nil {
		s.reply.refusal = refusal
		return err
	}
	for n := range j.entries {
		if err := b.complete(ctx, j, n); err != nil {
			return err
		}
	}
	return nil
}

// fillTried gives the results of what was tried: the answers from the first on. A row that was made for it, one
// from made on, has no position.
func (b *builder) fillTried(first, made int) {
	for i := range b.answers[first:] {
		a := &b.answers[first+i]
		b.fill(a)
		if a.row >= made {
			a.result.Position = stream.Position{}
		}
	}
}

// opGroupTry is opGroup for a dry run. It has a name of its own because a process that does not know dry runs
// of groups must refuse one and not commit it.
const opGroupTry = "group-try"

func groupTryForPeer(ctx context.Context, s *Service, shard int, decode func(any) error) (any, error) {
	var call groupCall
	if err := decode(&call); err != nil {
		return nil, err
	}
	return s.groupCalled(ctx, shard, &call, true)
}

// answers reports whether a step gives the results of the part's transfers.
func (s *groupStep) answers() bool {
	return s.dry || s.do == groupDecide || s.do == groupFinish
}

// validStep refuses what another process asks for and this one does not know.
func (c *groupCall) validStep(p *groupPlan) error {
	if c.Do < groupBegin || c.Do > groupEnd {
		return errs.New(errs.CodeInvalid, "a group has no step %d", c.Do)
	}
	for _, i := range c.Indexes {
		if i < 0 || i >= len(p.list) {
			return errs.New(errs.CodeInvalid, "the group has no transfer %d", i)
		}
	}
	return nil
}
