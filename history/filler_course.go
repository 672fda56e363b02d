package history

import "time"

// course is how a copy, or the way through the log, has gone until now, and what follows from that for the rest. A copy does not go at one rate: the trees
// that it writes grow, caches fill, and what flows beside it leaves it more or less. So the rest is not taken to cost what
// the bets until now did on average, but what they cost lately, and more or less by the trend of them all.
//
// Not guaranteed: anything about what has not shown yet. Of a history that slows down all of a sudden, the rest is
// estimated too short until then.
type course struct {
	last   time.Time // when the last chunk was copied
	pieces []piece   // oldest first, each of as many chunks but the newest
	chunks int       // of the newest
	each   int       // chunks of a piece
	all    int       // chunks of all pieces
}

// piece is some chunks that were copied one after the other.
type piece struct {
	bets int64
	took time.Duration // waits included
}

const (
	maxPieces = 64        // when there are more, each two become one
	maxTook   = time.Hour // of a chunk: a night in which a database was away says little about the next
)

// newCourse returns the course of a copy that goes on now.
func newCourse(now time.Time) *course { return &course{last: now, each: 1} }

// add notes that one more chunk of so many bets is copied.
func (c *course) add(now time.Time, bets int64) {
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
	newest.bets, newest.took = newest.bets+bets, newest.took+took
	c.chunks++
}

// merge makes one piece of each two.
func (c *course) merge() {
	for i := range maxPieces / 2 {
		a, b := c.pieces[2*i], c.pieces[2*i+1]
		c.pieces[i] = piece{a.bets + b.bets, a.took + b.took}
	}
	c.pieces, c.each = c.pieces[:maxPieces/2], 2*c.each
}

// total is what was copied, and the time it took.
func (c *course) total() (t piece) {
	for _, p := range c.pieces {
		t.bets, t.took = t.bets+p.bets, t.took+p.took
	}
	return t
}

// rate returns how many bets were copied in a second, lately; 0 while that is not known.
func (c *course) rate() int64 {
	var t piece
	for _, p := range c.pieces[len(c.pieces)*3/4:] {
		t.bets, t.took = t.bets+p.bets, t.took+p.took
	}
	if t.took <= 0 {
		return 0
	}
	us := max(t.took.Microseconds(), 1)
	return (t.bets*int64(time.Second/time.Microsecond) + us/2) / us // to the nearest: 1.9 is not 1
}

// maxLeft bounds what is said to be left.
const maxLeft = 10 * 365 * 24 * time.Hour

// left returns how long it takes to copy so many bets more, and those that are placed meanwhile where the copy has not been,
// of which there were so many until now; 0 while that is not known.
func (c *course) left(bets, later int64) time.Duration {
	t := c.total()
	if bets <= 0 || t.bets <= 0 || t.took <= 0 {
		return 0
	}
	now, then := c.trend(t)
	ahead := min(bets, t.bets) // a trend is believed for as long as it has lasted
	if bets > int64(maxLeft/max(now, then)) {
		return maxLeft
	}
	left := time.Duration(ahead)*(now+then)/2 + time.Duration(bets-ahead)*then
	if ahead < t.bets { // and no longer than there are bets
		left = time.Duration(ahead) * (now + (then-now)*time.Duration(ahead)/time.Duration(2*t.bets))
	}
	return min(c.withLater(left, bets, later), maxLeft)
}

// withLater adds the time that bets take which are placed meanwhile. As the copy goes on fewer of those that are placed
// are behind it, down to none: until now that was, on average, the share of what is left and half of what was
// copied; from now on it is half of what is left.
func (c *course) withLater(left time.Duration, bets, later int64) time.Duration {
	if later <= 0 {
		return left
	}
	t := c.total()
	share := bets * whole / (2*bets + t.bets)
	more := int64(left/max(t.took/time.Duration(later), 1)) * share / whole
	more = min(more, bets*3/4) // more than that and the copy hardly gets anywhere: the estimate only says so
	return stretched(left, bets, more)
}

// leftWhile returns how long it takes to apply so many sequences of a log more, and those that the log gets meanwhile, of which
// it got so many in a time; 0 while that is not known, or if it gets nearly as many as are applied.
func (c *course) leftWhile(sequences, grown int64, took time.Duration) time.Duration {
	left := c.left(sequences, 0)
	if left == 0 || grown <= 0 {
		return left
	}
	more := int64(left / max(took/time.Duration(grown), 1))
	if more > sequences*9/10 {
		return 0
	}
	return min(stretched(left, sequences, more), maxLeft)
}

const whole = 1 << 10 // shares are counted in parts of it

// stretched returns how long all of it takes if so many more come while the first so many are done, and as many in proportion
// while those are.
func stretched(left time.Duration, first, more int64) time.Duration {
	return left / whole * time.Duration(first*whole/(first-more))
}

// weight is how much a piece counts: a newer one more, one that is not full less.
func (c *course) weight(i int) int64 {
	w := int64(i+1) * int64(i+1)
	if i == len(c.pieces)-1 {
		w = max(w*int64(c.chunks)/int64(c.each), 1)
	}
	return w
}

// trend returns what a bet costs now, and will once as many more are copied, by a straight line through the pieces of which
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
	perBet := max(t.took/time.Duration(t.bets), 1)
	costs, n := make([]int64, len(c.pieces)), int64(len(c.pieces))
	var weights, place, level int64
	for i, p := range c.pieces {
		costs[i] = min(int64(p.took/time.Duration(max(p.bets, 1)))*mean/int64(perBet), high) // one that stood still must not outweigh all
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
	return max(perBet*time.Duration(at)/mean, 1), max(perBet*time.Duration(to)/mean, 1)
}
