package payments

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

type step int

// Config of the room. The zero value is safe, except Dir.
type Config struct {
	Dir string `yaml:"dir"`
}

// Validate checks the configuration.
func (c Config) Validate() error { return nil }

// Deps are what the room needs from its surroundings; all are required.
type Deps struct {
	Clock    clock.Clock
	Log      *slog.Logger
	Metrics  prometheus.Registerer
	Books    Books
	Provider Provider
	Limits   Limits
}

// Service is the room.
type Service struct{}

var errPending = errs.New(errs.CodeUnavailable, "not ready")

// Open opens the room.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) { return nil, errPending }

// Run drives pending payments.
func (s *Service) Run(ctx context.Context) error { return errPending }

// Close closes the room.
func (s *Service) Close() error { return nil }

// Deposit takes money in.
func (s *Service) Deposit(ctx context.Context, r Request) (Payment, error) {
	return Payment{}, errPending
}

// Withdraw sends money out.
func (s *Service) Withdraw(ctx context.Context, r Request) (Payment, error) {
	return Payment{}, errPending
}

// Find finds a payment.
func (s *Service) Find(ctx context.Context, p id.Player, j id.Jurisdiction, payment string) (Payment, error) {
	return Payment{}, errPending
}

// List pages payments.
func (s *Service) List(ctx context.Context, p id.Player, j id.Jurisdiction, cursor string, limit int) ([]Payment, string, error) {
	return nil, "", errPending
}
