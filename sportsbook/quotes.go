package sportsbook

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"matchday/odds"
)

// Bounds of a quote file.
const (
	maxQuoteBytes = 64 << 20
	maxQuoteRows  = 500_000
)

// QuoteOptions say how a quote file becomes price changes.
type QuoteOptions struct {
	Book    string // one book's quotes; empty takes the median book's for each market
	Opening bool   // only the opening quotes; default is opening quotes, then closing ones
	Actor   string // default "feed"
}

// QuoteFeed is a quote file as price changes: the opening quotes of every market in file order, then
// the closing ones.
type QuoteFeed struct {
	Changes     []MarketPrices
	Rows        int
	Skipped     []RowError // odd or missing values, passed over; the first 100
	MoreSkipped int
}

// All yields the changes in order, for SetPrices.
func (f *QuoteFeed) All() iter.Seq[MarketPrices] { return slices.Values(f.Changes) }

// ImportQuotes reads a quote file as a feed of price changes for the events on offer. Real quotes
// are uneven: a row that has an odd or missing value, names an unknown game or has no counterpart is
// listed in Skipped with its line and passed over. Nothing changes until the feed is played with
// SetPrices.
//
// Errors: invalid if the file cannot be read at all.
func (s *Service) ImportQuotes(ctx context.Context, r io.Reader, o QuoteOptions) (*QuoteFeed, error) {
	feed, err := readQuotes(r, o, s.quotedMarket)
	if err != nil {
		return nil, fmt.Errorf("import quotes: %w", err)
	}
	s.deps.Log.InfoContext(ctx, "quotes read", "rows", feed.Rows, "changes", len(feed.Changes),
		"skipped", len(feed.Skipped)+feed.MoreSkipped)
	return feed, nil
}

// marketFinder returns the market of a game and which of its selections a quote file's selection is,
// or what is wrong with the three.
type marketFinder func(gameID string, kind MarketType, selection string) (marketID string, index int, problem string)

// quotedMarket finds what a quote is about in the offer.
func (s *Service) quotedMarket(gameID string, kind MarketType, selection string) (string, int, string) {
	e := s.catalogue.event(gameID)
	if e == nil {
		return "", 0, fmt.Sprintf("game %q is not on offer", clipText(gameID))
	}
	m := e.market(gameID + ":" + string(kind))
	if m == nil {
		return "", 0, fmt.Sprintf("game %s has no %s", gameID, kind)
	}
	index := selectionIndex(kind, selection, e.homeCode, e.awayCode)
	if index < 0 {
		return "", 0, fmt.Sprintf("%q is no selection of %s", clipText(selection), m.id)
	}
	return m.id, index, ""
}

// selectionIndex returns 0 for home or over, 1 for away or under, -1 for neither.
func selectionIndex(kind MarketType, selection, home, away string) int {
	first, second := home, away
	if kind == Total {
		first, second = CodeOver, CodeUnder
	}
	switch selection {
	case first:
		return 0
	case second:
		return 1
	}
	return -1
}

var quoteColumns = []string{"game_id", "market", "selection", "book", "open_line", "open_price", "close_line", "close_price"}

var quoteMarkets = map[string]MarketType{"money_line": Moneyline, "spread": Spread, "total": Total}

// bookQuote is one book's quote of both sides of a market.
type bookQuote struct {
	line   odds.Line // of selection 0
	prices [2]odds.Price
	rows   [2]int // line numbers in the file, 0 for a side not seen
}

// quoteKey is a market at a moment.
type quoteKey struct {
	market  string
	kind    MarketType
	closing bool
}

// quoteReader gathers the rows of a quote file by market, moment and book.
type quoteReader struct {
	*table
	options QuoteOptions
	find    marketFinder
	order   []quoteKey
	books   map[quoteKey]map[string]*bookQuote
}

// readQuotes reads a quote file against the markets that find knows.
func readQuotes(r io.Reader, o QuoteOptions, find marketFinder) (*QuoteFeed, error) {
	if o.Actor == "" {
		o.Actor = "feed"
	}
	var skipped rowErrors
	t := openTable(r, quoteColumns, maxQuoteBytes, maxQuoteRows, &skipped)
	if t == nil {
		return nil, fileError("quote file", &skipped)
	}
	q := &quoteReader{table: t, options: o, find: find, books: make(map[quoteKey]map[string]*bookQuote)}
	for t.next() {
		if o.Book == "" || o.Book == q.cell("book") {
			q.readRow()
		}
	}
	feed := &QuoteFeed{Rows: t.rows}
	for _, closing := range []bool{false, true} {
		for _, key := range q.order {
			if key.closing == closing {
				if c, ok := q.change(key); ok {
					feed.Changes = append(feed.Changes, c)
				}
			}
		}
	}
	feed.Skipped, feed.MoreSkipped = skipped.list, skipped.more
	return feed, nil
}

// readRow notes the opening and the closing quote of a row.
func (q *quoteReader) readRow() {
	kind, ok := quoteMarkets[q.cell("market")]
	if !ok {
		q.wrong.add(q.line, "market", "%q is not money_line, spread or total", clipText(q.cell("market")))
		return
	}
	market, index, problem := q.find(q.cell("game_id"), kind, q.cell("selection"))
	if problem != "" {
		q.wrong.add(q.line, "game_id", "%s", problem)
		return
	}
	q.readSide(quoteKey{market: market, kind: kind}, index, "open_")
	if !q.options.Opening {
		q.readSide(quoteKey{market: market, kind: kind, closing: true}, index, "close_")
	}
}

// readSide notes one side of a book's quote at one moment.
func (q *quoteReader) readSide(key quoteKey, index int, prefix string) {
	price, err := odds.ParsePrice(q.cell(prefix + "price"))
	if err != nil {
		q.wrong.add(q.line, prefix+"price", "%q is not an American price", clipText(q.cell(prefix+"price")))
		return
	}
	var line odds.Line
	if key.kind != Moneyline {
		line, err = odds.ParseLine(q.cell(prefix + "line"))
		if err != nil || line%lineStep != 0 || (key.kind == Total && line <= 0) {
			q.wrong.add(q.line, prefix+"line", "%q is not a line of whole or half points", clipText(q.cell(prefix+"line")))
			return
		}
		if key.kind == Spread && index == 1 {
			line = -line
		}
	}
	books := q.books[key]
	if books == nil {
		books = make(map[string]*bookQuote)
		q.books[key] = books
		q.order = append(q.order, key)
	}
	name := q.cell("book")
	b := books[name]
	if b == nil {
		b = &bookQuote{line: line}
		books[strings.Clone(name)] = b
	}
	if b.rows[1-index] != 0 && b.line != line {
		q.wrong.add(q.line, prefix+"line", "%s contradicts line %d of the same book", line, b.rows[1-index])
		return
	}
	b.line, b.prices[index], b.rows[index] = line, price, q.line
}

// change makes the price change of a market at a moment: the quote of the book in the middle, as a
// whole, so that line and prices fit each other.
func (q *quoteReader) change(key quoteKey) (MarketPrices, bool) {
	var whole []*bookQuote
	for _, b := range q.books[key] {
		if b.rows[0] != 0 && b.rows[1] != 0 {
			whole = append(whole, b)
			continue
		}
		q.wrong.add(max(b.rows[0], b.rows[1]), "", "the book has no quote of the other side")
	}
	if len(whole) == 0 {
		return MarketPrices{}, false
	}
	slices.SortFunc(whole, func(a, b *bookQuote) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.prices[0].Int(), b.prices[0].Int()),
			cmp.Compare(a.prices[1].Int(), b.prices[1].Int()))
	})
	b := whole[(len(whole)-1)/2]
	codes, _ := selectionCodes(key.kind)
	c := MarketPrices{
		MarketID: key.market, By: By{Actor: q.options.Actor},
		Prices: map[string]odds.Price{codes[0]: b.prices[0], codes[1]: b.prices[1]},
	}
	if key.kind != Moneyline {
		line := b.line
		c.Line = &line
	}
	return c, true
}
