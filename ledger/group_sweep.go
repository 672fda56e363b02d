package ledger

import (
	"context"
	"sync"
	"time"

	"matchday/errs"
)

// groupsInHand are the groups that callers of this process drive now, and those that the sweeper comes
// back to later.
type groupsInHand struct {
	mu     sync.Mutex
	driven map[string]int // callers by group

	// What follows belongs to the sweeper.
	later map[string]groupRetry
}

// groupRetry is when a group that could not be brought to its end is tried again.
type groupRetry struct {
	at    time.Time
	pause time.Duration
}

const (
	maxSweptGroups  = 1000 // of a shard in one sweep
	firstGroupPause = time.Second
	longGroupPause  = time.Minute
	// oldGroup is the age from which an open group is an alarm: something keeps it from its end.
	oldGroup = time.Minute
)

// take notes that a caller drives the group until the returned function is called.
func (g *groupsInHand) take(key string) (done func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.driven == nil {
		g.driven = map[string]int{}
	}
	g.driven[key]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.driven[key]--; g.driven[key] == 0 {
			delete(g.driven, key)
		}
	}
}

func (g *groupsInHand) has(key string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.driven[key] > 0
}

// sweepGroups brings groups to their end whose caller did not, until ctx is done: at the start those
// that a crash left, then those of callers that gave up. It costs nothing while no group is open.
func (s *Service) sweepGroups(ctx context.Context) error {
	tick := time.NewTicker(s.config.sweepEvery())
	defer tick.Stop()
	for {
		s.endGroups(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// endGroups goes once over the shards on which groups may be open.
func (s *Service) endGroups(ctx context.Context) {
	retries := map[string]groupRetry{}
	for _, one := range s.shards {
		if !one.groups.Swap(false) || !one.isOpen() {
			continue
		}
		list, err := one.store.openGroups(ctx, maxSweptGroups)
		if err != nil {
			one.groups.Store(true)
			if ctx.Err() == nil {
				one.troubles.groups.failed(ctx, one, err)
			}
			continue
		}
		one.troubles.groups.worked(ctx, one)
		one.metrics.openGroups(list, s.clock.Now())
		if len(list) > 0 {
			one.groups.Store(true) // look again
		}
		for i := range list {
			s.endGroup(ctx, one, &list[i], retries)
		}
	}
	s.groups.later = retries
}

// endGroup drives one open group, unless a caller does or it was tried just now.
func (s *Service) endGroup(ctx context.Context, one *shard, g *openGroup, retries map[string]groupRetry) {
	x, err := decodeExtra(g.extra)
	if s.groups.has(x.Group) || len(x.Members) > 0 && s.ShardOf(x.Members[0].Player) != one.number {
		return // a caller does it, or the shard that the first player has moved to
	}
	retry := s.groups.later[g.key]
	now := s.clock.Now()
	if now.Before(retry.at) {
		retries[g.key] = retry
		return
	}
	if err == nil {
		err = s.resume(ctx, &x)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	retry.pause = min(max(firstGroupPause, 2*retry.pause), longGroupPause)
	retry.at = now.Add(retry.pause)
	retries[g.key] = retry
	if age := now.Sub(g.at); age > oldGroup {
		s.log.ErrorContext(ctx, "group cannot be ended", "shard", one.number, "group", x.Group, "age", age.String(), "error", err)
	}
}

// resume drives the group that a first row kept.
func (s *Service) resume(ctx context.Context, x *extra) error {
	g := Group{Key: x.Group, Transfers: make([]Transfer, len(x.Members))}
	for i := range x.Members {
		var err error
		if g.Transfers[i], err = x.Members[i].transfer(); err != nil {
			return err
		}
	}
	p, err := planGroup(g)
	if err != nil {
		return errs.Wrap(err, errs.CodeInternal, "group %s was begun and is not valid", g.Key)
	}
	parts, err := s.spread(p)
	if err != nil {
		return err
	}
	return s.drive(ctx, LaneBulk, p, parts)
}
