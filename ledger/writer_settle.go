package ledger

import (
	"context"
	"errors"
	"time"
)

// commit applies the jobs and makes them durable; then, and only then, results are filled.
//
// A database that is not there, or that leaves open whether it has committed, is waited for while
// the callers wait: first it is asked where the log stands, and only what the log does not have is
// written again. When that has taken too long the callers are told, and until the database is
// back later batches try once and do not wait.
func (s *shard) commit(ctx context.Context, jobs []*job) error {
	wait := newPatience(s.config.failoverWait())
	defer wait.stop()
	err := s.once(ctx, jobs)
	for err != nil && !s.ailing && s.worthWaiting(err) && wait.next(ctx) {
		s.metrics.retries.Inc()
		err = s.once(ctx, jobs)
	}
	s.ailing = err != nil && s.worthWaiting(err)
	return err
}

// worthWaiting reports whether an error may pass by itself.
func (s *shard) worthWaiting(err error) bool {
	if errors.Is(err, errFenced) || errors.Is(err, errDiverged) {
		return false
	}
	return s.unsure || s.store.passing(err)
}

// once settles what is open, builds and commits the batch, and settles that. After an error of which
// s.unsure is false nothing was written.
func (s *shard) once(ctx context.Context, jobs []*job) error {
	if s.unsure {
		if done, err := s.settle(ctx); err != nil || done {
			return err
		}
	}
	err := s.build(ctx, jobs)
	if err == nil {
		return nil
	}
	if !s.unsure {
		s.builder.rollback()
		return err
	}
	done, open := s.settle(ctx)
	if open != nil {
		return errors.Join(open, err)
	}
	if done {
		return nil
	}
	return err
}

// build builds and commits the batch; a second time, looking every key up first, if one exists
// already.
func (s *shard) build(ctx context.Context, jobs []*job) error {
	checked := s.checked > 0
	if checked {
		s.checked--
	}
	err := s.attempt(ctx, jobs, checked)
	if errors.Is(err, errDuplicate) && !checked {
		s.builder.rollback()
		s.checked = checkedBatches
		s.metrics.rebuilds.Inc()
		err = s.attempt(ctx, jobs, true)
	}
	return err
}

// settle asks the store where the log stands after a commit whose outcome is unknown. If the log
// ends with the batch in hand, by its seal, the batch is committed, and its callers are answered. If
// it ends where the batch began, the batch was not written and never will be: the store has raised the
// epoch. Anything else of this writer is an earlier batch that has come through after all: it becomes
// the state, and the keys of what follows are looked up, because they may be in it.
func (s *shard) settle(ctx context.Context) (committed bool, err error) {
	b := s.builder
	now, err := s.store.settled(ctx, b.state)
	if err != nil {
		return false, err
	}
	isOurs := now.writer == b.state.writer
	switch {
	case !isOurs && now.epoch > b.state.epoch:
		return false, errFenced
	case !isOurs, now.epoch < b.state.epoch, now.seq < b.state.seq, now.seq == b.state.seq && now.seal != b.state.seal:
		return false, &divergence{lost: b.state.mark(), found: now.mark()}
	case s.pending && now.seq == b.out.last && now.seal == b.out.seal:
		s.unsure, s.pending = false, false
		s.committed()
		return true, nil
	}
	b.rollback()
	if now.seq > b.state.seq {
		if err := s.catchUp(ctx, now); err != nil {
			return false, err
		}
	}
	b.state.epoch = now.epoch
	s.epoch.Store(now.epoch)
	s.answered()
	s.unsure, s.pending = false, false
	return false, nil
}

// catchUp takes over what an earlier batch of this writer has changed that has come through after all.
func (s *shard) catchUp(ctx context.Context, now shardState) error {
	b := s.builder
	owned, err := s.store.buckets(ctx) // the batch may have changed them
	if err != nil {
		return err
	}
	b.cache.clear()
	b.buckets.load(owned)
	s.cameWith(owned)
	s.groups.Store(true) // it may have begun some
	b.state = now
	s.checked = checkedBatches
	s.head.Store(now.seq)
	s.ring.reset(now.seq)
	return nil
}

// patience waits a little longer each time, and for a bounded time in all.
type patience struct {
	over *time.Timer
	step time.Duration
}

const (
	firstWait = 20 * time.Millisecond
	mostWait  = 500 * time.Millisecond
)

func newPatience(limit time.Duration) *patience {
	return &patience{over: time.NewTimer(limit), step: firstWait}
}

// next waits, and reports whether it is worth another try.
func (p *patience) next(ctx context.Context) bool {
	wait := time.NewTimer(p.step)
	defer wait.Stop()
	p.step = min(2*p.step, mostWait)
	select {
	case <-wait.C:
		return true
	case <-p.over.C:
		return false
	case <-ctx.Done():
		return false
	}
}

func (p *patience) stop() { p.over.Stop() }
