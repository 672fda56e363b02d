package sportsbook

import (
	"io"
	"regexp"
	"strconv"
	"time"

	"matchday/odds"
)

// Bounds of a season file.
const (
	maxSeasonBytes = 16 << 20
	maxSeasonRows  = 5_000
)

// Game is one row of a season file.
type Game struct {
	ID        string
	Season    int
	Type      string // of game: REG, WC, DIV, CON, SB
	Week      int
	Kickoff   time.Time
	Away      string // abbreviation
	Home      string
	Stadium   string
	Opening   GamePrices
	Closing   GamePrices
	AwayScore int
	HomeScore int
	HasScore  bool
}

// GamePrices are one book's prices of a game. A market without all of its prices, or without its
// line, is not known: its prices are zero.
type GamePrices struct {
	MoneylineAway   odds.Price
	MoneylineHome   odds.Price
	SpreadHome      odds.Line
	SpreadHomePrice odds.Price
	SpreadAwayPrice odds.Price
	Total           odds.Line
	OverPrice       odds.Price
	UnderPrice      odds.Price
}

var seasonColumns = []string{
	"game_id", "season", "game_type", "week", "kickoff_utc", "away_team", "home_team", "stadium",
	"open_moneyline_away", "open_moneyline_home", "close_moneyline_away", "close_moneyline_home",
	"open_spread_home", "open_spread_home_price", "open_spread_away_price",
	"close_spread_home", "close_spread_home_price", "close_spread_away_price",
	"open_total", "open_over_price", "open_under_price", "close_total", "close_over_price", "close_under_price",
	"away_score", "home_score",
}

var teamForm = regexp.MustCompile(`^[A-Z0-9]{2,5}$`)

// ReadSeason reads a season file. All errors are gathered, the first 100 with line and column; a
// file with any error is refused with code invalid and an error field for each. The report's Rows
// and Errors are filled in either way.
func ReadSeason(r io.Reader) ([]Game, ImportReport, error) {
	var wrong rowErrors
	var report ImportReport
	var games []Game
	if t := openTable(r, seasonColumns, maxSeasonBytes, maxSeasonRows, &wrong); t != nil {
		seen := make(map[string]int)
		for t.next() {
			g := gameReader{table: t}.read()
			if first, twice := seen[g.ID]; twice && g.ID != "" {
				wrong.add(t.line, "game_id", "%s is on line %d already", clipText(g.ID), first)
			}
			seen[g.ID] = t.line
			games = append(games, g)
		}
		report.Rows = t.rows
	}
	report.Errors, report.MoreErrors = wrong.list, wrong.more
	if err := fileError("season file", &wrong); err != nil {
		return nil, report, err
	}
	return games, report, nil
}

// gameReader reads the current row of a season file and notes what is wrong with it.
type gameReader struct{ *table }

func (g gameReader) read() Game {
	game := Game{
		ID: g.cell("game_id"), Type: g.cell("game_type"), Stadium: g.cell("stadium"),
		Away: g.cell("away_team"), Home: g.cell("home_team"),
		Season: g.number("season", 1900, 2100), Week: g.number("week", 1, 60),
	}
	if !eventIDForm.MatchString(game.ID) {
		g.wrong.add(g.line, "game_id", "%q must be 3 to 80 letters, digits, _ or -", clipText(game.ID))
	}
	if len(game.Stadium) > maxText {
		g.wrong.add(g.line, "stadium", "must be at most %d bytes", maxText)
	}
	for _, column := range []string{"away_team", "home_team"} {
		if !teamForm.MatchString(g.cell(column)) {
			g.wrong.add(g.line, column, "%q is not a team's abbreviation", clipText(g.cell(column)))
		}
	}
	if game.Away == game.Home {
		g.wrong.add(g.line, "home_team", "is the away team too")
	}
	kickoff, err := time.Parse(time.RFC3339, g.cell("kickoff_utc"))
	if err != nil || kickoff.Year() < 1990 || kickoff.Year() > 2100 {
		g.wrong.add(g.line, "kickoff_utc", "%q is not a time such as 2019-10-06T17:00:00Z", clipText(g.cell("kickoff_utc")))
	}
	game.Kickoff = kickoff.UTC()
	game.Opening, game.Closing = g.prices("open_"), g.prices("close_")
	if g.cell("away_score") != "" || g.cell("home_score") != "" {
		game.HasScore = true
		game.AwayScore = g.number("away_score", 0, maxScore)
		game.HomeScore = g.number("home_score", 0, maxScore)
	}
	return game
}

// prices reads the opening or the closing prices.
func (g gameReader) prices(prefix string) GamePrices {
	var p GamePrices
	away, home := g.price(prefix+"moneyline_away"), g.price(prefix+"moneyline_home")
	if !away.IsZero() && !home.IsZero() {
		p.MoneylineAway, p.MoneylineHome = away, home
	}
	line, ok := g.lineCell(prefix+"spread_home", Spread)
	home, away = g.price(prefix+"spread_home_price"), g.price(prefix+"spread_away_price")
	if ok && !away.IsZero() && !home.IsZero() {
		p.SpreadHome, p.SpreadHomePrice, p.SpreadAwayPrice = line, home, away
	}
	line, ok = g.lineCell(prefix+"total", Total)
	over, under := g.price(prefix+"over_price"), g.price(prefix+"under_price")
	if ok && !over.IsZero() && !under.IsZero() {
		p.Total, p.OverPrice, p.UnderPrice = line, over, under
	}
	return p
}

func (g gameReader) number(column string, least, most int) int {
	text := g.cell(column)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		g.wrong.add(g.line, column, "%q is not a whole number from %d to %d", clipText(text), least, most)
		return 0
	}
	return n
}

// price reads an American price; empty is no price.
func (g gameReader) price(column string) odds.Price {
	text := g.cell(column)
	if text == "" {
		return odds.Price{}
	}
	p, err := odds.ParsePrice(text)
	if err != nil {
		g.wrong.add(g.line, column, "%q is not an American price such as -110 or +154", clipText(text))
	}
	return p
}

// lineCell reads a line; empty is none.
func (g gameReader) lineCell(column string, kind MarketType) (odds.Line, bool) {
	text := g.cell(column)
	if text == "" {
		return 0, false
	}
	l, err := odds.ParseLine(text)
	switch {
	case err != nil:
		g.wrong.add(g.line, column, "%q is not a line such as -3.5", clipText(text))
	case l%lineStep != 0:
		g.wrong.add(g.line, column, "%q is not a whole or half number of points", clipText(text))
	case kind == Total && l <= 0:
		g.wrong.add(g.line, column, "%q must be above zero", clipText(text))
	default:
		return l, true
	}
	return 0, false
}

// newMarkets returns the markets that all prices are known of, and the types that are missing.
func (p GamePrices) newMarkets() (markets []NewMarket, missing []MarketType) {
	if p.MoneylineHome.IsZero() {
		missing = append(missing, Moneyline)
	} else {
		markets = append(markets, NewMarket{
			Type: Moneyline, Prices: map[string]odds.Price{CodeHome: p.MoneylineHome, CodeAway: p.MoneylineAway},
		})
	}
	if p.SpreadHomePrice.IsZero() {
		missing = append(missing, Spread)
	} else {
		markets = append(markets, NewMarket{
			Type: Spread, Line: &p.SpreadHome,
			Prices: map[string]odds.Price{CodeHome: p.SpreadHomePrice, CodeAway: p.SpreadAwayPrice},
		})
	}
	if p.OverPrice.IsZero() {
		missing = append(missing, Total)
	} else {
		markets = append(markets, NewMarket{
			Type: Total, Line: &p.Total,
			Prices: map[string]odds.Price{CodeOver: p.OverPrice, CodeUnder: p.UnderPrice},
		})
	}
	return markets, missing
}
