package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
)

// reportRoutes are the ledger's reports: for services by what their key reaches, for staff by what
// they are cleared for.
func (a *API) reportRoutes() []route {
	format := param{name: "format", doc: "json if absent; csv has a line for each line of the report", enum: []string{"json", "csv"}}
	at := param{name: "at", doc: "After the last commit at or before this time (RFC 3339); now if absent", example: "2026-11-30T23:59:59Z"}
	from := param{name: "from", doc: "Beginning of the period (RFC 3339)", example: "2026-11-01T00:00:00Z", required: true}
	to := param{name: "to", doc: "End of the period, not included (RFC 3339)", example: "2026-12-01T00:00:00Z", required: true}
	const (
		trial  = "Sums of all balances by jurisdiction, currency and type of account. Only jurisdictions that the caller may see are shown."
		period = "Stakes of settled bets less their payouts, by jurisdiction and product, straight from the ledger. " +
			"A correction counts when it is made. The period is at most 400 days."
	)
	return []route{
		{method: "GET", path: "/v1/ledger/trial-balance", id: "trial-balance", tag: "Ledger", who: whoService, params: []param{at, paramJurisdiction, format},
			summary: "Trial balance, now or at a time", detail: trial, end: reporting(a.trialBalance)},
		{method: "GET", path: "/v1/ledger/ggr", id: "ggr", tag: "Ledger", who: whoService, params: []param{from, to, paramJurisdiction, format},
			summary: "Gross gaming revenue over a period", detail: period, end: reporting(a.ggr)},
		{method: "GET", path: "/v1/operator/trial-balance", id: "operator-trial-balance", tag: "Finance", who: whoStaff, params: []param{at, paramJurisdiction, format},
			summary: "Trial balance, now or at a time", detail: trial, end: reporting(a.trialBalance)},
		{method: "GET", path: "/v1/operator/ggr", id: "operator-ggr", tag: "Finance", who: whoStaff, params: []param{from, to, paramJurisdiction, format},
			summary: "Gross gaming revenue over a period", detail: period, end: reporting(a.ggr)},
	}
}

// report is an answer that can also be written as CSV.
type report interface {
	// rows returns the column names and a row for each line.
	rows() [][]string
}

// reporting is an endpoint without a body that answers as JSON or CSV.
func reporting[Out report](fn func(ctx context.Context, c *call) (Out, error)) endpoint {
	return endpoint{out: reflect.TypeFor[Out](), csv: true, answered: true, run: func(ctx context.Context, c *call) (any, error) {
		done, err := c.a.heavy.take()
		if err != nil {
			return nil, err
		}
		defer done()
		out, err := fn(ctx, c)
		if err != nil {
			return nil, err
		}
		if c.query.Get("format") == "csv" {
			return nil, c.answerCSV(out.rows())
		}
		c.answer(out)
		return nil, nil
	}}
}

// answerCSV writes a table.
func (c *call) answerCSV(rows [][]string) error {
	h := c.w.Header()
	h["Cache-Control"] = noStore
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="`+c.route.id+`.csv"`)
	c.w.WriteHeader(c.status)
	w := csv.NewWriter(c.w)
	_ = w.WriteAll(rows) // the caller has gone: nobody is left to tell
	return nil
}

// turns bounds how many requests that read much of the books run at the same time.
type turns chan struct{}

const heavyAtOnce = 3

// take returns what gives the turn back, or unavailable if all are taken.
func (t turns) take() (done func(), err error) {
	select {
	case t <- struct{}{}:
		return func() { <-t }, nil
	default:
		return nil, &errs.Error{Code: errs.CodeUnavailable, Detail: "other reports are being made", RetryAfter: time.Second}
	}
}

// mayRead returns whether the caller sees a jurisdiction's figures.
func (c *call) mayRead(j id.Jurisdiction) bool {
	if c.caller.service != nil {
		return c.caller.service.mayActIn(j)
	}
	return c.caller.session.MayActIn(j) == nil
}

// shown returns which jurisdictions a report shows: the one asked for, or all that the caller may see.
func (c *call) shown() (func(id.Jurisdiction) bool, error) {
	text := c.query.Get("jurisdiction")
	if text == "" {
		return c.mayRead, nil
	}
	asked := id.Jurisdiction(text)
	if _, err := c.a.deps.Jurisdictions.Find(asked); err != nil {
		return nil, invalidField("query.jurisdiction", "is not served here")
	}
	if !c.mayRead(asked) {
		return nil, errs.New(errs.CodeForbidden, "that jurisdiction is not this caller's")
	}
	return func(j id.Jurisdiction) bool { return j == asked }, nil
}

// queryTime reads a time parameter; absent is the zero time.
func (c *call) queryTime(name string) (time.Time, error) {
	text := c.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Year() < 2000 || at.Year() > 2200 {
		return time.Time{}, invalidField("query."+name, "is not a time such as 2026-11-21T20:00:00Z")
	}
	return at.UTC(), nil
}

func (a *API) trialBalance(ctx context.Context, c *call) (*TrialBalance, error) {
	at, err := c.queryTime("at")
	if err != nil {
		return nil, err
	}
	shown, err := c.shown()
	if err != nil {
		return nil, err
	}
	lines, err := a.deps.Ledger.TrialBalance(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("trial balance: %w", err)
	}
	if at.IsZero() {
		at = a.deps.Clock.Now().UTC()
	}
	return trialOf(at, lines, shown), nil
}

func trialOf(at time.Time, lines []ledger.TrialLine, shown func(id.Jurisdiction) bool) *TrialBalance {
	out := &TrialBalance{At: at, Lines: []TrialLine{}, Totals: []TrialTotal{}}
	type sums struct{ debit, credit int64 }
	totals, order := map[money.Currency]sums{}, []money.Currency{}
	for _, l := range lines {
		if !shown(l.Jurisdiction) {
			continue
		}
		text := func(n int64) string { return money.New(n, l.Currency).Amount() }
		out.Lines = append(out.Lines, TrialLine{
			Jurisdiction: string(l.Jurisdiction), Currency: string(l.Currency), Type: l.Type, Name: l.Name,
			Debit: text(l.DebitMinor), Credit: text(l.CreditMinor),
		})
		sum, known := totals[l.Currency]
		if !known {
			order = append(order, l.Currency)
		}
		totals[l.Currency] = sums{sum.debit + l.DebitMinor, sum.credit + l.CreditMinor}
	}
	for _, currency := range order {
		sum := totals[currency]
		out.Totals = append(out.Totals, TrialTotal{string(currency), money.New(sum.debit, currency).Amount(), money.New(sum.credit, currency).Amount()})
	}
	return out
}

// rows implements report.
func (t *TrialBalance) rows() [][]string {
	out := [][]string{{"at", "jurisdiction", "currency", "type", "name", "debit", "credit"}}
	for _, l := range t.Lines {
		out = append(out, []string{t.At.Format(time.RFC3339Nano), l.Jurisdiction, l.Currency, l.Type, l.Name, l.Debit, l.Credit})
	}
	return out
}

// maxPeriod bounds a period: a leap year and a month.
const maxPeriod = 400 * 24 * time.Hour

func (a *API) ggr(ctx context.Context, c *call) (*GGRReport, error) {
	from, err := c.queryTime("from")
	if err != nil {
		return nil, err
	}
	to, err := c.queryTime("to")
	if err != nil {
		return nil, err
	}
	var check errs.Check
	switch {
	case from.IsZero():
		check.Add("query.from", "is required")
	case to.IsZero():
		check.Add("query.to", "is required")
	case !from.Before(to):
		check.Add("query.to", "is not after from")
	case to.Sub(from) > maxPeriod:
		check.Add("query.to", "is more than 400 days after from")
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	shown, err := c.shown()
	if err != nil {
		return nil, err
	}
	lines, err := a.deps.Ledger.GGR(ctx, from, to)
	if err != nil {
		return nil, fmt.Errorf("ggr: %w", err)
	}
	out := &GGRReport{From: from, To: to, Lines: []GGRLine{}}
	for _, l := range lines {
		if shown(l.Jurisdiction) {
			out.Lines = append(out.Lines, ggrLine(&l))
		}
	}
	return out, nil
}

func ggrLine(l *ledger.GGRLine) GGRLine {
	text := func(n int64) string { return money.New(n, l.Currency).Amount() }
	return GGRLine{
		Jurisdiction: string(l.Jurisdiction), Currency: string(l.Currency), Product: l.Product, Handle: text(l.HandleMinor),
		Stakes: text(l.StakesMinor), Payouts: text(l.PayoutsMinor), GGR: text(l.GGRMinor), Voided: text(l.VoidedMinor),
		Corrections: text(l.CorrectionsMinor), Placed: l.Placed, Settled: l.Settled, VoidedCount: l.Voided, Corrected: l.Corrected,
	}
}

// rows implements report.
func (g *GGRReport) rows() [][]string {
	out := [][]string{{"from", "to", "jurisdiction", "currency", "product", "handle", "stakes", "payouts", "ggr", "voided", "corrections",
		"placed", "settled", "voided_count", "corrected"}}
	count := func(n int64) string { return strconv.FormatInt(n, 10) }
	for _, l := range g.Lines {
		out = append(out, []string{g.From.Format(time.RFC3339Nano), g.To.Format(time.RFC3339Nano), l.Jurisdiction, l.Currency, l.Product,
			l.Handle, l.Stakes, l.Payouts, l.GGR, l.Voided, l.Corrections, count(l.Placed), count(l.Settled), count(l.VoidedCount), count(l.Corrected)})
	}
	return out
}
