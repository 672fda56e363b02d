package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"matchday/errs"
)

const (
	relayRead     = 4000 // records read from the log at a time
	relayInFlight = 4    // messages published and not yet acknowledged; more would only make them smaller
	relayIdle     = time.Second
	// relayTogether is how far apart messages are while commits come thick. A message costs a fixed amount
	// whatever is in it: a flush to disk, an answer, a delivery to each reader. What is committed alone never waits.
	relayTogether = 10 * time.Millisecond
)

// ErrAhead means that a stream or a projection knows more of a log than the log itself: the log
// was replaced by an older copy. Nothing can go on safely before someone decides which one is right.
var ErrAhead = errs.New(errs.CodeInternal, "ahead of the log")

// ErrLost means that what the log is read from, such as a binlog, no longer holds what follows the
// stream's end, and that an operator decides how it goes on.
var ErrLost = errs.New(errs.CodeInternal, "the source of the log has lost what comes next")

// errMoved means that the stream does not end where the relay left it.
var errMoved = errors.New("the stream's end has moved")

// Relay publishes one shard's log to its stream. It keeps no position of its own: the stream's last
// message says where to go on, so a copy that lost its end, or all of itself, is filled again.
// Several relays of one shard do no harm: the fence lets one message through at a time.
type Relay struct {
	source    Log
	shard     int
	transport Transport
	log       *slog.Logger
	metrics   relayMetrics
	published atomic.Int64
}

// NewRelay returns a relay of the shard.
func NewRelay(source Log, shard int, t Transport, d Deps) (*Relay, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if source == nil || t == nil {
		return nil, errors.New("stream: a relay needs a log and a transport")
	}
	if shard < 0 || shard >= source.Shards() {
		return nil, fmt.Errorf("stream: no shard %d to relay", shard)
	}
	return &Relay{source: source, shard: shard, transport: t, log: d.Log, metrics: newRelayMetrics(d.Metrics, shard)}, nil
}

// Published returns the last log sequence known to be on the stream.
func (r *Relay) Published() int64 { return r.published.Load() }

// Run relays until ctx is done and then returns nil. Whatever happens to the stream, it starts
// again from the stream's end; only a stream that is ahead of the log stops it, with ErrAhead, and a
// source that has lost what comes next, with ErrLost.
func (r *Relay) Run(ctx context.Context) error {
	var wait backoff
	for {
		err := r.session(ctx, &wait)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrAhead) || errors.Is(err, ErrLost) {
			return err
		}
		r.log.Warn("relay starts again from the end of its stream", "shard", r.shard, "published", r.Published(), "err", err)
		if !wait.wait(ctx) {
			return nil
		}
	}
}

// flight is the messages that were published and not yet acknowledged, oldest first.
type flight []struct {
	stored Stored
	last   int64
	bytes  int
}

// session finds the stream's end and publishes what follows until something fails.
func (r *Relay) session(ctx context.Context, wait *backoff) error {
	tail, err := r.transport.Tail(ctx, r.shard)
	if err != nil {
		return fmt.Errorf("relay shard %d: %w", r.shard, err)
	}
	if source, ok := r.source.(SourceLog); ok {
		if err := source.Resume(ctx, r.shard, tail.Last, tail.Source); err != nil {
			return fmt.Errorf("relay shard %d: %w", r.shard, err)
		}
	}
	if head := r.source.Head(r.shard); tail.Last > head {
		return fmt.Errorf("relay shard %d: stream at %d, log at %d: %w", r.shard, tail.Last, head, ErrAhead)
	}
	r.metrics.resyncs.Inc()
	r.published.Store(tail.Last)
	var sent flight
	for {
		changed, head := r.source.Changed(r.shard), r.source.Head(r.shard)
		batches, err := readAfter(ctx, r.source, r.shard, tail.Last, relayRead)
		if err != nil {
			return fmt.Errorf("relay shard %d: %w", r.shard, err)
		}
		for m := range pack(batches) {
			if len(sent) == relayInFlight {
				if sent, err = r.land(ctx, sent); err != nil {
					return err
				}
			}
			sent = append(sent, flight{{r.transport.Publish(ctx, m, tail.Fence), m.Last, len(m.Body)}}...)
			tail = Tail{Last: m.Last, Fence: tail.Fence + 1, Source: m.Source}
		}
		switch {
		case len(batches) > 0 && tail.Last < head: // far behind: go on at once
		case len(batches) > 0:
			sent, err = r.gather(ctx, sent)
		case len(sent) > 0:
			sent, err = r.land(ctx, sent)
		default:
			*wait = backoff{}
			err = r.idle(ctx, tail, changed)
		}
		if err != nil {
			return err
		}
	}
}

// gather waits relayTogether after a message while more is committed. Meanwhile what was sent is stored.
func (r *Relay) gather(ctx context.Context, sent flight) (flight, error) {
	timer := time.NewTimer(relayTogether)
	defer timer.Stop()
	for len(sent) > 0 {
		var err error
		if sent, err = r.land(ctx, sent); err != nil {
			return nil, err
		}
	}
	select {
	case <-timer.C:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// land waits for the oldest message. After a failure all that follow it have failed too, by the
// fence; they are waited for, so that the stream's end stands still when it is read again.
func (r *Relay) land(ctx context.Context, sent flight) (flight, error) {
	oldest, rest := sent[0], sent[1:]
	if err := oldest.stored(ctx); err != nil {
		for _, s := range rest {
			_ = s.stored(ctx) // says the same again
		}
		return nil, fmt.Errorf("relay shard %d: %w", r.shard, err)
	}
	r.published.Store(oldest.last)
	r.metrics.stored(oldest.last, oldest.bytes)
	return rest, nil
}

// idle waits for the next commit. While there is none it looks after the stream: one that was
// deleted, emptied or cut is filled again at once and not at the next commit.
func (r *Relay) idle(ctx context.Context, at Tail, changed <-chan struct{}) error {
	timer := time.NewTimer(relayIdle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-changed:
		return nil
	case <-timer.C:
	}
	now, err := r.transport.Tail(ctx, r.shard)
	if err == nil && now != at {
		err = errMoved
	}
	return err
}
