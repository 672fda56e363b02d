package history

import (
	"fmt"
	"strconv"
	"time"

	"matchday/id"
)

// month is a month of the calendar in UTC, counted from the year 0. A bet belongs to the month that its id
// begins with: that of its placement.
type month int

// monthOf returns the month of a moment.
func monthOf(at time.Time) month {
	at = at.UTC()
	return month(at.Year()*12 + int(at.Month()) - 1)
}

// begins returns the first moment of the month.
func (m month) begins() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

// first returns the first id that a bet of the month may have.
func (m month) first() id.Bet { return id.Bet(id.Least(id.KindBet, m.begins())) }

// String names the month's partitions.
func (m month) String() string { return fmt.Sprintf("p%04d%02d", int(m)/12, int(m)%12+1) }

// parseMonth reads the form of String.
func parseMonth(name string) (month, bool) {
	if len(name) != 7 || name[0] != 'p' {
		return 0, false
	}
	year, err1 := strconv.Atoi(name[1:5])
	number, err2 := strconv.Atoi(name[5:])
	if err1 != nil || err2 != nil || number < 1 || number > 12 {
		return 0, false
	}
	return month(year*12 + number - 1), true
}
