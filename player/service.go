package player

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

// Rules is what this room asks about jurisdictions; jurisdiction.Registry answers it.
type Rules interface {
	// OldEnough reports whether somebody born on birth has the minimum age at now; a jurisdiction
	// that is not served is not_found.
	OldEnough(j id.Jurisdiction, birth, now time.Time) (bool, error)
}

// Config of the room. The zero value is safe, except Dir.
type Config struct {
	Dir string `yaml:"dir"`
}

// Validate checks the configuration.
func (c Config) Validate() error { return nil }

// Deps are what the room needs from its surroundings; all are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Rules   Rules
}

// Service is the room.
type Service struct{}

var errPending = errs.New(errs.CodeUnavailable, "not ready")

// Open opens the room.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) { return nil, errPending }

// Close closes the room.
func (s *Service) Close() error { return nil }

// SignUp makes a player.
func (s *Service) SignUp(ctx context.Context, r SignUp) (Player, error) { return Player{}, errPending }

// SignIn opens a session.
func (s *Service) SignIn(ctx context.Context, c Credentials) (Session, string, error) {
	return Session{}, "", errPending
}

// SignInStaff opens a staff session.
func (s *Service) SignInStaff(ctx context.Context, name, password string) (Session, string, error) {
	return Session{}, "", errPending
}

// AddStaff adds staff.
func (s *Service) AddStaff(ctx context.Context, a StaffAccount) error { return errPending }

// Authenticate finds a session.
func (s *Service) Authenticate(ctx context.Context, token string) (Session, error) {
	return Session{}, errPending
}

// SignOut ends a session.
func (s *Service) SignOut(ctx context.Context, token string) error { return errPending }

// SignOutAll ends all sessions of a player.
func (s *Service) SignOutAll(ctx context.Context, p id.Player) error { return errPending }

// Find finds a player.
func (s *Service) Find(ctx context.Context, p id.Player, j id.Jurisdiction) (Player, error) {
	return Player{}, errPending
}

// List pages players.
func (s *Service) List(ctx context.Context, j id.Jurisdiction, cursor string, limit int) ([]Player, string, error) {
	return nil, "", errPending
}

// SetStatus changes a player's status.
func (s *Service) SetStatus(ctx context.Context, p id.Player, j id.Jurisdiction, status Status) error {
	return errPending
}

// MayBet returns nil if the player may bet.
func (s *Service) MayBet(ctx context.Context, p id.Player, j id.Jurisdiction) error {
	return errPending
}
