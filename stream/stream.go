package stream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
)

// Deps are what every part of this room needs; none may be nil.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// check refuses missing dependencies.
func (d Deps) check() error {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil {
		return errors.New("stream: clock, log and metrics are required")
	}
	return nil
}

// Message is what one publication to a shard's log stream carries: an encoded batch and, in its
// headers, the place of the batch in the log, so that nobody needs to decode what it already has.
type Message struct {
	Shard int
	First int64
	Last  int64
	At    time.Time // commit time of the batch
	// Source is the place in what the log was read from, such as a binlog, before which lies nothing
	// that the message lacks; "" if the log has no places of its own.
	Source string
	Body   []byte // CloudEvents batch; see Encode
}

// Tail is where a log stream ends.
type Tail struct {
	Last   int64  // log position of the last message, 0 when the stream holds none
	Fence  uint64 // what the next Publish must name
	Source string // Source of the last message
}

// Stored waits until a published message is durable.
type Stored func(ctx context.Context) error

// Transport keeps the durable streams: per shard one log stream with a single writer, and work
// queues of commands. JetStream, embedded or a cluster, and Kafka are behind it.
type Transport interface {
	// Tail returns where the shard's log stream ends and creates the stream if it is missing.
	Tail(ctx context.Context, shard int) (Tail, error)
	// Publish appends m if the stream still ends at fence. Messages may be published one after
	// another without waiting, each with the next fence: after the first that fails all others fail.
	Publish(ctx context.Context, m Message, fence uint64) Stored
	// Consume hands over the messages that end after the log position, in order, and then those
	// that follow, until ctx is done or fn fails or the stream breaks. It always returns an error.
	Consume(ctx context.Context, shard int, after int64, fn func(Message) error) error
	// Enqueue makes a command durable. A second command with the same id within a few minutes is
	// dropped.
	Enqueue(ctx context.Context, queue string, shard int, id string, payload []byte) error
	// Work hands over the commands of a queue, each again and again until fn returns nil for it, until ctx
	// is done or the stream breaks. It may call fn for a few commands at once, and returns when all calls
	// have. It always returns an error.
	Work(ctx context.Context, queue string, shard int, fn func(payload []byte) error) error
}
