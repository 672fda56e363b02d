package ledger

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"matchday/errs"
)

// keeper decides which shards this process writes when several processes share them, and runs their
// writers.
//
// Every process raises its beat in the directory at each poll and looks at the others'. One whose
// beat has stood still for a lease is taken for dead, and its shards are shared out among the living.
// Polls are counted, no clocks are compared: a process that slept, or whose clock is wrong, may judge
// late but not wrongly. And wrongly would do no harm: what keeps two writers apart is the epoch in the
// shard, which who takes over raises first. The directory only says who should try.
type keeper struct {
	service  *Service
	log      *slog.Logger
	self     *process
	patience int // polls without a beat before a process is dead
	metrics  keeperMetrics
	beatUS   atomic.Int64 // when the last beat was written

	peers   map[string]*peer
	tenures map[int]*tenure
	rests   map[int]int // polls before a shard that could not be kept is tried again
	trouble bool        // the directory could not be reached at the last poll
}

// peer is what this process has seen of another one.
type peer struct {
	run    string
	beat   int64
	missed int // polls since the beat changed
}

// tenure is the time in which this process writes a shard.
type tenure struct {
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the writer has stopped
	err     error         // why, valid then
	leaving bool
}

const (
	// forgetAfter is how many polls a dead process's row stays for people to see.
	forgetAfter = 600
	// restAfter is how many polls a shard is left to others after it could not be kept here.
	restAfter = 5
)

func newKeeper(s *Service, log *slog.Logger, self *process) *keeper {
	patience := max(2, int(s.config.lease()/s.config.poll()))
	return &keeper{
		service: s, log: log, self: self, patience: patience,
		peers: map[string]*peer{}, tenures: map[int]*tenure{}, rests: map[int]int{},
	}
}

// run keeps shards until ctx is done; then it hands them over. It returns an error only if another
// process was started under this one's name.
func (k *keeper) run(ctx context.Context) error {
	tick := time.NewTicker(k.service.config.poll())
	defer tick.Stop()
	var err error
	for err == nil {
		if err = k.poll(ctx); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			k.leave(ctx)
			return nil
		case <-tick.C:
		}
	}
	k.stopAll()
	return err
}

// leave stops the writers and tells the others at once.
func (k *keeper) leave(ctx context.Context) {
	k.stopAll()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	for shard, t := range k.tenures {
		if lost, ok := errors.AsType[*divergence](t.err); ok {
			if err := k.service.quarantine(ctx, k.service.shards[shard], lost); !errors.Is(err, errQuarantined) {
				k.log.ErrorContext(ctx, "shard not quarantined", "shard", shard, "lost", lost.Error(), "error", err)
			}
		}
	}
	if err := k.service.directory.leave(ctx, k.self); err != nil {
		k.log.WarnContext(ctx, "shards not handed over: the others wait for the lease to run out", "error", err)
	}
}

// stopAll ends every tenure.
func (k *keeper) stopAll() {
	for _, t := range k.tenures {
		t.cancel()
	}
	for _, t := range k.tenures {
		<-t.ended
	}
}

// poll beats, looks, and acts on what it sees. A directory that cannot be reached changes nothing:
// who writes goes on writing.
func (k *keeper) poll(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, max(k.service.config.poll(), time.Second))
	defer cancel()
	seen, err := k.look(limited)
	switch {
	case errs.Is(err, errs.CodeConflict):
		return err
	case err != nil && ctx.Err() == nil:
		if !k.trouble {
			k.log.WarnContext(ctx, "directory not reached: nobody takes shards over until it is", "error", err)
		}
		k.trouble = true
		k.evict(ctx, k.service.directory.db)
		return nil
	case err != nil:
		return nil
	}
	k.trouble = false
	k.count(seen)
	for _, one := range k.service.shards {
		k.service.seeProblem(one, seen.shards[one.number].problem)
	}
	k.drop(limited, seen)
	k.service.see(seen) // from here on it is read by others
	k.share(ctx, limited, seen)
	k.forget(limited, seen)
	k.service.refreshHeads(limited)
	return nil
}

// look beats and reads the directory.
func (k *keeper) look(ctx context.Context) (*owners, error) {
	if err := k.service.directory.beat(ctx, k.self); err != nil {
		return nil, err
	}
	k.beatUS.Store(k.service.clock.Now().UnixMicro())
	if err := k.service.refreshPlacement(ctx); err != nil {
		return nil, err
	}
	return k.service.directory.owners(ctx)
}

// lastBeat returns when this process last showed that it lives.
func (k *keeper) lastBeat() time.Time { return fromMicros(k.beatUS.Load()) }

// count notes whose beat has changed since the last poll.
func (k *keeper) count(seen *owners) {
	for name := range k.peers {
		if _, there := seen.processes[name]; !there {
			delete(k.peers, name)
		}
	}
	for name, p := range seen.processes {
		known := k.peers[name]
		if known == nil || known.run != p.run || known.beat != p.beat {
			k.peers[name] = &peer{run: p.run, beat: p.beat}
			continue
		}
		known.missed++
	}
	for shard, rest := range k.rests {
		if rest--; rest <= 0 {
			delete(k.rests, shard)
			continue
		}
		k.rests[shard] = rest
	}
}

// isAlive reports whether a process may keep what it owns.
func (k *keeper) isAlive(name string) bool {
	if name == k.self.name {
		return true
	}
	p := k.peers[name]
	return p != nil && p.missed < k.patience
}

// drop ends the tenures of shards that others own now, and clears away tenures that have ended.
func (k *keeper) drop(ctx context.Context, seen *owners) {
	for shard, t := range k.tenures {
		mine := seen.shards[shard].owner == k.self.name && seen.shards[shard].problem == ""
		if !mine {
			t.cancel() // its next commit would fail: stop before
		}
		select {
		case <-t.ended:
		default:
			continue
		}
		if lost, ok := errors.AsType[*divergence](t.err); ok {
			k.give(ctx, seen, shard, lost)
			continue
		}
		delete(k.tenures, shard)
		k.tell(ctx, shard, t, &seen.shards[shard])
		if t.err != nil {
			k.rests[shard] = restAfter
			k.log.WarnContext(ctx, "shard not written here any more", "shard", shard, "error", t.err)
		}
		if mine && k.free(ctx, shard) {
			seen.shards[shard].owner = ""
		}
	}
}

// free lets others take a shard that this process owns and does not write, and reports whether they can. If
// not, share tries again.
func (k *keeper) free(ctx context.Context, shard int) bool {
	_, err := k.service.directory.claim(ctx, shard, k.self.name, "")
	if err != nil {
		k.log.WarnContext(ctx, "shard not given free", "shard", shard, "error", err)
	}
	return err == nil
}

// give quarantines a shard that was written here. Until the directory says so the tenure stays: this
// process may be the only one that knows what was answered.
func (k *keeper) give(ctx context.Context, seen *owners, shard int, lost *divergence) {
	err := k.service.quarantine(ctx, k.service.shards[shard], lost)
	if !errors.Is(err, errQuarantined) {
		k.log.WarnContext(ctx, "shard not quarantined yet", "shard", shard, "error", err)
		return
	}
	delete(k.tenures, shard)
	seen.shards[shard].owner, seen.shards[shard].problem = "", lost.Error()
}

// tell says that the shard is not written here any more, and by whom it is now.
func (k *keeper) tell(ctx context.Context, shard int, t *tenure, now *tenancy) {
	what, count := "shard lost", k.metrics.lost
	if t.leaving {
		what, count = "shard given back", k.metrics.given
	}
	count.Inc()
	to := now.owner
	if to == k.self.name {
		to = ""
	}
	k.log.InfoContext(ctx, what, "shard", shard, "to", to, "epoch", now.noted.epoch)
}

// fair returns how many shards this process should write: as many as each other living process, one
// more for those that have most already, so that nothing moves without need.
func (k *keeper) fair(seen *owners) int {
	held := map[string]int{}
	for name := range seen.processes {
		if k.isAlive(name) {
			held[name] = 0
		}
	}
	held[k.self.name] = 0
	for i := range seen.shards {
		if _, alive := held[seen.shards[i].owner]; alive {
			held[seen.shards[i].owner]++
		}
	}
	names := make([]string, 0, len(held))
	for name := range held {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(held[b], held[a]), cmp.Compare(a, b))
	})
	each, more := len(seen.shards)/len(names), len(seen.shards)%len(names)
	if slices.Index(names, k.self.name) < more {
		each++
	}
	return each
}

// share takes shards that nobody living owns, up to this process's fair share, or hands over what
// exceeds it.
func (k *keeper) share(ctx, limited context.Context, seen *owners) {
	fair, held := k.fair(seen), 0
	for _, t := range k.tenures {
		if !t.leaving {
			held++
		}
	}
	for shard := range k.service.shards {
		owner := seen.shards[shard].owner
		t := k.tenures[shard]
		switch {
		case t != nil && held > fair && !t.leaving:
			t.leaving = true
			t.cancel()
			held--
		case t != nil || seen.shards[shard].problem != "":
		case held >= fair || k.rests[shard] > 0:
			if owner == k.self.name { // the answer to a claim was lost, or giving it free failed: nobody writes it
				k.free(limited, shard) // the next poll sees it
			}
		case owner == "" || owner == k.self.name || !k.isAlive(owner):
			if k.take(ctx, limited, shard, owner) {
				held++
			}
		}
	}
}

// take claims a shard and starts its writer.
func (k *keeper) take(ctx, limited context.Context, shard int, owner string) bool {
	won, err := k.service.directory.claim(limited, shard, owner, k.self.name)
	if err != nil || !won {
		return false // somebody was quicker, or the next poll sees
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &tenure{cancel: cancel, ended: make(chan struct{})}
	k.tenures[shard] = t
	k.metrics.claimed.Inc()
	k.log.InfoContext(ctx, "shard claimed", "shard", shard, "from", owner)
	go func() {
		defer cancel()
		t.err = k.hold(own, k.service.shards[shard])
		close(t.ended)
	}()
	return true
}

// hold takes a shard over, raising its epoch, and writes it until ctx is done or another writer has
// raised the epoch again.
func (k *keeper) hold(ctx context.Context, one *shard) error {
	s := k.service
	err := s.takeOver(ctx, one)
	if err != nil && k.evict(ctx, one.store) {
		err = s.takeOver(ctx, one)
	}
	if err != nil {
		return err
	}
	one.reopen()
	s.place.changes.raise()
	err = one.run(ctx)
	s.place.changes.raise()
	if err == nil && ctx.Err() != nil {
		released, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
		defer cancel()
		if err := s.directory.note(released, map[int]mark{one.number: *one.acked.Load()}); err != nil {
			return err // kept until a poll has noted it and gives the shard free
		}
		_, err = s.directory.claim(released, one.number, k.self.name, "") // at once, not at the next poll
	}
	if errors.Is(err, errFenced) {
		k.log.WarnContext(ctx, "another process has taken the shard over", "shard", one.number)
	}
	return err
}

// forget clears away rows of processes that have been dead for long and own nothing.
func (k *keeper) forget(ctx context.Context, seen *owners) {
	for name, p := range k.peers {
		owns := slices.ContainsFunc(seen.shards, func(t tenancy) bool { return t.owner == name })
		if p.missed < forgetAfter || owns || name == k.self.name {
			continue
		}
		if err := k.service.directory.forget(ctx, seen.processes[name]); err != nil {
			k.log.WarnContext(ctx, "dead process not cleared away", "process", name, "error", err)
		}
	}
}
