package history

import (
	"cmp"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Grain is how long the periods of a summary are.
type Grain string

// The grains.
const (
	GrainDay   Grain = "day"
	GrainMonth Grain = "month"
	GrainYear  Grain = "year"
)

// formats are how periods are written, by grain.
var formats = map[Grain]string{GrainDay: time.DateOnly, GrainMonth: "2006-01", GrainYear: "2006"}

// SummaryQuery asks for sums of a player's bets by period, newest first. A bet belongs to the day on which
// it was placed, by the clock of the jurisdiction.
type SummaryQuery struct {
	Player       id.Player
	Jurisdiction id.Jurisdiction
	By           Grain
	From, To     string           // first and last day, both included, "2026-11-22"; "" is no bound
	Before       string           // older than this period, as SummaryLine.Period has it; "" starts with the newest
	Limit        int              // lines, 0 is DefaultLines; the last period is always whole
	At           *stream.Position // at least this position
}

// Bounds of SummaryQuery.Limit.
const (
	DefaultLines = 50
	MaxLines     = 400
)

// Validate reports every field that is wrong.
func (q SummaryQuery) Validate() error {
	var check errs.Check
	checkWhose(&check, q.Player, q.Jurisdiction)
	if formats[q.By] == "" {
		check.Add("by", "must be day, month or year")
	} else if q.Before != "" && !isDate(formats[q.By], q.Before) {
		check.Add("cursor", "is not a cursor of this summary")
	}
	if q.From != "" && !isDate(time.DateOnly, q.From) {
		check.Add("from", "is not a day such as 2026-11-22")
	}
	if q.To != "" && !isDate(time.DateOnly, q.To) {
		check.Add("to", "is not a day such as 2026-11-22")
	} else if q.To != "" && q.To < q.From {
		check.Add("to", "must not be before from")
	}
	if q.Limit < 0 || q.Limit > MaxLines {
		check.Add("limit", "must be 1 to %d", MaxLines)
	}
	return check.Err()
}

// isDate reports whether text is a date from 1970 on in the format.
func isDate(format, text string) bool {
	at, err := time.Parse(format, text)
	return err == nil && at.Year() >= 1970
}

// Sums are of bets in one currency. Net is Returned less the stakes of the bets that are decided.
type Sums struct {
	Bets, Open                     int64
	Staked, AtStake, Returned, Net money.Money // AtStake is of the open bets, and part of Staked
}

// SummaryLine is the bets of one product and currency in one period.
type SummaryLine struct {
	Period  string // "2026-11-22", "2026-11" or "2026"
	Product string
	Sums
}

// Summary is a part of a summary.
type Summary struct {
	Lines []SummaryLine // newest period first, then by product and currency
	Next  string        // SummaryQuery.Before of the next part, "" after the last
	Zone  string        // whose days they are
	Freshness
}

// lineKey is the key of a line.
type lineKey struct{ period, product, currency string }

func (k lineKey) compare(other lineKey) int {
	return cmp.Or(cmp.Compare(other.period, k.period), cmp.Compare(k.product, other.product), cmp.Compare(k.currency, other.currency))
}

// lineSums are the sums of a line, in minor units.
type lineSums struct{ bets, open, staked, atStake, returned int64 }

func (s *lineSums) add(other lineSums) {
	s.bets += other.bets
	s.open += other.open
	s.staked += other.staked
	s.atStake += other.atStake
	s.returned += other.returned
}

// line writes the sums for people.
func (s *lineSums) line(k lineKey) SummaryLine {
	c := money.Currency(k.currency)
	return SummaryLine{Period: k.period, Product: k.product, Sums: Sums{Bets: s.bets, Open: s.open, Staked: money.New(s.staked, c),
		AtStake: money.New(s.atStake, c), Returned: money.New(s.returned, c), Net: money.New(s.returned-(s.staked-s.atStake), c)}}
}

// periodOf returns the period of a day, as written.
func (g Grain) periodOf(day int) string {
	return time.Unix(int64(day)*24*60*60, 0).UTC().Format(formats[g])
}

// The days of queries without bounds, thousands of years apart; earliestDay is in year 0 or later.
const (
	earliestDay = -700_000
	latestDay   = 1 << 20
)

// dayRange returns the days that the query is about, both included.
func (q *SummaryQuery) dayRange() (from, upTo int) {
	from, upTo = earliestDay, latestDay
	if at, err := time.Parse(time.DateOnly, q.From); err == nil {
		from = dayNumber(at.UnixMicro(), time.UTC)
	}
	if at, err := time.Parse(time.DateOnly, q.To); err == nil {
		upTo = dayNumber(at.UnixMicro(), time.UTC)
	}
	if at, err := time.Parse(formats[q.By], q.Before); err == nil { // its first day
		upTo = min(upTo, dayNumber(at.UnixMicro(), time.UTC)-1)
	}
	return from, upTo
}
