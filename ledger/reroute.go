package ledger

import (
	"context"
	"errors"
	"time"

	"matchday/errs"
)

// Work can arrive at a place that cannot do it: its bucket is on the way to another shard, its shard
// to another process, or the process that had the shard died. Then it is tried again where it
// belongs, until there is an answer: keys make that safe, and callers see no more than a pause.
var (
	// errNotHere is in the chain of an error that says: nothing was done, another place may do it.
	errNotHere = errors.New("it is not written here now")
	// errOpenEnded is in the chain of an error that says: it may have been done, and the place that
	// writes the shard next can tell.
	errOpenEnded = errors.New("the writer went away in between")
)

// isElsewhere reports whether another place may have the answer.
func isElsewhere(err error) bool {
	return err != nil && (errors.Is(err, errNotHere) || errors.Is(err, errOpenEnded))
}

const (
	// maxReroute bounds how long a call waits for the place to be found, whatever deadline its
	// context has: a lease has to run out and a shard to be taken over in that time.
	maxReroute = 15 * time.Second

	firstPause = 5 * time.Millisecond
	longPause  = 250 * time.Millisecond
)

// retryHere calls fn until its answer is one that no other place may know better.
func (s *Service) retryHere(ctx context.Context, fn func() error) error {
	err := fn()
	if isElsewhere(err) {
		err = s.again(ctx, err, fn)
	}
	return err
}

// again goes on from a first error that another place may answer. It waits for a change of placement
// or ownership, or a little, and calls fn again.
func (s *Service) again(ctx context.Context, err error, fn func() error) error {
	limit := time.NewTimer(maxReroute)
	defer limit.Stop()
	open := false
	for pause := firstPause; isElsewhere(err); pause = min(2*pause, longPause) {
		open = open || errors.Is(err, errOpenEnded)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.place.changes.wait():
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return gaveUp(ctx.Err(), open)
		case <-limit.C:
			timer.Stop()
			return gaveUp(err, open)
		}
		if pause > firstPause {
			_ = s.refreshView(ctx) // a directory out of reach is the keeper's to report
		}
		err = fn()
	}
	if open && errors.Is(err, ErrNotTaken) { // this time; an earlier time it may have been
		return changedHands()
	}
	return err
}

// changedHands is the answer about something that one writer may have done and the next would not
// look at.
func changedHands() error {
	return errs.New(errs.CodeUnavailable, "the shard changed hands; ask again with the same key")
}

// gaveUp is the answer when no place was found in time.
func gaveUp(cause error, open bool) error {
	if open {
		return errs.Wrap(hide(cause), errs.CodeUnavailable, "the shard is changing hands; ask again with the same key")
	}
	return errs.Wrap(errors.Join(hide(cause), ErrNotTaken), errs.CodeUnavailable, "the shard is changing hands; nothing was done")
}

// hide keeps the text of an error and none of its chain: nobody above may take it for a reason to
// try elsewhere, or for ErrNotTaken.
func hide(err error) error {
	if isElsewhere(err) {
		return errors.New(err.Error())
	}
	return err
}
