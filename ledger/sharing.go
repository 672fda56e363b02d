package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/id"
)

// join makes this process one of those that share the shards; its keeper takes shards over in Run.
func (s *Service) join(ctx context.Context, d Deps) error {
	secret, err := loadSecret(s.config.secretFile())
	if err != nil {
		return err
	}
	secure, err := s.config.peerCerts(d.Log)
	if err != nil {
		return err
	}
	s.peers = newPeers(secret, d.Clock, secure)
	if s.server, err = listenForPeers(ctx, s, d.Log, secret, secure); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("name of this machine: %w", err)
	}
	run := id.NewSource(d.Clock.Now).New("run")
	self := &process{
		name: cmp.Or(s.config.Process, run), run: run, host: host, pid: os.Getpid(),
		address: cmp.Or(s.config.InternalAddress, s.server.listener.Addr().String()),
	}
	if err := s.directory.enter(ctx, self); err != nil {
		return err
	}
	for _, one := range s.shards {
		one.leave = errHandedOver
		one.shared = true
		one.stop(errHandedOver)
	}
	s.keeper = newKeeper(s, d.Log, self)
	s.keeper.beatUS.Store(d.Clock.Now().UnixMicro())
	if s.keeper.metrics, err = newKeeperMetrics(d.Metrics, s, s.keeper.lastBeat, secure); err != nil {
		return fmt.Errorf("register ledger metrics: %w", err)
	}
	return s.refreshView(ctx)
}

// errHandedOver answers work for a shard that another process writes, or will in a moment.
var errHandedOver = errs.Wrap(errNotHere, errs.CodeUnavailable, "the shard is changing hands")

// runShared keeps shards and answers other processes until ctx is done. The port closes last, so that
// calls on the way learn that the shard has gone.
func (s *Service) runShared(ctx context.Context) error {
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	serving, stop := context.WithCancel(failed)
	defer stop()
	g.Go(func() error { return s.server.serve(serving) })
	g.Go(func() error { return s.watchReplicas(serving) })
	g.Go(func() error { return s.watchMarks(serving) })
	g.Go(func() error { return s.watchQuarantines(serving) })
	g.Go(func() error { return s.watchSettings(serving) })
	g.Go(func() error {
		defer stop()
		own, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(failed, cancel)()
		return s.keeper.run(own)
	})
	for _, work := range []func(context.Context) error{s.sweepGroups, s.runMoves} {
		g.Go(func() error {
			own, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(failed, cancel)()
			return work(own)
		})
	}
	err := g.Wait()
	s.noteLast(ctx)
	return err
}

// reopen lets the shard take work again.
func (s *shard) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = nil
}

// isOpen reports whether the shard takes work here.
func (s *shard) isOpen() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stopped == nil
}

// isElsewhere reports whether another process writes the shard, so that memory here knows less than
// the database.
func (s *shard) isElsewhere() bool { return s.shared && !s.isOpen() }

// lookApart is how often a read that waits for another process's commit looks for it.
const lookApart = 20 * time.Millisecond

// lookAhead finds out where the log of a shard stands that another process writes. It returns a
// channel that says when to look again; nil if commits announce themselves here.
func (s *shard) lookAhead(ctx context.Context) (<-chan time.Time, error) {
	if !s.isElsewhere() {
		return nil, nil
	}
	if err := s.readHead(ctx); err != nil {
		return nil, err
	}
	return time.After(lookApart), nil
}

// readHead finds out where the log stands, in the database of a shard written elsewhere.
func (s *shard) readHead(ctx context.Context) error {
	at := s.clock.Now()
	head, err := headOf(ctx, s.store)
	if err == nil {
		s.advance(head, at)
	}
	return err
}

// advance notes where the log of a shard written elsewhere stood at a moment, or later.
func (s *shard) advance(head int64, at time.Time) {
	s.mu.RLock() // the shard cannot be taken over in between
	defer s.mu.RUnlock()
	if s.stopped == nil {
		return
	}
	if s.head.Load() < head {
		s.ring.reset(head)
		s.head.Store(head)
	}
	s.looked.Store(at.UnixMicro()) // after the head: whoever reads it first has a head of then or later
}

// lost is what a writer adds to the error of jobs that it could not commit because another writer has
// the shard: with several processes that writer can be asked. Open is set if the jobs may have been
// committed before.
func (s *shard) lost(open bool) error {
	switch {
	case !s.shared:
		return nil
	case open:
		return errOpenEnded
	}
	return errNotHere
}

// stopFor stops a shard whose writer failed with err. With several processes, later work is for whoever
// writes the shard next: err tells of the jobs in hand, which may have been committed, and nothing of
// those that come after them.
func (s *shard) stopFor(err error) {
	if s.shared {
		err = errHandedOver
	}
	s.stop(err)
}

// isForOwner reports whether work that was turned away here should be sent to the shard's owner.
func (s *Service) isForOwner(err error) bool {
	return s.peers != nil && err != nil && errors.Is(err, errNotHere)
}

// views spares the directory: many calls that wait look at it one at a time, and not too often.
type views struct {
	mu   sync.Mutex
	last time.Time
}

// viewsApart is the least time between two looks that waiting calls cause.
const viewsApart = 50 * time.Millisecond

// refreshView reads who writes what and where buckets live, unless somebody just did.
func (s *Service) refreshView(ctx context.Context) error {
	if s.keeper == nil || !s.views.mu.TryLock() {
		return nil
	}
	defer s.views.mu.Unlock()
	now := s.clock.Now()
	if now.Sub(s.views.last).Abs() < viewsApart {
		return nil
	}
	s.views.last = now
	if err := s.refreshPlacement(ctx); err != nil {
		return err
	}
	seen, err := s.directory.owners(ctx)
	if err != nil {
		return err
	}
	s.see(seen)
	return nil
}

// see takes over who writes what, and wakes calls that wait for a change of that.
func (s *Service) see(seen *owners) {
	old := s.owners.Swap(seen)
	for n := range seen.shards {
		if old.address(n) != seen.address(n) {
			s.place.changes.raise()
			return
		}
	}
}

// refreshHeads reads where the logs of other processes' shards stand, for those that somebody has
// asked about.
func (s *Service) refreshHeads(ctx context.Context) {
	for _, one := range s.shards {
		if !one.watched.Load() || one.isOpen() {
			continue
		}
		_ = one.readHead(ctx) // the next poll looks again, and until then what is known grows old
	}
}

// headOf returns the last committed sequence as the store's readers see it. Every balance says where
// it was read.
func headOf(ctx context.Context, r readerStore) (int64, error) {
	row, err := r.balance(ctx, "")
	if errs.Is(err, errs.CodeNotFound) {
		return 0, nil
	}
	return row.seq, err
}

// WhileOwned runs fn while this process writes the shard, again each time that it gets it back, until
// ctx is done or fn fails. It tells fn the epoch that it writes under, which is higher than that of any
// writer before. The context of fn ends when the shard is lost; an error of fn counts only if the shard's
// database says that it was not, for a process that slept does not know yet. A quarantined shard is nobody's.
func (s *Service) WhileOwned(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error {
	one, err := s.shard(shard)
	if err != nil {
		return err
	}
	if s.keeper == nil && one.isOpen() {
		return fn(ctx, one.epoch.Load())
	}
	for ctx.Err() == nil {
		changed := s.place.changes.wait()
		epoch := one.epoch.Load() // before the look: a shard that is open has this one or a later one
		if !one.isOpen() {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := s.untilLost(ctx, one, epoch, func(ctx context.Context) error {
			err := fn(ctx, epoch)
			if err != nil && one.isTaken(ctx, epoch) {
				<-ctx.Done() // the keeper notices at its next poll
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// untilLost runs fn until it returns or the shard is not written under the epoch any more.
func (s *Service) untilLost(ctx context.Context, one *shard, epoch int64, fn func(ctx context.Context) error) error {
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			changed := s.place.changes.wait()
			if !one.isOpen() || one.epoch.Load() != epoch {
				cancel()
				return
			}
			select {
			case <-changed:
			case <-own.Done():
				return
			}
		}
	}()
	err := fn(own)
	if own.Err() != nil {
		return nil
	}
	return err
}

// askTaken is how often a database that cannot be read is asked who writes the shard.
const askTaken = 250 * time.Millisecond

// isTaken reports whether another process has raised the shard's epoch, or ctx is done before its database
// answers.
func (s *shard) isTaken(ctx context.Context, epoch int64) bool {
	for {
		now, err := s.store.standing(ctx)
		if err == nil {
			return now.epoch > epoch
		}
		select {
		case <-time.After(askTaken):
		case <-ctx.Done():
			return true
		}
	}
}
