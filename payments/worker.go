package payments

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// lease is how long a payment in flight is left alone by the search for due ones. It only matters
// if a worker is lost without the process, which must not happen; a restart does not wait for it.
const lease = time.Minute

// pollMost bounds the payments picked up in one search.
const pollMost = 256

// job is a payment for a worker. Its sender holds a slot and the claim; the worker gives both back.
type job struct {
	payment Payment
	fresh   bool
	done    chan<- Payment // takes the payment after the drive; nil if nobody waits
}

// Run drives payments until ctx is done, beginning with those a previous process left behind. It
// returns when all workers have stopped; what was unfinished goes on at the next Run.
func (s *Service) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("payments: already running")
	}
	defer s.running.Store(false)
	if err := s.store.hurry(ctx, s.clock.Now()); err != nil {
		return fmt.Errorf("resume payments: %w", err)
	}
	var workers sync.WaitGroup
	for range s.config.Workers {
		workers.Go(func() { s.work(ctx) })
	}
	s.poll(ctx)
	workers.Wait()
	return nil
}

// work drives one payment after the other.
func (s *Service) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-s.queue:
			p := s.drive(ctx, j.payment, j.fresh)
			s.release(p.ID)
			if j.done != nil {
				j.done <- p // has room for its one value
			}
		}
	}
}

// poll looks for due payments at an interval, and again at once while there are many.
func (s *Service) poll(ctx context.Context) {
	ticker := time.NewTicker(s.config.Poll)
	defer ticker.Stop()
	for {
		picked, err := s.pickUp(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "due payments not read", "error", err)
		}
		if err == nil && picked == pollMost {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// pickUp queues payments that are due, as many as there are free slots, and returns how many. It
// takes no more slots than it needs: the others are for new requests.
func (s *Service) pickUp(ctx context.Context) (int, error) {
	now := s.clock.Now()
	waiting, err := s.store.countDue(ctx, now, pollMost)
	if err != nil {
		return 0, err
	}
	slots := 0
	for slots < waiting && s.takeSlot() {
		slots++
	}
	defer func() {
		for range slots {
			s.freeSlot()
		}
	}()
	if slots == 0 {
		return 0, nil
	}
	due, err := s.store.takeDue(ctx, now, now.Add(lease), slots)
	if err != nil {
		return 0, err
	}
	for _, p := range due {
		if s.claim(p.ID) {
			slots-- // the slot goes with the job
			s.queue <- job{payment: p}
		}
	}
	return len(due), nil
}

func (s *Service) takeSlot() bool {
	select {
	case s.slots <- struct{}{}:
		s.metrics.inFlight.Inc()
		return true
	default:
		return false
	}
}

func (s *Service) freeSlot() {
	<-s.slots
	s.metrics.inFlight.Dec()
}

// claim reserves a payment for its caller, or reports that it is already in flight.
func (s *Service) claim(payment string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed[payment] {
		return false
	}
	s.claimed[payment] = true
	return true
}

// release gives back the claim and the slot of a payment.
func (s *Service) release(payment string) {
	s.mu.Lock()
	delete(s.claimed, payment)
	s.mu.Unlock()
	s.freeSlot()
}
