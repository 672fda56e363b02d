package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/money"
)

// linesPerSummary is how many lines of a summary stand on a page.
const linesPerSummary = 40

// sumView is one line of a summary.
type sumView struct {
	Period, Address string // of the list with the bets of the period
	Finer           string // address of the summary of the period by its parts, "" where there are none
	FinerName       string
	Product         string
	Bets, Open      string
	Staked, AtStake string
	Returned, Net   string
	Gain, Loss      bool
}

// summaryView is a page of sums.
type summaryView struct {
	Of       owner
	Form     summaryForm
	Lines    []sumView
	Totals   []sumView // by currency
	Partly   bool      // the totals are of more lines than are shown
	Products bool      // lines of several products
	Next     string
	Newest   string
	Zone     string
	Fresh    freshView
}

// summaryForm is what somebody asked of a summary.
type summaryForm struct {
	By, From, To, Before string
	wrong                map[string]string
}

// Wrong is what is wrong with a field, or "".
func (f summaryForm) Wrong(name string) string { return f.wrong[name] }

// IsWrong reports whether any field is.
func (f summaryForm) IsWrong() bool { return len(f.wrong) > 0 }

// address returns that of the same summary from its beginning, by another grain.
func (f summaryForm) address(of owner, by, before string) string {
	values := url.Values{"by": {by}}
	for name, text := range map[string]string{"from": f.From, "to": f.To, cursorField: before} {
		if text != "" {
			values.Set(name, text)
		}
	}
	return of.root + "/summary?" + values.Encode()
}

// grains are the chips of a summary, in order.
var grains = []struct{ by, name string }{{"day", "By day"}, {"month", "By month"}, {"year", "By year"}}

// readSummaryForm reads the fields of an address.
func readSummaryForm(query url.Values) summaryForm {
	text := func(name string) string {
		return clipRunes(strings.ToValidUTF8(strings.TrimSpace(query.Get(name)), "?"), maxFieldBytes)
	}
	f := summaryForm{By: text("by"), From: text("from"), To: text("to"), Before: text(cursorField), wrong: map[string]string{}}
	if f.By == "" {
		f.By = string(history.GrainMonth)
	}
	return f
}

// refuse marks the fields that the history refuses. It reports whether there are any.
func (f summaryForm) refuse(err error) bool {
	return markRefused(f.wrong, err, "by", "from", "to", cursorField)
}

// summariseBets shows what was staked and returned, period by period, and in all.
func (w *Web) summariseBets(rw http.ResponseWriter, r *http.Request, of owner, f frame) {
	view := summaryView{Of: of, Form: readSummaryForm(r.URL.Query()), Zone: of.home.Zone().String()}
	q := history.SummaryQuery{
		Player: of.player, Jurisdiction: of.home.Code, By: history.Grain(view.Form.By),
		From: view.Form.From, To: view.Form.To, Before: view.Form.Before, Limit: linesPerSummary, At: at(r),
	}
	s, err := w.deps.Bets.Summarise(r.Context(), q)
	if err != nil {
		if !view.Form.refuse(err) {
			w.fail(rw, r, fmt.Errorf("summarise bets: %w", err))
			return
		}
		w.render(rw, r, http.StatusBadRequest, summaryPage(f, view))
		return
	}
	all := s
	if q.Before != "" || s.Next != "" { // the page has a part of the lines
		q.By, q.Before, q.Limit = history.GrainYear, "", history.MaxLines
		if all, err = w.deps.Bets.Summarise(r.Context(), q); err != nil {
			w.fail(rw, r, fmt.Errorf("summarise bets: %w", err))
			return
		}
		view.Partly = true
	}
	if view.Totals, err = totals(all.Lines); err != nil {
		w.fail(rw, r, err)
		return
	}
	view.Fresh = freshness(s.Freshness, w.deps.Clock.Now(), w.zones[of.home.Code])
	for _, l := range s.Lines {
		view.Lines = append(view.Lines, sumLine(of, view.Form, l))
		view.Products = view.Products || l.Product != s.Lines[0].Product
	}
	if s.Next != "" {
		view.Next = view.Form.address(of, view.Form.By, s.Next)
	}
	if view.Form.Before != "" {
		view.Newest = view.Form.address(of, view.Form.By, "")
	}
	w.render(rw, r, http.StatusOK, summaryPage(f, view))
}

// sumLine makes the view of a line, with the address of its bets.
func sumLine(of owner, f summaryForm, l history.SummaryLine) sumView {
	v := sumsOf(l.Sums)
	v.Product = l.Product
	first, last, name := periodOf(history.Grain(f.By), l.Period)
	v.Period = name
	from, to := max(first, f.From), last // the line may be of a part of its period
	if f.To != "" {
		to = min(last, f.To)
	}
	days := url.Values{"from": {from}, "to": {to}}
	switch history.Grain(f.By) {
	case history.GrainYear:
		v.FinerName = "By month"
		v.Finer = of.root + "/summary?by=month&" + days.Encode()
	case history.GrainMonth:
		v.FinerName = "By day"
		v.Finer = of.root + "/summary?by=day&" + days.Encode()
	}
	if len(of.home.Products) > 1 {
		days.Set("product", l.Product)
	}
	v.Address = of.root + "?" + days.Encode()
	return v
}

// periodOf returns the first and the last day of a period, and how people call it.
func periodOf(by history.Grain, period string) (first, last, name string) {
	switch by {
	case history.GrainYear:
		return period + "-01-01", period + "-12-31", period
	case history.GrainMonth:
		at, err := time.Parse("2006-01", period)
		if err != nil {
			return period, period, period
		}
		return at.Format(time.DateOnly), at.AddDate(0, 1, -1).Format(time.DateOnly), at.Format("January 2006")
	}
	at, err := time.Parse(time.DateOnly, period)
	if err != nil {
		return period, period, period
	}
	return period, period, at.Format("Mon Jan 2, 2006")
}

// sumsOf writes sums for people.
func sumsOf(s history.Sums) sumView {
	v := sumView{
		Bets: countText(s.Bets), Staked: amountText(s.Staked), Returned: amountText(s.Returned), Net: signedText(s.Net),
		Gain: s.Net.Minor() > 0, Loss: s.Net.Minor() < 0,
	}
	if s.Open > 0 {
		v.Open, v.AtStake = countText(s.Open), amountText(s.AtStake)
	}
	return v
}

// countText writes a count for people: "1,234".
func countText(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// totals adds up lines, by currency in the order in which they come.
func totals(lines []history.SummaryLine) ([]sumView, error) {
	sums := map[money.Currency]*history.Sums{}
	var order []money.Currency
	for _, l := range lines {
		c := l.Staked.Currency()
		if sums[c] == nil {
			zero := money.New(0, c)
			sums[c] = &history.Sums{Staked: zero, AtStake: zero, Returned: zero, Net: zero}
			order = append(order, c)
		}
		if err := addSums(sums[c], l.Sums); err != nil {
			return nil, fmt.Errorf("add up a summary: %w", err)
		}
	}
	var out []sumView
	for _, c := range order {
		v := sumsOf(*sums[c])
		v.Period = "In all"
		if len(order) > 1 {
			v.Period += ", " + string(c)
		}
		out = append(out, v)
	}
	return out, nil
}

// addSums adds one sum to another of the same currency.
func addSums(to *history.Sums, more history.Sums) error {
	to.Bets += more.Bets
	to.Open += more.Open
	for _, pair := range []struct {
		to   *money.Money
		more money.Money
	}{{&to.Staked, more.Staked}, {&to.AtStake, more.AtStake}, {&to.Returned, more.Returned}, {&to.Net, more.Net}} {
		sum, err := pair.to.Add(pair.more)
		if err != nil {
			return errs.Wrap(err, errs.CodeInternal, "sums of bets")
		}
		*pair.to = sum
	}
	return nil
}
