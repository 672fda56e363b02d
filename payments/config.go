package payments

import (
	"time"

	"matchday/errs"
)

// Config of the room. Every absent value has a safe default; only Dir is required.
type Config struct {
	Dir             string        `yaml:"dir"`              // folder of payments.db
	Workers         int           `yaml:"workers"`          // payments driven at a time, default 64
	MaxInFlight     int           `yaml:"max_in_flight"`    // queued or driven, default 4,096; more are refused
	Wait            time.Duration `yaml:"wait"`             // how long a caller waits for an end, default 300 ms
	ProviderTimeout time.Duration `yaml:"provider_timeout"` // of a call to the provider, default 5 s
	BooksTimeout    time.Duration `yaml:"books_timeout"`    // of a call to the ledger, default 5 s
	RetryFirst      time.Duration `yaml:"retry_first"`      // pause before the first further try, default 200 ms; each doubles it
	RetryMost       time.Duration `yaml:"retry_most"`       // longest such pause, default 30 s
	Poll            time.Duration `yaml:"poll"`             // how often due payments are looked for, default 100 ms
}

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	orDefault(&c.Workers, 64)
	orDefault(&c.MaxInFlight, 4096)
	orDefault(&c.Wait, 300*time.Millisecond)
	orDefault(&c.ProviderTimeout, 5*time.Second)
	orDefault(&c.BooksTimeout, 5*time.Second)
	orDefault(&c.RetryFirst, 200*time.Millisecond)
	orDefault(&c.RetryMost, 30*time.Second)
	orDefault(&c.Poll, 100*time.Millisecond)
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if c.Workers < 1 || c.Workers > 1024 {
		check.Add("workers", "is %d, must be 1 to 1024", c.Workers)
	}
	if c.MaxInFlight < c.Workers || c.MaxInFlight > 100_000 {
		check.Add("max_in_flight", "is %d, must be workers to 100000", c.MaxInFlight)
	}
	spans := []struct {
		name  string
		value time.Duration
	}{
		{"wait", c.Wait}, {"provider_timeout", c.ProviderTimeout}, {"books_timeout", c.BooksTimeout},
		{"retry_first", c.RetryFirst}, {"retry_most", c.RetryMost}, {"poll", c.Poll},
	}
	for _, s := range spans {
		if s.value < time.Millisecond || s.value > time.Hour {
			check.Add(s.name, "is %s, must be 1ms to 1h", s.value)
		}
	}
	if c.RetryMost < c.RetryFirst {
		check.Add("retry_most", "is below retry_first")
	}
	return check.Err()
}
