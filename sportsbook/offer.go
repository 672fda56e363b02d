package sportsbook

import (
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/odds"
)

// EventStatus says where an event is in its life.
type EventStatus string

// The statuses of an event.
const (
	EventScheduled EventStatus = "scheduled"
	EventLive      EventStatus = "live"
	EventEnded     EventStatus = "ended" // a result is known
)

// MarketType is what a market is about.
type MarketType string

// The market types.
const (
	Moneyline MarketType = "moneyline"
	Spread    MarketType = "spread"
	Total     MarketType = "total"
)

// MarketStatus says whether a market takes bets.
type MarketStatus string

// The statuses of a market. Only an open market takes bets; settled and void are final for the
// offer, though a corrected result can pay settled bets again.
const (
	MarketOpen      MarketStatus = "open"
	MarketSuspended MarketStatus = "suspended"
	MarketClosed    MarketStatus = "closed"
	MarketSettled   MarketStatus = "settled"
	MarketVoid      MarketStatus = "void"
)

// The codes of selections.
const (
	CodeHome  = "home"
	CodeAway  = "away"
	CodeOver  = "over"
	CodeUnder = "under"
)

// Event is a match as one jurisdiction sees it. Values are copies: a caller may keep and change them.
type Event struct {
	ID            string
	Sport         string
	Competition   string
	Name          string // "Buffalo at Tennessee"
	Home          string
	Away          string
	HomeCode      string // short form for boards, "TEN"
	AwayCode      string
	Stadium       string
	StartsAt      time.Time
	Status        EventStatus
	HomeScore     int
	AwayScore     int
	Week          int // 0 outside seasons
	Season        int
	Jurisdictions []id.Jurisdiction // where it is offered; empty is everywhere
	Markets       []Market
	Version       int64
	ResultVersion int // number of decisions (results and voids) entered so far
}

// Market is a question about an event that bets are taken on.
type Market struct {
	ID         string
	EventID    string
	Type       MarketType
	Status     MarketStatus
	ClosedAt   time.Time // zero while it takes or may take bets
	Selections []Selection
	Version    int64
}

// Selection is one answer to a market's question, with its price.
type Selection struct {
	ID       string
	MarketID string
	Name     string
	Code     string     // home, away, over or under
	Line     *odds.Line // nil for a moneyline
	Price    odds.Price
	Version  int64
}

// Everywhere stands for the operator's view: all events, at the prices that hold where no
// jurisdiction has its own. It has to be asked for by name, so that no query crosses a border
// because a jurisdiction was forgotten.
const Everywhere id.Jurisdiction = "*"

// EventQuery selects events of one jurisdiction, in order of start time.
type EventQuery struct {
	Jurisdiction id.Jurisdiction // or Everywhere
	Status       EventStatus     // empty is any
	Cursor       string          // Next of the page before
	Limit        int             // default 50, at most 200
}

// UpdateKind says what an Update is about.
type UpdateKind string

// The kinds of updates.
const (
	UpdateEvent  UpdateKind = "event"  // new event, or its time or facts changed
	UpdatePrice  UpdateKind = "price"  // prices or line of a market changed
	UpdateStatus UpdateKind = "status" // market or event status changed
	UpdateScore  UpdateKind = "score"
	UpdateResult UpdateKind = "result" // a decision was entered: result or void
)

// Update is one committed change of the offer.
type Update struct {
	Kind     UpdateKind
	EventID  string
	MarketID string // empty if the change is about the whole event
	Version  int64
	At       time.Time
}

// By says who changes the offer and what they believe its state to be.
type By struct {
	Actor string // staff name, or the name of a feed; stored in the change log

	// ExpectedVersion refuses the change with conflict if the thing to change has another version
	// by now. 0 does not check.
	ExpectedVersion int64
}

// PriceChange sets the price of one selection.
type PriceChange struct {
	SelectionID  string
	Jurisdiction id.Jurisdiction // empty is everywhere; a jurisdiction's own price hides that one
	Price        odds.Price

	// Line moves the market's line with the price; the other selection follows (a spread mirrored, a
	// total the same). A line belongs to the market, so it cannot differ between jurisdictions.
	Line *odds.Line
	By   By
}

// MarketPrices sets all prices of a market, and its line, in one step: a moved line with one old
// price is never on offer.
type MarketPrices struct {
	MarketID     string
	Jurisdiction id.Jurisdiction
	Line         *odds.Line            // of the home or over selection; nil keeps the line
	Prices       map[string]odds.Price // by selection code; codes not named keep their price
	By           By
}

// NewEvent describes an event to create, with its markets.
type NewEvent struct {
	ID            string // 3 to 80 characters of A-Z a-z 0-9 _ -
	Sport         string
	Competition   string
	Home          string
	Away          string
	HomeCode      string
	AwayCode      string
	Stadium       string
	StartsAt      time.Time
	Week          int
	Season        int
	Jurisdictions []id.Jurisdiction // empty is everywhere
	Markets       []NewMarket
}

// NewMarket describes a market of a NewEvent.
type NewMarket struct {
	Type   MarketType
	Line   *odds.Line            // of the home or over selection; nil for a moneyline
	Prices map[string]odds.Price // by selection code, all of the type's codes
}

// Result is the final score of an event. A second result of the same event is a correction.
type Result struct {
	EventID   string
	HomeScore int
	AwayScore int
	EnteredBy string

	// ExpectedResultVersion refuses the result with conflict if the event has another number of
	// decisions by now, so that two members of staff do not correct each other, nor one a retry of an
	// older request. nil does not check and is good for a first result only.
	ExpectedResultVersion *int
}

// DecisionKind says what was decided.
type DecisionKind uint8

// The kinds of decisions. Numbers are stored.
const (
	DecisionResult DecisionKind = iota + 1
	DecisionVoid
)

// Decision is something that settles bets: a result, or a market declared void. Decisions of an
// event count from 1 and are never edited.
type Decision struct {
	EventID      string
	Version      int
	SettlementID string
	Kind         DecisionKind
	MarketID     string // only of a void
	HomeScore    int
	AwayScore    int
	Reason       string
	EnteredBy    string
	EnteredAt    time.Time
}

// MarketChange is one line of the change log.
type MarketChange struct {
	At           time.Time
	Actor        string
	EventID      string
	MarketID     string
	SelectionID  string
	Jurisdiction id.Jurisdiction
	Field        string // price, line, status, starts_at, result
	Old          string
	New          string
	Version      int64
}

// LegChange is how one leg's offer differs from what the player asked for.
type LegChange struct {
	SelectionID string
	Asked       odds.Price
	AskedLine   *odds.Line
	Now         odds.Price
	NowLine     *odds.Line
}

// PriceChangedError refuses a bet because prices or lines moved against the player's policy. It
// lists every leg that moved, so that a slip can show them all.
type PriceChangedError struct{ Legs []LegChange }

// Error implements error.
func (e *PriceChangedError) Error() string { return "price_changed: the offer has moved" }

// ErrCode implements errs.Coder.
func (e *PriceChangedError) ErrCode() errs.Code { return errs.CodePriceChanged }
