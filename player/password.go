package player

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"

	"matchday/errs"
)

const (
	saltBytes = 16
	keyBytes  = 32
)

// passwordHash is a decoded hash: cost, salt and key.
type passwordHash struct {
	cost Argon2
	salt []byte
	key  []byte
}

// hashPassword hashes a password with a fresh salt.
func hashPassword(password string, cost Argon2) passwordHash {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // crypto/rand.Read never fails
	return passwordHash{cost: cost, salt: salt, key: derive(password, salt, cost, keyBytes)}
}

func derive(password string, salt []byte, c Argon2, size uint32) []byte {
	return argon2.IDKey([]byte(password), salt, c.Passes, c.MemoryKiB, c.Lanes, size)
}

// matches does the full work of hashing and compares in constant time.
func (h passwordHash) matches(password string) bool {
	key := derive(password, h.salt, h.cost, uint32(len(h.key))) // #nosec: 16 to 64 bytes
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

// String returns the PHC form: $argon2id$v=19$m=19456,t=2,p=1$salt$key.
func (h passwordHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.cost.MemoryKiB, h.cost.Passes, h.cost.Lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

var errPHC = errors.New("not an argon2id hash in PHC form")

// parsePasswordHash reads the form of String and nothing else: the text is written only here, so
// whatever differs is damage. Costs are bounded, so that a damaged row cannot take the machine down.
func parsePasswordHash(text string) (passwordHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 {
		return passwordHash{}, errPHC
	}
	var h passwordHash
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.cost.MemoryKiB, &h.cost.Passes, &h.cost.Lanes); n != 3 || err != nil {
		return passwordHash{}, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	h.salt, h.key = salt, key
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 ||
		h.cost.validate() != nil || h.String() != text {
		return passwordHash{}, errPHC
	}
	return h, nil
}

// hasher bounds the hashing of passwords: each takes many megabytes and all of a processor for
// tens of milliseconds, so a crowd at the door must wait in line and a longer one is turned away.
type hasher struct {
	cost    Argon2
	slots   chan struct{}
	queue   chan struct{}
	wait    time.Duration
	metrics *metrics
	decoy   passwordHash // what an unknown address is checked against
}

func newHasher(c Config, m *metrics) *hasher {
	return &hasher{
		cost:    c.Argon2,
		slots:   make(chan struct{}, c.MaxHashes),
		queue:   make(chan struct{}, c.MaxWaiting),
		wait:    c.HashWait,
		metrics: m,
		decoy:   hashPassword("nobody has this password", c.Argon2),
	}
}

// enter takes a slot; the caller calls leave when it is done.
func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case h.queue <- struct{}{}:
	default:
		return h.busy()
	}
	h.metrics.waiting.Inc()
	defer func() {
		<-h.queue
		h.metrics.waiting.Dec()
	}()
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-timer.C:
		return h.busy()
	case <-ctx.Done():
		return fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

func (h *hasher) leave() { <-h.slots }

func (h *hasher) busy() error {
	h.metrics.hashesRefused.Inc()
	return &errs.Error{Code: errs.CodeUnavailable, Detail: "too many people are signing in, try again", RetryAfter: time.Second}
}

// hash hashes a new password in its turn and returns the PHC form.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	return hashPassword(password, h.cost).String(), nil
}
