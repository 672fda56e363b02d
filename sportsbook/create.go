package sportsbook

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"matchday/errs"
	"matchday/id"
	"matchday/odds"
)

// Bounds of what staff and files may enter.
const (
	maxText  = 100 // characters of a name, actor or reason
	maxScore = 999
	lineStep = 50 // hundredths: whole and half points, so that a leg is won, lost or push
)

var eventIDForm = regexp.MustCompile(`^[A-Za-z0-9_-]{3,80}$`)

// CreateEvent adds an event with its markets, all open. An id that is taken is a conflict.
func (s *Service) CreateEvent(ctx context.Context, n NewEvent, by By) (Event, error) {
	var check errs.Check
	checkActor(&check, by.Actor)
	s.checkEvent(&check, n)
	if err := check.Err(); err != nil {
		return Event{}, err
	}
	err := s.change(ctx, by.Actor, func(d *draft) error {
		if s.catalogue.event(n.ID) != nil {
			return errs.New(errs.CodeConflict, "event %s exists", n.ID)
		}
		d.put(newEventState(n))
		return nil
	})
	if err != nil {
		return Event{}, err
	}
	return s.FindEvent(ctx, Everywhere, n.ID)
}

// newEventState builds the first state of a checked event.
func newEventState(n NewEvent) *eventState {
	e := &eventState{
		id: n.ID, sport: n.Sport, competition: n.Competition, name: eventName(n.Away, n.Home), home: n.Home,
		away: n.Away, homeCode: n.HomeCode, awayCode: n.AwayCode, stadium: n.Stadium,
		startsAt: n.StartsAt.UTC().Truncate(time.Microsecond), status: EventScheduled, week: n.Week, season: n.Season,
		jurisdictions: sortedJurisdictions(n.Jurisdictions),
	}
	for _, m := range n.Markets {
		e.markets = append(e.markets, newMarketState(e, m))
	}
	return e
}

// sortedJurisdictions returns each jurisdiction once, in order; nil for none.
func sortedJurisdictions(all []id.Jurisdiction) []id.Jurisdiction {
	if len(all) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

func (s *Service) checkEvent(check *errs.Check, n NewEvent) {
	if !eventIDForm.MatchString(n.ID) {
		check.Add("id", "must be 3 to 80 letters, digits, _ or -")
	}
	texts := []struct {
		field, value string
		least        int
	}{
		{"sport", n.Sport, 1}, {"competition", n.Competition, 1}, {"home", n.Home, 1}, {"away", n.Away, 1},
		{"home_code", n.HomeCode, 0}, {"away_code", n.AwayCode, 0}, {"stadium", n.Stadium, 0},
	}
	for _, t := range texts {
		checkText(check, t.field, t.value, t.least)
	}
	if (n.Sport != "" && slug(n.Sport) == "") || (n.Competition != "" && slug(n.Competition) == "") {
		check.Add("competition", "sport and competition need a letter or digit")
	}
	if n.Home != "" && n.Home == n.Away {
		check.Add("away", "must differ from home")
	}
	if y := n.StartsAt.Year(); y < 1990 || y > 2100 {
		check.Add("starts_at", "must be between 1990 and 2100")
	}
	if n.Week < 0 || n.Week > 60 {
		check.Add("week", "must be 0 to 60")
	}
	if n.Season < 0 || n.Season > 2100 {
		check.Add("season", "must be 0 to 2100")
	}
	s.checkJurisdictions(check, n.Jurisdictions)
	seen := make(map[MarketType]bool)
	for i, m := range n.Markets {
		at := "markets[" + strconv.Itoa(i) + "]"
		if seen[m.Type] {
			check.Add(at+".type", "appears twice")
		}
		seen[m.Type] = true
		checkMarket(check, at, m)
	}
}

// checkMarket checks type, line and prices of a new market.
func checkMarket(check *errs.Check, at string, m NewMarket) {
	codes, ok := selectionCodes(m.Type)
	if !ok {
		check.Add(at+".type", "must be moneyline, spread or total")
		return
	}
	checkLine(check, at+".line", m.Type, m.Line)
	if m.Type != Moneyline && m.Line == nil {
		check.Add(at+".line", "is required for a %s", m.Type)
	}
	for _, code := range codes {
		if m.Prices[code].IsZero() {
			check.Add(at+".prices."+code, "is required")
		}
	}
	checkCodes(check, at+".prices", m.Type, m.Prices)
}

// checkCodes refuses prices for selections that the market does not have.
func checkCodes(check *errs.Check, at string, kind MarketType, prices map[string]odds.Price) {
	codes, _ := selectionCodes(kind)
	for _, code := range slices.Sorted(maps.Keys(prices)) {
		if !slices.Contains(codes[:], code) {
			check.Add(at, "%.20q is not a selection of a %s", code, kind)
		}
	}
}

// checkLine checks a line if there is one.
func checkLine(check *errs.Check, at string, kind MarketType, line *odds.Line) {
	switch {
	case line == nil:
	case kind == Moneyline:
		check.Add(at, "a moneyline has none")
	case *line%lineStep != 0:
		check.Add(at, "must be a whole or half number of points")
	case kind == Total && *line <= 0:
		check.Add(at, "a total must be above zero")
	}
}

func (s *Service) checkJurisdictions(check *errs.Check, all []id.Jurisdiction) {
	for i, j := range all {
		if _, err := s.deps.Jurisdictions.Find(j); err != nil {
			check.Add("jurisdictions["+strconv.Itoa(i)+"]", "%.20q is not a jurisdiction here", string(j))
		}
	}
}

func checkActor(check *errs.Check, actor string) { checkText(check, "actor", actor, 1) }

// checkText bounds a text that people will see.
func checkText(check *errs.Check, field, value string, least int) {
	switch n := utf8.RuneCountInString(value); {
	case n < least:
		check.Add(field, "is required")
	case n > maxText:
		check.Add(field, "must be at most %d characters", maxText)
	case !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl):
		check.Add(field, "must be plain text")
	}
}
