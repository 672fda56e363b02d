package history

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/money"
	"matchday/stream"
)

var errSkeleton = errs.New(errs.CodeInternal, "being written")

// Config places the files.
type Config struct {
	Dir    string `yaml:"dir"`
	Shards int    `yaml:"shards"`
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error { return nil }

// Deps are what the room needs.
type Deps struct {
	Clock     clock.Clock
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	Transport stream.Transport
	Source    stream.Log
	ShardOf   func(id.Player) int
}

// Status of a bet.
type Status string

// The statuses; StatusAny and StatusSettled are for queries only.
const (
	StatusAny     Status = ""
	StatusOpen    Status = "open"
	StatusSettled Status = "settled"
	StatusWon     Status = stream.OutcomeWon
	StatusLost    Status = stream.OutcomeLost
	StatusPush    Status = stream.OutcomePush
	StatusVoid    Status = stream.OutcomeVoid
)

// Leg is a leg with its outcome, "" while undecided.
type Leg struct {
	stream.BetLeg
	Outcome string
}

// Bet is one bet.
type Bet struct {
	ID              id.Bet
	Player          id.Player
	Jurisdiction    id.Jurisdiction
	Product         string
	Status          Status
	Version         int
	PlacedAt        time.Time
	SettledAt       time.Time // zero while open
	Stake           money.Money
	PotentialPayout money.Money
	Payout          money.Money // zero while open
	Legs            []Leg
}

// Query asks for a page.
type Query struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Status       Status
	Before       id.Bet
	Limit        int
	At           *stream.Position
}

// Page is a page of bets.
type Page struct {
	Bets     []Bet
	Next     id.Bet // "" when there is no more
	Position stream.Position
	FreshAt  time.Time
}

// ShardLag says how far a shard is behind.
type ShardLag struct {
	Shard    int
	Position int64
	Lag      time.Duration
}

// Service is the room.
type Service struct{}

// Open opens the room.
func Open(ctx context.Context, c Config, d Deps) (*Service, error) { return nil, errSkeleton }

// Run runs the sinks.
func (s *Service) Run(ctx context.Context) error { return errSkeleton }

// Close closes the files.
func (s *Service) Close() error { return nil }

// List pages a player's bets.
func (s *Service) List(ctx context.Context, q Query) (Page, error) { return Page{}, errSkeleton }

// Find returns one bet.
func (s *Service) Find(ctx context.Context, player id.Player, j id.Jurisdiction, bet id.Bet, at *stream.Position) (Bet, error) {
	return Bet{}, errSkeleton
}

// Lag reports every shard.
func (s *Service) Lag() []ShardLag { return nil }

// WaitFor waits until a position is shown.
func (s *Service) WaitFor(ctx context.Context, at stream.Position) error { return errSkeleton }

// ForEach hands over every bet.
func (s *Service) ForEach(ctx context.Context, fn func(Bet) error) error { return errSkeleton }

// Subscribe calls fn after each applied batch.
func (s *Service) Subscribe(fn func(stream.Batch)) (cancel func()) { return func() {} }
