package sportsbook

import (
	"context"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// ExposureRow is what open bets on one selection may cost in one jurisdiction.
type ExposureRow struct {
	EventID      string
	MarketID     string
	SelectionID  string
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	Bets         int64
	StakeMinor   int64 // a parlay counts in full on each of its legs
	PayoutMinor  int64 // worst case: every bet with a leg here wins
	LimitMinor   int64 // on PayoutMinor; 0 is no limit
}

// Exposure lists the exposure of one event, or of all for the empty id, in order of selection id
// and jurisdiction.
func (s *Service) Exposure(ctx context.Context, eventID string) ([]ExposureRow, error) {
	return nil, errs.New(errs.CodeUnavailable, "exposure is not built")
}

type exposure struct{}

// restore counts an open bet that was placed before this process started, or that a corrected
// result opened again.
func (e *exposure) restore(bet *stream.BetPlaced) {}

// release gives back what a bet reserved, once it is settled.
func (e *exposure) release(bet *stream.BetPlaced) {}
