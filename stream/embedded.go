package stream

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"matchday/errs"
)

// EmbeddedConfig places and bounds the embedded stream server.
type EmbeddedConfig struct {
	Dir      string `yaml:"dir"`       // folder of the embedded server
	MaxBytes int64  `yaml:"max_bytes"` // per log stream; the oldest messages go first; 0 is 1 GiB
	// MaxAge bounds a log stream in time; 0 is no bound. The last message tells the relay where to go
	// on, so a stream whose last message has aged out is published again from the log's first record.
	MaxAge          time.Duration `yaml:"max_age"`
	CommandMaxBytes int64         `yaml:"command_max_bytes"` // per command queue; a full one refuses; 0 is 256 MiB
}

// Validate reports settings that cannot work.
func (c EmbeddedConfig) Validate() error {
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if c.MaxBytes < 0 || c.CommandMaxBytes < 0 {
		check.Add("max_bytes", "must not be negative")
	}
	if c.MaxAge < 0 {
		check.Add("max_age", "must not be negative")
	}
	return check.Err()
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c EmbeddedConfig) WithDefaults() EmbeddedConfig {
	if c.MaxBytes == 0 {
		c.MaxBytes = 1 << 30
	}
	if c.CommandMaxBytes == 0 {
		c.CommandMaxBytes = 256 << 20
	}
	return c
}

const (
	maxPayload   = 8 << 20   // several times our largest message; the server warns of more
	maxPending   = 256 << 20 // bytes on the way to our one connection, for all its consumers
	startTimeout = 30 * time.Second
	maxStore     = 1 << 42 // the streams have bounds of their own; the disk is the last one
	maxMemory    = 256 << 20
)

// Embedded is a JetStream server inside the process. It does not listen on the network. Every
// message is on disk before its publisher hears of it.
type Embedded struct {
	server    *server.Server
	conn      *nats.Conn
	transport *jetTransport
	closing   sync.Once
}

// StartEmbedded starts the server in its folder and connects to it.
func StartEmbedded(c EmbeddedConfig, log *slog.Logger) (*Embedded, error) {
	if log == nil {
		return nil, errors.New("stream: a log is required")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("start embedded streams: %w", err)
	}
	c = c.WithDefaults()
	ns, err := server.NewServer(&server.Options{
		ServerName:         "matchday",
		DontListen:         true,
		JetStream:          true,
		StoreDir:           c.Dir,
		SyncAlways:         true,
		MaxPayload:         maxPayload,
		MaxPending:         maxPending,
		JetStreamMaxStore:  maxStore,
		JetStreamMaxMemory: maxMemory,
		NoSigs:             true,
	})
	if err != nil {
		return nil, fmt.Errorf("configure embedded streams: %w", err)
	}
	ns.SetLoggerV2(serverLog{log}, false, false, false)
	ns.Start()
	if !ns.ReadyForConnections(startTimeout) {
		ns.Shutdown()
		return nil, errs.New(errs.CodeUnavailable, "embedded streams were not ready in %s", startTimeout)
	}
	conn, err := nats.Connect("", nats.InProcessServer(ns), nats.Name("matchday"), nats.MaxReconnects(-1))
	if err != nil {
		ns.Shutdown()
		return nil, fmt.Errorf("connect to embedded streams: %w", err)
	}
	transport, err := newJetTransport(conn, c)
	if err != nil {
		conn.Close()
		ns.Shutdown()
		return nil, err
	}
	log.Info("streams are embedded: each message is flushed to disk before it is acknowledged, one copy",
		"server_version", server.VERSION, "sync", "always", "replicas", 1,
		"max_bytes", c.MaxBytes, "max_age", c.MaxAge)
	return &Embedded{server: ns, conn: conn, transport: transport}, nil
}

// Transport returns the server's streams.
func (e *Embedded) Transport() Transport { return e.transport }

// Close stops the server and waits for it. It may be called twice. Whoever uses the transport
// should have stopped before.
func (e *Embedded) Close() error {
	e.closing.Do(func() {
		e.conn.Close()
		e.server.Shutdown()
		e.server.WaitForShutdown()
	})
	return nil
}

// serverLog passes what the server has to say to our log. Its notices are routine.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Noticef(format string, v ...any) { l.note(slog.LevelDebug, format, v) }
func (l serverLog) Warnf(format string, v ...any)   { l.note(slog.LevelWarn, format, v) }
func (l serverLog) Fatalf(format string, v ...any)  { l.note(slog.LevelError, format, v) }
func (l serverLog) Errorf(format string, v ...any)  { l.note(slog.LevelError, format, v) }
func (l serverLog) Debugf(string, ...any)           {}
func (l serverLog) Tracef(string, ...any)           {}

func (l serverLog) note(level slog.Level, format string, v []any) {
	l.at(level)("stream server", "text", fmt.Sprintf(format, v...))
}

// at returns the log's method of a level.
func (l serverLog) at(level slog.Level) func(string, ...any) {
	switch level {
	case slog.LevelError:
		return l.log.Error
	case slog.LevelWarn:
		return l.log.Warn
	}
	return l.log.Debug
}
