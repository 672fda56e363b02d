package player

import (
	"fmt"
	"runtime"
	"time"

	"matchday/errs"
)

// Config of the room. Every absent value has a safe default; only Dir is required.
type Config struct {
	Dir    string `yaml:"dir"`    // folder of players.db
	Argon2 Argon2 `yaml:"argon2"` // cost of a password; a change applies at each player's next sign-in

	MaxHashes  int           `yaml:"max_hashes"`  // passwords hashed at a time, default one per processor
	MaxWaiting int           `yaml:"max_waiting"` // callers waiting for that, default 256; more are refused
	HashWait   time.Duration `yaml:"hash_wait"`   // how long a caller waits for its turn, default 5 s

	SessionTTL      time.Duration `yaml:"session_ttl"`       // of a player's session, default 12 h
	StaffSessionTTL time.Duration `yaml:"staff_session_ttl"` // of a staff session, default 4 h
	MaxSessions     int           `yaml:"max_sessions"`      // open at a time per person, default 20; the oldest goes
	CacheSize       int           `yaml:"cache_size"`        // sessions kept in memory, default 100,000

	LockAfter     int           `yaml:"lock_after"`     // failed sign-ins in a row before a lock, default 5
	LockFirst     time.Duration `yaml:"lock_first"`     // first lock, default 30 s; each further failure doubles it
	LockMost      time.Duration `yaml:"lock_most"`      // longest lock, default 15 min
	FailureMemory time.Duration `yaml:"failure_memory"` // failures are forgotten after, default 1 h

	StaffLockAfter int           `yaml:"staff_lock_after"` // failed sign-ins of staff that make a lock, and again as many the next, default 20
	StaffLock      time.Duration `yaml:"staff_lock"`       // length of such a lock, default 1 min
}

// Argon2 is the cost of hashing one password with argon2id.
//
// Source: OWASP Password Storage Cheat Sheet, "Argon2id": 19 MiB, 2 passes, 1 lane.
type Argon2 struct {
	MemoryKiB uint32 `yaml:"memory_kib"` // memory of one hash, default 19,456
	Passes    uint32 `yaml:"passes"`     // over that memory, default 2
	Lanes     uint8  `yaml:"lanes"`      // threads of one hash, default 1
}

// Bounds on argon2id parameters, of the configuration and of stored hashes.
const (
	maxMemoryKiB = 1 << 20
	maxPasses    = 16
	maxLanes     = 16
)

func orDefault[T comparable](value *T, fallback T) {
	var zero T
	if *value == zero {
		*value = fallback
	}
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	orDefault(&c.Argon2.MemoryKiB, 19<<10)
	orDefault(&c.Argon2.Passes, 2)
	orDefault(&c.Argon2.Lanes, 1)
	orDefault(&c.MaxHashes, runtime.GOMAXPROCS(0))
	orDefault(&c.MaxWaiting, 256)
	orDefault(&c.HashWait, 5*time.Second)
	orDefault(&c.SessionTTL, 12*time.Hour)
	orDefault(&c.StaffSessionTTL, 4*time.Hour)
	orDefault(&c.MaxSessions, 20)
	orDefault(&c.CacheSize, 100_000)
	orDefault(&c.LockAfter, 5)
	orDefault(&c.LockFirst, 30*time.Second)
	orDefault(&c.LockMost, 15*time.Minute)
	orDefault(&c.FailureMemory, time.Hour)
	orDefault(&c.StaffLockAfter, 20)
	orDefault(&c.StaffLock, time.Minute)
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c Config) Validate() error {
	c = c.WithDefaults()
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if err := c.Argon2.validate(); err != nil {
		check.Add("argon2", "%v", err)
	}
	counts := []struct {
		name              string
		value, least, top int
	}{
		{"max_hashes", c.MaxHashes, 1, 1024},
		{"max_waiting", c.MaxWaiting, 1, 100_000},
		{"max_sessions", c.MaxSessions, 1, 1000},
		{"cache_size", c.CacheSize, 1, 10_000_000},
		{"lock_after", c.LockAfter, 1, 100},
		{"staff_lock_after", c.StaffLockAfter, 1, 1000},
	}
	for _, n := range counts {
		if n.value < n.least || n.value > n.top {
			check.Add(n.name, "is %d, must be %d to %d", n.value, n.least, n.top)
		}
	}
	spans := []struct {
		name  string
		value time.Duration
	}{
		{"hash_wait", c.HashWait}, {"session_ttl", c.SessionTTL}, {"staff_session_ttl", c.StaffSessionTTL},
		{"lock_first", c.LockFirst}, {"lock_most", c.LockMost}, {"failure_memory", c.FailureMemory},
		{"staff_lock", c.StaffLock},
	}
	for _, s := range spans {
		if s.value < time.Millisecond || s.value > 365*24*time.Hour {
			check.Add(s.name, "is %s, must be 1ms to 8760h", s.value)
		}
	}
	if c.FailureMemory < max(c.LockMost, c.StaffLock) {
		check.Add("failure_memory", "is shorter than lock_most or staff_lock: a lock would end by being forgotten")
	}
	return check.Err()
}

func (a Argon2) validate() error {
	if a.Lanes < 1 || a.Lanes > maxLanes || a.Passes < 1 || a.Passes > maxPasses ||
		a.MemoryKiB < 8*uint32(a.Lanes) || a.MemoryKiB > maxMemoryKiB {
		return fmt.Errorf("argon2id m=%d t=%d p=%d is out of bounds (m 8 per lane to %d, t 1 to %d, p 1 to %d)",
			a.MemoryKiB, a.Passes, a.Lanes, maxMemoryKiB, maxPasses, maxLanes)
	}
	return nil
}
