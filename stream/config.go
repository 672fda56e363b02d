package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"

	"matchday/errs"
)

// Transports of Config.
const (
	TransportEmbedded = "embedded" // a server inside the process
	TransportNATS     = "nats"     // a JetStream cluster
	TransportKafka    = "kafka"    // a Kafka cluster
)

// Config says what carries the streams. The bounds are the same whatever it is.
type Config struct {
	Transport      string `yaml:"transport"` // embedded (default), nats or kafka
	EmbeddedConfig `yaml:",inline"`
	NATS           NATSConfig  `yaml:"nats"`
	Kafka          KafkaConfig `yaml:"kafka"`
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	if c.Transport == "" {
		c.Transport = TransportEmbedded
	}
	c.EmbeddedConfig = c.EmbeddedConfig.WithDefaults()
	switch c.Transport {
	case TransportNATS:
		c.NATS = c.NATS.WithDefaults()
	case TransportKafka:
		c.Kafka = c.Kafka.WithDefaults()
	}
	return c
}

// Validate reports settings that cannot work, and settings of a transport that is not the chosen one.
func (c Config) Validate() error {
	var check errs.Check
	switch c.Transport {
	case "", TransportEmbedded, TransportNATS, TransportKafka:
	default:
		check.Add("transport", "must be %s, %s or %s", TransportEmbedded, TransportNATS, TransportKafka)
	}
	if c.Transport == TransportNATS {
		c.NATS.validate(&check, "nats")
	} else if len(c.NATS.URLs) > 0 {
		check.Add("nats.urls", "have no effect without transport: %s", TransportNATS)
	}
	if c.Transport == TransportKafka {
		c.Kafka.validate(&check, "kafka")
	} else if len(c.Kafka.Brokers) > 0 {
		check.Add("kafka.brokers", "have no effect without transport: %s", TransportKafka)
	}
	return errors.Join(check.Err(), c.EmbeddedConfig.Validate())
}

// IsShared reports whether several processes can reach the streams.
func (c Config) IsShared() bool { return c.Transport != "" && c.Transport != TransportEmbedded }

// InClearText reports whether records cross a network without TLS.
func (c Config) InClearText() bool {
	switch c.Transport {
	case TransportNATS:
		return c.NATS.TLS == tlsOff && slices.ContainsFunc(c.NATS.URLs, func(one string) bool {
			u, err := url.Parse(one)
			return err == nil && !isLoopback(u.Hostname())
		})
	case TransportKafka:
		return c.Kafka.TLS == tlsOff && slices.ContainsFunc(c.Kafka.Brokers, func(one string) bool {
			host, _, err := net.SplitHostPort(one)
			return err == nil && !isLoopback(host)
		})
	}
	return false
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

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
	switch c.Transport {
	case TransportNATS:
		return OpenNATS(ctx, c, log)
	case TransportKafka:
		return OpenKafka(ctx, c, log)
	}
	return StartEmbedded(c.EmbeddedConfig, log)
}
