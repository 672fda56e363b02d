package payments

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/sqldb"
	"matchday/money"
)

//go:embed sandbox/migrations/*.sql
var sandboxFiles embed.FS

// Methods of the sandbox that do not simply succeed, in the manner of test cards.
const (
	MethodCard         = "card"          // approved
	MethodBank         = "bank"          // approved
	MethodCardDeclined = "card-declined" // declined
	MethodCardTimeout  = "card-timeout"  // taken, but the answer is lost; a later Query tells
	MethodCardSlow     = "card-slow"     // pending for SlowFor, then approved
)

// Kinds of payment in the sandbox's own books.
const (
	sandboxCharge = 1
	sandboxPayout = 2
)

// SandboxConfig configures the pretended provider. Only Dir is required.
type SandboxConfig struct {
	Dir     string        `yaml:"dir"`      // folder of sandbox.db
	Latency time.Duration `yaml:"latency"`  // of each answer, default 20 ms
	SlowFor time.Duration `yaml:"slow_for"` // how long a slow payment is pending, default 2 s
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c SandboxConfig) WithDefaults() SandboxConfig {
	orDefault(&c.Latency, 20*time.Millisecond)
	orDefault(&c.SlowFor, 2*time.Second)
	return c
}

// Validate reports everything that is wrong with the configuration.
func (c SandboxConfig) Validate() error {
	c = c.WithDefaults()
	var check errs.Check
	if c.Dir == "" {
		check.Add("dir", "is required")
	}
	if c.Latency < 0 || c.Latency > time.Minute {
		check.Add("latency", "is %s, must be 0s to 1m", c.Latency)
	}
	if c.SlowFor < 0 || c.SlowFor > time.Hour {
		check.Add("slow_for", "is %s, must be 0s to 1h", c.SlowFor)
	}
	return check.Err()
}

// Sandbox is a provider that moves no money and answers by the method's name. It keeps what it was
// asked in a database of its own, so that after a crash of the platform it answers as a real
// provider would, which had not crashed. It is safe for concurrent use.
type Sandbox struct {
	config SandboxConfig
	clock  clock.Clock
	db     *sqldb.DB
}

var _ Provider = (*Sandbox)(nil)

// OpenSandbox opens or creates sandbox.db in the configured folder.
func OpenSandbox(ctx context.Context, c SandboxConfig, k clock.Clock) (*Sandbox, error) {
	if k == nil {
		return nil, errors.New("sandbox: a dependency is missing")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("sandbox: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	// Rebuildable: a killed process loses nothing, and after a power loss a forgotten reference is
	// one the provider never heard of, which the platform asks for again.
	db, err := sqldb.Open(filepath.Join(c.Dir, "sandbox.db"), sqldb.Options{Durability: sqldb.Rebuildable})
	if err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	files, err := fs.Sub(sandboxFiles, "sandbox")
	if err == nil {
		err = db.Migrate(ctx, files, k.Now())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open sandbox: %w", err), db.Close())
	}
	return &Sandbox{config: c.WithDefaults(), clock: k, db: db}, nil
}

// Close closes the database. It may be called twice.
func (s *Sandbox) Close() error { return s.db.Close() }

// Name implements Provider.
func (s *Sandbox) Name() string { return "sandbox" }

// Charge implements Provider.
func (s *Sandbox) Charge(ctx context.Context, r ProviderRequest) (ProviderAnswer, error) {
	return s.take(ctx, sandboxCharge, r)
}

// Pay implements Provider.
func (s *Sandbox) Pay(ctx context.Context, r ProviderRequest) (ProviderAnswer, error) {
	return s.take(ctx, sandboxPayout, r)
}

// take notes a payment and answers as its method asks for.
func (s *Sandbox) take(ctx context.Context, kind int, r ProviderRequest) (ProviderAnswer, error) {
	if err := s.note(ctx, kind, r); err != nil {
		return ProviderAnswer{}, fmt.Errorf("sandbox: %w", err)
	}
	answer, err := s.Query(ctx, r.Reference)
	if err == nil && r.Method == MethodCardTimeout {
		return ProviderAnswer{}, errs.New(errs.CodeUnavailable, "the sandbox provider did not answer in time")
	}
	return answer, err
}

// note stores a payment unless its reference is known; a known one must be the same payment.
func (s *Sandbox) note(ctx context.Context, kind int, r ProviderRequest) error {
	const (
		insert = `
			INSERT INTO sandbox_payment (reference, kind, jurisdiction, player_id, amount_minor, currency,
			                             method, decline, ready_us, created_us)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (reference) DO NOTHING`
		read = `
			SELECT kind, amount_minor, currency, method
			FROM sandbox_payment
			WHERE reference = ?`
	)
	now := s.clock.Now()
	ready := now
	if r.Method == MethodCardSlow {
		ready = now.Add(s.config.SlowFor)
	}
	result, err := s.db.Write.ExecContext(ctx, insert, r.Reference, kind, r.Jurisdiction, r.Player, r.Amount.Minor(),
		r.Amount.Currency(), r.Method, declineReason(r.Method), ready.UnixMicro(), now.UnixMicro())
	if inserted, err := oneRow("note payment", result, err); err != nil || inserted {
		return err
	}
	var (
		knownKind int
		minor     int64
		currency  money.Currency
		method    string
	)
	if err := s.db.Write.QueryRowContext(ctx, read, r.Reference).Scan(&knownKind, &minor, &currency, &method); err != nil {
		return sqldb.Wrap("read payment", err)
	}
	if knownKind != kind || money.New(minor, currency) != r.Amount || method != r.Method {
		return errs.New(errs.CodeConflict, "reference %s belongs to another payment", r.Reference)
	}
	return nil
}

// declineReason returns why a method is declined, empty for those that are not.
func declineReason(method string) string {
	switch method {
	case MethodCard, MethodBank, MethodCardTimeout, MethodCardSlow:
		return ""
	case MethodCardDeclined:
		return "card_declined"
	default:
		return "unknown_method"
	}
}

// Query implements Provider.
func (s *Sandbox) Query(ctx context.Context, reference string) (ProviderAnswer, error) {
	if err := s.delay(ctx); err != nil {
		return ProviderAnswer{}, err
	}
	const q = `
		SELECT decline, ready_us
		FROM sandbox_payment
		WHERE reference = ?`
	var (
		decline string
		ready   int64
	)
	err := s.db.Read.QueryRowContext(ctx, q, reference).Scan(&decline, &ready)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return ProviderAnswer{Outcome: OutcomeUnknown}, nil
	case err != nil:
		return ProviderAnswer{}, sqldb.Wrap("read sandbox payment", err)
	case s.clock.Now().UnixMicro() < ready:
		return ProviderAnswer{Outcome: OutcomePending}, nil
	case decline != "":
		return ProviderAnswer{Outcome: OutcomeDeclined, Reason: decline}, nil
	default:
		return ProviderAnswer{Outcome: OutcomeApproved}, nil
	}
}

// delay passes the time an answer takes.
func (s *Sandbox) delay(ctx context.Context) error {
	timer := time.NewTimer(s.config.Latency)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("sandbox: %w", ctx.Err())
	}
}
