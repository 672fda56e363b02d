package sportsbook

import (
	"context"
	"io"
	"iter"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/odds"
)

var errLater = errs.New(errs.CodeUnavailable, "not built")

// AddBuiltInSlate adds the games of the fictional league that start in the hours after now.
func (s *Service) AddBuiltInSlate(ctx context.Context, now time.Time) error { return errLater }

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

// Game is one row of a season file.
type Game struct {
	ID        string
	Season    int
	Type      string // REG, WC, DIV, CON, SB
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

// GamePrices are one book's prices of a game; zero prices are unknown.
type GamePrices struct {
	MoneylineAway, MoneylineHome odds.Price
	SpreadHome                   odds.Line
	SpreadHomePrice              odds.Price
	SpreadAwayPrice              odds.Price
	Total                        odds.Line
	OverPrice, UnderPrice        odds.Price
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

// RowError is what is wrong with one line of a file.
type RowError struct {
	Line    int
	Column  string
	Message string
}

// ImportSeason reads a season file and adds its games, all or nothing.
func (s *Service) ImportSeason(ctx context.Context, r io.Reader, o ImportOptions) (ImportReport, error) {
	return ImportReport{}, errLater
}

// ReadSeason parses a season file without importing it.
func ReadSeason(r io.Reader) ([]Game, ImportReport, error) { return nil, ImportReport{}, errLater }

// QuoteOptions say how a quote file becomes price changes.
type QuoteOptions struct {
	Book    string // one book's quotes; empty takes the median of all books
	Opening bool   // only the opening quotes; default is opening, then closing
	Actor   string // default "feed"
}

// QuoteFeed is a quote file as price changes, openings before closings, in file order.
type QuoteFeed struct {
	Changes     []MarketPrices
	Rows        int
	Skipped     []RowError // odd or missing values, passed over; the first 100
	MoreSkipped int
}

// All yields the changes in order.
func (f *QuoteFeed) All() iter.Seq[MarketPrices] {
	return func(yield func(MarketPrices) bool) {
		for _, c := range f.Changes {
			if !yield(c) {
				return
			}
		}
	}
}

// ImportQuotes reads a quote file as a feed of price changes for SetPrices.
func (s *Service) ImportQuotes(ctx context.Context, r io.Reader, o QuoteOptions) (*QuoteFeed, error) {
	return nil, errLater
}
