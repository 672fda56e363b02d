package sportsbook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"matchday/errs"
	"matchday/odds"
)

// The fictional league that a fresh installation offers, so that there is something to bet on.
const (
	slateSport       = "American football"
	slateCompetition = "Lantern Coast League"
	slateActor       = "slate"
	slatePrefix      = "lcl_"
	slateEnough      = 6 // games still to come; with fewer, new ones are added
)

// slateTeam is an invented team.
type slateTeam struct{ code, name, stadium string }

var slateTeams = []slateTeam{
	{"ALD", "Alderhaven Herons", "Heron Park"},
	{"BRK", "Brackwater Otters", "The Sluice"},
	{"CIN", "Cinderford Foxes", "Ember Field"},
	{"DUN", "Dunmarrow Bells", "Belfry Ground"},
	{"ESK", "Eskerby Rams", "Longshore Stadium"},
	{"FEN", "Fenwick Lights", "Lamp Street"},
	{"GAL", "Gallowmere Ravens", "Mere Bowl"},
	{"HOL", "Hollin Bay Gulls", "Bay View"},
	{"IVR", "Iverton Smiths", "Anvil Arena"},
	{"KES", "Kestrel Point Kites", "The Point"},
	{"LOW", "Lowmoor Badgers", "Moor Lane"},
	{"MAR", "Marshgate Pikes", "Reed Stadium"},
}

// slateGame is a pairing with its start, after the next full quarter of an hour, and its prices.
type slateGame struct {
	away, home  int // of slateTeams
	after       time.Duration
	moneyAway   int64
	moneyHome   int64
	spreadHome  odds.Line
	total       odds.Line
	spreadPrice [2]int64 // home, away
	totalPrice  [2]int64 // over, under
}

var slateGames = []slateGame{
	{1, 0, 15 * time.Minute, 145, -170, -350, 4450, [2]int64{-110, -110}, [2]int64{-105, -115}},
	{3, 2, 45 * time.Minute, -125, 105, 150, 4700, [2]int64{-108, -112}, [2]int64{-110, -110}},
	{5, 4, 2 * time.Hour, 240, -290, -700, 5150, [2]int64{-115, -105}, [2]int64{-110, -110}},
	{7, 6, 3 * time.Hour, -105, -115, -100, 4150, [2]int64{100, -120}, [2]int64{-112, -108}},
	{9, 8, 6 * time.Hour, 180, -215, -500, 4850, [2]int64{-110, -110}, [2]int64{-110, -110}},
	{11, 10, 8 * time.Hour, -340, 275, 850, 4300, [2]int64{-105, -115}, [2]int64{-115, -105}},
	{0, 7, 24 * time.Hour, 120, -140, -250, 4600, [2]int64{-112, -108}, [2]int64{-110, -110}},
	{2, 9, 26 * time.Hour, 100, -120, -150, 4950, [2]int64{-110, -110}, [2]int64{-108, -112}},
}

// AddBuiltInSlate adds games of the fictional league that start in the hours and the day after now,
// unless enough of them are still to come.
func (s *Service) AddBuiltInSlate(ctx context.Context, now time.Time) error {
	coming := 0
	for _, slot := range s.catalogue.listed() {
		e := slot.state.Load()
		if strings.HasPrefix(e.id, slatePrefix) && e.status == EventScheduled && e.startsAt.After(now) {
			coming++
		}
	}
	if coming >= slateEnough {
		return nil
	}
	base := now.UTC().Truncate(15 * time.Minute).Add(15 * time.Minute)
	events := make([]NewEvent, 0, len(slateGames))
	var check errs.Check
	for _, g := range slateGames {
		n, err := g.newEvent(base)
		if err != nil {
			return fmt.Errorf("built-in slate: %w", err)
		}
		s.checkEvent(&check, n)
		events = append(events, n)
	}
	if err := check.Err(); err != nil {
		return fmt.Errorf("built-in slate: %w", err)
	}
	if err := s.upsert(ctx, slateActor, events, &ImportReport{}); err != nil {
		return fmt.Errorf("built-in slate: %w", err)
	}
	return nil
}

// newEvent makes the event of a game; its id holds the start, so that the same slate is added once.
func (g slateGame) newEvent(base time.Time) (NewEvent, error) {
	home, away := slateTeams[g.home], slateTeams[g.away]
	starts := base.Add(g.after)
	var prices [6]odds.Price
	for i, n := range []int64{g.moneyHome, g.moneyAway, g.spreadPrice[0], g.spreadPrice[1], g.totalPrice[0], g.totalPrice[1]} {
		p, err := odds.American(n)
		if err != nil {
			return NewEvent{}, err
		}
		prices[i] = p
	}
	spread, total := g.spreadHome, g.total
	return NewEvent{
		ID:    slatePrefix + starts.Format("200601021504") + "_" + away.code + "_" + home.code,
		Sport: slateSport, Competition: slateCompetition, Home: home.name, Away: away.name,
		HomeCode: home.code, AwayCode: away.code, Stadium: home.stadium, StartsAt: starts,
		Markets: []NewMarket{
			{Type: Moneyline, Prices: map[string]odds.Price{CodeHome: prices[0], CodeAway: prices[1]}},
			{Type: Spread, Line: &spread, Prices: map[string]odds.Price{CodeHome: prices[2], CodeAway: prices[3]}},
			{Type: Total, Line: &total, Prices: map[string]odds.Price{CodeOver: prices[4], CodeUnder: prices[5]}},
		},
	}, nil
}
