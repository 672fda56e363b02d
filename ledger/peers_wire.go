package ledger

import (
	"errors"
	"time"

	"matchday/errs"
	"matchday/stream"
)

// What processes say to each other travels as gob: it keeps payloads byte for byte, which the
// fingerprints of requests depend on, and both ends are the same program.

// commitCall asks the owner of a shard to commit transfers.
type commitCall struct {
	Lane      Lane
	Transfers []Transfer
}

// commitAnswer has a result for each transfer.
type commitAnswer struct{ Results []wireResult }

// barrierCall and barrierAnswer are a barrier's; gob wants a field to send.
type (
	barrierCall   struct{ Shard int }
	barrierAnswer struct{ Done bool }
)

// wireResult is a Result with an error that can travel.
type wireResult struct {
	Shard    int
	Seq      int64
	At       time.Time
	Replayed bool
	Balances []int64
	Data     []byte
	Err      *wireError
}

func toWire(r *Result) wireResult {
	return wireResult{
		Shard: r.Position.Shard, Seq: r.Position.Seq, At: r.At, Replayed: r.Replayed,
		Balances: r.Balances, Data: r.Data, Err: errorToWire(r.Err),
	}
}

func (w *wireResult) result() Result {
	return Result{
		Position: stream.Position{Shard: w.Shard, Seq: w.Seq}, At: w.At.UTC(), Replayed: w.Replayed,
		Balances: w.Balances, Data: w.Data, Err: w.Err.err(),
	}
}

// wireError is an error as another process has to see it: what its code says, and what it may do.
type wireError struct {
	Code       errs.Code
	Detail     string
	Fields     []errs.Field
	RetryAfter time.Duration
	NotTaken   bool
	NotHere    bool
	OpenEnded  bool
}

func errorToWire(err error) *wireError {
	if err == nil {
		return nil
	}
	out := &wireError{
		Code: errs.CodeOf(err), Detail: err.Error(),
		NotTaken: errors.Is(err, ErrNotTaken), OpenEnded: errors.Is(err, errOpenEnded),
		NotHere: errors.Is(err, errNotHere) || errors.Is(err, errStopped), // who stops hands over
	}
	if e, ok := errors.AsType[*errs.Error](err); ok {
		out.Detail, out.Fields, out.RetryAfter = e.Detail, e.Fields, e.RetryAfter
	}
	return out
}

// err returns the error that travelled; nil stays nil.
func (w *wireError) err() error {
	if w == nil {
		return nil
	}
	var cause error
	switch {
	case w.OpenEnded:
		cause = errOpenEnded
	case w.NotHere:
		cause = errNotHere
	case w.NotTaken:
		cause = ErrNotTaken
	}
	return &errs.Error{Code: w.Code, Detail: w.Detail, Fields: w.Fields, RetryAfter: w.RetryAfter, Err: cause}
}
