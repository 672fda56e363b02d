package history

import (
	"context"
	"sync"
	"time"
)

// CatchUp says how a history that is far behind the log comes nearer to its end: one that fills itself, or that has been away
// for long. The zero value is one that is not far behind.
type CatchUp struct {
	Remaining int64         // sequences of the log that it does not show
	Rate      int64         // sequences a second that it applies, lately; 0 while not known
	Added     int64         // sequences a second that the log gets meanwhile
	Left      time.Duration // until it shows all, with what the log gets meanwhile; 0 while not known or without an end
}

const (
	courseEvery = time.Second      // between two looks at a shard
	farBehind   = 10 * time.Second // what is less is over before anybody reads when
	maxStill    = 2 * time.Minute  // without a commit; then nobody knows
)

// fillCosts are what the log's kinds cost a history in proportion, until a shard's own course shows it: a placement cost 2.2 to 3.7 times as much
// as a payout after it in the runs of docs/bench. Where a rate holds all records up alike (pacedCosts), only their number counts.
var (
	fillCosts  = kinds{kindPlaced: 64, kindSettled: 19, kindPassed: 6, kindNone: 2}
	pacedCosts = kinds{kindPlaced: 64, kindSettled: 64, kindPassed: 64, kindNone: 1}
)

// catchUp follows a shard that is far behind, also where another process applies.
type catchUp struct {
	paced     bool // records go in at a rate
	mu        sync.Mutex
	course    *course // nil: it is not far behind
	mix       *logMix // of the log from where the course began
	at        int64   // shown when the course was last told
	head      int64   // end of the log when it was last looked at
	looked    time.Time
	began     time.Time
	beganHead int64
}

// followCourses looks at the history that everybody sees until ctx is done.
func (s *Service) followCourses(ctx context.Context) {
	for wait(ctx, courseEvery) {
		for _, h := range s.main() {
			h.course.look(s.deps.Clock.Now(), h.sink.Position(), s.deps.Source.Head(h.number), h.sink.Lag())
			h.course.sample(ctx, s.deps.Source, h.number)
		}
	}
}

// look notes how far the shard is.
func (c *catchUp) look(now time.Time, at, head int64, lag time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case at >= head || lag < farBehind:
		c.course, c.mix = nil, nil
		return
	case c.course == nil || at < c.at: // a database that lost commits goes back
		costs := fillCosts
		if c.paced {
			costs = pacedCosts
		}
		c.course, c.mix, c.at, c.began, c.beganHead = newCourse(now, costs), &logMix{first: at}, at, now, head
	case at > c.at:
		first := c.mix.first
		c.course.relabel(func(after, last int64) kinds { return c.mix.between(first+after, first+last) }) // there are more samples now
		c.course.add(now, c.mix.between(c.at, at))
		c.at = at
	}
	c.head, c.looked = head, now
}

// outlook tells how far the shard is, and how long it still takes.
func (c *catchUp) outlook(now time.Time) CatchUp {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.course == nil {
		return CatchUp{}
	}
	out := CatchUp{Remaining: c.head - c.at}
	if now.Sub(c.course.last) > maxStill {
		return out
	}
	took, grown := c.looked.Sub(c.began), c.head-c.beganHead
	out.Rate = c.course.rate()
	if took > 0 && grown > 0 {
		out.Added = grown * int64(time.Second/time.Microsecond) / max(took.Microseconds(), 1)
	}
	if out.Left = c.course.leftWhile(c.mix.between(c.at, c.head), c.mix.between(c.beganHead, c.head), took); out.Left > 0 {
		out.Rate = max(out.Rate, 1) // less than one is not none
	}
	return out
}
