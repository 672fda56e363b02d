package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"matchday/id"
	"matchday/stream"
)

// pass is the work of one decision on one shard. The settler's mutex guards the numbers.
type pass struct {
	Decision
	shard int

	head                int64 // the log's end after the market closed
	bets, settled, paid int64
	startedUS, doneUS   int64
	attempts            int       // that failed in a row
	notBefore           time.Time // when to try again
}

// flight is a bet that was sent to the payer and that the log does not show settled yet.
type flight struct {
	bet     bet
	command payoutCommand
	pass    *pass // nil for a late bet
}

// Bounds of what a shard keeps in memory beside its flights.
const (
	maxLateBets  = 50_000 // more of them are found by reading all open and newly settled bets
	maxRedrives  = 3      // of a pass without any progress, before other passes get their turn
	retryFirst   = 500 * time.Millisecond
	retryLongest = 30 * time.Second
	storeEvery   = time.Second // how often a running pass is stored

	// recheckSpan is how long before the last settlement the bets were settled that a start judges
	// again. It only has to be longer than settlements wait for being judged in a running process.
	recheckSpan = time.Hour
)

// errStalled ends an attempt of a pass whose bets do not show up in the log.
var errStalled = errors.New("payouts do not show in the log")

// shardSettler settles the bets of one ledger shard. One goroutine makes the passes, one after the
// other; the sink's goroutine reports what the log shows.
type shardSettler struct {
	t      *settler
	shard  int
	bets   *openBets
	sink   *stream.Sink
	judge  judge // of the passes' goroutine
	chunk  []bet
	stored time.Time // when the running pass was stored last
	since  int64     // settled_us from which a start judges settled bets again

	lateFails int       // in a row
	lateAfter time.Time // when to try late bets again

	confirmed chan struct{} // capacity 1: something was seen settled
	wake      chan struct{} // capacity 1: there is work

	mu         sync.Mutex
	queue      []*pass
	late       []int64 // bets to be judged by themselves: placed late, or settled to something else than wanted
	lateLost   bool    // late was full: read all open and newly settled bets instead
	flights    map[id.Bet]*flight
	stuck      map[id.Bet]*stuckBet
	restored   bool        // exposure holds all open bets
	restoredAt int64       // changes after this sequence move it
	strays     []betChange // that were not in flight: they are judged, and exposure needs their legs
	parser     legParser   // of the sink's goroutine
}

// newShardSettler opens the projection of one shard.
func newShardSettler(ctx context.Context, t *settler, dir string, shard int, transport stream.Transport, deps stream.Deps) (*shardSettler, error) {
	w := &shardSettler{
		t: t, shard: shard, confirmed: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		flights: map[id.Bet]*flight{}, stuck: map[id.Bet]*stuckBet{}, judge: judge{fact: t.offer.marketFact},
	}
	var err error
	if w.bets, err = openOpenBets(ctx, dir, shard, t.clock); err != nil {
		return nil, err
	}
	w.bets.onApply, w.bets.onMoved = w.applied, w.moved
	w.bets.moves, _ = t.ledger.(stream.BucketLog) // a ledger whose players never move need not be one
	w.bets.decided = func(marketID string) bool {
		f, ok := t.offer.marketFact(marketID)
		return ok && f.Decided
	}
	w.sink, err = stream.NewSink(stream.SinkConfig{
		Name: openBetsSink, Shard: shard, DB: w.bets.db, Apply: w.bets.apply, OnApplied: w.bets.committed,
	}, transport, t.ledger, deps)
	if err == nil {
		err = w.sink.Load(ctx) // an audit may come before the sink runs
	}
	if err != nil {
		return nil, errors.Join(err, w.bets.close())
	}
	return w, nil
}

// enqueue adds a pass to the queue.
func (w *shardSettler) enqueue(p *pass) {
	w.mu.Lock()
	w.queue = append(w.queue, p)
	w.mu.Unlock()
	signal(w.wake)
}

// signal wakes the reader of a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// restore counts all open bets in the exposure and notes those whose markets are decided: they came
// late, or the process stopped before they were settled. Bets settled shortly before the end are
// judged too: an old command may have settled them, and the process stopped before it could tell.
func (w *shardSettler) restore(ctx context.Context, head int64) error {
	last, err := w.bets.lastSettled(ctx)
	if err != nil {
		return err
	}
	w.since = last - recheckSpan.Microseconds()
	var after int64
	for {
		if w.chunk, err = w.bets.openOrSettledSince(ctx, w.since, after, w.t.cfg.ChunkBets, w.chunk[:0]); err != nil {
			return err
		}
		for i := range w.chunk {
			b := &w.chunk[i]
			if !b.isOpen() {
				w.recheck(ctx, b)
				continue
			}
			legs, err := w.judge.parser.parse(b.legs)
			if err != nil {
				return fmt.Errorf("bet %s: %w", b.id, err)
			}
			w.t.exposure.restore(b.record(legs))
			if w.anyDecided(legs) {
				w.mu.Lock()
				w.noteLate(b.seq)
				w.mu.Unlock()
			}
		}
		if len(w.chunk) < w.t.cfg.ChunkBets {
			break
		}
		after = w.chunk[len(w.chunk)-1].seq
	}
	w.mu.Lock()
	w.restored, w.restoredAt = true, head
	w.mu.Unlock()
	return nil
}

func (w *shardSettler) anyDecided(legs []leg) bool {
	for _, l := range legs {
		if f, ok := w.t.offer.marketFact(l.marketID); ok && f.Decided {
			return true
		}
	}
	return false
}

// recheck notes a bet that is settled to something else than the results say, or open although they
// say how it ends. One of which nothing is decided is left to the audit: decisions are corrected,
// never withdrawn, so that is no old command but a catalogue that lacks some.
func (w *shardSettler) recheck(ctx context.Context, b *bet) {
	legs, err := w.judge.parser.parse(b.legs)
	if err != nil || !w.anyDecided(legs) {
		return
	}
	if _, needed, err := w.judgeBet(ctx, b); err != nil || !needed {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noteLate(b.seq)
}

// noteLate remembers a bet to be judged by itself. The caller holds mu.
func (w *shardSettler) noteLate(seq int64) {
	if len(w.late) >= maxLateBets {
		w.lateLost = true
		return
	}
	w.late = append(w.late, seq)
}

// applied hears, after its commit, what a DBTx of the projection did. It runs in the sink's
// goroutine and must be quick.
func (w *shardSettler) applied(changes []betChange, late []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seq := range late {
		w.noteLate(seq)
	}
	var settled, paid int64
	var p *pass
	for _, c := range changes {
		w.t.metrics.change(c.jurisdiction, c.outcome)
		delete(w.stuck, c.id)
		f := w.flights[c.id]
		switch {
		case f != nil:
			w.moveExposure(c, &f.bet)
		case w.isLive(c):
			w.strays = append(w.strays, c) // nothing waits for it: a command from before, which may be wrong by now
		}
		if f == nil || c.version < f.command.Version {
			continue
		}
		delete(w.flights, c.id)
		if c.outcome != f.command.Outcome || c.payoutMinor != f.command.PayoutMinor {
			w.noteLate(f.bet.seq) // another command had the version: grade it again
		}
		if f.pass != nil && !c.isOpen() {
			p = f.pass
			settled++
			if c.payoutMinor > 0 {
				paid++
			}
		}
	}
	w.t.metrics.flights(w.shard, len(w.flights))
	if p != nil { // flights are of one pass at a time
		w.t.mu.Lock()
		p.settled += settled
		p.paid += paid
		w.t.mu.Unlock()
	}
	if len(changes) > 0 {
		signal(w.confirmed)
	}
	if len(late) > 0 || len(w.strays) > 0 {
		signal(w.wake)
	}
}

// isLive reports whether a change came after the open bets were counted. The caller holds mu.
func (w *shardSettler) isLive(c betChange) bool { return w.restored && c.seq > w.restoredAt }

// exposes reports whether a change moves the exposure. The caller holds mu.
func (w *shardSettler) exposes(c betChange) bool { return w.isLive(c) && c.wasOpen != c.isOpen() }

// moveExposure gives back what a bet reserved when it is settled, and takes it again when a
// corrected result opens it.
func (w *shardSettler) moveExposure(c betChange, b *bet) {
	if !w.exposes(c) {
		return
	}
	legs, err := w.parser.parse(b.legs)
	if err != nil { // it was graded a moment ago
		w.t.log.Error("legs of a settled bet are not readable", "bet_id", b.id, "error", err)
		return
	}
	if c.isOpen() {
		w.t.exposure.restore(b.record(legs))
		return
	}
	w.t.exposure.release(b.record(legs))
}

// run makes passes until ctx is done.
func (w *shardSettler) run(ctx context.Context) error {
	for {
		if err := w.settleLate(ctx); err != nil && ctx.Err() == nil {
			w.t.log.ErrorContext(ctx, "late bets wait", "shard", w.shard, "attempt", w.lateFails, "error", err)
		}
		p, wait := w.next()
		if p != nil {
			w.attempt(ctx, p)
		} else if !w.sleep(ctx, wait) {
			return ctx.Err()
		}
	}
}

// sleep waits for work, or for a time that is not zero; false when ctx is done.
func (w *shardSettler) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	due := timer.C
	if wait == 0 {
		due = nil
	}
	select {
	case <-w.wake:
	case <-due:
	case <-ctx.Done():
		return false
	}
	return true
}

// next takes the first pass that is due, or says how long the next work has to wait; 0 if there is
// none.
func (w *shardSettler) next() (p *pass, wait time.Duration) {
	now := w.t.clock.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	soonest := func(at time.Time) {
		if d := max(at.Sub(now), time.Millisecond); wait == 0 || d < wait {
			wait = d
		}
	}
	for i, p := range w.queue {
		if !p.notBefore.After(now) {
			w.queue = append(w.queue[:i], w.queue[i+1:]...)
			return p, 0
		}
		soonest(p.notBefore)
	}
	if len(w.late) > 0 || w.lateLost {
		soonest(w.lateAfter)
	}
	if due := w.nextStuck(); !due.IsZero() {
		soonest(due)
	}
	return nil, wait
}

// attempt makes a pass, and queues it again if it did not come to its end.
func (w *shardSettler) attempt(ctx context.Context, p *pass) {
	err := w.makePass(ctx, p)
	w.dropFlights()
	if err == nil || ctx.Err() != nil {
		return
	}
	p.attempts++
	delay := min(retryFirst<<min(p.attempts, 10), retryLongest)
	p.notBefore = w.t.clock.Now().Add(delay)
	w.t.metrics.passes.WithLabelValues("retried").Inc()
	w.t.log.ErrorContext(ctx, "settlement pass will be tried again", "shard", w.shard, "event_id", p.EventID,
		"version", p.Version, "settlement_id", p.SettlementID, "attempt", p.attempts, "in", delay, "error", err)
	w.enqueue(p)
}

// dropFlights forgets what is on its way: the next attempt reads it again.
func (w *shardSettler) dropFlights() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.flights)
	w.t.metrics.flights(w.shard, 0)
}

// send hands commands to the payer and notes them as flights first, because the log may show them
// before Send returns.
func (w *shardSettler) send(ctx context.Context, flights []*flight) error {
	for len(flights) > 0 {
		n := min(len(flights), w.t.cfg.MessageBets)
		commands := make([]payoutCommand, n)
		w.mu.Lock()
		for i, f := range flights[:n] {
			commands[i] = f.command
			w.flights[f.bet.id] = f
		}
		w.t.metrics.flights(w.shard, len(w.flights))
		w.mu.Unlock()
		payload := appendPayouts(make([]byte, 0, 160*n), commands)
		if err := w.t.commands.Send(ctx, w.shard, w.t.ids.New("cmd"), payload); err != nil {
			return fmt.Errorf("send payouts: %w", err)
		}
		flights = flights[n:]
	}
	return nil
}

// await waits until no more than most bets are in flight. When the log shows nothing for a while it
// sends them again, and gives up after so many times.
func (w *shardSettler) await(ctx context.Context, most, redrivesMost int) error {
	timer := time.NewTimer(w.t.cfg.RedriveAfter)
	defer timer.Stop()
	redrives := 0
	for {
		w.mu.Lock()
		n := len(w.flights)
		w.mu.Unlock()
		if n <= most {
			return nil
		}
		select {
		case <-w.confirmed:
			redrives = 0
			timer.Reset(w.t.cfg.RedriveAfter)
		case <-timer.C:
			if redrives == redrivesMost {
				return fmt.Errorf("%d bets: %w", n, errStalled)
			}
			redrives++
			if err := w.redrive(ctx); err != nil {
				return err
			}
			timer.Reset(w.t.cfg.RedriveAfter)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// redrive grades the bets in flight again, by what the log shows now, and sends what is still to do.
func (w *shardSettler) redrive(ctx context.Context) error {
	w.mu.Lock()
	seqs := make([]int64, 0, len(w.flights))
	var p *pass
	for _, f := range w.flights {
		seqs = append(seqs, f.bet.seq)
		p = f.pass
	}
	w.mu.Unlock()
	bets, err := w.bets.bySeq(ctx, seqs)
	if err != nil {
		return err
	}
	w.t.log.WarnContext(ctx, "payouts are sent again", "shard", w.shard, "bets", len(bets))
	again := make([]*flight, 0, len(bets))
	for i := range bets {
		b := &bets[i]
		command, needed, err := w.judgeBet(ctx, b)
		if err == nil && needed {
			again = append(again, &flight{bet: *b, command: command, pass: p})
			continue
		}
		w.land(b, p)
	}
	for range again {
		w.t.metrics.redriven.Inc()
	}
	return w.send(ctx, again)
}

// land ends the flight of a bet that needs nothing more: it was settled before its flight was
// noted, or it waits for other legs after all.
func (w *shardSettler) land(b *bet, p *pass) {
	w.mu.Lock()
	_, flying := w.flights[b.id]
	delete(w.flights, b.id)
	w.mu.Unlock()
	if !flying || p == nil || b.isOpen() {
		return
	}
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	p.settled++
	if b.payoutMinor > 0 {
		p.paid++
	}
}

// judgeBet returns what is to be done with a bet. One that cannot be graded is reported and left.
func (w *shardSettler) judgeBet(ctx context.Context, b *bet) (payoutCommand, bool, error) {
	t, err := w.judge.target(b)
	if err != nil {
		w.t.metrics.ungradable.Inc()
		w.t.log.ErrorContext(ctx, "bet cannot be graded", "bet_id", b.id, "shard", w.shard, "error", err)
		return payoutCommand{}, false, err
	}
	command, needed := b.settles(t)
	return command, needed, nil
}
