package streamtest

import (
	"context"

	"matchday/stream"
)

// Silent is a transport in which nothing ever comes: sinks read the log. Nothing else can be asked of it.
type Silent struct{ stream.Transport }

// Consume implements stream.Transport.
func (Silent) Consume(ctx context.Context, _ int, _ int64, _ func(stream.Message) error) error {
	<-ctx.Done()
	return ctx.Err()
}
