package sportsbook

import (
	"context"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

// Product is the name of this room's product in accounts and records.
const Product = "sportsbook"

// PriceChangePolicy says which moves of the offer a player accepts between slip and placement.
type PriceChangePolicy string

// The policies. A changed line is a change that only PriceChangeAny accepts.
const (
	PriceChangeNone   PriceChangePolicy = "none" // also the meaning of the empty policy
	PriceChangeBetter PriceChangePolicy = "better"
	PriceChangeAny    PriceChangePolicy = "any"
)

// PlaceRequest asks for one bet: a single with one leg, a parlay with more.
type PlaceRequest struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Key          string // the caller's idempotency key, 1 to 100 printable ASCII characters
	Stake        money.Money
	Legs         []LegRequest
	PriceChange  PriceChangePolicy
}

// LegRequest is one selection as the player saw it.
type LegRequest struct {
	SelectionID string
	Price       odds.Price
	Line        *odds.Line
}

// Receipt is the answer to an accepted bet.
type Receipt struct {
	BetID           id.Bet
	Position        stream.Position
	PlacedAt        time.Time
	Stake           money.Money
	PotentialPayout money.Money
	Legs            []stream.BetLeg
	Replayed        bool  // the key had been accepted before; this is that bet
	BalanceMinor    int64 // the player's cash after the stake
}

// QuoteRequest asks what a bet would pay now.
type QuoteRequest struct {
	Jurisdiction id.Jurisdiction
	Stake        money.Money
	Legs         []LegRequest
}

// Quote is what a bet would pay now, and where the offer differs from what the player saw.
type Quote struct {
	Stake           money.Money
	PotentialPayout money.Money
	Legs            []stream.BetLeg
	Changes         []LegChange
}

// Place accepts a bet as asked for or not at all.
func (s *Service) Place(ctx context.Context, req PlaceRequest) (Receipt, error) {
	return Receipt{}, errs.New(errs.CodeUnavailable, "placement is not built")
}

// Quote prices a slip without placing it.
func (s *Service) Quote(ctx context.Context, req QuoteRequest) (Quote, error) {
	return Quote{}, errs.New(errs.CodeUnavailable, "quotes are not built")
}
