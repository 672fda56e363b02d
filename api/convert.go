package api

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/payments"
	"matchday/player"
	"matchday/sportsbook"
	"matchday/stream"
)

func amount(m money.Money) Amount { return Amount{Amount: m.Amount(), Currency: string(m.Currency())} }

func minor(n int64, c money.Currency) Amount { return amount(money.New(n, c)) }

// optional returns nil for the zero time.
func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func lineText(l *odds.Line) *string {
	if l == nil {
		return nil
	}
	text := l.String()
	return &text
}

// positive reads a stake, deposit or withdrawal in the currency of the jurisdiction.
func positive(check *errs.Check, location string, a Amount, want money.Currency) money.Money {
	if a.Currency != string(want) {
		check.Add(location+".currency", "is not %s", want)
		return money.Money{}
	}
	return positiveText(check, location+".amount", a.Amount, want)
}

// positiveText reads an amount above zero.
func positiveText(check *errs.Check, location, text string, c money.Currency) money.Money {
	m, err := money.Parse(text, c)
	switch {
	case err != nil:
		check.Add(location, "is not a decimal amount such as 25.00")
	case m.Minor() <= 0:
		check.Add(location, "is not above zero")
	case m.Minor() > money.MaxMinor:
		check.Add(location, "is out of range")
	}
	return m
}

func parsePrice(check *errs.Check, location, text string) odds.Price {
	p, err := odds.ParsePrice(text)
	if err != nil {
		check.Add(location, "is not an American price such as -110 or +154")
	}
	return p
}

func parseLine(check *errs.Check, location string, text *string) *odds.Line {
	if text == nil {
		return nil
	}
	l, err := odds.ParseLine(*text)
	if err != nil {
		check.Add(location, "is not a line such as -3.5")
		return nil
	}
	return &l
}

func playerOf(p player.Player) Player {
	return Player{ID: string(p.ID), Jurisdiction: string(p.Jurisdiction), Email: p.Email, DisplayName: p.DisplayName,
		Status: p.Status.String(), CreatedAt: p.CreatedAt}
}

func sessionOf(s player.Session, token string) Session {
	out := Session{Token: token, ExpiresAt: s.ExpiresAt, PreviousSignIn: optional(s.PreviousSignIn),
		PlayerID: string(s.Player), Jurisdiction: string(s.Jurisdiction), Staff: s.Staff}
	for _, j := range s.Jurisdictions {
		out.Jurisdictions = append(out.Jurisdictions, string(j))
	}
	return out
}

func balanceOf(b ledger.Balance, c money.Currency) Balance {
	return Balance{Available: minor(b.AvailableMinor, c), Posted: minor(b.PostedMinor, c), Held: minor(b.HeldMinor, c),
		Position: b.Position.String()}
}

func paymentOf(p payments.Payment) Payment {
	out := Payment{ID: p.ID, Direction: p.Direction.String(), Amount: amount(p.Amount), Status: p.Status.String(),
		Provider: p.Provider, Reason: p.Reason, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
	if p.Position.Seq > 0 {
		out.Position = p.Position.String()
	}
	return out
}

func legOf(l stream.BetLeg, outcome string) Leg {
	out := Leg{EventID: l.EventID, EventName: l.EventName, Sport: l.Sport, Competition: l.Competition,
		StartsAt: time.UnixMilli(l.StartsAtMS).UTC(), MarketID: l.MarketID, Market: l.Market, SelectionID: l.SelectionID, Selection: l.Selection, SelectionName: l.SelectionName,
		Line: l.Line, Price: l.Price, Outcome: outcome}
	if p, err := odds.ParsePrice(l.Price); err == nil {
		out.PriceDecimal = p.Decimal()
	}
	return out
}

func legsOf(legs []stream.BetLeg) []Leg {
	out := make([]Leg, len(legs))
	for i, l := range legs {
		out[i] = legOf(l, "")
	}
	return out
}

func betOf(b history.Bet) Bet {
	out := Bet{ID: string(b.ID), Product: b.Product, Status: string(b.Status), Version: b.Version, PlacedAt: b.PlacedAt, SettledAt: optional(b.SettledAt),
		Stake: amount(b.Stake), PotentialPayout: amount(b.PotentialPayout), Legs: make([]Leg, len(b.Legs))}
	if b.Status != history.StatusOpen {
		payout := amount(b.Payout)
		out.Payout = &payout
	}
	for i, l := range b.Legs {
		out.Legs[i] = legOf(l.BetLeg, l.Outcome)
	}
	return out
}

func eventOf(e sportsbook.Event) Event {
	out := Event{ID: e.ID, Sport: e.Sport, Competition: e.Competition, Name: e.Name, Home: e.Home, Away: e.Away,
		HomeCode: e.HomeCode, AwayCode: e.AwayCode, Stadium: e.Stadium, StartsAt: e.StartsAt, Status: string(e.Status),
		HomeScore: e.HomeScore, AwayScore: e.AwayScore, Season: e.Season, Week: e.Week, Version: e.Version,
		ResultVersion: e.ResultVersion, Markets: make([]Market, len(e.Markets))}
	for i, m := range e.Markets {
		out.Markets[i] = Market{ID: m.ID, Type: string(m.Type), Status: string(m.Status), Version: m.Version,
			Selections: make([]Selection, len(m.Selections))}
		for k, s := range m.Selections {
			out.Markets[i].Selections[k] = Selection{ID: s.ID, Name: s.Name, Code: s.Code, Line: lineText(s.Line),
				Price: s.Price.String(), PriceDecimal: s.Price.Decimal(), Version: s.Version}
		}
	}
	return out
}

func changesOf(legs []sportsbook.LegChange) []PriceChange {
	out := make([]PriceChange, len(legs))
	for i, l := range legs {
		out[i] = PriceChange{SelectionID: l.SelectionID, AskedPrice: l.Asked.String(), NowPrice: l.Now.String(),
			AskedLine: lineText(l.AskedLine), NowLine: lineText(l.NowLine)}
	}
	return out
}

func jurisdictionOf(j jurisdiction.Jurisdiction) Jurisdiction {
	c, l := j.Currency, j.Limits
	return Jurisdiction{Code: string(j.Code), Name: j.Name, Currency: string(c), MinimumAge: j.MinAge, Products: j.Products,
		MinStake: minor(l.MinStakeMinor, c), MaxStake: minor(l.MaxStakeMinor, c), MaxPayout: minor(l.MaxPayoutMinor, c),
		MaxLegs: l.MaxLegs, MinDeposit: minor(l.MinDepositMinor, c), MaxDeposit: minor(l.MaxDepositMinor, c),
		MinWithdrawal: minor(l.MinWithdrawalMinor, c)}
}

// statementOf turns lines into a page; one more than limit was asked for, to know if there is more. Keys are
// shown as keyOf has them, if it is not nil.
func statementOf(lines []ledger.StatementLine, limit int, c money.Currency, keyOf func(string) string) List[StatementLine] {
	out := List[StatementLine]{Items: make([]StatementLine, 0, min(len(lines), limit))}
	if len(lines) > limit {
		lines = lines[:limit]
		out.Next = lines[limit-1].Position.String()
	}
	for _, l := range lines {
		line := StatementLine{Position: l.Position.String(), Kind: l.Kind.String(), At: l.At, Amount: minor(l.AmountMinor, c),
			Balance: minor(l.BalanceMinor, c), Subject: l.Subject}
		if keyOf != nil {
			line.Key = keyOf(l.Key)
		}
		out.Items = append(out.Items, line)
	}
	return out
}

// positionCursor reads the cursor of a list that goes on at a position of the ledger, such as statementOf.
func (c *call) positionCursor() (stream.Position, error) {
	text := c.query.Get("cursor")
	if text == "" {
		return stream.Position{}, nil
	}
	p, err := stream.ParsePosition(text)
	if err != nil || p.Seq < 1 {
		return p, invalidField("query.cursor", "is not a cursor of this list")
	}
	return p, nil
}

// seqCursor reads the cursor of a list that goes on at a number.
func (c *call) seqCursor() (int64, error) {
	text := c.query.Get("cursor")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, invalidField("query.cursor", "is not a cursor of this list")
	}
	return n, nil
}

// maxKinds bounds the kinds of one selection.
const maxKinds = 32

// statementQuery reads which lines are asked for, one more than the limit, and the limit.
func (c *call) statementQuery() (ledger.StatementQuery, int, error) {
	var kinds []ledger.Kind
	var kindsErr error
	if text := c.query.Get("kinds"); text != "" {
		for name := range strings.SplitSeq(text, ",") {
			kind, err := ledger.ParseKind(name)
			if err != nil || len(kinds) == maxKinds {
				kindsErr = invalidField("query.kinds", "is not a list of kinds such as stake,settlement")
				break
			}
			kinds = append(kinds, kind)
		}
	}
	limit, limitErr := c.limit()
	before, cursorErr := c.positionCursor()
	from, fromErr := c.queryTime("from")
	to, toErr := c.queryTime("to")
	err := errors.Join(limitErr, cursorErr, fromErr, toErr, kindsErr)
	if err == nil && !from.IsZero() && !to.IsZero() && !from.Before(to) {
		err = invalidField("query.to", "is not after from")
	}
	return ledger.StatementQuery{Before: before, From: from, To: to, Kinds: kinds, Limit: limit + 1}, limit, err
}

// listOf turns a page of a room into a page of the API.
func listOf[From, To any](items []From, next string, convert func(From) To) List[To] {
	out := List[To]{Items: make([]To, len(items)), Next: next}
	for i, item := range items {
		out.Items[i] = convert(item)
	}
	return out
}

func codesOf(texts []string) []id.Jurisdiction {
	var out []id.Jurisdiction
	for _, t := range texts {
		out = append(out, id.Jurisdiction(t))
	}
	return out
}
