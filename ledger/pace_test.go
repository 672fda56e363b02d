package ledger

import (
	"testing"
	"time"
)

// after lets the pace learn from n batches of the kind.
func after(p pace, n int, b batchTime) pace {
	for range n {
		p.since = 0
		p.learn(b, start)
	}
	return p
}

func TestBulkWorkRestsWhileDebitsWaitTooLong(t *testing.T) {
	t.Parallel()
	quick := batchTime{took: 2 * time.Millisecond, rows: 200, calls: 1, bulk: true}
	slow := batchTime{took: debitWait / 2, waited: debitWait, rows: 200, calls: 1, bulk: true}
	rest := slow.took * (wholeShare - leastShare) / leastShare // what keeps bulk work at its least share
	fresh := newPace(1024)
	if p := after(fresh, 100, quick); p.share != wholeShare || p.rests(start) != 0 {
		t.Errorf("debits are quick: share %d, rest %s; want all and none", p.share, p.rests(start))
	}
	p := after(fresh, 100, slow)
	if p.share != leastShare || p.rests(start) != rest {
		t.Errorf("debits are slow: share %d, rest %s; want %d and %s", p.share, p.rests(start), leastShare, rest)
	}
	if left := p.rests(start.Add(rest - 2*time.Millisecond)); left != 2*time.Millisecond {
		t.Errorf("later: %s left, want 2ms", left)
	}
	if left := p.rests(start.Add(rest)); left != 0 {
		t.Errorf("after the rest: %s left", left)
	}
	if p = after(p, 1000, quick); p.share != wholeShare {
		t.Errorf("debits are quick again: share %d, want all", p.share)
	}
}

// TestBulkWorkLeavesMostOfTheWriterToCallsThatComeThick: a thousand calls a second and more.
func TestBulkWorkLeavesMostOfTheWriterToCallsThatComeThick(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		every  time.Duration // a batch of ten calls
		waited time.Duration
		share  int
		rows   int // what full batches of 6 ms come to
	}{
		"a thousand a second":              {10 * time.Millisecond, 0, thickShare, chunkRows},
		"a thousand a second, long waits":  {10 * time.Millisecond, debitWait, thickShare, chunkRows},
		"some hundreds":                    {20 * time.Millisecond, 0, wholeShare, 1024},
		"some hundreds a second that wait": {20 * time.Millisecond, debitWait, leastShare, 1024},
	} {
		p, at := newPace(1024), start
		for range 200 {
			p.since, at = 0, at.Add(tt.every)
			p.learn(batchTime{took: 6 * time.Millisecond, waited: tt.waited, rows: 1024, calls: 10, bulk: true}, at)
		}
		if p.share != tt.share || p.room(0) != tt.rows {
			t.Errorf("%s: share %d, room %d; want %d and %d", name, p.share, p.room(0), tt.share, tt.rows)
		}
		p.learn(batchTime{took: time.Millisecond, rows: 10, calls: 1}, at.Add(-time.Hour))
		if p.thick {
			t.Errorf("%s: the clock stepped back, and calls are said to come thick", name)
		}
	}
}

// TestWhatIsLateGoesByTheDatabase: one whose every commit takes 5 ms is not helped by rests, and one that was slow
// for a while is not taken for such a one.
func TestWhatIsLateGoesByTheDatabase(t *testing.T) {
	t.Parallel()
	alone := batchTime{took: 5 * time.Millisecond, rows: 10, calls: 10}
	beside := batchTime{took: 6 * time.Millisecond, waited: 5 * time.Millisecond, rows: 1024, calls: 10, bulk: true}
	play := func(plain time.Duration, waited time.Duration) (p pace) {
		p, at := newPace(1024), start
		a, b := alone, beside
		a.took, a.waited, b.waited = plain, waited, b.waited+waited
		for range 200 { // about two thousand calls a second
			p.since, at = 0, at.Add(5*time.Millisecond)
			p.learn(a, at)
			at = at.Add(5 * time.Millisecond)
			p.learn(b, at)
		}
		return p
	}
	if p := play(alone.took, 0); p.share != wholeShare || p.room(0) != 1024 {
		t.Errorf("commits of 5 ms, calls that take 11: share %d, room %d; want all and a whole batch", p.share, p.room(0))
	}
	if p := play(alone.took, 10*time.Millisecond); p.share != thickShare {
		t.Errorf("commits of 5 ms, calls that take 21: share %d, want %d", p.share, thickShare)
	}
	if p := play(time.Millisecond, 0); p.share != thickShare || p.room(0) > 2*chunkRows {
		t.Errorf("commits of 1 ms, calls that take 11: share %d, room %d; want %d, and %d at most", p.share, p.room(0), thickShare, 2*chunkRows)
	}
	p := play(time.Millisecond, 0)
	if p.usual != time.Millisecond {
		t.Errorf("batches of 1 ms, and others with payouts: usual are said to be %s", p.usual)
	}
	p.learn(batchTime{took: 80 * time.Millisecond, rows: 10, calls: 10}, start)
	if p.plain > 2*time.Millisecond {
		t.Errorf("after one slow commit the quickest are said to take %s", p.plain)
	}
}

func TestBulkWorkDoesNotRestForNobody(t *testing.T) {
	t.Parallel()
	slow := batchTime{took: 20 * time.Millisecond, rows: 200, calls: 1, bulk: true}
	p := after(newPace(1024), 100, slow)
	p.since = recentBatches
	if left := p.rests(start); left != 0 || p.room(0) != 1024 {
		t.Errorf("no interactive work lately: rest %s, room %d; want none and a whole batch", left, p.room(0))
	}
}

func TestARestIsBounded(t *testing.T) {
	t.Parallel()
	stall := batchTime{took: 10 * time.Second, rows: 200, calls: 1, bulk: true}
	p := after(newPace(1024), 10, stall)
	if left := p.rests(start); left != maxRest {
		t.Errorf("after a stall: rest %s, want %s", left, maxRest)
	}
	if left := p.rests(start.Add(-time.Hour)); left != 0 {
		t.Errorf("the clock stepped back: rest %s, want none", left)
	}
}

func TestBatchesWithBulkWorkAreShortWhileDebitsAreExpected(t *testing.T) {
	t.Parallel()
	p := newPace(1024)
	p.since = 0
	if got := p.room(100); got != 100+chunkRows {
		t.Errorf("at first: room %d, want a chunk", got)
	}
	p = after(p, 200, batchTime{took: time.Millisecond, rows: 1024, bulk: true})
	if got := p.room(0); got != 1024 {
		t.Errorf("full batches are quick: room %d, want a whole batch", got)
	}
	p = after(p, 1, batchTime{took: 2 * holdWriter, rows: 1024, bulk: true})
	if got := p.room(0); got != 768 {
		t.Errorf("one was slow: room %d, want a quarter less", got)
	}
	p = after(p, 1, batchTime{took: 2 * holdWriter, rows: 10, bulk: true})
	if got := p.room(0); got != 768 {
		t.Errorf("one that was not full: room %d, want it to change nothing", got)
	}
	p = after(p, 100, batchTime{took: 2 * holdWriter, rows: 1024, bulk: true})
	if got := p.room(0); got != chunkRows {
		t.Errorf("all were slow: room %d, want a chunk, never less", got)
	}
}

// TestCallsThatComeTogetherShareABatch: only where several calls shared the last batch, and until
// enough rows are there.
func TestCallsThatComeTogetherShareABatch(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	many := pace{calls: 3, begun: at}
	for name, tt := range map[string]struct {
		pace pace
		rows int
		now  time.Time
		want time.Duration
	}{
		"right after the last batch":     {many, 1, at, togetherFor},
		"some time after it":             {many, 1, at.Add(togetherFor / 4), togetherFor * 3 / 4},
		"on a busy machine":              {pace{calls: 3, begun: at, usual: togetherFor * 5 / 8}, 1, at, togetherFor * 5 / 4},
		"on a slow database":             {pace{calls: 3, begun: at, usual: time.Second}, 1, at, togetherMost},
		"a call that comes alone":        {pace{calls: 1, begun: at}, 1, at, 0},
		"the first of many held up":      {pace{calls: 1, begun: at, thick: true}, 1, at, togetherFor},
		"a batch that is large as it is": {many, enoughRows, at, 0},
		"nobody has called for long":     {pace{calls: 3, begun: at, since: recentBatches}, 0, at, 0},
		"the clock stepped back":         {many, 1, at.Add(-time.Second), 0},
	} {
		if got := tt.pace.waits(tt.rows, tt.now); got != tt.want {
			t.Errorf("%s: waits %v, want %v", name, got, tt.want)
		}
	}
	if got := many.waits(1, at.Add(2*togetherFor)); got > 0 {
		t.Errorf("long after the last batch: waits %v", got)
	}
}
