package notify

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/stream"
)

// Config of webhooks. The zero value of every field but Dir is a safe default.
type Config struct {
	Dir string `yaml:"dir"` // folder of the database

	// Cluster keeps subscriptions and deliveries instead, in the database <database>_webhooks: there several processes that share
	// the ledger can deliver. Without nodes they are in a file of dir, which is of one process.
	Cluster mysqldb.Config `yaml:"cluster"`

	// Allow names networks, such as 10.1.0.0/16, that requests may go to although they are not public, and
	// over plain HTTP if the URL names the address itself. Empty allows public addresses over HTTPS only.
	Allow []string `yaml:"allow"`

	Timeout      time.Duration `yaml:"timeout"`       // of one request, 0 is 10 s
	RetryFor     time.Duration `yaml:"retry_for"`     // until a delivery is dead, 0 is 24 h
	DisableAfter time.Duration `yaml:"disable_after"` // of nothing but failures, 0 is 72 h
	MaxQueued    int           `yaml:"max_queued"`    // deliveries waiting per subscription, 0 is 50,000
}

// Validate returns one error that names every field that is out of range.
func (c Config) Validate() error {
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if c.isOnCluster() {
		c.Cluster.Validate(&check, "cluster")
	}
	if _, err := newGuard(c.Allow); err != nil {
		check.Add("allow", "%s", err)
	}
	within := func(name string, value, most time.Duration) {
		if value < 0 || value > most {
			check.Add(name, "must be 0 to %s", most)
		}
	}
	within("timeout", c.Timeout, time.Minute)
	within("retry_for", c.RetryFor, 30*24*time.Hour)
	within("disable_after", c.DisableAfter, 30*24*time.Hour)
	if c.MaxQueued < 0 || c.MaxQueued > 1_000_000 {
		check.Add("max_queued", "must be 0 to 1,000,000")
	}
	return check.Err()
}

// isOnCluster reports whether anything of a cluster is configured.
func (c Config) isOnCluster() bool {
	return len(c.Cluster.Nodes) > 0 || c.Cluster.Database != "" || c.Cluster.User != ""
}

// CheckShared reports what keeps several processes from delivering.
func (c Config) CheckShared() error {
	var check errs.Check
	if !c.isOnCluster() {
		check.Add("cluster", "must be there where several processes share the ledger: webhooks in a file are of the one process that has it")
	}
	return check.Err()
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	c.Timeout = orDefault(c.Timeout, 10*time.Second)
	c.RetryFor = orDefault(c.RetryFor, 24*time.Hour)
	c.DisableAfter = orDefault(c.DisableAfter, 72*time.Hour)
	c.MaxQueued = orDefault(c.MaxQueued, 50_000)
	if c.isOnCluster() {
		c.Cluster = c.Cluster.WithDefaults()
	}
	return c
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}

// Deps is what the room is given. All but Hold are required.
type Deps struct {
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Transport stream.Transport
	Source    stream.Log

	// Hold says when this process is the one that delivers for a shard, as stream.Sharing has it, where several
	// processes do. Nil means that this one is alone.
	Hold func(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error
}

func (d Deps) validate() error {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Transport == nil || d.Source == nil {
		return errs.New(errs.CodeInternal, "notify needs a clock, a log, metrics, a transport and a source")
	}
	return nil
}

// parsePrefix reads a network or a single address.
func parsePrefix(text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, errs.New(errs.CodeInvalid, "%s is no network such as 10.1.0.0/16", strconv.Quote(text))
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
