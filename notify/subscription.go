package notify

import (
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

// State is whether a subscription gets deliveries. The numbers are stored.
type State uint8

// The states of a subscription.
const (
	StateActive   State = iota + 1
	StatePaused         // by staff: records queue up and wait
	StateDisabled       // by failures: nothing queues up any more
)

// String returns the state's name.
func (s State) String() string {
	switch s {
	case StateActive:
		return "active"
	case StatePaused:
		return "paused"
	case StateDisabled:
		return "disabled"
	}
	return "unknown"
}

// Subscription is one receiver and what it wants to hear of.
type Subscription struct {
	ID           string
	URL          string
	Types        []string        // of records: exact, "matchday.bet.*", or "*"
	Jurisdiction id.Jurisdiction // "" is every one
	State        State
	Reason       string    // why it is disabled
	FailingSince time.Time // of nothing but failures; zero: the last attempt was good, or none was made
	CreatedBy    string
	CreatedAt    time.Time
	Queued       int // deliveries
	Dead         int

	secret    string
	oldSecret string
	oldUntil  time.Time
}

// wants reports whether a record is for the subscription.
func (s *Subscription) wants(r *stream.Record) bool {
	if s.State == StateDisabled || (s.Jurisdiction != "" && s.Jurisdiction != r.Jurisdiction) {
		return false
	}
	return slices.ContainsFunc(s.Types, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return pattern == r.Type || open && strings.HasPrefix(r.Type, prefix)
	})
}

// secrets returns what signs a request at the time.
func (s *Subscription) secrets(now time.Time) []string {
	if s.oldSecret != "" && now.Before(s.oldUntil) {
		return []string{s.secret, s.oldSecret}
	}
	return []string{s.secret}
}

// NewSubscription is what a subscription is made of.
type NewSubscription struct {
	URL          string
	Types        []string
	Jurisdiction id.Jurisdiction
	CreatedBy    string
}

const (
	maxSubscriptions = 100
	maxTypes         = 20
)

func (n NewSubscription) validate(g guard) error {
	var check errs.Check
	if err := g.checkURL(n.URL); err != nil {
		check.Add("url", "%s", err)
	}
	if len(n.Types) == 0 || len(n.Types) > maxTypes {
		check.Add("types", "needs 1 to %d", maxTypes)
	}
	for _, pattern := range n.Types {
		if !isPattern(pattern) {
			check.Add("types", "%.40q is not a type such as matchday.bet.settled, nor matchday.bet.*, nor *", pattern)
		}
	}
	return check.Err()
}

// isPattern reports whether text is a type, a beginning of types ending in ".*", or "*".
func isPattern(text string) bool {
	if text == "*" {
		return true
	}
	text = strings.TrimSuffix(text, ".*")
	if text == "" || len(text) > 100 {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// Delivery is one record on its way to one subscription.
type Delivery struct {
	ID           int64
	Subscription string
	EventID      string
	Type         string
	State        string // queued, delivered or dead
	Attempts     int
	QueuedAt     time.Time
	NextAt       time.Time // of a queued one
	DoneAt       time.Time
	Status       int    // of the last answer; 0: none
	Detail       string // why the last attempt failed
}

// The states of a delivery. The numbers are stored.
const (
	deliveryQueued    = 1
	deliveryDelivered = 2
	deliveryDead      = 3
)

var deliveryStates = [...]string{deliveryQueued: "queued", deliveryDelivered: "delivered", deliveryDead: "dead"}
