package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"matchday/errs"
)

const (
	// moveLook is how often the directory is asked for moves that another process began.
	moveLook = 2 * time.Second
	// moveRetry is the pause before a move that was held up is tried again.
	moveRetry = time.Second
	// copyRowsAtOnce is how many transfers one commit of the destination takes from the source, and
	// hurriedRows how many when the source is written faster than it is copied.
	copyRowsAtOnce = 256
	hurriedRows    = 1024
	// closeEnough is how many rows of the source's log may be missing when buckets begin to change
	// sides: what has to be read while nobody is served. It is halved down to closest for each bucket that
	// had to be served again because that took too long.
	closeEnough = 1000
	closest     = 125
	// gainEvery is after how many reads of the log a copy must have come nearer to its end.
	gainEvery = 16
	// saveEvery is after how many reads of the log progress is noted in the directory.
	saveEvery = 40
)

// movesAtOnce bounds the moves that a process does at a time.
const movesAtOnce = 8

// runMoves does the moves of the directory until ctx is done: those that share no shard at once, those that
// do one after the other. Of the processes that share the shards the one that writes a move's source does it,
// and when the source goes to another process the move goes with it.
func (s *Service) runMoves(ctx context.Context) error {
	var movers sync.WaitGroup
	defer movers.Wait()
	busy, ended := map[string]bool{}, make(chan string, movesAtOnce)
	for ctx.Err() == nil {
		asked, changed := s.asked.wait(), s.place.changes.wait()
		list, err := s.movesHere(ctx)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "moves of buckets held up", "error", err)
		}
		for _, m := range list { // those that nothing holds up first: the others must not take all places
			if busy[m.ID] || len(busy) == movesAtOnce {
				continue
			}
			busy[m.ID] = true
			movers.Go(func() {
				s.goOn(ctx, m)
				ended <- m.ID
			})
		}
		timer := time.NewTimer(moveLook)
		select {
		case moveID := <-ended:
			delete(busy, moveID)
		case <-timer.C:
		case <-asked:
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// movesHere returns the moves whose turn it is and whose source this process writes, those that something held up
// last. The error says which it cannot do; the others are returned all the same.
func (s *Service) movesHere(ctx context.Context) ([]Move, error) {
	open, err := s.directory.openMoves(ctx, MaxMoves)
	if err != nil {
		return nil, err
	}
	waits := turns(open)
	var out []Move
	var problems []error
	for _, m := range open {
		switch last := max(m.From, m.To); {
		case waits[m.ID] != "":
		case last >= len(s.shards): // asked for with a newer configuration
			problems = append(problems, errs.New(errs.CodeUnavailable, "move %s: shard %d is not in this process's configuration", m.ID, last))
		case !s.shards[m.From].isElsewhere():
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(x, y Move) int { return min(len(x.Problem), 1) - min(len(y.Problem), 1) })
	return out, errors.Join(problems...)
}

// turns returns which move each of the open moves waits for, the oldest first: the first of those before it
// that shares a shard with it. A move whose turn it is waits for none, and never will again: later ones have
// higher ids. One that is to be stopped waits for none either, because that touches its own buckets only.
func turns(open []Move) map[string]string {
	first, waits := map[int]string{}, map[string]string{}
	for i := range open {
		m := &open[i]
		before := cmp.Or(first[m.From], first[m.To])
		if before != "" && m.Step != MoveAborting {
			waits[m.ID] = before
		}
		for _, shard := range []int{m.From, m.To} {
			if first[shard] == "" {
				first[shard] = m.ID
			}
		}
	}
	return waits
}

// goOn goes on with a move whose turn it is, and rests a little if something holds it up.
func (s *Service) goOn(ctx context.Context, m Move) {
	err := s.refreshPlacement(ctx) // another process may have done the move before
	from := s.shards[m.From]
	switch {
	case err != nil:
	case s.keeper == nil:
		err = s.runMove(ctx, m)
	default:
		err = s.untilLost(ctx, from, from.epoch.Load(), func(ctx context.Context) error { return s.runMove(ctx, m) })
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	s.log.WarnContext(ctx, "move of buckets held up", "error", err)
	_ = pause(ctx, moveRetry)
}

// errAborted ends a mover's work on a move that somebody stopped, errReplaced on one that another process
// goes on with.
var (
	errAborted  = errors.New("the move was stopped")
	errReplaced = errors.New("another process goes on with the move")
)

// runMove goes on with a move from wherever it stands, to its end or to the first problem.
func (s *Service) runMove(ctx context.Context, m Move) error {
	v := newMover(s, m)
	err := v.run(ctx)
	if errors.Is(err, errAborted) {
		err = v.abort(ctx)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, errReplaced) {
		return err
	}
	fresh, readErr := s.directory.move(ctx, m.ID)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	fresh.Problem, fresh.Copied, fresh.Head, fresh.Rows = err.Error(), v.Copied, v.Move.Head, v.Rows
	if saveErr := s.directory.saveMove(ctx, &fresh); saveErr != nil && !errs.Is(saveErr, errs.CodeConflict) {
		return errors.Join(err, saveErr)
	}
	return fmt.Errorf("move %s: %w", m.ID, err)
}

// mover does one move, in the process that writes its source.
type mover struct {
	*Service
	Move
	from   *shard
	log    *slog.Logger
	tenure int64 // of the source's writer, when the mover looked

	left   []int         // buckets that have not changed sides
	wanted map[int]int64 // the same, each with the sequence up to which its rows were there at the start
	reads  int           // of the log, since progress was noted

	fenced time.Duration // how long a bucket may stay fenced before it is served again
	near   int64         // rows of the log that may be missing when one is fenced
	hurry  bool          // the copy does not gain on the source: it goes before what others ask
}

func newMover(s *Service, m Move) *mover {
	return &mover{
		Service: s, Move: m, from: s.shards[m.From], log: s.log.With("move_id", m.ID),
		fenced: firstFenced, near: closeEnough,
	}
}

func (v *mover) run(ctx context.Context) error {
	if v.Step == MoveAborting {
		return errAborted
	}
	if err := v.resume(ctx); err != nil {
		return err
	}
	if err := v.copy(ctx); err != nil {
		return err
	}
	v.Step = MoveSwitching
	if err := v.save(ctx); err != nil {
		return err
	}
	for len(v.left) > 0 {
		if err := v.switchBucket(ctx, v.left[0]); err != nil {
			return err
		}
		if err := v.save(ctx); err != nil {
			return err
		}
		if err := v.copy(ctx); err != nil { // what came meanwhile
			return err
		}
	}
	v.Step, v.Problem = MoveDone, ""
	if err := v.save(ctx); err != nil {
		return err
	}
	v.log.InfoContext(ctx, "move of buckets done", "from", v.From, "to", v.To, "buckets", len(v.Buckets), "transfers", v.Rows)
	return nil
}

// save notes progress. A move that was changed by somebody else has been stopped, or another process goes
// on with it.
func (v *mover) save(ctx context.Context) error {
	v.reads = 0
	err := v.directory.saveMove(ctx, &v.Move)
	if !errs.Is(err, errs.CodeConflict) {
		return err
	}
	fresh, err := v.directory.move(ctx, v.ID)
	switch {
	case err != nil:
		return err
	case fresh.Step == MoveAborting:
		return errAborted
	}
	return errReplaced
}

// lead has the source's writer take a step, as long as it is the one that the mover began with.
func (v *mover) lead(ctx context.Context, st step) error {
	return v.from.do(ctx, LaneInteractive, 0, led{st, v.tenure})
}

// lookHere reads the buckets' rows on the source, and whose time it is there.
func (v *mover) lookHere(ctx context.Context) (map[int]bucketRow, error) {
	l := &look{buckets: v.Buckets, rows: map[int]bucketRow{}}
	if err := v.from.do(ctx, LaneInteractive, 0, l); err != nil {
		return nil, err // the writer may have it still
	}
	v.tenure = l.tenure
	return l.rows, nil
}

// lookThere reads the buckets' rows on the destination.
func (v *mover) lookThere(ctx context.Context) (map[int]bucketRow, error) {
	call := v.call(askLook, v.Buckets...)
	got, err := v.moveOn(ctx, v.To, call)
	if err != nil {
		return nil, err
	}
	rows := make(map[int]bucketRow, len(got.Rows))
	for _, r := range got.Rows {
		rows[r.Bucket] = bucketRow{r.Bucket, bucketState(r.State), r.Peer, r.Move, r.Seq}
	}
	return rows, nil
}

// call is something to ask of the destination's owner.
func (v *mover) call(do moveAction, list ...int) *moveCall {
	c := &moveCall{Do: do, Move: v.ID, From: v.From, Buckets: make([]movePart, len(list))}
	for i, bucket := range list {
		c.Buckets[i] = movePart{bucket, v.wanted[bucket]}
	}
	return c
}

// look is a step that only reads.
type look struct {
	buckets []int
	rows    map[int]bucketRow
	tenure  int64
}

func (l *look) apply(_ context.Context, b *builder) error {
	l.tenure = b.tenure
	for _, bucket := range l.buckets {
		l.rows[bucket] = b.buckets.rows[bucket]
	}
	return nil
}

// resume finds out from both shards how far each bucket has come. A bucket that was on its way when
// a process died finishes first: nobody serves it.
func (v *mover) resume(ctx context.Context) error {
	here, err := v.lookHere(ctx)
	if err != nil {
		return err
	}
	there, err := v.lookThere(ctx)
	if err != nil {
		return err
	}
	v.left, v.wanted, v.Switched = nil, map[int]int64{}, 0
	known := v.Service.place.current.Load() // as fresh as this try
	var fenced []int
	for _, bucket := range v.Buckets {
		a, b := here[bucket], there[bucket]
		switch {
		case b.state == bucketLive && b.move == v.ID:
			v.came(v.To, bucket, b.seq)
			if int(known.shards[bucket]) != v.To { // the mover before died between the two
				if err := v.place(ctx, bucket, b.seq); err != nil {
					return err
				}
			}
			v.Switched++
			continue
		case a.state == bucketAway && a.move == v.ID:
			if err := v.late(ctx, a, v.arrive); err != nil {
				return err
			}
			v.Switched++
			continue
		case a.state == bucketFenced && a.move == v.ID:
			fenced = append(fenced, bucket)
		}
		v.left, v.wanted[bucket] = append(v.left, bucket), startOf(a, b, v.From, v.To)
	}
	if len(v.left) == 0 {
		return nil
	}
	v.Copied = math.MaxInt64
	for _, after := range v.wanted {
		v.Copied = min(v.Copied, after)
	}
	if _, err := v.moveOn(ctx, v.To, v.call(askReceive, v.left...)); err != nil {
		return err
	}
	for _, bucket := range fenced {
		if err := v.late(ctx, here[bucket], v.finish); err != nil {
			return err
		}
	}
	return nil
}

// late brings a bucket to the other side that an earlier mover left in between, and counts its pause from
// there.
func (v *mover) late(ctx context.Context, r bucketRow, bring func(ctx context.Context, bucket int, seq int64) error) error {
	since, err := v.at(ctx, r.seq)
	if err != nil {
		return err
	}
	err = bring(ctx, r.bucket, r.seq)
	v.paused(since)
	return err
}

// startOf returns after which sequence of the source's log the destination misses rows. It has some
// if an earlier move was stopped, or if it gave the bucket to the source itself. Zero is never
// wrong: rows that are there already are found by their origin.
func startOf(a, b bucketRow, from, to int) int64 {
	switch {
	case b.state == bucketCopying && b.peer == from:
		return b.seq
	case b.state == bucketAway && b.peer == from && a.state == bucketLive && a.peer == to:
		return a.seq
	}
	return 0
}

// copy copies the source's log until little of it is missing. Copying makes room for what callers ask of
// the destination; if the source is written faster than that, it goes before them until it has caught up.
func (v *mover) copy(ctx context.Context) error {
	var before int64
	for reads := 0; len(v.left) > 0; reads++ {
		v.Move.Head = v.from.head.Load()
		missing := v.Move.Head - v.Copied
		if missing <= v.near {
			v.hurry = false
			return nil
		}
		if reads%gainEvery == 0 {
			v.gained(reads == 0 || missing < before-before/8)
			before = missing
		}
		lane := LaneBulk
		if v.hurry {
			lane = LaneInteractive
		}
		if err := v.copySome(ctx, lane, v.Move.Head); err != nil {
			return err
		}
		if v.reads++; v.reads >= saveEvery {
			if err := v.save(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// gained says whether the copy comes nearer to the source's end. If not it has to hurry, or somebody to
// know that it may not.
func (v *mover) gained(yes bool) {
	const slow = "the source is written faster than the move's rate allows"
	switch {
	case yes && v.Problem == slow:
		v.Problem = ""
	case !yes && v.Rate > 0:
		v.Problem = slow
	case !yes:
		v.hurry = true
	}
}

// copySome copies the next rows of the source's log, up to a sequence: what is beyond it may not be
// committed for good.
func (v *mover) copySome(ctx context.Context, lane Lane, upTo int64) error {
	call := v.call(askCopy, v.left...)
	call.Lane, call.After, call.UpTo, call.Limit = lane, v.Copied, upTo, copyRowsAtOnce
	switch {
	case lane == LaneInteractive:
		call.Limit = hurriedRows
	case v.Rate > 0:
		call.Limit = max(1, min(call.Limit, v.Rate/4)) // many small rests rather than few long ones
	}
	got, err := v.moveOn(ctx, v.To, call)
	if err != nil {
		return fmt.Errorf("copy after %d-%d: %w", v.From, v.Copied, err)
	}
	v.Rows += int64(got.Copied)
	v.Copied = got.UpTo
	if lane == LaneBulk && v.Rate > 0 && got.Copied > 0 {
		v.reads += saveEvery / 8
		return pause(ctx, time.Duration(got.Copied)*time.Second/time.Duration(v.Rate))
	}
	return nil
}

const (
	// groupTries bounds how often a bucket is fenced again because a group of its players was open; a
	// group ends within a second unless something is down.
	groupTries = 50
	groupPause = 100 * time.Millisecond
)

// errOpenGroup says that a bucket cannot leave now.
var errOpenGroup = errors.New("a group of transfers of its players has not ended yet")

// switchBucket fences a bucket on the source and finishes it. Callers wait meanwhile. A bucket with an
// open group is served until the group has ended; one that could not change sides in time is served
// again, and has more time at the next try: a slow machine makes pauses longer, it does not stop a move.
func (v *mover) switchBucket(ctx context.Context, bucket int) error {
	groups := 0
	for {
		err := v.inGroup(ctx, bucket) // most find out here, without a pause for anybody
		if err == nil {
			err = v.switchNow(ctx, bucket)
		}
		switch {
		case errors.Is(err, errOpenGroup) && groups < groupTries:
			groups++
			err = pause(ctx, groupPause)
		case errors.Is(err, errTooSlow) && v.fenced < longestFenced:
			v.log.InfoContext(ctx, "bucket served again: it could not change sides in time", "bucket", bucket, "limit", v.fenced)
			v.fenced, v.near = min(2*v.fenced, longestFenced), max(v.near/2, closest)
			err = v.copy(ctx)
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}

func (v *mover) switchNow(ctx context.Context, bucket int) error {
	started := v.clock.Now()
	st := &fence{move: v.ID, to: v.To, bucket: bucket}
	if err := v.lead(ctx, st); err != nil {
		return fmt.Errorf("fence bucket %d: %w", bucket, err)
	}
	err := v.finish(ctx, bucket, st.seq)
	v.paused(started)
	return err
}

// paused notes how long nobody served a bucket.
func (v *mover) paused(since time.Time) {
	took := max(0, v.clock.Now().Sub(since)) // by the clocks of two machines if the mover is another one
	v.LongestPause = max(v.LongestPause, took)
	v.figures.pauses.Observe(took.Seconds())
}

// at returns when a row of the source's log was committed.
func (v *mover) at(ctx context.Context, seq int64) (time.Time, error) {
	list, err := v.from.store.sealed(ctx, seq-1, 1)
	if err != nil || len(list) == 0 {
		return v.clock.Now(), err
	}
	return list[0].at, nil
}

// inGroup returns errOpenGroup if a group with a player of the bucket has not ended. Asked of a fenced
// bucket the answer holds: a group reserves something on the bucket only after it began on its home
// shard, and while the bucket is fenced it can neither reserve nor end there.
func (v *mover) inGroup(ctx context.Context, bucket int) error {
	return v.each(ctx, func(ctx context.Context, one *shard) error {
		list, err := one.store.openGroups(ctx, maxSweptGroups)
		if err != nil {
			return fmt.Errorf("open groups of shard %d: %w", one.number, err)
		}
		if len(list) == maxSweptGroups { // there may be more
			return fmt.Errorf("bucket %d: %w", bucket, errOpenGroup)
		}
		for i := range list {
			x, err := decodeExtra(list[i].extra)
			if err != nil {
				return err
			}
			if len(x.Members) == 0 || v.ShardOf(x.Members[0].Player) != one.number {
				continue // a copy: the shard that the first player lives on has the group
			}
			for m := range x.Members {
				if bucketOf(x.Members[m].Player) == bucket {
					return fmt.Errorf("bucket %d: %w", bucket, errOpenGroup)
				}
			}
		}
		return nil
	})
}

// A bucket that is fenced for longer than the mover has patience for is served again where it was. After
// moveOut there is no way but on.
const (
	firstFenced   = 700 * time.Millisecond
	longestFenced = 10 * time.Second // callers wait up to maxReroute
)

// errTooSlow says that the rest of a fenced bucket could not be copied in time.
var errTooSlow = errors.New("its rest could not be copied in time")

// finish brings a bucket that was fenced at a sequence to the other side: the rest of its rows, its share
// out of the source's house accounts and into the destination's, and the directory.
func (v *mover) finish(ctx context.Context, bucket int, fencedAt int64) error {
	shares, err := v.rest(ctx, bucket, fencedAt)
	if err != nil {
		return errors.Join(err, v.lead(ctx, &unfence{move: v.ID, bucket: bucket}))
	}
	out := &moveOut{move: v.ID, to: v.To, bucket: bucket, shares: shares}
	if err := v.lead(ctx, out); err != nil {
		return fmt.Errorf("move bucket %d out of shard %d: %w", bucket, v.From, err)
	}
	if err := v.arrive(ctx, bucket, out.seq); err != nil {
		return err
	}
	v.Switched++
	v.left = slices.DeleteFunc(v.left, func(b int) bool { return b == bucket })
	delete(v.wanted, bucket)
	return nil
}

// rest copies what the fenced bucket has beyond the copy, and returns its share.
func (v *mover) rest(ctx context.Context, bucket int, end int64) ([]share, error) {
	limited, cancel := context.WithTimeout(ctx, v.fenced)
	defer cancel()
	shares, err := v.restUntil(limited, bucket, end)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("bucket %d, fenced for %s: %w: %w", bucket, v.fenced, errTooSlow, err)
	}
	return shares, err
}

func (v *mover) restUntil(ctx context.Context, bucket int, end int64) ([]share, error) {
	if err := v.inGroup(ctx, bucket); err != nil {
		return nil, err
	}
	for v.Copied < end {
		if err := v.copySome(ctx, LaneInteractive, end); err != nil {
			return nil, err
		}
	}
	got, err := v.moveOn(ctx, v.To, v.call(askShares, bucket))
	if err != nil {
		return nil, err
	}
	list := make([]share, len(got.Shares))
	for i, p := range got.Shares {
		list[i] = share{p.Address, p.Currency, p.Amount}
	}
	return list, nil
}

// arrive makes the destination serve a bucket that has left its source by the sequence there.
func (v *mover) arrive(ctx context.Context, bucket int, seq int64) error {
	call := v.call(askArrive, bucket)
	call.Seq, call.AtUS = seq, v.from.lastUS.Load()
	got, err := v.moveOn(ctx, v.To, call)
	if err != nil {
		return fmt.Errorf("move bucket %d into shard %d: %w", bucket, v.To, err)
	}
	return v.place(ctx, bucket, got.Seq)
}

// place tells the directory, and every process, where the bucket lives now: since the given sequence.
func (v *mover) place(ctx context.Context, bucket int, seq int64) error {
	v.came(v.To, bucket, seq)
	if err := v.directory.moveBucket(ctx, v.ID, bucket, v.From, v.To); err != nil {
		return fmt.Errorf("place bucket %d: %w", bucket, err)
	}
	if err := v.refreshPlacement(ctx); err != nil {
		return err
	}
	v.announce(ctx)
	return nil
}

// abort gives the move up: buckets that nobody serves finish or go back, the others stay.
func (v *mover) abort(ctx context.Context) error {
	fresh, err := v.directory.move(ctx, v.ID)
	if err != nil {
		return err
	}
	if fresh.Step != MoveAborting {
		return errs.New(errs.CodeConflict, "move %s was changed meanwhile", v.ID)
	}
	fresh.Copied, fresh.Head, fresh.Rows = v.Copied, v.Move.Head, v.Rows
	v.Move = fresh
	here, err := v.lookHere(ctx)
	if err != nil {
		return err
	}
	v.Switched = 0
	for _, bucket := range v.Buckets {
		a := here[bucket]
		if a.move != v.ID {
			continue
		}
		switch a.state {
		case bucketAway:
			if err := v.arrive(ctx, bucket, a.seq); err != nil {
				return err
			}
			v.Switched++
		case bucketFenced:
			if err := v.lead(ctx, &unfence{move: v.ID, bucket: bucket}); err != nil {
				return err
			}
		}
	}
	v.Step, v.Problem = MoveAborted, ""
	return v.directory.saveMove(ctx, &v.Move)
}
