package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// filler copies one shard's bets from the first history to the second; see fill.
type filler struct {
	from, to *shard
	store    *filled // of to
	config   NextConfig
	pace     *stream.Pace
	turns    chan struct{} // shards that copy at a time
	clock    clock.Clock
	log      *slog.Logger

	mu       sync.Mutex
	waiting  string    // what copying waits for, "" while it goes on
	begun    time.Time // when this process began to copy; another one may have copied before and since
	course   *course   // since then
	expected int64     // counted by this process
	counted  int64     // of the store's later, when it was
}

// Bounds of waits while a chunk is copied.
const (
	fillPoll  = 20 * time.Millisecond // how often a lag is looked at
	fillRetry = time.Second           // after an error
	fillLevel = 30 * time.Second      // for the second history to show a chunk's sequence
	fillStand = 5 * time.Second       // for the first one to show what the second does, which stands still meanwhile
)

// errWaits means that a chunk waits for a history that stands still. Nothing is wrong with the copy: who watches over that
// history sees its lag.
var errWaits = errors.New("stands still")

// run copies until everything is copied or ctx is done. What fails is tried again.
func (f *filler) run(ctx context.Context) {
	f.begin()
	for first := true; ; first = false {
		state := f.store.state()
		if state.isWhole() || ctx.Err() != nil {
			f.note("")
			return
		}
		if first {
			f.log.Info("history is copied", "after_chunks", state.chunks, "bets", state.bets)
		}
		err := f.expect(ctx, state)
		if err == nil {
			err = f.calm(ctx)
		}
		if err == nil {
			err = f.turn(ctx)
		}
		if err != nil && ctx.Err() == nil {
			f.note(err.Error())
			if !errors.Is(err, errWaits) {
				f.log.Warn("chunk of history not copied", "err", err)
			}
			wait(ctx, fillRetry)
		}
	}
}

// begin forgets what this process knew of the copy when it copied before.
func (f *filler) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting, f.begun, f.course, f.expected, f.counted = "", f.clock.Now(), nil, 0, 0
}

// turn copies a chunk when it is the shard's turn, and rests as the rate asks for.
func (f *filler) turn(ctx context.Context) error {
	select {
	case f.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	n, err := f.copy(ctx)
	<-f.turns
	if err != nil {
		return err
	}
	f.note("")
	f.went(n)
	f.pace.Rest(ctx, n)
	return nil
}

// expect counts the bets of the first history once, so that progress can be told. They are counted in one
// read; nothing waits for it.
func (f *filler) expect(ctx context.Context, state *fill) error {
	const q = `
		SELECT COUNT(*)
		FROM bet`
	f.mu.Lock()
	known := f.expected > 0
	f.mu.Unlock()
	if known {
		return nil
	}
	n, counted := state.expected, int64(0)
	if n == 0 {
		counted = f.store.later.Load()
		at, err := f.from.store.snapshot(ctx)
		if err != nil {
			return err
		}
		err = at.on.QueryRowContext(ctx, q).Scan(&n)
		if err := errors.Join(err, at.close()); err != nil {
			return sqldb.Wrap("count bets", err)
		}
	}
	f.mu.Lock()
	f.expected, f.counted, f.course = max(n, 1), counted, newCourse(f.clock.Now(), kinds{kindPlaced: 1})
	f.mu.Unlock()
	return nil
}

// outlook tells how many bets there are to copy in all, at what rate they are copied lately, and how long that still takes;
// zeros while it is not known. Bets that are placed behind the copy are copied too.
func (f *filler) outlook(bets int64) (expected, rate int64, left time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.expected == 0 {
		return 0, 0, 0
	}
	later := f.store.later.Load() - f.counted
	expected = f.expected + later
	return expected, f.course.rate(), f.course.left(expected-bets, later)
}

// went notes that a chunk of so many bets is copied.
func (f *filler) went(bets int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if bets > 0 {
		f.course.add(f.clock.Now(), kinds{kindPlaced: int64(bets)})
	}
}

// calm waits until neither history is too far behind: copying takes only what they leave.
func (f *filler) calm(ctx context.Context) error {
	for {
		switch {
		case f.from.sink.Lag() > f.config.Lag:
			f.note("the first history is behind")
		case f.to.sink.Lag() > f.config.Lag:
			f.note("the second history is behind")
		default:
			return nil
		}
		if !wait(ctx, fillPoll) {
			return ctx.Err()
		}
	}
}

// copy copies the next chunk and returns how many bets it had.
func (f *filler) copy(ctx context.Context) (int, error) {
	state := f.store.state()
	if state.isWhole() {
		return 0, nil
	}
	level, cancel := context.WithTimeout(ctx, fillLevel)
	defer cancel()
	if f.to.sink.WaitFor(level, state.at.last()) != nil {
		return 0, fmt.Errorf("the second history does not show the last chunk yet: it %w", errWaits)
	}
	s := f.store
	s.mu.Lock()
	defer s.mu.Unlock()
	most, err := s.most(ctx)
	if err != nil {
		return 0, err
	}
	stand, cancel := context.WithTimeout(ctx, fillStand)
	defer cancel()
	if f.from.sink.WaitFor(stand, most) != nil {
		return 0, fmt.Errorf("the first history is behind the second: it %w", errWaits)
	}
	expected, _, _ := f.outlook(state.bets)
	return s.copy(ctx, f.from.store, f.config.Chunk, expected, f.clock.Now())
}

// copy copies the next chunk from another history; the caller holds the turn.
//
// Errors: unavailable while this history does not show the last chunk's sequence yet, or shows more than the
// other one.
func (s *filled) copy(ctx context.Context, from store, limit int, expected int64, now time.Time) (int, error) {
	if s.lost {
		if err := s.reload(ctx); err != nil {
			return 0, err
		}
	}
	if s.fill == nil || s.fill.done {
		return 0, s.end(ctx)
	}
	c, err := readChunk(ctx, from, s.fill.upTo, limit)
	if err != nil {
		return 0, err
	}
	next := *s.fill
	next.after, next.at, next.done = s.fill.upTo, c.at, c.last
	next.chunks++
	next.bets += int64(len(c.bets))
	next.expected, next.updated = expected, now
	if n := len(c.bets); n > 0 {
		next.upTo = c.bets[n-1].betKey
	}
	if s.kept != nil { // no month goes while bets come to it
		s.kept.gate.RLock()
		defer s.kept.gate.RUnlock()
	}
	s.lost = true // until it is certain
	if err := s.inTables(ctx, func(on tables) error { return c.add(ctx, on, s.kept, s.fill, &next) }); err != nil {
		return 0, err
	}
	s.lost = false
	s.follow(&next)
	return len(c.bets), nil
}

// most returns the sequence that the writer shows which is furthest; the caller holds the turn, so that it stays so. Only the
// database knows: a sink tells of its commit when the turn is over already, and of none that some of its writers have made.
func (s *filled) most(ctx context.Context) (most int64, err error) {
	err = s.inTables(ctx, func(on tables) error {
		_, most, err = shown(ctx, on)
		return err
	})
	return most, err
}

// end notes that the copy is whole, once it shows what the last chunk did.
func (s *filled) end(ctx context.Context) error {
	if s.fill.isWhole() {
		return nil
	}
	next := *s.fill
	next.at = nil
	s.lost = true
	err := s.inTables(ctx, func(on tables) error {
		least, _, err := shown(ctx, on)
		if err == nil && least < s.fill.at.last() {
			err = errs.New(errs.CodeUnavailable, "the last chunk is of %s, the second history at %d", s.fill.at, least)
		}
		return errors.Join(err, next.level(ctx, on))
	})
	if err != nil {
		return err
	}
	s.lost = false
	s.follow(&next)
	return nil
}

// shown returns the sequences that the writers show, of the last and of the first one.
func shown(ctx context.Context, on stream.Conn) (least, most int64, err error) {
	const q = `
		SELECT MIN(seq), MAX(seq)
		FROM sink_position`
	err = on.QueryRowContext(ctx, q).Scan(&least, &most)
	return least, most, sqldb.Wrap("read positions", err)
}

// add adds the chunk and notes it. A writer that shows more than the chunk would have left out what is in
// neither, and one that does not show the chunk before has records to leave out that only that one tells.
func (c *chunk) add(ctx context.Context, on tables, kept *keeper, was, next *fill) error {
	least, most, err := shown(ctx, on)
	if err != nil {
		return err
	}
	if least < was.at.last() || most > slices.Min(c.at) {
		return errs.New(errs.CodeUnavailable, "the chunk is of %s and the one before of %s, the second history at %d to %d",
			c.at, was.at, least, most)
	}
	if err := c.insert(ctx, on, kept); err != nil {
		return err
	}
	return next.save(ctx, on, was.chunks)
}

func (f *filler) note(waiting string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = waiting
}

// startFill begins the copy of a second history that is empty, at the first one's position; where that has
// nothing, both begin with the log. A history that has applied records, and was never copied to, came from the
// log and lacks nothing.
func startFill(ctx context.Context, s *filled, seq int64, now time.Time) error {
	at, _, err := s.Load(ctx)
	if err != nil || s.fill != nil || at > 0 || seq == 0 {
		return err
	}
	f := &fill{start: seq, begun: now}
	err = s.inTables(ctx, func(on tables) error { return f.begin(ctx, on) })
	if err != nil {
		return err
	}
	_, _, err = s.Load(ctx)
	return err
}

// refuseHalf refuses to open a history that was copied to and lacks bets: nobody would notice.
func refuseHalf(ctx context.Context, s store) error {
	f, err := readFill(ctx, s)
	if err == nil && !f.isWhole() {
		return errs.New(errs.CodeConflict, "only %d bets were copied here: configure it as history.next again, or delete it", f.bets)
	}
	return err
}

// wait reports false if ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

var _ stream.SharedStore = (*filled)(nil)
