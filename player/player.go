package player

import (
	"fmt"
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
)

// Status says what a player may do.
type Status int

// The statuses. Suspended and excluded players may sign in, see their books and withdraw, but
// neither bet nor deposit; closed ones may not sign in.
const (
	StatusActive Status = iota + 1
	StatusSuspended
	StatusExcluded
	StatusClosed
)

var statusNames = []string{StatusActive: "active", StatusSuspended: "suspended", StatusExcluded: "excluded", StatusClosed: "closed"}

// String returns the name the API uses.
func (s Status) String() string {
	if s < StatusActive || s > StatusClosed {
		return "unknown"
	}
	return statusNames[s]
}

// ParseStatus reads the form of String.
func ParseStatus(text string) (Status, error) {
	if i := slices.Index(statusNames, text); i > 0 {
		return Status(i), nil
	}
	return 0, errs.New(errs.CodeInvalid, "%.20q is not a player status (active, suspended, excluded or closed)", text)
}

// MayBet returns nil for an active player, otherwise an excluded error that says why. The same rule
// holds for deposits.
func (s Status) MayBet() error {
	if s == StatusActive {
		return nil
	}
	return errs.New(errs.CodeExcluded, "this player is %s and may not bet or deposit", s)
}

// Player is a person in one jurisdiction.
type Player struct {
	ID           id.Player
	Jurisdiction id.Jurisdiction
	Email        string
	DisplayName  string
	CreatedAt    time.Time
	Status       Status
}

// SignUp is a request to become a player.
type SignUp struct {
	Email        string
	Password     string
	DisplayName  string
	BirthDate    string // YYYY-MM-DD
	Jurisdiction id.Jurisdiction
}

// Credentials are what a player signs in with.
type Credentials struct {
	Email        string
	Password     string
	Jurisdiction id.Jurisdiction
}

// StaffAccount is a member of staff as the process sets it up at its start.
type StaffAccount struct {
	Name          string
	Password      string
	Jurisdictions []id.Jurisdiction
	Role          Role // zero is RoleOperator
}

// Role says what a member of staff may do. Accounts are made when the process starts, no route makes or changes one.
type Role int

// The roles, each with the rights of those before it.
const (
	RoleViewer   Role = iota + 1 // reads
	RoleOperator                 // sets prices, suspends markets, enters results
	RoleAdmin                    // takes profiles of the process
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case RoleViewer:
		return "viewer"
	case RoleOperator:
		return "operator"
	case RoleAdmin:
		return "admin"
	default:
		return "unknown"
	}
}

// Session is an open sign-in. Exactly one of Player and Staff is set.
type Session struct {
	ID             string
	Player         id.Player
	Status         Status            // of the player
	Jurisdiction   id.Jurisdiction   // of the player
	Staff          string            // name of the member of staff
	Role           Role              // of the member of staff
	Jurisdictions  []id.Jurisdiction // where the member of staff may act; read only
	CreatedAt      time.Time
	ExpiresAt      time.Time
	PreviousSignIn time.Time // zero at the first sign-in
}

// IsStaff reports whether the session belongs to a member of staff.
func (s Session) IsStaff() bool { return s.Staff != "" }

// MayBet is the rule of Status.MayBet for the session's player; staff may not bet.
func (s Session) MayBet() error {
	if s.Player == "" {
		return errs.New(errs.CodeForbidden, "only players may bet")
	}
	return s.Status.MayBet()
}

// MayActIn returns nil if the session reaches the jurisdiction: the player's own, or one of those
// a member of staff is cleared for.
func (s Session) MayActIn(j id.Jurisdiction) error {
	if s.Player != "" && s.Jurisdiction == j || s.IsStaff() && slices.Contains(s.Jurisdictions, j) {
		return nil
	}
	return fmt.Errorf("session %s: %w", s.ID, errs.New(errs.CodeForbidden, "not cleared for jurisdiction %.10q", j))
}
