package sportsbook

import (
	"context"
	"fmt"
	"io"
	"time"

	"matchday/errs"
	"matchday/id"
)

// ImportOptions say how a season file becomes events.
type ImportOptions struct {
	Sport         string            // default "American football"
	Competition   string            // default "NFL"
	Jurisdictions []id.Jurisdiction // where the games are offered; empty is everywhere
	OpeningPrices bool              // opening prices and lines instead of closing ones
	Actor         string            // for the change log, default "import"

	// Kickoff maps the file's start time to the event's; nil keeps it.
	Kickoff func(time.Time) time.Time
	// Filter selects games; nil takes all.
	Filter func(Game) bool
}

// ImportReport says what an import did, or why it did nothing.
type ImportReport struct {
	Rows       int
	Games      int // selected by the filter
	Created    int
	Updated    int
	Unchanged  int
	NoMarket   []string // "2018_01_SEA_DEN: moneyline", games without that market
	Errors     []RowError
	MoreErrors int // beyond the first 100
}

// ImportSeason reads a season file and adds its games, all or nothing. A game without all prices of
// a market becomes an event without that market. Scores in the file are not entered as results.
//
// Idempotency: importing again updates facts, start times, lines and prices of events that have not
// started, and leaves all others alone; a market that a later file no longer prices stays as it is.
// Errors: invalid, with a field for each of the first 100 errors, by line and column.
func (s *Service) ImportSeason(ctx context.Context, r io.Reader, o ImportOptions) (ImportReport, error) {
	games, report, err := ReadSeason(r)
	if err != nil {
		return report, err
	}
	o = o.withDefaults()
	var check errs.Check
	checkActor(&check, o.Actor)
	var events []NewEvent
	for i := range games {
		if o.Filter != nil && !o.Filter(games[i]) {
			continue
		}
		n, missing := o.newEvent(&games[i])
		for _, kind := range missing {
			report.NoMarket = append(report.NoMarket, n.ID+": "+string(kind))
		}
		events = append(events, n)
	}
	report.Games = len(events)
	if len(events) > 0 {
		s.checkEvent(&check, events[0]) // the options, which all games share
	}
	if err := check.Err(); err != nil {
		return report, fmt.Errorf("import season: %w", err)
	}
	if err := s.upsert(ctx, o.Actor, events, &report); err != nil {
		return report, fmt.Errorf("import season: %w", err)
	}
	s.deps.Log.InfoContext(ctx, "season imported", "rows", report.Rows, "games", report.Games, "created", report.Created,
		"updated", report.Updated, "unchanged", report.Unchanged, "without_market", len(report.NoMarket))
	return report, nil
}

func (o ImportOptions) withDefaults() ImportOptions {
	if o.Sport == "" {
		o.Sport = "American football"
	}
	if o.Competition == "" {
		o.Competition = "NFL"
	}
	if o.Actor == "" {
		o.Actor = "import"
	}
	return o
}

// newEvent makes an event of a game, and names the markets it cannot have.
func (o ImportOptions) newEvent(g *Game) (NewEvent, []MarketType) {
	prices := g.Closing
	if o.OpeningPrices {
		prices = g.Opening
	}
	markets, missing := prices.newMarkets()
	n := NewEvent{
		ID: g.ID, Sport: o.Sport, Competition: o.Competition, Home: teamName(g.Home), Away: teamName(g.Away),
		HomeCode: g.Home, AwayCode: g.Away, Stadium: g.Stadium, StartsAt: g.Kickoff, Week: g.Week, Season: g.Season,
		Jurisdictions: o.Jurisdictions, Markets: markets,
	}
	if o.Kickoff != nil {
		n.StartsAt = o.Kickoff(g.Kickoff)
	}
	return n, missing
}

// upsert creates or updates checked events in one change.
func (s *Service) upsert(ctx context.Context, actor string, events []NewEvent, report *ImportReport) error {
	created := 0
	diffs, err := s.catalogue.change(ctx, actor, func(d *draft) error {
		created = 0
		for i := range events {
			n := newEventState(events[i])
			if s.catalogue.event(n.id) == nil {
				created++
				d.put(n)
				continue
			}
			e, err := d.event(n.id)
			if err != nil {
				return err
			}
			if e.status == EventScheduled {
				e.update(n)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	report.Created, report.Updated = created, len(diffs)-created
	report.Unchanged = len(events) - len(diffs)
	s.metrics.changed(diffs, len(s.catalogue.listed()))
	return nil
}

// update takes over facts, start, lines and prices of n. The statuses of markets stay: what a
// trader has suspended, an import does not open.
func (e *eventState) update(n *eventState) {
	e.sport, e.competition, e.name = n.sport, n.competition, n.name
	e.home, e.away, e.homeCode, e.awayCode = n.home, n.away, n.homeCode, n.awayCode
	e.stadium, e.startsAt, e.week, e.season = n.stadium, n.startsAt, n.week, n.season
	e.jurisdictions = n.jurisdictions
	for i := range n.markets {
		fresh := &n.markets[i]
		m := e.market(fresh.id)
		if m == nil {
			e.markets = append(e.markets, *fresh)
			continue
		}
		if !m.takesBets() {
			continue
		}
		if m.line != fresh.line {
			m.setLine(fresh.line)
		}
		for k := range m.selections {
			m.selections[k].name = fresh.selections[k].name
			m.selections[k].price = fresh.selections[k].price
		}
	}
}
