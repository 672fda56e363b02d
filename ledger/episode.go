package ledger

import (
	"context"
	"sync"
	"time"
)

// episode is a time in which one thing fails again and again, because a database is away or a disk is
// full. It is told at its beginning and at its end, with how often it failed: hundreds of idle shards
// that each try once a second would bury every other line of the log.
type episode struct {
	what, over string // messages of the log

	mu    sync.Mutex
	since time.Time // zero: nothing fails
	last  time.Time
	count int
	err   error
}

// failed notes a failure, and tells the first.
func (e *episode) failed(ctx context.Context, s *shard, err error) {
	now := s.clock.Now()
	e.mu.Lock()
	e.count++
	e.last, e.err = now, err
	first := e.since.IsZero()
	if first {
		e.since = now
	}
	e.mu.Unlock()
	if first {
		s.log.ErrorContext(ctx, e.what, "shard", s.number, "error", err, "note", "said once; its end is said too")
	}
}

// worked notes that it works, and tells how long it did not.
func (e *episode) worked(ctx context.Context, s *shard) {
	e.mu.Lock()
	since, count := e.since, e.count
	e.since, e.count, e.err = time.Time{}, 0, nil
	e.mu.Unlock()
	if count > 0 {
		s.log.InfoContext(ctx, e.over, "shard", s.number, "failures", count, "lasted", s.clock.Now().Sub(since).String())
	}
}

// problem returns why it does not work, nil if it does. Of a failure that is older than fresh and was not
// tried again since nobody knows: it is no problem then. A fresh of 0 is for ever.
func (e *episode) problem(now time.Time, fresh time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() || fresh > 0 && now.Sub(e.last) > fresh {
		return nil
	}
	return e.err
}

// troubles are what may go on failing on a shard.
type troubles struct{ writes, holds, groups episode }

func newTroubles() troubles {
	return troubles{
		writes: episode{what: "ledger batch not written", over: "ledger batches are written again"},
		holds:  episode{what: "expired holds not read", over: "expired holds are read again"},
		groups: episode{what: "open groups not read", over: "open groups are read again"},
	}
}

// freshFailure is how long a write that failed counts against a shard to which nobody writes any more: a
// full disk shows only when it is written to, and whoever is told not to send work does not.
const freshFailure = 15 * time.Second

// trouble returns why the shard cannot be written by this process now, nil if it can as far as is known.
func (s *shard) trouble() error {
	now := s.clock.Now()
	if err := s.troubles.holds.problem(now, 0); err != nil {
		return err // tried each sweep, so it is true now
	}
	return s.troubles.writes.problem(now, freshFailure)
}
