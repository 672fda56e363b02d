package ledger

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/stream"
)

const (
	defaultReplicaLag = 5 * time.Second
	probeEvery        = time.Second
	probeTimeout      = 2 * time.Second
	probesAtOnce      = 8 // a fleet of hundreds of shards is asked over a few connections

	// A read that needs a position which its replica is about to have waits for it a little: replicas
	// are mostly a few milliseconds behind, and the writer's side is the costlier place to ask.
	replicaTries = 3
	replicaPause = 2 * time.Millisecond

	aheadTries = 5
	aheadPause = 50 * time.Millisecond
)

// replica is a copy of one shard that follows its writer, open for reading.
type replica struct {
	node  string
	store readerStore
	stop  func() error // gives up what store holds; nil: nothing

	ours atomic.Pointer[mark] // where its log was last found to be the writer's

	seq  atomic.Int64 // the newest position it has shown
	good atomic.Bool  // reads may go to it
}

// saw notes a position that the replica has shown.
func (r *replica) saw(seq int64) {
	for {
		old := r.seq.Load()
		if seq <= old || r.seq.CompareAndSwap(old, seq) {
			return
		}
	}
}

// close gives up the replica.
func (r *replica) close() error {
	r.good.Store(false)
	if r.stop == nil {
		return nil
	}
	return r.stop()
}

// replicas are the replicas of one shard. Reads take them in turn, without a lock.
type replicas struct {
	list atomic.Pointer[[]*replica]
	turn atomic.Uint32
	mu   sync.Mutex // serialises changes of the list
}

// all returns the replicas as they are now.
func (r *replicas) all() []*replica {
	if list := r.list.Load(); list != nil {
		return *list
	}
	return nil
}

// pick returns the next replica that reads may go to, or nil.
func (r *replicas) pick() *replica {
	list := r.all()
	if len(list) == 0 {
		return nil
	}
	first := int(r.turn.Add(1) % uint32(len(list))) // #nosec: a handful
	for i := range list {
		if one := list[(first+i)%len(list)]; one.good.Load() {
			return one
		}
	}
	return nil
}

// set makes nodes the shard's replicas: those that were there stay, new ones are opened and get
// reads once they have been probed, and the others are closed.
func (r *replicas) set(nodes []string, open func(node string) (*replica, error), forget func(node string)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := map[string]*replica{}
	for _, one := range r.all() {
		old[one.node] = one
	}
	var list []*replica
	var problems []error
	for _, node := range nodes {
		one := old[node]
		delete(old, node)
		if one == nil {
			var err error
			if one, err = open(node); err != nil {
				problems = append(problems, err)
				continue
			}
		}
		list = append(list, one)
	}
	r.list.Store(&list)
	for _, gone := range old {
		problems = append(problems, gone.close())
		forget(gone.node)
	}
	return errors.Join(problems...)
}

// close gives up all replicas.
func (r *replicas) close() error {
	return r.set(nil, nil, func(string) {})
}

// has reports whether the last probe found the replica there, with a commit of its shard's writer.
func (r *replica) has(at mark) bool {
	known := r.ours.Load()
	return known != nil && *known == at
}

// probe asks the replica how far it has come and decides whether reads may go to it.
func (s *shard) probe(ctx context.Context, r *replica, maxLag time.Duration) {
	asking, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	at, err := r.store.standing(asking)
	wanted := s.epoch.Load()
	if err == nil && s.isElsewhere() {
		var head mark
		asked := s.clock.Now()
		if head, err = s.store.standing(asking); err == nil {
			wanted = head.epoch
			s.advance(head.seq, asked)
		}
	}
	isOurs := true
	if err == nil && at.epoch == wanted && !r.has(at) {
		isOurs, err = s.has(asking, at)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.judge(r, false, "unreachable", err)
		return
	}
	r.saw(at.seq)
	behind := s.behind(at.seq)
	s.reads.lag(r.node, behind)
	switch {
	case at.epoch != wanted: // it has not seen the last take-over: it may be a primary of old, with commits nobody knows
		s.judge(r, false, "of another epoch", nil)
	case !isOurs: // a primary of old, or one that nobody follows
		s.judge(r, false, "with commits that the primary has not", nil)
	default:
		r.ours.Store(&at)
		s.judge(r, behind <= maxLag, "too far behind", nil)
	}
}

// has reports whether the writer's database has the commit that a reader's log ends with. A replica can
// have one a moment before its primary has finished it; one that stays ahead follows another primary.
func (s *shard) has(ctx context.Context, m mark) (bool, error) {
	for try := range aheadTries {
		if try > 0 {
			if err := pause(ctx, aheadPause); err != nil {
				return false, err
			}
		}
		if own := s.acked.Load(); own != nil && !s.isElsewhere() && own.seq == m.seq {
			return own.seal == m.seal, nil
		}
		at, err := s.store.sealAt(ctx, m.seq)
		if err != nil {
			return false, err
		}
		if at.last == m.seq {
			return at.seal == m.seal, nil
		}
	}
	return false, nil
}

// judge lets reads go to the replica or not, and says so when that changes.
func (s *shard) judge(r *replica, good bool, why string, err error) {
	if r.good.Swap(good) == good {
		return
	}
	if good {
		s.log.Info("ledger replica takes reads", "shard", s.number, "node", r.node, "position", r.seq.Load())
		return
	}
	s.log.Warn("ledger replica takes no reads", "shard", s.number, "node", r.node, "reason", why,
		"position", r.seq.Load(), "head", s.head.Load(), "err", err)
}

// behind returns how old a reader is that shows everything up to seq: 0 if that is all there is,
// otherwise the time since the first commit that it lacks. Of a reader so old that the commits it
// lacks are not in memory, it is a lower bound.
func (s *shard) behind(seq int64) time.Duration {
	if seq >= s.head.Load() {
		return 0
	}
	since, ok := s.ring.firstAfter(seq)
	if !ok {
		since = fromMicros(s.lastUS.Load())
	}
	return max(s.clock.Now().Sub(since), 0)
}

// watchReplicas keeps the lists of replicas and probes each until ctx is done.
func (s *Service) watchReplicas(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	told := ""
	for {
		problem := ""
		if err := s.listReplicas(ctx); err != nil && ctx.Err() == nil {
			problem = err.Error()
		}
		if problem != told && problem != "" { // once, not each second
			s.shards[0].log.Warn("ledger replicas stay as they are", "err", problem)
		}
		told = problem
		s.probeReplicas(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// probeReplicas probes every replica once, a few at a time.
func (s *Service) probeReplicas(ctx context.Context) {
	var probing sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for _, one := range s.shards {
		for _, r := range one.replicas.all() {
			slots <- struct{}{}
			probing.Go(func() {
				one.probe(ctx, r, orDefault(one.config.MaxReplicaLag, defaultReplicaLag))
				<-slots
			})
		}
	}
	probing.Wait()
}

// readFrom runs read on a replica of the shard that shows at least the sequence, or on the writer's
// database, through its reading connections, if no replica does within a few milliseconds. read
// returns the position of the snapshot that it saw.
func (s *shard) readFrom(ctx context.Context, seq int64, read func(readerStore) (int64, error)) error {
	seq = max(seq, s.came.Load()) // a replica from before has less than nothing of a bucket that came
	r := s.replicas.pick()
	if r != nil {
		ok, err := s.readReplica(ctx, r, seq, read)
		if ok || err != nil {
			return err
		}
	}
	if err := s.waitFor(ctx, seq); err != nil {
		return err
	}
	s.reads.writer(r != nil)
	_, err := read(s.store)
	return err
}

// readReplica reads from a replica. It reports false if the replica cannot answer, and returns an
// error only when the caller has given up.
func (s *shard) readReplica(ctx context.Context, r *replica, seq int64, read func(readerStore) (int64, error)) (bool, error) {
	for try := range replicaTries {
		if try > 0 {
			if err := pause(ctx, replicaPause); err != nil {
				return false, err
			}
		}
		at, err := read(r.store)
		if err != nil && ctx.Err() != nil {
			return false, err
		}
		if err != nil {
			s.judge(r, false, "a read failed", err)
			return false, nil
		}
		r.saw(at)
		if at >= seq {
			s.reads.replica(s.behind(at))
			return true, nil
		}
	}
	return false, nil
}

// pause waits, unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "gave up waiting")
	}
}

// needOf returns which sequence of the shard a read at the position needs. A position of another
// shard, from before the account moved here, says nothing about this shard's replicas: then the read
// waits for it there and needs everything that is committed here.
func (s *Service) needOf(ctx context.Context, one *shard, at stream.Position) (int64, error) {
	if at.Seq == 0 || at.Shard == one.number {
		return at.Seq, nil
	}
	if err := s.WaitFor(ctx, at); err != nil {
		return 0, err
	}
	return one.head.Load(), nil
}
