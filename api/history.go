package api

import (
	"context"
	"errors"
	"fmt"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/money"
	"matchday/stream"
)

// The parameters of lists of bets.
var betFilters = []param{
	{name: "status", doc: "Only bets in this status; settled is any but open", enum: []string{"open", "settled", "won", "lost", "push", "void"}},
	{name: "product", doc: "Only bets of this product", example: "sportsbook"},
	{name: "sport", doc: "Only bets with a leg of this sport, as the offer spells it; not those from before legs named it", example: "American football"},
	{name: "competition", doc: "Only bets with a leg of this competition", example: "NFL"},
	{name: "event", doc: "Only bets with a leg of the event with this id"},
	{name: "bet", doc: "Only the bet with this id"},
	{name: "from", doc: "Only bets placed at this time or later (RFC 3339)", example: "2026-11-01T00:00:00Z"},
	{name: "to", doc: "Only bets placed before this time (RFC 3339)", example: "2026-12-01T00:00:00Z"},
	{name: "currency", doc: "Only bets in this currency; with a stake, the jurisdiction's if absent", example: "USD"},
	{name: "min_stake", doc: "Only bets with at least this stake", example: "25.00"},
	{name: "max_stake", doc: "Only bets with at most this stake", example: "100.00"},
}

// pagedBets says how lists of bets end.
const pagedBets = "An answer looks at a bounded number of bets. One with fewer items than asked for, even with none, is not the last while it has " +
	"`next`: go on with it. Bets that are placed meanwhile do not move what is on the pages that follow."

// The parameters of summaries.
var summaryParams = []param{
	{name: "by", doc: "How long a period is; month if absent", enum: []string{"day", "month", "year"}},
	{name: "from", doc: "First day", example: "2026-11-01"},
	{name: "to", doc: "Last day, included", example: "2026-11-30"},
	paramCursor,
	{name: "limit", doc: "Lines on a page, 1 to 200, 50 if absent; the last period is whole, however many lines it has", example: "50"},
}

// exportParams are the parameters of exports of bets.
var exportParams = []param{{name: "after", doc: "Only bets behind this one: to go on with an export that was cut off, the last bet of what came"}}

const (
	daysOfBets = "A bet counts in the period in which it was placed, by the clock of the jurisdiction (`zone`), with what it has paid up to now: a corrected " +
		"result changes the period of its bets. Net is what came back less the stakes of the bets that are decided."
	exportOfBets = "One JSON object a line: a bet as the list has it, with `settlements` where it was settled more than once. The last line has `trailer`, with " +
		"the number of bets and a position up to which all of them are there; an export without one was cut off: go on with `after`."
	tableOfBets = "Comma-separated values in UTF-8 (RFC 4180), the columns' names first. A row whose `record` is `end` comes last: `bet` is the number " +
		"of bets, `settlements` says up to where all of them are there; a table without one was cut off: go on with `after`. A text that a spreadsheet would take for a formula " +
		"begins with an apostrophe."
)

// historyRoutes show bets: to their player, and to staff, who leave a line in the log.
func (a *API) historyRoutes() []route {
	list := append(append([]param{}, betFilters...), paramCursor, paramLimit)
	const player = "/v1/operator/players/{id}/bets"
	return []route{
		{method: "GET", path: "/v1/bets/{id}", id: "bet-by-id", tag: "Bets", who: whoPlayer, reads: true, history: true,
			summary: "One of the player's bets, with every settlement it had", end: reading(a.findBet)},
		{method: "GET", path: "/v1/me/bets", id: "bets", tag: "Bets", who: whoPlayer, reads: true, history: true, params: list,
			summary: "The player's bets, newest first", detail: pagedBets, end: reading(a.listBets)},
		{method: "GET", path: "/v1/me/bets/summary", id: "bet-summary", tag: "Bets", who: whoPlayer, reads: true, history: true, params: summaryParams,
			summary: "Sums of the player's bets by day, month or year, newest first", detail: daysOfBets, end: reading(a.summariseBets)},
		{method: "GET", path: "/v1/me/bets/export", id: "bet-export", tag: "Bets", who: whoPlayer, reads: true, history: true, streams: "application/x-ndjson",
			params: exportParams, summary: "All of the player's bets, oldest first", detail: exportOfBets, end: answering(a.exportAs(ndjsonBets))},
		{method: "GET", path: "/v1/me/bets/export.csv", id: "bet-table", tag: "Bets", who: whoPlayer, reads: true, history: true, streams: "text/csv",
			params: exportParams, summary: "All of the player's bets as a table, oldest first", detail: tableOfBets, end: answering(a.exportAs(csvBets))},
		{method: "GET", path: player + "/{bet}", id: "bet-of-player", tag: "Staff", who: whoStaff, right: rightBets, reads: true, history: true, params: []param{paramJurisdiction},
			summary: "One bet of a player, with every settlement it had", end: reading(a.findBet)},
		{method: "GET", path: player + "/summary", id: "bet-summary-of-player", tag: "Staff", who: whoStaff, right: rightBets, reads: true, history: true,
			params:  append(summaryParams[:len(summaryParams):len(summaryParams)], paramJurisdiction),
			summary: "Sums of a player's bets by day, month or year, newest first", detail: daysOfBets, end: reading(a.summariseBets)},
		{method: "GET", path: player + "/export", id: "bet-export-of-player", tag: "Staff", who: whoStaff, right: rightBets, reads: true, history: true, streams: "application/x-ndjson",
			params: append(exportParams[:1:1], paramJurisdiction), summary: "All bets of a player, oldest first", detail: exportOfBets, end: answering(a.exportAs(ndjsonBets))},
		{method: "GET", path: player + "/export.csv", id: "bet-table-of-player", tag: "Staff", who: whoStaff, right: rightBets, reads: true, history: true, streams: "text/csv",
			params: append(exportParams[:1:1], paramJurisdiction), summary: "All bets of a player as a table, oldest first", detail: tableOfBets, end: answering(a.exportAs(csvBets))},
		{method: "GET", path: player, id: "bets-of-player", tag: "Staff", who: whoStaff, right: rightBets, reads: true, history: true, params: append(list, paramJurisdiction),
			summary: "A player's bets, newest first", detail: pagedBets, end: reading(a.listBets)},
	}
}

// owner is whose bets are asked for.
type owner struct {
	player id.Player
	home   jurisdiction.Jurisdiction
	at     *stream.Position // which the answer must include
}

// ownerOf returns the player of the session or, for staff and services, the one that the path names. That they read
// a player's bets is logged.
func (a *API) ownerOf(ctx context.Context, c *call) (owner, error) {
	s := c.caller.session
	at, err := c.readPosition()
	if err != nil {
		return owner{}, err
	}
	if s.Player != "" {
		home, err := a.home(s)
		return owner{s.Player, home, at}, err
	}
	code, err := c.jurisdiction()
	if err != nil {
		return owner{}, err
	}
	which := c.r.PathValue("id")
	if id.Check(id.KindPlayer, which) != nil {
		return owner{}, errs.New(errs.CodeNotFound, "no such player")
	}
	if a.deps.Players != nil { // without, a player who is unknown has no bets, as one who never placed any
		if _, err := a.deps.Players.Find(ctx, id.Player(which), code); err != nil {
			return owner{}, fmt.Errorf("find player %s: %w", which, err)
		}
	}
	home, err := a.deps.Jurisdictions.Find(code)
	if err != nil {
		return owner{}, fmt.Errorf("find player %s: %w", which, err)
	}
	a.log.InfoContext(ctx, "staff read a player's bets", "by", c.reader(), "player_id", which, "jurisdiction", string(code),
		"operation", c.route.id, "request_id", c.requestID)
	return owner{id.Player(which), home, at}, nil
}

// reader is the name, for the log, of who reads what is not their own.
func (c *call) reader() string {
	if c.caller.service != nil {
		return "service " + c.caller.service.name
	}
	return c.caller.session.Staff
}

func (a *API) findBet(ctx context.Context, c *call) (BetLife, error) {
	of, err := a.ownerOf(ctx, c)
	if err != nil {
		return BetLife{}, err
	}
	which := orElse(c.r.PathValue("bet"), c.r.PathValue("id"))
	if id.Check(id.KindBet, which) != nil {
		return BetLife{}, errs.New(errs.CodeNotFound, "no such bet")
	}
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	b, err := a.deps.History.Follow(ctx, of.player, of.home.Code, id.Bet(which), of.at)
	c.setHistory(b.Freshness)
	if err != nil {
		return BetLife{}, fmt.Errorf("find bet %s: %w", which, err)
	}
	return BetLife{Bet: betOf(b.Bet), PlacedPosition: b.Placed.String(), Settlements: settlementsOf(b.Settlements),
		Position: b.Position.String(), FreshAt: b.FreshAt}, nil
}

func (a *API) listBets(ctx context.Context, c *call) (Bets, error) {
	of, err := a.ownerOf(ctx, c)
	if err != nil {
		return Bets{}, err
	}
	q, err := c.betQuery(of)
	if err != nil {
		return Bets{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, positionWait)
	defer cancel()
	page, err := a.deps.History.List(ctx, q)
	c.setHistory(page.Freshness)
	if err != nil {
		return Bets{}, fmt.Errorf("list bets of player %s: %w", of.player, inQuery(err))
	}
	out := Bets{Items: make([]Bet, len(page.Bets)), Next: string(page.Next), Position: page.Position.String(), FreshAt: page.FreshAt}
	for i, b := range page.Bets {
		out.Items[i] = betOf(b)
	}
	return out, nil
}

// betQuery reads the parameters of a list of bets.
func (c *call) betQuery(of owner) (history.Query, error) {
	q := history.Query{Player: of.player, Jurisdiction: of.home.Code, At: of.at, Status: history.Status(c.query.Get("status")), Product: c.query.Get("product"),
		Sport: c.query.Get("sport"), Competition: c.query.Get("competition"), Event: c.query.Get("event"), Currency: money.Currency(c.query.Get("currency"))}
	var list [5]error
	q.Limit, list[0] = c.limit()
	q.From, list[1] = c.queryTime("from")
	q.To, list[2] = c.queryTime("to")
	q.Before, list[3] = c.queryBet("cursor")
	q.Bet, list[4] = c.queryBet("bet")
	if err := errors.Join(list[:]...); err != nil {
		return q, err
	}
	var check errs.Check
	if c.query.Get("min_stake") != "" || c.query.Get("max_stake") != "" {
		if q.Currency == "" {
			q.Currency = of.home.Currency
		}
		if _, err := money.ParseCurrency(string(q.Currency)); err != nil {
			check.Add("query.currency", "is not a currency")
			return q, check.Err()
		}
		q.Least = stakeBound(&check, "min_stake", c.query.Get("min_stake"), q.Currency)
		q.Most = stakeBound(&check, "max_stake", c.query.Get("max_stake"), q.Currency)
	}
	return q, check.Err()
}

// queryBet reads a parameter that is the id of a bet.
func (c *call) queryBet(name string) (id.Bet, error) {
	text := c.query.Get(name)
	if text == "" || id.Check(id.KindBet, text) == nil {
		return id.Bet(text), nil
	}
	if name == "cursor" {
		return "", invalidField("query.cursor", "is not a cursor of this list")
	}
	return "", invalidField("query."+name, "is not the id of a bet")
}

// stakeBound reads one bound of the stake; absent is 0.
func stakeBound(check *errs.Check, name, text string, c money.Currency) int64 {
	if text == "" {
		return 0
	}
	return positiveText(check, "query."+name, text, c).Minor()
}

// queryFields are the parameters whose names differ from those of history.Query.
var queryFields = map[string]string{"least": "min_stake", "most": "max_stake"}

// inQuery names the fields of a query that history refuses as the API does.
func inQuery(err error) error {
	refused, ok := errors.AsType[*errs.Error](err)
	if !ok || refused.Code != errs.CodeInvalid || len(refused.Fields) == 0 {
		return err
	}
	out := *refused
	out.Fields = make([]errs.Field, len(refused.Fields))
	for i, f := range refused.Fields {
		out.Fields[i] = errs.Field{Location: "query." + orElse(queryFields[f.Location], f.Location), Message: f.Message}
	}
	return &out
}
