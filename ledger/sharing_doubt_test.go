package ledger

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"matchday/errs"
)

// pausedStore commits one batch, when armed, and is then cut off from its database until it is released.
type pausedStore struct {
	store
	armed    atomic.Bool
	paused   chan struct{}
	released chan struct{}
}

func (s *pausedStore) commit(ctx context.Context, b *batch) error {
	err := s.store.commit(ctx, b)
	if err == nil && s.armed.CompareAndSwap(true, false) {
		close(s.paused)
		<-s.released
		return errs.New(errs.CodeUnavailable, "the connection was lost")
	}
	return err
}

// TestAWriterReplacedWithACommitInDoubtAsksTheNextOne cuts a process off in the middle of a commit, until
// another has its shard. Who waited for that commit gets the new owner's answer, and so does everyone
// who comes later.
func TestAWriterReplacedWithACommitInDoubtAsksTheNextOne(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 2, SweepEvery: time.Hour}
	paused := &pausedStore{paused: make(chan struct{}), released: make(chan struct{})}
	cut := &cuttable{}
	first := startMember(t, c, func(s *Service) {
		cut.directoryDB, s.directory.db = s.directory.db, cut
		paused.store = s.shards[1].store
		s.shards[1].store, s.shards[1].builder.store = paused, paused
	})
	wantSpread(t, 2, first)
	second := startMember(t, c)
	wantSpread(t, 2, first, second)
	if !first.shards[1].isOpen() {
		t.Fatal("the first process gave shard 1 away, not 0")
	}
	p := playersOn(t, first.Service, 2)[1]
	ctx := context.Background()
	type answer struct {
		r   Result
		err error
	}
	inDoubt := make(chan answer, 1)
	paused.armed.Store(true)
	go func() {
		r, err := first.Commit(ctx, LaneInteractive, deposit("d1", p, 5))
		inDoubt <- answer{r, err}
	}()
	<-paused.paused
	cut.cut.Store(true)
	eventually(t, "the other process takes over", func() bool { return len(second.owned()) == 2 })
	cut.cut.Store(false)
	close(paused.released)
	if got := <-inDoubt; got.err != nil || !got.r.Replayed {
		t.Errorf("the commit in doubt: %+v, %v, want a replay by the new owner", got.r, got.err)
	}
	if r, err := first.Commit(ctx, LaneInteractive, deposit("d2", p, 5)); err != nil || r.Replayed {
		t.Errorf("a later commit: %+v, %v", r, err)
	}
	if err := first.Barrier(ctx, 1); err != nil {
		t.Errorf("a later barrier: %v", err)
	}
	if !second.shards[1].isOpen() {
		t.Error("shard 1 went back to the first process: this proved nothing")
	}
}
