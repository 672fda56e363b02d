package sportsbook

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/odds"
	"matchday/stream"
)

// Ledger is what the sportsbook needs of the ledger.
type Ledger interface {
	stream.Log
	Commit(ctx context.Context, lane ledger.Lane, t ledger.Transfer) (ledger.Result, error)
	CommitBatch(ctx context.Context, lane ledger.Lane, ts []ledger.Transfer) ([]ledger.Result, error)
	Lookup(ctx context.Context, p id.Player, key string, request []byte) (ledger.Result, bool, error)
	Balance(ctx context.Context, a ledger.Address) (ledger.Balance, error)
	ShardOf(p id.Player) int
}

// Config of the room. The zero value is safe.
type Config struct {
	Dir string `yaml:"dir"`
}

// Validate reports what is wrong with the configuration.
func (c Config) Validate() error { return nil }

// Deps are what the room is given.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Ledger  Ledger
}

// Service is the sportsbook.
type Service struct {
	cfg      Config
	deps     Deps
	exposure *exposure
}

// Open opens the catalogue, loads the offer and prepares settlement. Run must be running before
// bets are taken.
func Open(ctx context.Context, cfg Config, deps Deps) (*Service, error) {
	return &Service{cfg: cfg, deps: deps, exposure: &exposure{}}, nil
}

// Run closes markets at their start time and settles bets until ctx is done.
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close closes the databases. It may be called twice.
func (s *Service) Close() error { return nil }

var errLater = errs.New(errs.CodeUnavailable, "not built")

// ListEvents lists the events that a jurisdiction is offered.
func (s *Service) ListEvents(ctx context.Context, q EventQuery) ([]Event, string, error) {
	return nil, "", errLater
}

// FindEvent returns one event as the jurisdiction sees it.
func (s *Service) FindEvent(ctx context.Context, j id.Jurisdiction, eventID string) (Event, error) {
	return Event{}, errLater
}

// CreateEvent adds an event with its markets.
func (s *Service) CreateEvent(ctx context.Context, e NewEvent, by By) (Event, error) {
	return Event{}, errLater
}

// SetPrice changes the price of one selection.
func (s *Service) SetPrice(ctx context.Context, c PriceChange) error { return errLater }

// SetPrices changes prices and line of a market in one step.
func (s *Service) SetPrices(ctx context.Context, c MarketPrices) error { return errLater }

// SetMarketStatus opens, suspends or closes a market.
func (s *Service) SetMarketStatus(ctx context.Context, marketID string, status MarketStatus, by By) error {
	return errLater
}

// SuspendEvent suspends all open markets of an event, or opens all suspended ones again.
func (s *Service) SuspendEvent(ctx context.Context, eventID string, suspend bool, by By) error {
	return errLater
}

// UpdateScore notes the score of an event in play.
func (s *Service) UpdateScore(ctx context.Context, eventID string, home, away int, by By) error {
	return errLater
}

// EnterResult decides an event and returns the decision; its SettlementID names the settlement.
func (s *Service) EnterResult(ctx context.Context, r Result) (Decision, error) {
	return Decision{}, errLater
}

// VoidMarket declares a market void: its legs count as if they were never struck.
func (s *Service) VoidMarket(ctx context.Context, marketID, reason string, by By) (Decision, error) {
	return Decision{}, errLater
}

// Decisions lists the decisions of an event in order.
func (s *Service) Decisions(ctx context.Context, eventID string) ([]Decision, error) {
	return nil, errLater
}

// Changes lists the change log of an event, newest first, at most limit lines.
func (s *Service) Changes(ctx context.Context, eventID string, limit int) ([]MarketChange, error) {
	return nil, errLater
}

// Subscribe calls fn for each change of the offer, after it committed, in order. fn must be quick
// and must not change the offer. The returned function ends the subscription.
func (s *Service) Subscribe(fn func(Update)) (cancel func()) { return func() {} }

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
