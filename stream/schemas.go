package stream

import "matchday/id"

// Types of the records on ledger streams. A type's version is part of its schema: fields are added,
// never renamed, removed or given another meaning.
const (
	TypeBetPlaced           = "matchday.bet.placed"
	TypeBetSettled          = "matchday.bet.settled"
	TypeDepositCompleted    = "matchday.deposit.completed"
	TypeWithdrawalRequested = "matchday.withdrawal.requested"
	TypeWithdrawalCompleted = "matchday.withdrawal.completed"
	TypeWithdrawalReturned  = "matchday.withdrawal.returned"

	// A bucket of players left a shard, and came to another: two records, on two logs. They concern no
	// player and no jurisdiction ("ZZ" stands there).
	TypeBucketMovedOut = "matchday.bucket.moved_out"
	TypeBucketMovedIn  = "matchday.bucket.moved_in"
)

// Outcomes of legs and bets as records, history and API spell them.
const (
	OutcomeWon  = "won"
	OutcomeLost = "lost"
	OutcomePush = "push" // tie: the leg counts as price 1
	OutcomeVoid = "void" // as if never struck
)

// BetPlaced is the payload of TypeBetPlaced: everything a reader needs to show and grade the bet
// without asking anyone.
type BetPlaced struct {
	BetID                id.Bet          `json:"bet_id"`
	PlayerID             id.Player       `json:"player_id"`
	Jurisdiction         id.Jurisdiction `json:"jurisdiction"`
	Product              string          `json:"product"` // "sportsbook"
	Currency             string          `json:"currency"`
	StakeMinor           int64           `json:"stake_minor"`
	PotentialPayoutMinor int64           `json:"potential_payout_minor"` // stake included
	Legs                 []BetLeg        `json:"legs"`
}

// BetLeg is one selection of a bet with line and price as accepted.
type BetLeg struct {
	EventID       string  `json:"event_id"`   // for imported seasons the file's game_id
	EventName     string  `json:"event_name"` // "Buffalo at Tennessee"
	StartsAtMS    int64   `json:"starts_at_ms"`
	MarketID      string  `json:"market_id"`
	Market        string  `json:"market"`       // moneyline, spread or total
	SelectionID   string  `json:"selection_id"` // market id and selection
	Selection     string  `json:"selection"`    // home, away, over or under
	SelectionName string  `json:"selection_name"`
	Line          *string `json:"line"`                  // "-3.5"; null for a moneyline
	Price         string  `json:"price"`                 // American, "-110"
	Sport         string  `json:"sport,omitempty"`       // "American football"; absent in records of before it was added
	Competition   string  `json:"competition,omitempty"` // "NFL"; absent likewise
}

// BetSettled is the payload of TypeBetSettled. The first settlement of a bet has version 1; a
// corrected result settles again with the next version, and PayoutMinor then replaces the earlier
// one (the transfer moves the difference). Without an outcome the bet is open again: a correction
// revived a parlay whose other legs are undecided.
type BetSettled struct {
	BetID        id.Bet          `json:"bet_id"`
	PlayerID     id.Player       `json:"player_id"`
	Jurisdiction id.Jurisdiction `json:"jurisdiction"`
	Version      int             `json:"version"`
	Outcome      string          `json:"outcome"` // of the whole bet; "" when it is open again
	PayoutMinor  int64           `json:"payout_minor"`
	Currency     string          `json:"currency"`
	LegOutcomes  []string        `json:"leg_outcomes"` // in leg order; "" while a leg is undecided
	Reason       string          `json:"reason,omitempty"`
}

// BucketMoved is the payload of TypeBucketMovedOut and TypeBucketMovedIn. FromSeq is the sequence of
// the record moved_out on the shard From: who keeps rows by shard hands the bucket's over between
// that position there and the record moved_in here.
type BucketMoved struct {
	Bucket  int    `json:"bucket"`
	MoveID  string `json:"move_id"`
	From    int    `json:"from"`
	To      int    `json:"to"`
	FromSeq int64  `json:"from_seq"`
}

// PaymentChanged is the payload of the deposit and withdrawal types.
type PaymentChanged struct {
	PaymentID    string          `json:"payment_id"`
	PlayerID     id.Player       `json:"player_id"`
	Jurisdiction id.Jurisdiction `json:"jurisdiction"`
	AmountMinor  int64           `json:"amount_minor"`
	Currency     string          `json:"currency"`
	Provider     string          `json:"provider"`
	Reason       string          `json:"reason,omitempty"`
}
