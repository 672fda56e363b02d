package stream

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

const (
	queueWorker   = "worker"
	queueAckWait  = 30 * time.Second
	queueInFlight = 8 // commands on the way to one worker
	// queueAtOnce of them are handled at a time: a handler waits for a commit most of the time, and what
	// waits together is committed together.
	queueAtOnce   = 4
	redeliverMost = 5 * time.Second
)

func (t *jetTransport) queueStream(queue string, shard int) string {
	return t.stream("commands-"+queue, shard)
}

func (t *jetTransport) queueSubject(queue string, shard int) string {
	return t.subject("commands."+queue, shard)
}

// queueConfig describes the queue of a shard: a command goes when it is acknowledged, and a full
// queue refuses new ones rather than lose old ones.
func (t *jetTransport) queueConfig(queue string, shard int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        t.queueStream(queue, shard),
		Description: "commands " + queue + " for shard " + strconv.Itoa(shard),
		Subjects:    []string{t.queueSubject(queue, shard)},
		Retention:   jetstream.WorkQueuePolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    t.config.CommandMaxBytes,
		Storage:     jetstream.FileStorage,
		Replicas:    t.replicas,
		Placement:   t.placement(),
		Duplicates:  duplicates,
	}
}

// Enqueue implements Transport. The queue is created by the first command.
func (t *jetTransport) Enqueue(ctx context.Context, queue string, shard int, id string, payload []byte) error {
	msg := nats.NewMsg(t.queueSubject(queue, shard))
	msg.Data = payload
	_, err := t.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if !errors.Is(err, jetstream.ErrNoStreamResponse) {
		return unavailable(err, "enqueue command "+id)
	}
	if _, err := t.open(ctx, t.queueConfig(queue, shard)); err != nil {
		return err
	}
	_, err = t.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id))
	return unavailable(err, "enqueue command "+id)
}

// Work implements Transport.
func (t *jetTransport) Work(ctx context.Context, queue string, shard int, fn func([]byte) error) error {
	s, err := t.open(ctx, t.queueConfig(queue, shard))
	if err != nil {
		return err
	}
	consumer, err := s.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       queueWorker,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       queueAckWait,
		MaxAckPending: queueInFlight,
		MaxDeliver:    -1,
	})
	if err != nil {
		return unavailable(err, "work on "+t.queueStream(queue, shard))
	}
	handling, ctx := errgroup.WithContext(ctx)
	handling.SetLimit(queueAtOnce + 1) // and the one that asks for more
	handling.Go(func() error {
		return each(ctx, consumer, queueInFlight, func(msg jetstream.Msg) error {
			handling.Go(func() error { return settle(msg, fn(msg.Data())) })
			return nil
		})
	})
	return handling.Wait()
}

// settle tells the queue what became of a command.
func settle(msg jetstream.Msg, err error) error {
	if err != nil {
		return unavailable(msg.NakWithDelay(redeliverAfter(msg)), "refuse command")
	}
	return unavailable(msg.Ack(), "acknowledge command")
}

// redeliverAfter doubles the pause with each delivery, up to a bound.
func redeliverAfter(msg jetstream.Msg) time.Duration {
	meta, err := msg.Metadata()
	if err != nil {
		return redeliverMost
	}
	return min(backoffFirst<<min(meta.NumDelivered, 16), redeliverMost)
}
