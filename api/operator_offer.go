package api

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/odds"
	"matchday/player"
	"matchday/sportsbook"
)

func (a *API) operatorOfferRoutes() []route {
	trading := func(r route) route {
		r.tag, r.who = "Trading", whoStaff
		if r.method != http.MethodGet {
			r.role = player.RoleOperator
		}
		return r
	}
	return []route{
		trading(route{method: "GET", path: "/v1/operator/events", id: "staff-events", params: []param{paramJurisdiction, paramStatus, paramCursor, paramLimit},
			summary: "Events as one jurisdiction sees them", end: reading(a.listEvents)}),
		trading(route{method: "GET", path: "/v1/operator/events/{id}", id: "staff-event-by-id", params: []param{paramJurisdiction},
			summary: "One event as a jurisdiction sees it", end: reading(a.findEvent)}),
		trading(route{method: "POST", path: "/v1/operator/events", id: "create-event", status: http.StatusCreated,
			summary: "Create an event with its markets", end: taking(a.createEvent)}),
		trading(route{method: "POST", path: "/v1/operator/events/import", id: "import-season", maxBody: a.cfg.MaxImportBytes, params: importParams,
			summary: "Import a season file", detail: "All or nothing; errors name the line and column.", end: takingFile("text/csv", a.importSeason)}),
		trading(route{method: "POST", path: "/v1/operator/quotes/import", id: "import-quotes", maxBody: a.cfg.MaxImportBytes, params: quoteParams,
			summary: "Import a quote file: its opening prices, then its closing ones",
			detail: "For accounts cleared for every jurisdiction. Markets change one by one, so an answer that never came may mean a part of them; " +
				"the same file may be sent again. Rows that make no sense are passed over, the first 100 with their lines.",
			end: takingFile("text/csv", a.importQuotes)}),
		trading(route{method: "POST", path: "/v1/operator/events/{id}/suspension", id: "suspend-event",
			summary: "Suspend all markets of an event, or lift that", end: taking(a.suspendEvent)}),
		trading(route{method: "POST", path: "/v1/operator/events/{id}/score", id: "update-score",
			summary: "Enter a score in play", end: taking(a.updateScore)}),
		trading(route{method: "POST", path: "/v1/operator/events/{id}/result", id: "enter-result", status: http.StatusAccepted,
			summary: "Enter or correct the result, which settles the bets", end: taking(a.enterResult)}),
		trading(route{method: "POST", path: "/v1/operator/markets/{id}/status", id: "set-market-status",
			summary: "Open, suspend or close a market", end: taking(a.setMarketStatus)}),
		trading(route{method: "POST", path: "/v1/operator/markets/{id}/prices", id: "set-prices",
			summary: "Change a market's prices and line in one step", end: taking(a.setPrices)}),
		trading(route{method: "POST", path: "/v1/operator/markets/{id}/void", id: "void-market", status: http.StatusAccepted,
			summary: "Void a market: stakes on it go back", end: taking(a.voidMarket)}),
		trading(route{method: "POST", path: "/v1/operator/selections/{id}/price", id: "set-price",
			summary: "Change the price of one selection", end: taking(a.setPrice)}),
	}
}

var importParams = []param{
	{name: "jurisdictions", doc: "Where the games are offered, codes with commas; everywhere if absent", example: "US-NJ,US-PA"},
	{name: "competition", doc: "Name of the competition; NFL if absent"},
	{name: "week", doc: "Only the games of this week", example: "5"},
	{name: "prices", doc: "Which of the file's prices; closing if absent", enum: []string{"opening", "closing"}},
	{name: "first_kickoff", doc: "Moves the games: the first one starts then (RFC 3339)", example: "2026-11-22T18:00:00Z"},
	{name: "speed", doc: "With first_kickoff: divides the time between the games, 1 to 10000", example: "60"},
}

var quoteParams = []param{{name: "book", doc: "Only this bookmaker's quotes; for each market the one in the middle if absent", example: "PINNACLE"}}

// by names the caller for the change log.
func (c *call) by(expected int64) sportsbook.By {
	return sportsbook.By{Actor: c.caller.session.Staff, ExpectedVersion: expected}
}

func (a *API) createEvent(ctx context.Context, c *call, in *NewEvent) (Event, error) {
	if err := c.mayOffer(in.Jurisdictions); err != nil {
		return Event{}, err
	}
	var check errs.Check
	const mostMarkets = 20
	if len(in.Markets) > mostMarkets {
		check.Add("markets", "has more than %d markets", mostMarkets)
		return Event{}, check.Err()
	}
	e := sportsbook.NewEvent{ID: in.ID, Sport: in.Sport, Competition: in.Competition, Home: in.Home, Away: in.Away,
		HomeCode: in.HomeCode, AwayCode: in.AwayCode, Stadium: in.Stadium, StartsAt: in.StartsAt.UTC(), Week: in.Week,
		Season: in.Season, Jurisdictions: codesOf(in.Jurisdictions)}
	for i, m := range in.Markets {
		at := "markets[" + strconv.Itoa(i) + "]."
		e.Markets = append(e.Markets, sportsbook.NewMarket{Type: sportsbook.MarketType(m.Type),
			Line: parseLine(&check, at+"line", m.Line), Prices: parsePrices(&check, at+"prices", m.Prices)})
	}
	if err := check.Err(); err != nil {
		return Event{}, err
	}
	created, err := a.deps.Sportsbook.CreateEvent(ctx, e, c.by(0))
	if err != nil {
		return Event{}, fmt.Errorf("create event: %w", err)
	}
	return eventOf(created), nil
}

// parsePrices reads prices by selection code.
func parsePrices(check *errs.Check, at string, texts map[string]string) map[string]odds.Price {
	out := make(map[string]odds.Price, len(texts))
	for _, code := range slices.Sorted(maps.Keys(texts)) {
		switch code {
		case sportsbook.CodeHome, sportsbook.CodeAway, sportsbook.CodeOver, sportsbook.CodeUnder:
			out[code] = parsePrice(check, at+"."+code, texts[code])
		default:
			check.Add(at+"."+clip(code, 20), "is not home, away, over or under")
		}
	}
	return out
}

// mayOffer checks that every named jurisdiction is served and open to the account; naming none
// means all of them.
func (c *call) mayOffer(named []string) error {
	if len(named) == 0 {
		return c.mayActEverywhere()
	}
	var check errs.Check
	for i, code := range named {
		if _, err := c.a.deps.Jurisdictions.Find(id.Jurisdiction(code)); err != nil {
			check.Add("jurisdictions["+strconv.Itoa(i)+"]", "is not served here")
		}
	}
	if err := check.Err(); err != nil {
		return err
	}
	for _, code := range named {
		if err := c.mayActIn(id.Jurisdiction(code)); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) importSeason(ctx context.Context, c *call, body []byte) (ImportReport, error) {
	var named []string
	if text := c.query.Get("jurisdictions"); text != "" {
		named = strings.Split(text, ",")
	}
	if err := c.mayOffer(named); err != nil {
		return ImportReport{}, err
	}
	o := sportsbook.ImportOptions{Competition: c.query.Get("competition"), Jurisdictions: codesOf(named),
		OpeningPrices: c.query.Get("prices") == "opening", Actor: c.caller.session.Staff}
	if err := c.selectGames(&o, body); err != nil {
		return ImportReport{}, err
	}
	report, err := a.deps.Sportsbook.ImportSeason(ctx, bytes.NewReader(body), o)
	if err != nil {
		return ImportReport{}, rowErrors(report, fmt.Errorf("import season: %w", err))
	}
	const mostNotes = 200
	return ImportReport{Rows: report.Rows, Games: report.Games, Created: report.Created, Updated: report.Updated,
		Unchanged: report.Unchanged, NoMarket: report.NoMarket[:min(len(report.NoMarket), mostNotes)]}, nil
}

// selectGames reads week, first_kickoff and speed.
func (c *call) selectGames(o *sportsbook.ImportOptions, body []byte) error {
	var check errs.Check
	if text := c.query.Get("week"); text != "" {
		week, err := strconv.Atoi(text)
		if err != nil || week < 1 || week > 60 {
			check.Add("query.week", "is not a week from 1 to 60")
		}
		o.Filter = func(g sportsbook.Game) bool { return g.Week == week }
	}
	speed := int64(1)
	if text := c.query.Get("speed"); text != "" {
		var err error
		if speed, err = strconv.ParseInt(text, 10, 64); err != nil || speed < 1 || speed > 10_000 {
			check.Add("query.speed", "is not a number from 1 to 10000")
		}
	}
	text := c.query.Get("first_kickoff")
	start, err := time.Parse(time.RFC3339, orElse(text, time.RFC3339[:19]+"Z"))
	if err != nil {
		check.Add("query.first_kickoff", "is not a time such as 2026-11-22T18:00:00Z")
	}
	if err := check.Err(); err != nil || text == "" {
		return err
	}
	games, report, err := sportsbook.ReadSeason(bytes.NewReader(body))
	if err != nil {
		return rowErrors(report, fmt.Errorf("read season: %w", err))
	}
	var first time.Time
	for _, g := range games {
		if (o.Filter == nil || o.Filter(g)) && (first.IsZero() || g.Kickoff.Before(first)) {
			first = g.Kickoff
		}
	}
	o.Kickoff = func(t time.Time) time.Time { return start.UTC().Add(t.Sub(first) / time.Duration(speed)) }
	return nil
}

// rowErrors shows the lines of a file that are wrong, if that is why it was refused.
func rowErrors(report sportsbook.ImportReport, err error) error {
	if len(report.Errors) == 0 {
		return err
	}
	refused := errs.Wrap(err, errs.CodeInvalid, "the file has %d lines that are wrong; nothing was imported", len(report.Errors)+report.MoreErrors)
	for _, e := range report.Errors {
		at := "line " + strconv.Itoa(e.Line)
		if e.Column != "" {
			at += "." + e.Column
		}
		refused.Fields = append(refused.Fields, errs.Field{Location: at, Message: e.Message})
	}
	return refused
}

func (a *API) suspendEvent(ctx context.Context, c *call, in *SuspensionRequest) (None, error) {
	if in.Suspended == nil {
		return None{}, invalidField("suspended", "is required: true or false")
	}
	which, err := c.tradedEverywhere()
	if err != nil {
		return None{}, err
	}
	return None{}, wrap("suspend event "+which, a.deps.Sportsbook.SuspendEvent(ctx, which, *in.Suspended, c.by(0)))
}

func (a *API) updateScore(ctx context.Context, c *call, in *ScoreRequest) (None, error) {
	if err := checkScore(in.HomeScore, in.AwayScore); err != nil {
		return None{}, err
	}
	which, err := c.tradedEverywhere()
	if err != nil {
		return None{}, err
	}
	return None{}, wrap("score of event "+which, a.deps.Sportsbook.UpdateScore(ctx, which, *in.HomeScore, *in.AwayScore, c.by(0)))
}

func (a *API) enterResult(ctx context.Context, c *call, in *ResultRequest) (ResultEntered, error) {
	if err := checkScore(in.HomeScore, in.AwayScore); err != nil {
		return ResultEntered{}, err
	}
	which, err := c.tradedEverywhere()
	if err != nil {
		return ResultEntered{}, err
	}
	d, err := a.deps.Sportsbook.EnterResult(ctx, sportsbook.Result{EventID: which, HomeScore: *in.HomeScore, AwayScore: *in.AwayScore,
		EnteredBy: c.caller.session.Staff, ExpectedResultVersion: in.ResultVersion})
	if err != nil {
		return ResultEntered{}, fmt.Errorf("enter result of event %s: %w", which, err)
	}
	return ResultEntered{SettlementID: d.SettlementID}, nil
}

// checkScore wants both scores, 0 to 999.
func checkScore(home, away *int) error {
	var check errs.Check
	for _, s := range []struct {
		name  string
		score *int
	}{{"home_score", home}, {"away_score", away}} {
		if s.score == nil || *s.score < 0 || *s.score > 999 {
			check.Add(s.name, "is not a score from 0 to 999")
		}
	}
	return check.Err()
}

// tradedEverywhere returns the id in the path if the caller may change what concerns every
// jurisdiction.
func (c *call) tradedEverywhere() (string, error) {
	if err := c.mayActEverywhere(); err != nil {
		return "", err
	}
	return c.eventID()
}

func (a *API) setMarketStatus(ctx context.Context, c *call, in *MarketStatusRequest) (None, error) {
	status := sportsbook.MarketStatus(in.Status)
	switch status {
	case sportsbook.MarketOpen, sportsbook.MarketSuspended, sportsbook.MarketClosed:
	default:
		return None{}, invalidField("status", "is not open, suspended or closed")
	}
	which, err := c.tradedEverywhere()
	if err != nil {
		return None{}, err
	}
	return None{}, wrap("status of market "+which, a.deps.Sportsbook.SetMarketStatus(ctx, which, status, c.by(in.Version)))
}

func (a *API) voidMarket(ctx context.Context, c *call, in *VoidRequest) (ResultEntered, error) {
	if n := len(in.Reason); n < 1 || n > 200 {
		return ResultEntered{}, invalidField("reason", "needs 1 to 200 bytes")
	}
	which, err := c.tradedEverywhere()
	if err != nil {
		return ResultEntered{}, err
	}
	d, err := a.deps.Sportsbook.VoidMarket(ctx, which, in.Reason, c.by(0))
	if err != nil {
		return ResultEntered{}, fmt.Errorf("void market %s: %w", which, err)
	}
	return ResultEntered{SettlementID: d.SettlementID}, nil
}

// priceScope checks where a price is to change. A line belongs to the market everywhere, so it
// cannot be moved for one jurisdiction alone.
func (c *call) priceScope(jurisdiction string, line *odds.Line) (string, error) {
	if jurisdiction == "" {
		return c.tradedEverywhere()
	}
	if err := c.mayOffer([]string{jurisdiction}); err != nil {
		return "", err
	}
	if line != nil {
		if err := c.mayActEverywhere(); err != nil {
			return "", err
		}
	}
	return c.eventID()
}

func (a *API) setPrice(ctx context.Context, c *call, in *SetPriceRequest) (None, error) {
	var check errs.Check
	change := sportsbook.PriceChange{Jurisdiction: id.Jurisdiction(in.Jurisdiction), Price: parsePrice(&check, "price", in.Price),
		Line: parseLine(&check, "line", in.Line), By: c.by(in.Version)}
	if err := check.Err(); err != nil {
		return None{}, err
	}
	var err error
	if change.SelectionID, err = c.priceScope(in.Jurisdiction, change.Line); err != nil {
		return None{}, err
	}
	return None{}, wrap("price of selection "+change.SelectionID, a.deps.Sportsbook.SetPrice(ctx, change))
}

func (a *API) setPrices(ctx context.Context, c *call, in *SetPricesRequest) (None, error) {
	var check errs.Check
	change := sportsbook.MarketPrices{Jurisdiction: id.Jurisdiction(in.Jurisdiction), Prices: parsePrices(&check, "prices", in.Prices),
		Line: parseLine(&check, "line", in.Line), By: c.by(in.Version)}
	if len(in.Prices) == 0 && in.Line == nil {
		check.Add("prices", "names no price, and there is no line")
	}
	if err := check.Err(); err != nil {
		return None{}, err
	}
	var err error
	if change.MarketID, err = c.priceScope(in.Jurisdiction, change.Line); err != nil {
		return None{}, err
	}
	return None{}, wrap("prices of market "+change.MarketID, a.deps.Sportsbook.SetPrices(ctx, change))
}

// wrap adds the operation to an error, if there is one.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", op, err)
}
