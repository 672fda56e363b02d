package player

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/groupcommit"
	"matchday/internal/sqldb"
)

//go:embed migrations/*.sql
var migrations embed.FS

// maxPage bounds a page of List.
const maxPage = 200

// Rules is what this room asks about jurisdictions; jurisdiction.Registry answers it.
type Rules interface {
	// OldEnough reports whether somebody born on birth has the minimum age at now; a jurisdiction
	// that is not served is not_found.
	OldEnough(j id.Jurisdiction, birth, now time.Time) (bool, error)
}

// Deps are what the room needs from its surroundings; all are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Rules   Rules
}

// Service is the room. It is safe for concurrent use and has no background work.
type Service struct {
	config  Config
	clock   clock.Clock
	log     *slog.Logger
	rules   Rules
	metrics *metrics
	ids     *id.Source
	db      *sqldb.DB
	store   store
	hasher  *hasher
	cache   *cache
}

// Open opens or creates players.db in the configured folder.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) {
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Rules == nil {
		return nil, errors.New("player: a dependency is missing")
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("player: %w", err)
	}
	c = c.WithDefaults()
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open players: %w", err)
	}
	db, err := sqldb.Open(filepath.Join(c.Dir, "players.db"), sqldb.Options{Durability: sqldb.Durable})
	if err != nil {
		return nil, fmt.Errorf("open players: %w", err)
	}
	if err := db.Migrate(ctx, migrations, d.Clock.Now()); err != nil {
		return nil, errors.Join(fmt.Errorf("open players: %w", err), db.Close())
	}
	return &Service{
		config: c, clock: d.Clock, log: d.Log, rules: d.Rules, metrics: m,
		ids: id.NewSource(d.Clock.Now), db: db, store: store{db: db, group: groupcommit.New(db)},
		hasher: newHasher(c, m), cache: newCache(c.CacheSize),
	}, nil
}

// Close closes the database. It may be called twice.
func (s *Service) Close() error { return s.db.Close() }

// SignUp makes a player.
//
// Errors: invalid with every field at fault; excluded for somebody under age; conflict if the
// address is taken in the jurisdiction; unavailable when too many passwords are being hashed.
func (s *Service) SignUp(ctx context.Context, r SignUp) (Player, error) {
	now := s.clock.Now()
	email, birth, err := s.checkSignUp(r, now)
	if err != nil {
		return Player{}, err
	}
	taken, err := s.store.emailTaken(ctx, r.Jurisdiction, email)
	if err != nil {
		return Player{}, fmt.Errorf("sign up: %w", err)
	}
	if taken {
		return Player{}, errEmailTaken
	}
	hash, err := s.hasher.hash(ctx, r.Password)
	if err != nil {
		return Player{}, fmt.Errorf("sign up: %w", err)
	}
	p := Player{
		ID: s.ids.NewPlayer(), Jurisdiction: r.Jurisdiction, Email: email,
		DisplayName: r.DisplayName, CreatedAt: now, Status: StatusActive,
	}
	if err := s.store.insertPlayer(ctx, p, birth, hash); err != nil {
		return Player{}, fmt.Errorf("sign up: %w", err)
	}
	s.metrics.signUps.WithLabelValues(string(p.Jurisdiction)).Inc()
	return p, nil
}

var errEmailTaken = errs.New(errs.CodeConflict, "this e-mail address already has an account in this jurisdiction")

// checkSignUp returns the parsed address and birth date of a request without fault.
func (s *Service) checkSignUp(r SignUp, now time.Time) (email string, birth time.Time, err error) {
	var check errs.Check
	email, err = ParseEmail(r.Email)
	if err != nil {
		check.Add("email", "%v", err)
	}
	checkPassword(&check, r.Password, email)
	checkDisplayName(&check, r.DisplayName)
	birth, err = ParseBirthDate(r.BirthDate)
	if err != nil {
		check.Add("birth_date", "%v", err)
	}
	// A birth date of tomorrow is a slip, not somebody under age; a day's grace covers all zones.
	if err == nil && birth.After(now.Add(24*time.Hour)) {
		check.Add("birth_date", "is in the future")
	}
	old, err := s.rules.OldEnough(r.Jurisdiction, birth, now)
	if errs.Is(err, errs.CodeNotFound) {
		check.Add("jurisdiction", "%.10q is not served here", r.Jurisdiction)
		err = nil
	}
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign up: %w", err)
	}
	if err := check.Err(); err != nil {
		return "", time.Time{}, err
	}
	if !old {
		return "", time.Time{}, errs.New(errs.CodeExcluded, "under the minimum age of this jurisdiction")
	}
	return email, birth, nil
}

// Find returns the player, or not_found, also for a player of another jurisdiction.
func (s *Service) Find(ctx context.Context, p id.Player, j id.Jurisdiction) (Player, error) {
	found, err := s.store.findPlayer(ctx, p, j)
	if err != nil {
		return Player{}, fmt.Errorf("find player %s in %s: %w", p, j, err)
	}
	return found, nil
}

// List returns a page of a jurisdiction's players, newest first, and the cursor of the next page,
// empty after the last. limit is cut to 1..200.
func (s *Service) List(ctx context.Context, j id.Jurisdiction, cursor string, limit int) ([]Player, string, error) {
	if cursor != "" {
		if err := id.Check(id.KindPlayer, cursor); err != nil {
			return nil, "", errs.New(errs.CodeInvalid, "not a cursor of this list")
		}
	}
	limit = min(max(limit, 1), maxPage)
	page, err := s.store.listPlayers(ctx, j, id.Player(cursor), limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list players of %s: %w", j, err)
	}
	if len(page) <= limit {
		return page, "", nil
	}
	return page[:limit], string(page[limit-1].ID), nil
}

// MayBet returns nil if the player is active, excluded with the reason if not, and not_found for
// somebody who is no player of the jurisdiction.
func (s *Service) MayBet(ctx context.Context, p id.Player, j id.Jurisdiction) error {
	found, err := s.Find(ctx, p, j)
	if err != nil {
		return err
	}
	return found.Status.MayBet()
}

// SetStatus changes what a player may do; open sessions see it at once. Excluding or closing also
// ends the player's sessions. No route leads here yet: until then every player stays active.
//
// Errors: not_found; conflict when the player is closed, which is final.
func (s *Service) SetStatus(ctx context.Context, p id.Player, j id.Jurisdiction, status Status) error {
	if status < StatusActive || status > StatusClosed {
		return errs.New(errs.CodeInvalid, "unknown player status")
	}
	revoke := status == StatusExcluded || status == StatusClosed
	sessions, err := s.store.setStatus(ctx, p, j, status, revoke)
	if err != nil {
		return fmt.Errorf("set status of player %s in %s: %w", p, j, err)
	}
	s.cache.drop(sessions)
	s.log.InfoContext(ctx, "player status changed", "player_id", p, "jurisdiction", j, "status", status.String())
	return nil
}
