package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"matchday/errs"
)

// A shard whose database lacks commits that were answered is quarantined: nobody writes it, so that
// what was answered is not buried under other commits. It ends by itself when the log is found with
// everything again, because the right node was made the primary; otherwise when an operator accepts the
// loss. Other shards go on.

// errQuarantined answers work for a quarantined shard.
var errQuarantined = errs.Wrap(ErrNotTaken, errs.CodeUnavailable,
	"the shard's database lacks commits that were answered: an operator must mend it")

// wanted returns the marks that the shard's log must have: those of the directory, and what this process
// remembers and its data folder keeps, unless an operator has given up what their epochs answered. The
// furthest is first.
func (s *Service) wanted(ctx context.Context, one *shard, t tenancy) ([]mark, error) {
	list := []mark{t.noted, t.lost}
	if own := one.acked.Load(); own != nil && own.epoch > t.accepted {
		list = append(list, *own)
	}
	kept, err := s.marks.of(ctx, one.number)
	if kept.epoch > t.accepted {
		list = append(list, kept)
	}
	slices.SortStableFunc(list, func(a, b mark) int { return cmp.Or(cmp.Compare(b.epoch, a.epoch), cmp.Compare(b.seq, a.seq)) })
	return list, err
}

// quarantine takes the shard away from all writers. It returns errQuarantined once the directory says
// so.
func (s *Service) quarantine(ctx context.Context, one *shard, d *divergence) error {
	if err := s.directory.quarantine(ctx, one.number, d.lost, d.Error()); err != nil {
		return err
	}
	one.log.ErrorContext(ctx, "ledger shard quarantined", "shard", one.number, "error", d)
	s.seeProblem(one, d.Error())
	return errQuarantined
}

// leaveAlone keeps a quarantined shard closed in a process that writes all others. What its log has
// can be read.
func (s *Service) leaveAlone(ctx context.Context, one *shard) error {
	t, err := s.directory.tenancy(ctx, one.number)
	if err != nil {
		return err
	}
	one.stop(errQuarantined)
	s.seeProblem(one, t.problem)
	now, err := one.store.state(ctx)
	if err != nil && !errs.Is(err, errs.CodeNotFound) {
		return fmt.Errorf("read quarantined ledger shard %d: %w", one.number, err)
	}
	one.head.Store(now.seq)
	one.ring.reset(now.seq)
	one.log.ErrorContext(ctx, "ledger shard is quarantined and not written", "shard", one.number, "problem", t.problem)
	return nil
}

// seeProblem notes why a shard is quarantined, "" if it is not.
func (s *Service) seeProblem(one *shard, problem string) {
	if problem == "" {
		if one.problem.Swap(nil) == nil {
			return
		}
	} else {
		one.problem.Store(&problem)
	}
	n := 0
	for _, each := range s.shards {
		if each.problem.Load() != nil {
			n++
		}
	}
	s.figures.countQuarantined(n)
}

// write writes a shard until ctx is done, for a process that writes them all; a quarantined one from
// the moment on that its quarantine ends.
func (s *Service) write(ctx context.Context, one *shard) error {
	tick := time.NewTicker(s.config.poll())
	defer tick.Stop()
	for !one.isOpen() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if one.problem.Load() != nil {
			continue
		}
		if err := s.takeOver(ctx, one); err != nil {
			if lost, ok := errors.AsType[*divergence](err); ok {
				err = s.quarantine(ctx, one, lost)
			}
			one.log.WarnContext(ctx, "ledger shard not opened again", "shard", one.number, "error", err)
			continue
		}
		one.reopen()
		s.place.changes.raise()
	}
	err := one.run(ctx)
	if lost, ok := errors.AsType[*divergence](err); ok {
		err = errors.Join(err, s.quarantine(context.WithoutCancel(ctx), one, lost))
	}
	return err
}

// watchQuarantines looks at the quarantined shards until ctx is done: has an operator ended the
// quarantine, or is the log whole again?
func (s *Service) watchQuarantines(ctx context.Context) error {
	tick := time.NewTicker(s.config.poll())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, one := range s.shards {
			if one.problem.Load() == nil {
				continue
			}
			if err := s.heal(ctx, one); err != nil && ctx.Err() == nil && !errors.Is(err, errDiverged) {
				one.log.DebugContext(ctx, "quarantined shard not looked at", "shard", one.number, "error", err)
			}
		}
	}
}

// heal ends the quarantine of a shard whose log has everything again. It only reads the shard: whoever
// takes it over looks again. It returns nil if there is no quarantine any more.
func (s *Service) heal(ctx context.Context, one *shard) error {
	t, err := s.directory.tenancy(ctx, one.number)
	if err != nil {
		return err
	}
	if t.problem != "" {
		marks, err := s.wanted(ctx, one, t)
		if err != nil {
			return err
		}
		now, err := one.store.state(ctx)
		if err != nil {
			return err
		}
		err = requireMarks(ctx, one.store.sealAt, now, marks)
		if d, ok := errors.AsType[*divergence](err); ok && d.lost.isAfter(t.lost) { // more is missing than was known
			err = errors.Join(err, s.directory.quarantine(ctx, one.number, d.lost, d.Error()))
		}
		if err != nil {
			return err
		}
		if err := s.directory.release(ctx, one.number, t.problemUS); err != nil {
			return err
		}
		one.log.InfoContext(ctx, "ledger shard has everything again and is released", "shard", one.number, "position", now.seq)
	}
	s.seeProblem(one, "")
	return nil
}

// watchMarks notes in the directory and in the data folder, about each second, how far callers were answered,
// until ctx is done.
func (s *Service) watchMarks(ctx context.Context) error {
	tick := time.NewTicker(s.config.poll())
	defer tick.Stop()
	told := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		err := errors.Join(s.copyMarks(ctx), s.noteMarks(ctx))
		if err != nil && !told && ctx.Err() == nil { // once, not each second
			s.log.WarnContext(ctx, "positions not noted", "error", err)
		}
		told = err != nil
	}
}

// noteLast notes how far callers were answered when the writers have ended.
func (s *Service) noteLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	if err := errors.Join(s.copyMarks(ctx), s.noteMarks(ctx)); err != nil {
		s.log.WarnContext(ctx, "last positions not noted", "error", err)
	}
}

// noteTime bounds what a stopping process spends on its last note.
const noteTime = 2 * time.Second

// noteMarks notes in the directory how far callers of the shards written here were answered. One call
// at a time.
func (s *Service) noteMarks(ctx context.Context) error {
	marks := map[int]mark{}
	for _, one := range s.shards {
		if m := one.acked.Load(); m != nil && *m != one.noted {
			marks[one.number] = *m
		}
	}
	if len(marks) == 0 {
		return nil
	}
	if err := s.directory.note(ctx, marks); err != nil {
		return err
	}
	for n, m := range marks {
		s.shards[n].noted = m
	}
	return nil
}
