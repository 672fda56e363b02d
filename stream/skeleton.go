package stream

import (
	"context"
	"database/sql"
	"log/slog"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

var errSkeleton = errs.New(errs.CodeInternal, "being written")

// EmbeddedConfig places the embedded server.
type EmbeddedConfig struct {
	Dir      string        `yaml:"dir"`
	MaxBytes int64         `yaml:"max_bytes"`
	MaxAge   time.Duration `yaml:"max_age"`
}

// Embedded is a JetStream server inside the process.
type Embedded struct{}

// StartEmbedded starts it.
func StartEmbedded(EmbeddedConfig, *slog.Logger) (*Embedded, error) { return nil, errSkeleton }

// Transport returns the server's streams.
func (e *Embedded) Transport() Transport { return nil }

// Close stops the server.
func (e *Embedded) Close() error { return nil }

// Relay publishes a shard's log.
type Relay struct{}

// NewRelay returns a relay.
func NewRelay(log Log, shard int, t Transport, d Deps) (*Relay, error) { return nil, errSkeleton }

// Run relays until ctx is done.
func (r *Relay) Run(ctx context.Context) error { return errSkeleton }

// Published returns the last position known to be on the stream.
func (r *Relay) Published() int64 { return 0 }

// Projection writes batches.
type Projection func(ctx context.Context, tx *sql.Tx, batches []Batch) error

// SinkConfig describes a sink.
type SinkConfig struct {
	Name      string
	Shard     int
	DB        *sqldb.DB
	Apply     Projection
	OnApplied func(Batch) // after commit, may be nil
}

// Sink projects a stream.
type Sink struct{}

// NewSink returns a sink.
func NewSink(SinkConfig, Transport, Log, Deps) (*Sink, error) { return nil, errSkeleton }

// Load creates the position table and reads the position; Run does it when it was not called.
func (s *Sink) Load(ctx context.Context) error { return errSkeleton }

// Run applies until ctx is done.
func (s *Sink) Run(ctx context.Context) error { return errSkeleton }

// Position returns the last applied sequence.
func (s *Sink) Position() int64 { return 0 }

// WaitFor waits for seq.
func (s *Sink) WaitFor(ctx context.Context, seq int64) error { return errSkeleton }

// Lag returns how far behind the sink is.
func (s *Sink) Lag() time.Duration { return 0 }

// Commands is a work queue.
type Commands struct{}

// NewCommands returns a queue.
func NewCommands(t Transport, name string, d Deps) (*Commands, error) { return nil, errSkeleton }

// Send makes a command durable.
func (c *Commands) Send(ctx context.Context, shard int, id string, payload []byte) error {
	return errSkeleton
}

// Run handles commands.
func (c *Commands) Run(ctx context.Context, shard int, handle func(ctx context.Context, payload []byte) error) error {
	return errSkeleton
}

// FromNow asks Follow for what comes after now.
const FromNow int64 = -1

// Follow hands over batches as they come.
func Follow(ctx context.Context, t Transport, shard int, after int64, fn func(Batch) error) error {
	return errSkeleton
}
