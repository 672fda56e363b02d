package ledger

import "time"

// pace shares a shard's writer between the lanes. It belongs to the writer's goroutine.
//
// A debit that arrives now waits until the batch in hand is done and is then part of the next one.
// So, while interactive work is expected, batches with bulk work are short, and when debits still
// wait too long, bulk work rests between its batches. The rest is for the processor as much as for
// the writer: what bulk work costs elsewhere, in relays and projections, slows debits down as well.
// Bulk work keeps at least three quarters of the writer's time, a twentieth where calls come so
// thick that they need most of the processor themselves, and has all of it when nobody else asks, or
// when no call is late. What is late goes by the database: a rest does not make its commits quicker.
type pace struct {
	limit int           // rows of any batch
	since int           // batches since the last one with interactive work
	rows  int           // rows that a batch with bulk work may have while interactive work is expected
	share int           // of the writer's time for bulk work, in thousandths
	plain time.Duration // what a batch takes at its quickest without bulk work; zero before the first
	usual time.Duration // what a batch takes without bulk work on the average of the last ones
	from  time.Time     // bulk work rests until then
	calls int           // interactive calls of the last batch that had any
	begun time.Time     // when the last batch was begun
	thick bool          // interactive calls come thick
	came  int           // interactive calls since counted
	count time.Time     // since when they are counted
}

const (
	// recentBatches is for how many bulk batches a shard expects interactive work after some came.
	recentBatches = 50
	// holdWriter is how long a batch with bulk work may take while interactive work is expected, holdThick where
	// calls come thick: each of them waits for half a batch and for its own.
	holdWriter = 8 * time.Millisecond
	holdThick  = 2 * time.Millisecond
	// debitWait is how long an interactive call should wait at most, from the queue to its answer, lateThick where
	// calls come thick: their way to the queue and back takes as long again on a busy processor, and ten in all
	// are what one in a hundred may wait.
	debitWait = 8 * time.Millisecond
	lateThick = 4 * time.Millisecond

	// Calls come thick when there were thickCalls in a time of countFor, that is a thousand a second.
	thickCalls = 250
	countFor   = 250 * time.Millisecond

	wholeShare = 1000
	leastShare = 750
	thickShare = 50 // the least while calls come thick
	// shareStep is the part of itself by which the share grows for each batch that was quick enough. It
	// falls by a quarter for one that was not, so about one batch in eighty may be slow.
	shareStep = 256
	// A call is late after lateBatches of the quickest batches, and a batch with bulk work may take holdBatches
	// of them, where that is longer than the bounds above: on a database in another place a commit takes
	// milliseconds however little is in it.
	lateBatches = 3
	holdBatches = 2
	// plainStep is the part of itself by which the quickest batch is forgotten with each batch.
	plainStep = 64
	// togetherFor is how far apart batches are begun while several interactive calls share them, togetherBatches of the
	// usual ones where that is longer, but togetherMost at most: on a busy machine, which has batches take longer, fewer of them leave
	// more to everything else. EnoughRows ends the wait: a batch as large as that costs little more than its rows.
	togetherFor     = 3 * time.Millisecond
	togetherMost    = 4 * time.Millisecond
	togetherBatches = 2
	enoughRows      = 64
	// usualStep is the part of itself by which the usual batch goes towards each batch.
	usualStep = 32
	// maxRest bounds a rest: a machine that stood still says nothing of the next moment.
	maxRest = 50 * time.Millisecond
)

func newPace(limit int) pace {
	return pace{limit: limit, since: recentBatches, rows: chunkRows, share: wholeShare}
}

// expects reports whether interactive work has been seen lately.
func (p *pace) expects() bool { return p.since < recentBatches }

// room returns how many rows a batch may have after bulk work was added to the given number of
// interactive rows: a chunk of bulk work at least, so that it never starves.
func (p *pace) room(rows int) int {
	if !p.expects() {
		return p.limit
	}
	return min(p.limit, max(rows+chunkRows, p.rows))
}

// rests returns how long bulk work has still to rest; zero lets it go.
func (p *pace) rests(now time.Time) time.Duration {
	left := p.from.Sub(now)
	if left <= 0 || left > maxRest || !p.expects() { // more than ever asked for: the clock stepped back
		p.from = time.Time{}
		return 0
	}
	return left
}

// waits returns how long the writer should wait for more work than the interactive rows that are there.
//
// Every batch costs a sync here, a message, and a commit in each projection, whatever is in it. Where
// calls come thick, small batches as fast as the disk takes them leave no processor time for the
// calls themselves. So calls that come together share a batch; one that comes alone does not wait, unless it is only the first
// after something held up the others: committed by itself, each of them in turn, they take the processor from the rest.
func (p *pace) waits(rows int, now time.Time) time.Duration {
	if p.calls < 2 && !p.thick || rows >= enoughRows || !p.expects() {
		return 0
	}
	together := min(max(togetherFor, togetherBatches*p.usual), togetherMost)
	left := p.begun.Add(together).Sub(now)
	if left > together { // the clock stepped back
		return 0
	}
	return left
}

// batchTime is what pace learns from a batch.
type batchTime struct {
	took   time.Duration
	waited time.Duration // the longest wait in the interactive queue
	rows   int
	calls  int  // interactive ones
	bulk   bool // it had bulk work
}

// learn steers the size of the next batches and the rests between them.
//
// The size goes a step up while full batches are quick, a quarter down when one was slow. A commit
// has a fixed cost (the disk, and SQLite's own), so a time per row would say that small batches are
// slow and make them smaller still.
func (p *pace) learn(b batchTime, now time.Time) {
	p.countCalls(b.calls, now)
	hold, late, least := holdWriter, debitWait, leastShare
	if p.thick {
		hold, late, least = holdThick, lateThick, thickShare
	}
	p.learnPlain(b)
	hold, late = max(hold, holdBatches*p.plain), max(late, lateBatches*p.plain)
	if b.rows >= p.rows-chunkRows { // one that is not full says nothing of a full one
		if b.took > hold {
			p.rows = max(chunkRows, p.rows*3/4)
		} else {
			p.rows = min(p.limit, p.rows+chunkRows)
		}
	}
	if b.calls > 0 {
		if b.waited+b.took > late {
			p.share = p.share * 3 / 4
		} else {
			p.share += p.share/shareStep + 1
		}
	}
	p.share = min(max(p.share, least), wholeShare)
	if b.bulk && p.expects() && p.share < wholeShare {
		p.from = now.Add(min(maxRest, b.took*time.Duration(wholeShare-p.share)/time.Duration(p.share)))
	}
}

// learnPlain finds out what a batch costs at its quickest, and usually. The usual one would not do for what is late: payouts that load
// the machine make it longer, and a longer one lets them load it more.
func (p *pace) learnPlain(b batchTime) {
	if b.bulk || b.calls == 0 {
		return
	}
	if p.plain == 0 {
		p.plain, p.usual = b.took, b.took
	}
	p.plain = min(b.took, p.plain+p.plain/plainStep)
	p.usual += (b.took - p.usual) / usualStep
}

// countCalls finds out whether interactive calls come thick.
func (p *pace) countCalls(calls int, now time.Time) {
	p.came += calls
	took := now.Sub(p.count)
	if took >= 0 && took < countFor {
		return
	}
	took = min(took, time.Hour)                                                    // the first time it is since year 1
	p.thick = took >= 0 && int64(p.came) >= thickCalls*int64(took)/int64(countFor) // else the clock stepped back
	p.came, p.count = 0, now
}
