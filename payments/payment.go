package payments

import (
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Direction says which way the money goes.
type Direction int

// The directions.
const (
	DirectionDeposit Direction = iota + 1
	DirectionWithdrawal
)

// String returns the name the API uses.
func (d Direction) String() string {
	switch d {
	case DirectionDeposit:
		return "deposit"
	case DirectionWithdrawal:
		return "withdrawal"
	default:
		return "unknown"
	}
}

// Status is how far a payment is, as its owner sees it.
type Status int

// The statuses. All but pending are final.
const (
	StatusPending   Status = iota + 1
	StatusCompleted        // a deposit is in the player's cash, a withdrawal has been paid
	StatusDeclined         // nothing has moved
	StatusReturned         // a withdrawal the provider would not pay is back in the player's cash
)

var statusNames = []string{StatusPending: "pending", StatusCompleted: "completed", StatusDeclined: "declined", StatusReturned: "returned"}

// String returns the name the API uses.
func (s Status) String() string {
	if s < StatusPending || s > StatusReturned {
		return "unknown"
	}
	return statusNames[s]
}

// ParseStatus reads the form of String.
func ParseStatus(text string) (Status, error) {
	if i := slices.Index(statusNames, text); i > 0 {
		return Status(i), nil
	}
	return 0, errs.New(errs.CodeInvalid, "%.20q is not a payment status (pending, completed, declined or returned)", text)
}

// IsFinal reports whether nothing can change any more.
func (s Status) IsFinal() bool { return s > StatusPending }

// Payment is one deposit or withdrawal.
type Payment struct {
	ID           string
	Key          string // the caller's
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Direction    Direction
	Amount       money.Money
	Method       string
	Status       Status
	Provider     string
	Reason       string // why it was declined or returned: the provider's word or an errs code
	CreatedAt    time.Time
	UpdatedAt    time.Time
	Position     stream.Position // of the last transfer in the books; zero Seq before the first
	Replayed     bool            // the key was known: this is the payment made the first time

	step     step
	attempts int
}

// Request asks for a payment.
type Request struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Key          string // 1 to 128 bytes of printable ASCII without space, unique per player
	Amount       money.Money
	Method       string // the provider's word for card, bank ...; empty is "card"
}
