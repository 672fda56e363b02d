// Package telemetry makes the process's logger and its tracer provider from configuration.
package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"matchday/internal/sqltime"
)

// Config says how much to tell and to whom. The zero value logs text at level info and traces
// nothing.
type Config struct {
	LogLevel       string        `yaml:"log_level"`        // debug, info, warn or error
	LogFormat      string        `yaml:"log_format"`       // text or json
	TracesURL      string        `yaml:"traces_url"`       // OTLP over HTTP, for example http://127.0.0.1:4318; empty is off; without a path, /v1/traces
	TracesPerMille int           `yaml:"traces_per_mille"` // share of requests traced, 0 to 1,000; 0 means all
	SlowStatement  time.Duration `yaml:"slow_statement"`   // SQL that takes longer is logged by its name, 0 is 100 ms
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	c.LogLevel = cmp.Or(c.LogLevel, "info")
	c.LogFormat = cmp.Or(c.LogFormat, "text")
	c.TracesPerMille = cmp.Or(c.TracesPerMille, 1000)
	c.SlowStatement = cmp.Or(c.SlowStatement, sqltime.DefaultSlow)
	return c
}

// Validate checks the words and the address.
func (c Config) Validate() error {
	var problems []error
	if _, err := c.level(); err != nil {
		problems = append(problems, err)
	}
	if c.LogFormat != "" && c.LogFormat != "text" && c.LogFormat != "json" {
		problems = append(problems, fmt.Errorf("log_format %q: want text or json", c.LogFormat))
	}
	if c.TracesURL != "" {
		u, err := url.Parse(c.TracesURL)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			problems = append(problems, fmt.Errorf("traces_url %q: want http(s)://host:port", c.TracesURL))
		}
	}
	if c.TracesPerMille < 0 || c.TracesPerMille > 1000 {
		problems = append(problems, fmt.Errorf("traces_per_mille %d: want 0 to 1000", c.TracesPerMille))
	}
	if c.SlowStatement < 0 || c.SlowStatement > time.Hour {
		problems = append(problems, fmt.Errorf("slow_statement %s: want at most 1h", c.SlowStatement))
	}
	return errors.Join(problems...)
}

func (c Config) level() (slog.Level, error) {
	var level slog.Level
	if c.LogLevel == "" {
		return slog.LevelInfo, nil
	}
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return 0, fmt.Errorf("log_level %q: want debug, info, warn or error", c.LogLevel)
	}
	return level, nil
}

// Logger returns a structured logger that writes to w.
func (c Config) Logger(w io.Writer) (*slog.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return slog.New(slog.NewTextHandler(w, options)), nil
}

// Tracer returns a tracer provider and a function that flushes and closes it. Without TracesURL
// both do nothing.
func (c Config) Tracer(ctx context.Context, version string) (trace.TracerProvider, func(context.Context) error, error) {
	if c.TracesURL == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	address, err := url.Parse(c.TracesURL)
	if err != nil {
		return nil, nil, fmt.Errorf("traces_url: %w", err)
	}
	if strings.Trim(address.Path, "/") == "" {
		address = address.JoinPath("v1", "traces") // where a collector listens; the exporter itself would post to /
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(address.String()))
	if err != nil {
		return nil, nil, fmt.Errorf("open trace exporter: %w", err)
	}
	share := 1.0
	if c.TracesPerMille > 0 {
		share = float64(c.TracesPerMille) / 1000
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(share))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "matchday"), attribute.String("service.version", version))),
	)
	return provider, provider.Shutdown, nil
}
