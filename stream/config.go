package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"matchday/errs"
)

// Transports of Config.
const (
	TransportEmbedded = "embedded" // a server inside the process
	TransportNATS     = "nats"     // a JetStream cluster
)

// Config says what carries the streams. The bounds are the same whatever it is.
type Config struct {
	Transport      string `yaml:"transport"` // embedded (default) or nats
	EmbeddedConfig `yaml:",inline"`
	NATS           NATSConfig `yaml:"nats"`
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	if c.Transport == "" {
		c.Transport = TransportEmbedded
	}
	c.EmbeddedConfig = c.EmbeddedConfig.WithDefaults()
	if c.Transport == TransportNATS {
		c.NATS = c.NATS.WithDefaults()
	}
	return c
}

// Validate reports settings that cannot work, and settings of a transport that is not the chosen one.
func (c Config) Validate() error {
	var check errs.Check
	switch c.Transport {
	case "", TransportEmbedded, TransportNATS:
	default:
		check.Add("transport", "must be %s or %s", TransportEmbedded, TransportNATS)
	}
	if c.Transport == TransportNATS {
		c.NATS.validate(&check, "nats")
	} else if len(c.NATS.URLs) > 0 {
		check.Add("nats.urls", "have no effect without transport: %s", TransportNATS)
	}
	return errors.Join(check.Err(), c.EmbeddedConfig.Validate())
}

// IsShared reports whether several processes can reach the streams.
func (c Config) IsShared() bool { return c.Transport != "" && c.Transport != TransportEmbedded }

// Streams is a transport and what it needs to live.
type Streams interface {
	Transport() Transport
	// Close gives everything free and may be called twice. Whoever uses the transport should have stopped.
	Close() error
}

// Open starts or connects to what the configuration names.
func Open(ctx context.Context, c Config, log *slog.Logger) (Streams, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("open streams: %w", err)
	}
	c = c.WithDefaults()
	if c.Transport == TransportNATS {
		return OpenNATS(ctx, c, log)
	}
	return StartEmbedded(c.EmbeddedConfig, log)
}
