package web

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// betFilter is the filter of a list of bets as somebody typed it: it lives in the address, so that a page can
// be kept, sent and opened again, and needs no script.
type betFilter struct {
	values url.Values        // of the fields that are not empty
	wrong  map[string]string // what is wrong with a field
}

// filterFields are the fields of the form, in its order, and their labels. They are called as in the API.
var filterFields = []struct{ name, label string }{
	{"status", "Status"}, {"product", "Product"}, {"sport", "Sport"}, {"competition", "Competition"}, {"event", "Game"},
	{"from", "From"}, {"to", "To"}, {"min_stake", "Stake from"}, {"max_stake", "Stake to"}, {"bet", "Bet"},
}

// cursorField is where a page of the list begins.
const cursorField = "before"

// maxFieldBytes is how much of a field is read. What is longer is refused, and need not be shown whole.
const maxFieldBytes = 120

// readBetFilter reads the fields of an address. It is untidy if it names empty ones, as a browser does that
// sends a form.
func readBetFilter(query url.Values) (f betFilter, untidy bool) {
	f = betFilter{values: url.Values{}, wrong: map[string]string{}}
	for _, name := range append(filterNamesInOrder(), cursorField) {
		if !query.Has(name) {
			continue
		}
		text := strings.TrimSpace(query.Get(name))
		if text == "" {
			untidy = true
			continue
		}
		if len(text) > maxFieldBytes {
			text = clipRunes(strings.ToValidUTF8(text, "?"), maxFieldBytes)
			f.wrong[name] = "is too long"
		}
		f.values.Set(name, text)
	}
	return f, untidy
}

func filterNamesInOrder() []string {
	names := make([]string, len(filterFields))
	for i, field := range filterFields {
		names[i] = field.name
	}
	return names
}

// Text is what was typed into a field.
func (f betFilter) Text(name string) string { return f.values.Get(name) }

// Wrong is what is wrong with a field, or "".
func (f betFilter) Wrong(name string) string { return f.wrong[name] }

// IsWrong reports whether any field is.
func (f betFilter) IsWrong() bool { return len(f.wrong) > 0 }

// Unmarked are the wrong fields at which the form shows nothing.
func (f betFilter) Unmarked() []string {
	var out []string
	for _, field := range []struct{ name, label string }{{"status", "The status"}, {"product", "The product"}, {cursorField, "The place in the list"}} {
		if f.wrong[field.name] != "" {
			out = append(out, field.label+" "+f.wrong[field.name]+".")
		}
	}
	return out
}

// Narrowing counts the fields that narrow the list, besides the status.
func (f betFilter) Narrowing() int {
	n := 0
	for name := range f.values {
		if name != cursorField && name != "status" {
			n++
		}
	}
	return n
}

// IsAny reports whether every bet fits.
func (f betFilter) IsAny() bool { return f.Narrowing() == 0 && f.values.Get("status") == "" }

// with returns the query of the same list, from its beginning, with one field changed.
func (f betFilter) with(name, value string) string {
	values := url.Values{}
	for key, list := range f.values {
		if key != cursorField {
			values[key] = list
		}
	}
	values.Del(name)
	if value != "" {
		values.Set(name, value)
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// tidy returns the query without the empty fields.
func (f betFilter) tidy() string { return f.with(cursorField, f.Text(cursorField)) }

// query makes the history's query; where a field is wrong it says so at the field.
func (f betFilter) query(of owner, at *stream.Position) history.Query {
	zone := of.home.Zone()
	q := history.Query{
		Player: of.player, Jurisdiction: of.home.Code, Limit: betsPerPage, At: at,
		Status: history.Status(f.Text("status")), Product: f.Text("product"), Sport: f.Text("sport"),
		Competition: f.Text("competition"), Event: f.Text("event"),
		Bet: f.betID("bet"), Before: f.betID(cursorField),
		From: f.day("from", 0, zone), To: f.day("to", 1, zone),
		Least: f.stake("min_stake", of.home.Currency), Most: f.stake("max_stake", of.home.Currency),
	}
	if q.Least != 0 || q.Most != 0 {
		q.Currency = of.home.Currency
	}
	if len(f.wrong) == 0 {
		f.refuse(q.Validate())
	}
	return q
}

// betID reads a field that is the id of a bet.
func (f betFilter) betID(name string) id.Bet {
	text := f.Text(name)
	if text != "" && id.Check(id.KindBet, text) != nil {
		f.wrong[name] = "is not the number of a bet (bet_ and 26 characters)"
		if name == cursorField {
			f.wrong[name] = "is none of this list"
		}
	}
	return id.Bet(text)
}

// day reads a field that is a day, and returns when the day begins that is so many days later.
func (f betFilter) day(name string, later int, zone *time.Location) time.Time {
	text := f.Text(name)
	if text == "" {
		return time.Time{}
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 1970 {
		f.wrong[name] = "is not a day such as 2026-11-22"
		return time.Time{}
	}
	return time.Date(day.Year(), day.Month(), day.Day()+later, 0, 0, 0, 0, zone)
}

// stake reads a field that is an amount.
func (f betFilter) stake(name string, c money.Currency) int64 {
	text := f.Text(name)
	if text == "" {
		return 0
	}
	m, err := money.Parse(strings.TrimPrefix(text, symbols[c]), c)
	switch {
	case err != nil:
		f.wrong[name] = "is not an amount such as 25.00"
	case m.Minor() <= 0:
		f.wrong[name] = "must be above zero"
	}
	return m.Minor()
}

// formNames are the fields of the form by the names of the history's query, where they differ.
var formNames = map[string]string{"least": "min_stake", "most": "max_stake", "cursor": cursorField}

// formWords say more plainly, or in the words of the form, what the history refuses.
var formWords = map[string]string{
	"to": "must not be before the first day", "most": "must not be below the other amount", "cursor": "is none of this list",
}

// refuse marks the fields that the history refuses. It reports whether there are any.
func (f betFilter) refuse(err error) bool {
	return markRefused(f.wrong, err, append(filterNamesInOrder(), cursorField)...)
}

// markRefused notes what the history refuses at the fields of a form, and reports whether it refuses any.
func markRefused(wrong map[string]string, err error, fields ...string) bool {
	refused, ok := errors.AsType[*errs.Error](err)
	if !ok || refused.Code != errs.CodeInvalid {
		return false
	}
	for _, field := range refused.Fields {
		name := field.Location
		if other, ok := formNames[name]; ok {
			name = other
		}
		if !slices.Contains(fields, name) {
			continue
		}
		wrong[name] = field.Message
		if words, ok := formWords[field.Location]; ok {
			wrong[name] = words
		}
	}
	return len(wrong) > 0
}

// addName adds a name to those to choose from, once.
func addName(names []string, name string) []string {
	if name == "" || slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// chosen is one part of the filter that is on, with the address of the list without it.
type chosen struct{ Label, Text, Without string }

// chosenParts are the parts that are on, besides the status, which has its chips. A game is named, where the
// page knows its name.
func (f betFilter) chosenParts(of owner, games map[string]string) []chosen {
	var out []chosen
	for _, field := range filterFields {
		text := f.Text(field.name)
		if text == "" || field.name == "status" {
			continue
		}
		if name := games[text]; field.name == "event" && name != "" {
			text = name
		}
		out = append(out, chosen{Label: field.label, Text: text, Without: of.root + f.with(field.name, "")})
	}
	return out
}
