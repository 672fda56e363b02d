package api

import (
	"bytes"
	"context"
	"fmt"

	"matchday/errs"
	"matchday/sportsbook"
)

// maxBook bounds the name of a bookmaker.
const maxBook = 60

// importQuotes plays a quote file: its opening prices, then its closing ones, market by market. A
// market that takes no bets any more is passed over, so that one started game does not keep the
// others' prices from moving.
func (a *API) importQuotes(ctx context.Context, c *call, body []byte) (QuotesReport, error) {
	if err := c.mayActEverywhere(); err != nil {
		return QuotesReport{}, err
	}
	book := c.query.Get("book")
	if len(book) > maxBook {
		return QuotesReport{}, invalidField("query.book", "is longer than %d bytes", maxBook)
	}
	feed, err := a.deps.Sportsbook.ImportQuotes(ctx, bytes.NewReader(body), sportsbook.QuoteOptions{Book: book, Actor: c.caller.session.Staff})
	if err != nil {
		return QuotesReport{}, err
	}
	out := QuotesReport{Rows: feed.Rows, PassedOver: len(feed.Skipped) + feed.MoreSkipped, Notes: make([]RowNote, len(feed.Skipped))}
	for i, row := range feed.Skipped {
		out.Notes[i] = RowNote{Line: row.Line, Column: row.Column, Message: row.Message}
	}
	for change := range feed.All() {
		err := a.deps.Sportsbook.SetPrices(ctx, change)
		switch {
		case err == nil:
			out.Applied++
		case errs.Is(err, errs.CodeConflict):
			out.Refused++
		default:
			return QuotesReport{}, fmt.Errorf("quotes: %d of %d changes applied; market %s: %w", out.Applied, len(feed.Changes), change.MarketID, err)
		}
	}
	return out, nil
}
