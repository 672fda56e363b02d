package history

import (
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Query asks for a page of one player's bets, newest first. Every field but the first two may be left
// out; a bet is listed when it fits all that are given.
type Query struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Status       Status
	Bet          id.Bet    // this bet only
	Product      string    // as in the record: "sportsbook"
	Sport        string    // of any leg, as the offer spells it
	Competition  string    // of any leg
	Event        string    // id of any leg's event
	From, To     time.Time // placed at From or later, and before To
	Currency     money.Currency
	Least, Most  int64            // of the stake, in minor units of Currency; 0 is no bound
	Before       id.Bet           // older than this bet; "" starts with the newest
	Limit        int              // 0 is DefaultLimit
	At           *stream.Position // at least this position, which a write returned
}

// Bounds of Query.Limit.
const (
	DefaultLimit = 20
	MaxLimit     = 200
)

const (
	maxIDBytes   = 64  // of an id in a query
	maxNameBytes = 100 // of a name in a query
)

// Validate reports every field that is wrong.
func (q Query) Validate() error {
	var check errs.Check
	checkWhose(&check, q.Player, q.Jurisdiction)
	if _, _, ok := q.Status.span(); !ok {
		check.Add("status", "must be open, settled, won, lost, push or void")
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		check.Add("limit", "must be 1 to %d", MaxLimit)
	}
	if len(q.Before) > maxIDBytes {
		check.Add("cursor", "is not a bet")
	}
	if len(q.Bet) > maxIDBytes {
		check.Add("bet", "is not a bet")
	}
	for _, f := range []struct{ name, text string }{
		{"product", q.Product}, {"sport", q.Sport}, {"competition", q.Competition}, {"event", q.Event},
	} {
		if !isPlain(f.text) {
			check.Add(f.name, "must be at most %d bytes of plain text", maxNameBytes)
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		check.Add("to", "must be after from")
	}
	q.checkStake(&check)
	return check.Err()
}

// checkStake checks the bounds of the stake.
func (q *Query) checkStake(check *errs.Check) {
	if q.Currency != "" {
		if _, err := money.ParseCurrency(string(q.Currency)); err != nil {
			check.Add("currency", "is not a currency")
		}
	} else if q.Least != 0 || q.Most != 0 {
		check.Add("currency", "is required with an amount")
	}
	if q.Least < 0 || q.Least > money.MaxMinor {
		check.Add("least", "is out of range")
	}
	if q.Most < 0 || q.Most > money.MaxMinor {
		check.Add("most", "is out of range")
	} else if q.Most != 0 && q.Most < q.Least {
		check.Add("most", "must not be below least")
	}
}

// checkWhose checks what every query has.
func checkWhose(check *errs.Check, player id.Player, j id.Jurisdiction) {
	if player == "" {
		check.Add("player", "is required")
	}
	if j == "" {
		check.Add("jurisdiction", "is required")
	}
}

// isPlain reports whether text can be a name.
func isPlain(text string) bool {
	return len(text) <= maxNameBytes && utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// isFiltered reports whether not every bet fits: then a page may have to look at more bets than it shows.
func (q *Query) isFiltered() bool {
	return q.Status != StatusAny || q.Product != "" || q.Sport != "" || q.Competition != "" || q.Event != "" ||
		!q.From.IsZero() || !q.To.IsZero() || q.Currency != ""
}

// period returns the bounds of the time of placement in microseconds, the second not included.
func period(from, to time.Time) (low, high int64) {
	low, high = math.MinInt64, math.MaxInt64
	if !from.IsZero() {
		low = from.UnixMicro()
	}
	if !to.IsZero() {
		high = to.UnixMicro()
	}
	return low, high
}

// stakes returns the bounds of the stake, both included.
func (q *Query) stakes() (low, high int64) {
	if q.Most == 0 {
		return q.Least, math.MaxInt64
	}
	return q.Least, q.Most
}

// fits reports whether the legs of a bet are what is asked for; the database has only looked for the
// names somewhere in their text.
func (q *Query) fits(b *Bet) bool {
	var event, sport, competition bool
	for i := range b.Legs {
		l := &b.Legs[i]
		event = event || l.EventID == q.Event
		sport = sport || l.Sport == q.Sport
		competition = competition || l.Competition == q.Competition
	}
	return (q.Event == "" || event) && (q.Sport == "" || sport) && (q.Competition == "" || competition)
}

// inLegs is what the text of the legs of a bet that fits has in it: nothing, where JSON could spell the
// name in more than one way.
func inLegs(name string) string {
	if name == "" || strings.ContainsAny(name, "\"\\/<>&") {
		return ""
	}
	return `"` + name + `"`
}
