package api

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"matchday/id"
)

// Config of the edge. The zero value is a safe default without API keys.
type Config struct {
	HandlerTimeout    time.Duration `yaml:"handler_timeout"`      // one request; default 15 s
	MaxBodyBytes      int64         `yaml:"max_body_bytes"`       // of a request; default 1 MiB
	MaxBatchBytes     int64         `yaml:"max_batch_bytes"`      // transfer batches; default 4 MiB
	MaxImportBytes    int64         `yaml:"max_import_bytes"`     // season and quote files; default 8 MiB
	SignInsPerMinute  int           `yaml:"sign_ins_per_minute"`  // per address, sign-ups too; default 30; -1 is no limit (simulations)
	Origins           []string      `yaml:"origins"`              // origins besides our own that may use the cookie
	Keys              []ServiceKey  `yaml:"keys"`                 // of services; none: /v1/ledger answers nobody
	LiveClients       int           `yaml:"live_clients"`         // open live streams; default 4,096
	LiveClientsPerOne int           `yaml:"live_clients_per_one"` // of one player or address; default 16
	LiveQueue         int           `yaml:"live_queue"`           // undelivered messages of one client before it is dropped; default 256
	LiveHeartbeat     time.Duration `yaml:"live_heartbeat"`       // between signs of life on a live stream; default 15 s
}

// ServiceKey is one service's API key. The key itself is never in a config: only its SHA-256.
type ServiceKey struct {
	Name          string            `yaml:"name"`          // scopes the service's transfer keys; never reuse one
	SHA256        string            `yaml:"sha256"`        // hex
	Jurisdictions []id.Jurisdiction `yaml:"jurisdictions"` // where it may act; empty is everywhere
	Profiles      bool              `yaml:"profiles"`      // may it take profiles of the process
	Bets          bool              `yaml:"bets"`          // may it read players' bets, and how far the history is
	Webhooks      bool              `yaml:"webhooks"`      // may it say which URLs hear of what commits, and see their deliveries
	Limits        bool              `yaml:"limits"`        // may it set limits of players' accounts, a freeze too
	CreditLines   bool              `yaml:"credit_lines"`  // may it let them go below zero; needs limits
}

var keyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}$`)

// Validate returns the first thing that is wrong with the config.
func (c Config) Validate() error {
	if c.HandlerTimeout < 0 || c.LiveHeartbeat < 0 || c.MaxBodyBytes < 0 || c.MaxBatchBytes < 0 || c.MaxImportBytes < 0 ||
		c.LiveClients < 0 || c.LiveClientsPerOne < 0 || c.LiveQueue < 0 || c.SignInsPerMinute < -1 {
		return fmt.Errorf("api: a bound is negative")
	}
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" {
			return fmt.Errorf("api: origin %q is not scheme://host[:port]", origin)
		}
	}
	names, sums := map[string]bool{}, map[string]bool{}
	for _, k := range c.Keys {
		if !keyName.MatchString(k.Name) {
			return fmt.Errorf("api: key name %q: 1 to 31 lower-case letters, digits and hyphens", k.Name)
		}
		if sum, err := hex.DecodeString(k.SHA256); err != nil || len(sum) != 32 {
			return fmt.Errorf("api: key %s: sha256 is not 64 hex digits", k.Name)
		}
		sum := strings.ToLower(k.SHA256)
		if names[k.Name] || sums[sum] {
			return fmt.Errorf("api: key %s is listed twice", k.Name)
		}
		names[k.Name], sums[sum] = true, true
		if k.CreditLines && !k.Limits {
			return fmt.Errorf("api: key %s: credit_lines needs limits", k.Name)
		}
	}
	return nil
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	c.HandlerTimeout = orElse(c.HandlerTimeout, 15*time.Second)
	c.MaxBodyBytes = orElse(c.MaxBodyBytes, 1<<20)
	c.MaxBatchBytes = orElse(c.MaxBatchBytes, 4<<20)
	c.MaxImportBytes = orElse(c.MaxImportBytes, 8<<20)
	c.SignInsPerMinute = orElse(c.SignInsPerMinute, 30)
	c.LiveClients = orElse(c.LiveClients, 4096)
	c.LiveClientsPerOne = orElse(c.LiveClientsPerOne, 16)
	c.LiveQueue = orElse(c.LiveQueue, 256)
	c.LiveHeartbeat = orElse(c.LiveHeartbeat, 15*time.Second)
	return c
}

// orElse returns v, or fallback if v is zero.
func orElse[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
