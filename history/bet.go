package history

import (
	"time"

	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Status is where a bet stands, as the API spells it.
type Status string

// The statuses. StatusAny and StatusSettled are for queries only.
const (
	StatusAny     Status = ""
	StatusOpen    Status = "open"
	StatusSettled Status = "settled" // any but open
	StatusWon     Status = stream.OutcomeWon
	StatusLost    Status = stream.OutcomeLost
	StatusPush    Status = stream.OutcomePush
	StatusVoid    Status = stream.OutcomeVoid
)

// Leg is a leg as accepted, with its outcome: won, lost, push, void, or "" while undecided.
type Leg struct {
	stream.BetLeg
	Outcome string `json:"outcome"`
}

// Bet is one bet as its player sees it.
type Bet struct {
	ID              id.Bet
	Player          id.Player
	Jurisdiction    id.Jurisdiction
	Product         string
	Status          Status
	Version         int // of the settlement, 0 before the first
	PlacedAt        time.Time
	SettledAt       time.Time // of the last settlement; zero while open
	Stake           money.Money
	PotentialPayout money.Money // stake included
	Payout          money.Money // zero while open
	Legs            []Leg
}

// Page is a part of a player's bets. One that is short, or empty, is not the last while it has a Next: it
// has looked at as many bets as one answer may, and fewer fitted the query.
type Page struct {
	Bets []Bet
	Next id.Bet // Query.Before of the next page, "" after the last
	Freshness
}

// Freshness is how far the history is that an answer comes from.
type Freshness struct {
	Position stream.Position // the answer shows at least everything up to here
	FreshAt  time.Time       // the answer shows at least everything committed until then
	History  Shown           // which one answered: ShownFirst or ShownSecond
}

// state is a status as it is stored.
type state int

const (
	stateOpen state = iota + 1
	stateWon
	stateLost
	statePush
	stateVoid
)

// statuses lists the statuses by state.
var statuses = [...]Status{stateOpen: StatusOpen, stateWon: StatusWon, stateLost: StatusLost, statePush: StatusPush, stateVoid: StatusVoid}

// span returns the states that a status of a query selects.
func (s Status) span() (low, high state, ok bool) {
	switch s {
	case StatusAny:
		return stateOpen, stateVoid, true
	case StatusSettled:
		return stateWon, stateVoid, true
	}
	for i, name := range statuses {
		if i > 0 && name == s {
			return state(i), state(i), true
		}
	}
	return 0, 0, false
}

// letters of the outcomes of legs, as stored.
const (
	letterNone = '-'
	letterWon  = 'w'
	letterLost = 'l'
	letterPush = 'p'
	letterVoid = 'v'
)

// letter returns how an outcome of a leg is stored, false for an unknown one.
func letter(outcome string) (byte, bool) {
	switch outcome {
	case "":
		return letterNone, true
	case stream.OutcomeWon:
		return letterWon, true
	case stream.OutcomeLost:
		return letterLost, true
	case stream.OutcomePush:
		return letterPush, true
	case stream.OutcomeVoid:
		return letterVoid, true
	}
	return 0, false
}

// outcome is the reverse of letter.
func outcome(letter byte) string {
	switch letter {
	case letterWon:
		return stream.OutcomeWon
	case letterLost:
		return stream.OutcomeLost
	case letterPush:
		return stream.OutcomePush
	case letterVoid:
		return stream.OutcomeVoid
	}
	return ""
}
