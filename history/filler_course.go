package history

import "time"

// course is how a copy, or the way through the log, has gone until now, and what follows from that for the rest. A copy does not go at one rate: the trees
// that it writes grow, caches fill, and what flows beside it leaves it more or less. So the rest is not taken to cost what
// the bets until now did on average, but what they cost lately, and more or less by the trend of them all. Where some cost more than
// others by what they are, each counts for as much as it costs: in parts of work, of which all cost the same.
//
// Not guaranteed: anything about what has not shown yet. Of a history that slows down all of a sudden, the rest is
// estimated too short until then.
type course struct {
	last   time.Time // when the last chunk was copied
	pieces []piece   // oldest first, each of as many chunks but the newest
	chunks int       // of the newest
	each   int       // chunks of a piece
	all    int       // chunks of all pieces
	prior  kinds     // what one of each kind costs, in parts of work, while that has not shown
	costs  kinds     // … as it has shown
}

// piece is some chunks that were copied one after the other.
type piece struct {
	did  kinds
	took time.Duration // waits included
}

// and returns both together.
func (p piece) and(other piece) piece { return piece{p.did.and(other.did), p.took + other.took} }

const (
	maxPieces = 64        // when there are more, each two become one
	maxTook   = time.Hour // of a chunk: a night in which a database was away says little about the next
)

// newCourse returns the course of a copy that goes on now, of what costs so much in proportion.
func newCourse(now time.Time, prior kinds) *course {
	return &course{last: now, each: 1, prior: prior, costs: prior}
}

// add notes that one more chunk is copied, and what was in it.
func (c *course) add(now time.Time, did kinds) {
	took := min(max(now.Sub(c.last), 0), maxTook) // a clock may step back
	c.last = now
	c.all++
	if len(c.pieces) == 0 || c.chunks == c.each {
		if len(c.pieces) == maxPieces {
			c.merge()
		}
		c.pieces, c.chunks = append(c.pieces, piece{}), 0
	}
	newest := &c.pieces[len(c.pieces)-1]
	*newest = newest.and(piece{did, took})
	c.chunks++
	c.learn()
}

// relabel says anew what was in the pieces, which lie one behind the other.
func (c *course) relabel(found func(after, last int64) kinds) {
	at := int64(0)
	for i := range c.pieces {
		last := at + c.pieces[i].did.all()
		c.pieces[i].did, at = found(at, last), last
	}
}

// merge makes one piece of each two.
func (c *course) merge() {
	for i := range maxPieces / 2 {
		c.pieces[i] = c.pieces[2*i].and(c.pieces[2*i+1])
	}
	c.pieces, c.each = c.pieces[:maxPieces/2], 2*c.each
}

// total is what was copied, and the time it took.
func (c *course) total() (t piece) {
	for _, p := range c.pieces {
		t = t.and(p)
	}
	return t
}

// rate returns how many bets were copied in a second, lately; 0 while that is not known.
func (c *course) rate() int64 {
	var t piece
	for _, p := range c.pieces[len(c.pieces)*3/4:] {
		t = t.and(p)
	}
	if t.took <= 0 {
		return 0
	}
	us := max(t.took.Microseconds(), 1)
	return (t.did.all()*int64(time.Second/time.Microsecond) + us/2) / us // to the nearest: 1.9 is not 1
}

// maxLeft bounds what is said to be left.
const maxLeft = 10 * 365 * 24 * time.Hour

// left returns how long it takes to copy so many bets more, and those that are placed meanwhile where the copy has not been,
// of which there were so many until now; 0 while that is not known.
func (c *course) left(bets, later int64) time.Duration {
	rest := kinds{kindPlaced: bets}
	left := c.leftOf(rest)
	if left == 0 {
		return 0
	}
	return min(c.withLater(left, bets, later), maxLeft)
}

// leftOf returns how long it takes to copy so much more; 0 while that is not known.
func (c *course) leftOf(rest kinds) time.Duration {
	t := c.total()
	work, done := rest.at(c.costs), t.did.at(c.costs)
	if work <= 0 || done <= 0 || t.took <= 0 {
		return 0
	}
	now, then := c.trend(t)
	then = now + (then-now)*time.Duration(c.alike(rest, t.did))/whole
	ahead := min(work, done) // a trend is believed for as long as it has lasted
	if work > int64(maxLeft/max(now, then)) {
		return maxLeft
	}
	left := time.Duration(ahead)*(now+then)/2 + time.Duration(work-ahead)*then
	if ahead < done { // and no longer than there is work
		left = time.Duration(ahead) * (now + (then-now)*time.Duration(ahead)/time.Duration(2*done))
	}
	return min(left, maxLeft)
}

// alike returns how much of the work is of the kinds that the other is of, in parts: a trend of placements says nothing about payouts.
func (c *course) alike(some, other kinds) (parts int64) {
	for k, cost := range c.costs {
		parts += min(some[k]*cost*whole/some.at(c.costs), other[k]*cost*whole/other.at(c.costs))
	}
	return min(parts+kindCount, whole) // what was rounded off
}

// withLater adds the time that bets take which are placed meanwhile. As the copy goes on fewer of those that are placed
// are behind it, down to none: until now that was, on average, the share of what is left and half of what was
// copied; from now on it is half of what is left.
func (c *course) withLater(left time.Duration, bets, later int64) time.Duration {
	if later <= 0 {
		return left
	}
	t := c.total()
	share := bets * whole / (2*bets + t.did.all())
	more := int64(left/max(t.took/time.Duration(later), 1)) * share / whole
	more = min(more, bets*3/4) // more than that and the copy hardly gets anywhere: the estimate only says so
	return stretched(left, bets, more)
}

// leftWhile returns how long it takes to apply so much of a log more, and what the log gets meanwhile, of which
// it got so much in a time; 0 while that is not known, or if it gets nearly as much as is applied.
func (c *course) leftWhile(rest, grown kinds, took time.Duration) time.Duration {
	left, work, gets := c.leftOf(rest), rest.at(c.costs), grown.at(c.costs)
	if left == 0 || gets <= 0 {
		return left
	}
	more := int64(left / max(took/time.Duration(gets), 1))
	if more > work*9/10 {
		return 0
	}
	return min(stretched(left, work, more), maxLeft)
}

const whole = 1 << 10 // shares are counted in parts of it

// stretched returns how long all of it takes if so many more come while the first so many are done, and as many in proportion
// while those are.
func stretched(left time.Duration, first, more int64) time.Duration {
	return left / whole * time.Duration(first*whole/(first-more))
}

// learn takes from the pieces that are mostly of one kind what that costs.
func (c *course) learn() {
	const (
		most = 4 // of four parts of a piece's work, more than all but one are of the kind
		few  = 3 // chunks, of which half is believed: the first ones may have been taken for another kind than they are
		part = 1 << 10
		far  = 4 // times as much, or a part of as much, is the furthest that a cost is from what was taken
	)
	var took, work [kindCount]int64 // in microseconds and parts of work, newer pieces weighing more
	var chunks [kindCount]int64
	var allTook, allWork int64
	for i, p := range c.pieces {
		weight, pieceWork, n := max(c.weight(i)/maxPieces, 1), p.did.at(c.prior), c.each
		if i == len(c.pieces)-1 {
			n = c.chunks
		}
		allTook, allWork = allTook+weight*p.took.Microseconds(), allWork+weight*pieceWork
		for k, did := range p.did {
			if did*c.prior[k]*most > pieceWork*(most-1) {
				took[k], work[k], chunks[k] = took[k]+weight*p.took.Microseconds(), work[k]+weight*pieceWork, chunks[k]+int64(n)
			}
		}
	}
	c.costs = c.prior
	level := allTook * part / max(allWork, 1)
	for k := range c.costs {
		if chunks[k] > 0 && level > 0 {
			found := min(max(took[k]*part/max(work[k], 1)*part/level, part/far), far*part)
			sure := min(chunks[k]*chunks[k], part)
			found = (found*sure + part*few*few) / (sure + few*few)
			c.costs[k] = max(c.prior[k]*found/part, 1)
		}
	}
}

// weight is how much a piece counts: a newer one more, one that is not full less.
func (c *course) weight(i int) int64 {
	w := int64(i+1) * int64(i+1)
	if i == len(c.pieces)-1 {
		w = max(w*int64(c.chunks)/int64(c.each), 1)
	}
	return w
}

// trend returns what a part of the work costs now, and will once as much more is done, by a straight line through the pieces of which
// newer ones weigh more. The line is turned towards a level one by as much as the pieces lie beside it, and where there
// are few. It is bounded: costs at most double or halve until then, and are never 0.
func (c *course) trend(t piece) (now, then time.Duration) {
	const (
		mean = 1 << 15 // costs are counted in parts of the mean
		high = 8 * mean
		fine = 16 // places are counted in parts of a piece
		part = 1 << 8
		sure = 1 << 10
		few  = 12 // chunks
	)
	perPart := max(t.took/time.Duration(t.did.at(c.costs)), 1)
	costs, n := make([]int64, len(c.pieces)), int64(len(c.pieces))
	var weights, place, level int64
	for i, p := range c.pieces {
		costs[i] = min(int64(p.took/time.Duration(max(p.did.at(c.costs), 1)))*mean/int64(perPart), high) // one that stood still must not outweigh all
		w := c.weight(i)
		weights, place, level = weights+w, place+w*int64(i)*fine, level+w*costs[i]
	}
	place, level = place/weights, level/weights
	var xx, xy, yy int64
	for i := range c.pieces {
		w, x, y := c.weight(i), int64(i)*fine-place, costs[i]-level
		xx, xy, yy = xx+w*x*x, xy+w*x*y, yy+w*y*y
	}
	slope := int64(0) // of a fine place, in parts
	if n > 2 && xx > 0 {
		slope = xy * part / xx
		along := max(slope*xy/part, 0)           // what the line explains
		beside := 2 * max(yy-along, 0) / (n - 2) // what it does not, by piece, and twice to be careful
		trust := max(sure-beside/max(along/sure, 1), 0) * int64(c.all) / int64(c.all+few)
		slope = slope * trust / sure
	}
	at := max(level+slope*(n*fine-fine/2-place)/part, level/2, 1)
	to := min(max(at+slope*n*fine/part, at/2), 2*at)
	return max(perPart*time.Duration(at)/mean, 1), max(perPart*time.Duration(to)/mean, 1)
}
