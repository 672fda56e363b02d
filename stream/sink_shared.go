package stream

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
)

// SharedStore is a store that several processes have open, one of which writes it at a time.
type SharedStore interface {
	Store
	// Claim makes the epoch the only one that commits, here or anywhere, until a higher one claims.
	// ErrFenced means that a higher one has. Load and Commit belong after it.
	Claim(ctx context.Context, epoch int64) error
	// Follow returns the position as Load does, and changes nothing: another process may be writing.
	Follow(ctx context.Context) (seq int64, at time.Time, err error)
}

// Sharing lets several processes share a sink: each reads what it projects, one applies. The store must
// be a [SharedStore].
type Sharing struct {
	// Hold runs fn while this process is the one that applies, again each time that it becomes it, until
	// ctx is done or fn fails. The epoch is higher than that of every process before, and the context of fn
	// ends when another takes over. That may be late: what keeps two apart is the store.
	Hold func(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error
	// Begin runs after each claim, before anything is applied; nil does nothing.
	Begin func(ctx context.Context) error
	// Beside runs beside the sink while it applies, until its context ends; nil does nothing.
	Beside func(ctx context.Context)
}

const (
	followEvery = 250 * time.Millisecond // how often a process that does not apply looks at the position
	followSoon  = 20 * time.Millisecond  // while somebody waits for one
)

// shared is what a sink needs beside the rest to be shared.
type shared struct {
	Sharing
	store  SharedStore
	asked  chan struct{} // capacity 1: somebody waits
	failed bool          // of follow: the last look did not succeed

	// Guarded by the sink's mutex.
	waiting int
	held    bool   // this process applies
	tenures int    // how often it has begun or ended to
	trouble string // why it does not, although it is its turn
}

// share makes the sink a shared one.
func (s *Sink) share() error {
	if s.config.Shared == nil {
		return nil
	}
	store, ok := s.store.(SharedStore)
	if !ok || s.config.Shared.Hold == nil {
		return errors.New("stream: a shared sink needs a store that can be shared, and to know when to write it")
	}
	s.shared = &shared{Sharing: *s.config.Shared, store: store, asked: make(chan struct{}, 1)}
	return nil
}

// IsHeld reports whether this process is the one that applies.
func (s *Sink) IsHeld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared == nil || s.shared.held
}

// Trouble returns why this process does not apply although it is its turn, in words for staff; "" if it does, or if
// it is another one's turn.
func (s *Sink) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil {
		return ""
	}
	return s.shared.trouble
}

// barred notes why this process does not apply although it is its turn; nil ends that.
func (s *Sink) barred(err error) {
	text := ""
	switch {
	case err == nil:
	case errors.Is(err, ErrFenced):
		text = "another process has claimed it under a higher epoch"
	case errors.Is(err, ErrAhead):
		text = "it has more than the log"
	case errors.Is(err, ErrRewound):
		text = "its database lost what was applied"
	case errs.Is(err, errs.CodeUnavailable):
		text = "its database does not answer or takes no writes"
	default:
		text = "its database refuses this process; the log says why"
	}
	s.mu.Lock()
	s.shared.trouble = text
	s.mu.Unlock()
	s.metrics.bars(text != "")
}

// runShared is Run of a shared sink: it applies while it may, and otherwise follows whoever does.
func (s *Sink) runShared(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.follow(ctx); return nil })
	g.Go(func() error { return s.shared.Hold(ctx, s.config.Shard, s.hold) })
	return g.Wait()
}

// hold applies until ctx is done. Whatever happens it claims again under its epoch: another process with a
// higher one keeps it from that, and a position that is ahead of the log stands still until someone decides.
func (s *Sink) hold(ctx context.Context, epoch int64) error {
	defer s.barred(nil)
	for wait := (backoff{}); ; {
		err := s.tenure(ctx, epoch)
		if ctx.Err() != nil {
			return nil
		}
		s.barred(err)
		s.metrics.errors.Inc()
		s.log.Error("sink claims its database again", "epoch", epoch, "position", s.Position(), "err", err)
		if !wait.wait(ctx) {
			return nil
		}
	}
}

// tenure claims the store and applies from what it has.
func (s *Sink) tenure(ctx context.Context, epoch int64) error {
	if err := s.shared.store.Claim(ctx, epoch); err != nil {
		return err
	}
	if s.shared.Begin != nil {
		if err := s.shared.Begin(ctx); err != nil {
			return err
		}
	}
	seq, at, err := s.store.Load(ctx)
	if err != nil {
		return err
	}
	if seq > s.source.Head(s.config.Shard) {
		return ErrAhead
	}
	s.hand(true, seq, at)
	s.barred(nil)
	defer func() { s.hand(false, s.Position(), time.Time{}) }()
	s.log.Info("sink applies here", "epoch", epoch, "position", seq)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.run(ctx) })
	if s.shared.Beside != nil {
		g.Go(func() error { s.shared.Beside(ctx); return nil })
	}
	return g.Wait()
}

// hand notes that this process begins or ends to apply, at the position.
func (s *Sink) hand(held bool, position int64, at time.Time) {
	s.mu.Lock()
	s.shared.held = held
	s.shared.tenures++
	s.moveTo(position, at)
	s.mu.Unlock()
	s.metrics.holds(held)
}

// follow keeps the position what the store says while another process applies, until ctx is done.
func (s *Sink) follow(ctx context.Context) {
	for {
		s.look(ctx)
		s.mu.Lock()
		every := followEvery
		if s.shared.waiting > 0 {
			every = followSoon
		}
		s.mu.Unlock()
		timer := time.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.shared.asked:
			timer.Stop()
			pause(ctx, followSoon) // who waits has just seen the position
		}
	}
}

// look takes over the position that the store has, unless this process applies or has begun to meanwhile.
func (s *Sink) look(ctx context.Context) {
	s.mu.Lock()
	held, tenures := s.shared.held, s.shared.tenures
	s.mu.Unlock()
	if held {
		return
	}
	seq, at, err := s.shared.store.Follow(ctx)
	if err != nil {
		if ctx.Err() == nil && !s.shared.failed {
			s.log.Warn("position of a sink that another process applies cannot be read", "err", err)
		}
		s.shared.failed = true
		return
	}
	s.shared.failed = false
	s.mu.Lock()
	if s.shared.tenures == tenures && s.position != seq {
		s.moveTo(seq, at)
	}
	s.mu.Unlock()
	s.Lag() // notes how fresh that is, and that the log's end is to be looked for
}

// awaiting counts who waits for a shared sink's position and wakes follow. The returned function ends that.
func (s *Sink) awaiting() (done func()) {
	if s.shared == nil {
		return func() {}
	}
	s.mu.Lock()
	s.shared.waiting++
	s.mu.Unlock()
	select {
	case s.shared.asked <- struct{}{}:
	default:
	}
	return func() {
		s.mu.Lock()
		s.shared.waiting--
		s.mu.Unlock()
	}
}
