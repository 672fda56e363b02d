package web

import (
	"fmt"
	"strconv"
	"time"

	"matchday/history"
)

// freshView says how fresh a page of the history is.
type freshView struct {
	Text     string // for everybody
	Late     bool   // so far behind that people would miss something
	Position string // for staff: what the page shows at least
	Behind   string // for staff
}

// lateAfter is how far behind a page may be and still count as up to date: people do not type faster.
const lateAfter = 2 * time.Second

// freshness says in words how fresh an answer of the history is.
func freshness(of history.Freshness, now time.Time, zone *time.Location) freshView {
	v := freshView{Position: of.Position.String(), Late: true}
	if of.FreshAt.IsZero() {
		v.Text, v.Behind = "It is not known how far these bets are up to date.", "not known"
		return v
	}
	behind := max(now.Sub(of.FreshAt), 0)
	v.Behind = strconv.FormatInt(behind.Milliseconds(), 10) + " ms"
	if behind <= lateAfter {
		v.Text, v.Late = "Up to date as of "+of.FreshAt.In(zone).Format("3:04:05 PM")+".", false
		return v
	}
	v.Behind = lengthText(behind)
	v.Text = "Bets and results of the last " + v.Behind + " may be missing. They are safe, and come by themselves."
	return v
}

// lengthText writes a length of time for people, rounded up: "12 seconds", "3 minutes", "2 hours".
func lengthText(d time.Duration) string {
	n, unit := 0, ""
	switch {
	case d <= 90*time.Second:
		n, unit = int((d+time.Second-1)/time.Second), "second"
	case d <= 90*time.Minute:
		n, unit = int((d+time.Minute-1)/time.Minute), "minute"
	default:
		n, unit = int((d+time.Hour-1)/time.Hour), "hour"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
