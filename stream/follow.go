package stream

import (
	"context"
	"errors"
	"fmt"
)

// FromNow asks Follow for what comes after the moment of the call.
const FromNow int64 = -1

// errStop carries an error of Follow's caller through the transport.
type errStop struct{ err error }

func (e errStop) Error() string { return e.err.Error() }
func (e errStop) Unwrap() error { return e.err }

// Follow hands over the batches of a shard after a log position, or FromNow, in order until ctx is
// done, when it returns nil, or fn fails. It keeps no position and never reads the log itself: while
// the stream is interrupted, batches may be missed. It is for screens; what must be complete is a
// Sink.
func Follow(ctx context.Context, t Transport, shard int, after int64, fn func(Batch) error) error {
	var wait backoff
	for {
		err := t.Consume(ctx, shard, after, func(m Message) error {
			wait = backoff{}
			if m.Last <= after {
				return nil
			}
			b, err := Decode(m)
			if err != nil {
				return errStop{err}
			}
			b = b.After(after)
			after = m.Last
			if err := fn(b); err != nil {
				return errStop{err}
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if stop, ok := errors.AsType[errStop](err); ok {
			return fmt.Errorf("follow shard %d: %w", shard, stop.err)
		}
		if !wait.wait(ctx) {
			return nil
		}
	}
}
