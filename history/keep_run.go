package history

import (
	"context"
	"fmt"
	"time"
)

const (
	keepEvery = 6 * time.Hour   // months are made and dropped so often
	keepAgain = 5 * time.Minute // after a failure

	followFloorsEvery = 10 * time.Second
)

// followFor takes over the floors that another process raises on a shard, until ctx is done.
func (s *Service) followFor(ctx context.Context, h *shard) {
	for wait(ctx, followFloorsEvery) {
		if h.sink.IsHeld() {
			continue
		}
		if err := s.followFloors(ctx, h); err != nil && ctx.Err() == nil {
			s.deps.Log.WarnContext(ctx, "floors that another process raises not read", "shard", h.number, "error", err)
		}
	}
}

// followFloors raises the shard's floors to what its database says. This process may have begun to raise them
// itself meanwhile, further than what was read: they never fall.
func (s *Service) followFloors(ctx context.Context, h *shard) error {
	floors, err := readFloors(ctx, h.store)
	if err != nil {
		return err
	}
	s.metrics.kept(h.number, h.kept.lift(floors))
	return nil
}

// keepFor makes months ahead and drops what is over on a shard, at once and then from time to time, until ctx
// is done.
func (s *Service) keepFor(ctx context.Context, h *shard) {
	for ctx.Err() == nil {
		wait := keepEvery
		if err := s.keep(ctx, h); err != nil && ctx.Err() == nil {
			s.deps.Log.WarnContext(ctx, "bets that are over not dropped", "shard", h.number, "error", err)
			s.metrics.fail(h.number)
			wait = keepAgain
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// Keep makes months ahead and drops what is over now. Run does it by itself from time to time.
func (s *Service) Keep(ctx context.Context) error {
	for _, h := range s.main() {
		if !h.sink.IsHeld() {
			continue // whoever writes the shard does it there
		}
		if err := s.keep(ctx, h); err != nil {
			return fmt.Errorf("drop bets that are over on shard %d: %w", h.number, err)
		}
	}
	return nil
}

// keep is one round of keepFor.
func (s *Service) keep(ctx context.Context, h *shard) error {
	h.kept.round.Lock()
	defer h.kept.round.Unlock()
	if err := s.readyMonths(ctx, h); err != nil {
		return err
	}
	if err := s.raise(ctx, h); err != nil {
		return err
	}
	months, err := h.store.dropMonths(ctx, h.kept)
	for _, m := range months {
		s.metrics.drop(h.number, m.bets)
		s.deps.Log.InfoContext(ctx, "month of bets dropped", "shard", h.number, "month", m.month.String(), "bets", m.bets)
	}
	if err != nil {
		return err
	}
	bets, err := h.sweep(ctx)
	s.metrics.drop(h.number, bets)
	if bets > 0 {
		s.deps.Log.InfoContext(ctx, "old bets deleted", "shard", h.number, "bets", bets)
	}
	return err
}

// readyMonths makes the months that bets go to, in an empty history from the log's beginning on.
func (s *Service) readyMonths(ctx context.Context, h *shard) error {
	now := s.deps.Clock.Now()
	first, err := s.deps.Source.ReadLog(ctx, h.number, 0, 1)
	if err != nil {
		return fmt.Errorf("read the log's beginning: %w", err)
	}
	begin := now
	if len(first) > 0 {
		begin = first[0].At
	}
	return h.store.makeMonths(ctx, now, begin)
}

// raise makes the shard's floors what the clock and the rules say.
func (s *Service) raise(ctx context.Context, h *shard) error {
	if err := h.raise(ctx, s.deps.KeepYears, s.deps.Clock.Now()); err != nil {
		return err
	}
	floors, _ := h.kept.all()
	s.metrics.kept(h.number, floors)
	return nil
}
