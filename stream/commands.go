package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"matchday/errs"
)

// MaxCommandBytes bounds the payload of one command.
const MaxCommandBytes = 1 << 20

// Commands is a durable queue of things to do, one per shard. A command is handled at least once, a few of
// them at the same time and begun mostly in the order in which they were sent: one that failed comes again
// later. So handlers are idempotent, and the sender sends again what it does not see done.
type Commands struct {
	transport Transport
	name      string
	log       *slog.Logger
	metrics   commandMetrics
}

// NewCommands returns the queue of a name: lower-case letters, digits and dashes.
func NewCommands(t Transport, name string, d Deps) (*Commands, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("stream: commands need a transport")
	}
	if !validName(name) {
		return nil, fmt.Errorf("stream: %.40q is not a queue name", name)
	}
	return &Commands{transport: t, name: name, log: d.Log, metrics: newCommandMetrics(d.Metrics, name)}, nil
}

// validName keeps names that are safe in subjects and file names.
func validName(name string) bool {
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// Send makes a command durable. Sending an id again within half a minute changes nothing.
//
// Errors: too_large; unavailable when the queue is full or cannot be reached.
func (c *Commands) Send(ctx context.Context, shard int, id string, payload []byte) error {
	if len(payload) > MaxCommandBytes {
		return errs.New(errs.CodeTooLarge, "command of %d bytes, at most %d", len(payload), MaxCommandBytes)
	}
	if err := c.transport.Enqueue(ctx, c.name, shard, id, payload); err != nil {
		return fmt.Errorf("send command to %s-%d: %w", c.name, shard, err)
	}
	c.metrics.count(c.metrics.sent, shard)
	return nil
}

// Run handles the commands of a shard until ctx is done; handle is called by a few goroutines at once. A
// command is gone when handle returns nil; otherwise it comes again, later each time. A lost queue is made
// again, empty.
func (c *Commands) Run(ctx context.Context, shard int, handle func(ctx context.Context, payload []byte) error) error {
	var wait backoff
	var progress atomic.Bool
	for {
		err := c.transport.Work(ctx, c.name, shard, func(payload []byte) error {
			err := handle(ctx, payload)
			if err == nil {
				progress.Store(true)
				c.metrics.count(c.metrics.handled, shard)
			} else if ctx.Err() == nil {
				c.metrics.count(c.metrics.failed, shard)
				c.log.Error("command failed and comes again", "queue", c.name, "shard", strconv.Itoa(shard), "err", err)
			}
			return err
		})
		if ctx.Err() != nil {
			return nil
		}
		if progress.Swap(false) {
			wait = backoff{}
		}
		c.log.Warn("command queue interrupted", "queue", c.name, "shard", strconv.Itoa(shard), "err", err)
		if !wait.wait(ctx) {
			return nil
		}
	}
}
