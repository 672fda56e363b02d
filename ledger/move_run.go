package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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

// runMoves does the moves of the directory, one after the other, until ctx is done.
func (s *Service) runMoves(ctx context.Context) error {
	for {
		asked := s.asked.wait()
		wait := moveLook
		list, err := s.directory.openMoves(ctx, 1)
		if err == nil && len(list) > 0 {
			err = s.runMove(ctx, list[0])
			wait = 0
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.log.WarnContext(ctx, "move of buckets held up", "error", err)
			wait = moveRetry
		}
		if wait == 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-asked:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// errAborted ends a mover's work on a move that somebody stopped.
var errAborted = errors.New("the move was stopped")

// runMove goes on with a move from wherever it stands, to its end or to the first problem.
func (s *Service) runMove(ctx context.Context, m Move) error {
	if last := max(m.From, m.To); last >= len(s.shards) { // asked for with a newer configuration
		return errs.New(errs.CodeUnavailable, "move %s: shard %d is not in this process's configuration", m.ID, last)
	}
	v := newMover(s, m)
	err := v.run(ctx)
	if errors.Is(err, errAborted) {
		err = v.abort(ctx)
	}
	if err == nil || ctx.Err() != nil {
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

// mover does one move.
type mover struct {
	*Service
	Move
	from, to *shard
	log      *slog.Logger

	left   []int         // buckets that have not changed sides
	wanted map[int]int64 // the same, each with the sequence up to which its rows were there at the start
	reads  int           // of the log, since progress was noted

	fenced time.Duration // how long a bucket may stay fenced before it is served again
	near   int64         // rows of the log that may be missing when one is fenced
	hurry  bool          // the copy does not gain on the source: it goes before what others ask
}

func newMover(s *Service, m Move) *mover {
	return &mover{
		Service: s, Move: m, from: s.shards[m.From], to: s.shards[m.To], log: s.log.With("move_id", m.ID),
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

// save notes progress. A move that was changed by somebody else has been stopped.
func (v *mover) save(ctx context.Context) error {
	v.reads = 0
	err := v.directory.saveMove(ctx, &v.Move)
	if errs.Is(err, errs.CodeConflict) {
		return errAborted
	}
	return err
}

// do has a shard's writer take a step, and waits until it is durable.
func (v *mover) do(ctx context.Context, on *shard, lane Lane, rows int, st step) error {
	j := &job{step: st, weight: rows, done: make(chan struct{})}
	if err := on.submit(lane, j); err != nil {
		return err
	}
	return wait(ctx, j)
}

// look reads the buckets' rows in the order of a shard's log.
func (v *mover) look(ctx context.Context, on *shard) (map[int]bucketRow, error) {
	l := &look{buckets: v.Buckets, rows: map[int]bucketRow{}}
	return l.rows, v.do(ctx, on, LaneInteractive, 0, l)
}

// look is a step that only reads.
type look struct {
	buckets []int
	rows    map[int]bucketRow
}

func (l *look) apply(_ context.Context, b *builder) error {
	for _, bucket := range l.buckets {
		l.rows[bucket] = b.buckets.rows[bucket]
	}
	return nil
}

// resume finds out from both shards how far each bucket has come. A bucket that was on its way when
// a process died finishes first: nobody serves it.
func (v *mover) resume(ctx context.Context) error {
	there, err := v.look(ctx, v.to)
	if err != nil {
		return err
	}
	here, err := v.look(ctx, v.from)
	if err != nil {
		return err
	}
	v.left, v.wanted, v.Switched = nil, map[int]int64{}, 0
	var fenced []int
	var starts []copyStart
	for _, bucket := range v.Buckets {
		a, b := here[bucket], there[bucket]
		switch {
		case b.state == bucketLive && b.move == v.ID:
			v.to.cameBy(b.seq)
			v.since[bucket].Store(b.seq)
			if err := v.place(ctx, bucket); err != nil {
				return err
			}
			v.Switched++
			continue
		case a.state == bucketAway && a.move == v.ID:
			if err := v.arrive(ctx, bucket, a.seq); err != nil {
				return err
			}
			v.Switched++
			continue
		case a.state == bucketFenced && a.move == v.ID:
			fenced = append(fenced, bucket)
		}
		after := startOf(a, b, v.From, v.To)
		v.left, v.wanted[bucket] = append(v.left, bucket), after
		starts = append(starts, copyStart{bucket, after})
	}
	if len(v.left) == 0 {
		return nil
	}
	v.Copied = starts[0].after
	for _, s := range starts {
		v.Copied = min(v.Copied, s.after)
	}
	if err := v.do(ctx, v.to, LaneInteractive, 0, &receive{move: v.ID, from: v.From, buckets: starts}); err != nil {
		return err
	}
	for _, bucket := range fenced {
		if err := v.finish(ctx, bucket); err != nil {
			return err
		}
	}
	return nil
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
		if err := v.copySome(ctx, lane); err != nil {
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

// copySome copies the next rows of the source's log.
func (v *mover) copySome(ctx context.Context, lane Lane) error {
	limit := copyRowsAtOnce
	switch {
	case lane == LaneInteractive:
		limit = hurriedRows
	case v.Rate > 0:
		limit = max(1, min(limit, v.Rate/4)) // many small rests rather than few long ones
	}
	rows, upTo, err := v.from.store.copyRows(ctx, v.From, v.Copied, limit, v.wanted)
	if err != nil {
		return err
	}
	if len(rows) > 0 {
		st := &copyIn{move: v.ID, from: v.From, upTo: upTo, rows: rows}
		if err := v.do(ctx, v.to, lane, len(rows), st); err != nil {
			return fmt.Errorf("copy up to %d-%d: %w", v.From, upTo, err)
		}
		v.Rows += int64(len(rows))
		v.figures.copiedRows(len(rows))
	}
	v.Copied = upTo
	if lane == LaneBulk && v.Rate > 0 && len(rows) > 0 {
		v.reads += saveEvery / 8
		return pause(ctx, time.Duration(len(rows))*time.Second/time.Duration(v.Rate))
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
	if err := v.do(ctx, v.from, LaneInteractive, 0, &fence{move: v.ID, to: v.To, bucket: bucket}); err != nil {
		return fmt.Errorf("fence bucket %d: %w", bucket, err)
	}
	err := v.finish(ctx, bucket)
	took := v.clock.Now().Sub(started)
	v.LongestPause = max(v.LongestPause, took)
	v.figures.pauses.Observe(took.Seconds())
	return err
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

// finish brings a fenced bucket to the other side: the rest of its rows, its share out of the source's
// house accounts and into the destination's, and the directory.
func (v *mover) finish(ctx context.Context, bucket int) error {
	shares, err := v.rest(ctx, bucket)
	if err != nil {
		return errors.Join(err, v.do(ctx, v.from, LaneInteractive, 0, &unfence{move: v.ID, bucket: bucket}))
	}
	out := &moveOut{move: v.ID, to: v.To, bucket: bucket, shares: shares}
	if err := v.do(ctx, v.from, LaneInteractive, 0, out); err != nil {
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
func (v *mover) rest(ctx context.Context, bucket int) ([]share, error) {
	limited, cancel := context.WithTimeout(ctx, v.fenced)
	defer cancel()
	shares, err := v.restUntil(limited, bucket)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("bucket %d, fenced for %s: %w: %w", bucket, v.fenced, errTooSlow, err)
	}
	return shares, err
}

func (v *mover) restUntil(ctx context.Context, bucket int) ([]share, error) {
	if err := v.inGroup(ctx, bucket); err != nil {
		return nil, err
	}
	end := v.from.head.Load()
	for v.Copied < end {
		if err := v.copySome(ctx, LaneInteractive); err != nil {
			return nil, err
		}
	}
	st := &readShares{bucket: bucket}
	err := v.do(ctx, v.to, LaneInteractive, 0, st)
	return st.shares, err
}

// readShares reads the bucket's shares in the order of the shard's log.
type readShares struct {
	bucket int
	shares []share
}

func (s *readShares) apply(ctx context.Context, b *builder) (err error) {
	s.shares, err = b.store.shares(ctx, s.bucket)
	return err
}

// arrive makes the destination serve a bucket that has left its source by the sequence there.
func (v *mover) arrive(ctx context.Context, bucket int, seq int64) error {
	in := &moveIn{move: v.ID, from: v.From, bucket: bucket, fromSeq: seq, atUS: v.from.lastUS.Load()}
	if err := v.do(ctx, v.to, LaneInteractive, 0, in); err != nil {
		return fmt.Errorf("move bucket %d into shard %d: %w", bucket, v.To, err)
	}
	v.to.cameBy(in.seq)
	v.since[bucket].Store(in.seq)
	return v.place(ctx, bucket)
}

// place tells the directory, and this process, where the bucket lives now.
func (v *mover) place(ctx context.Context, bucket int) error {
	if err := v.directory.moveBucket(ctx, bucket, v.From, v.To); err != nil {
		return fmt.Errorf("place bucket %d: %w", bucket, err)
	}
	return v.refreshPlacement(ctx)
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
	here, err := v.look(ctx, v.from)
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
			if err := v.do(ctx, v.from, LaneInteractive, 0, &unfence{move: v.ID, bucket: bucket}); err != nil {
				return err
			}
		}
	}
	v.Step, v.Problem = MoveAborted, ""
	return v.directory.saveMove(ctx, &v.Move)
}
