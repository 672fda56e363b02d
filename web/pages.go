package web

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/sportsbook"
	"matchday/stream"
)

// Page sizes.
const (
	gamesPerPage      = 60
	betsPerPage       = 20
	linesPerStatement = 25
	paymentsShown     = 8
)

// frame makes the surroundings of a page.
func (w *Web) frame(r *http.Request, title, active string, v visitor) frame {
	f := frame{Title: title, Active: active, Path: r.URL.RequestURI(), Visitor: v, MinAge: v.Jurisdiction.MinAge, Help: w.helplines[v.Jurisdiction.Code], assets: w.assets}
	for _, j := range w.deps.Jurisdictions.List() {
		f.Choices = append(f.Choices, choice{Value: string(j.Code), Label: j.Name, MinAge: j.MinAge, Selected: j.Code == v.Jurisdiction.Code})
	}
	return f
}

// render writes a page in one piece: a page that fails half way never reaches the reader.
func (w *Web) render(rw http.ResponseWriter, r *http.Request, status int, page templ.Component) {
	var body bytes.Buffer
	if err := page.Render(r.Context(), &body); err != nil {
		w.deps.Log.ErrorContext(r.Context(), "render page", slog.String("path", r.URL.Path), slog.Any("error", err))
		http.Error(rw, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	h := rw.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	rw.WriteHeader(status)
	_, _ = rw.Write(body.Bytes()) // the reader has gone; there is nobody to tell
}

// failures are the pages for errors by code; every other code is our fault.
var failures = map[errs.Code]struct {
	status      int
	title, text string
}{
	errs.CodeNotFound:    {http.StatusNotFound, "Nothing here", "This page does not exist, or is not offered where you are."},
	errs.CodeGone:        {http.StatusGone, "No longer kept", "This bet is so old that it is no longer kept here."},
	errs.CodeForbidden:   {http.StatusForbidden, "Not allowed", "You may not do this."},
	errs.CodeInvalid:     {http.StatusBadRequest, "That did not work", "The address or form was not understood."},
	errs.CodeTooLarge:    {http.StatusRequestEntityTooLarge, "That did not work", "The form was too large."},
	errs.CodeUnavailable: {http.StatusServiceUnavailable, "One moment", "A part of the site is catching its breath. Try again in a few seconds."},
}

// fail shows the page for an error and logs what is our fault.
func (w *Web) fail(rw http.ResponseWriter, r *http.Request, err error) {
	shown, ok := failures[errs.CodeOf(err)]
	if !ok {
		w.deps.Log.ErrorContext(r.Context(), "page failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		shown.status, shown.title = http.StatusInternalServerError, "Our fault"
		shown.text = "Something went wrong on our side. Nothing was changed; try again."
	}
	v := visitor{Jurisdiction: w.chosenJurisdiction(r)}
	page := failurePage(w.frame(r, shown.title, "", v), shown.title, shown.text)
	if strings.HasPrefix(r.URL.Path, "/staff/") {
		page = staffFailurePage(staffFrame(w.frame(r, shown.title, "", v)), shown.title, shown.text)
	}
	w.render(rw, r, shown.status, page)
}

func (w *Web) missing(rw http.ResponseWriter, r *http.Request) {
	w.fail(rw, r, errs.New(errs.CodeNotFound, "no page %.100q", r.URL.Path))
}

// shows are the chips of the board, by the value of ?show=.
var shows = map[string]sportsbook.EventStatus{
	"": "", "live": sportsbook.EventLive, "results": sportsbook.EventEnded,
}

// homeView is the board of games.
type homeView struct {
	Show   string
	Groups []dayGroup
	Next   string
}

// home shows the games with their prices.
func (w *Web) home(rw http.ResponseWriter, r *http.Request) {
	show, cursor := r.URL.Query().Get("show"), r.URL.Query().Get("cursor")
	if _, ok := shows[show]; !ok {
		w.missing(rw, r)
		return
	}
	v, err := w.visitor(r)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	events, next, err := w.listGames(r, v.Jurisdiction.Code, show, cursor)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	zone := w.zones[v.Jurisdiction.Code]
	groups := groupByDay(events, w.deps.Clock.Now(), zone)
	w.render(rw, r, http.StatusOK, homePage(w.frame(r, "Games", "games", v), homeView{Show: show, Groups: groups, Next: next}))
}

// listGames returns the events of a view of the board. The plain board has the games in play and,
// below them, those to come; results are newest first.
func (w *Web) listGames(r *http.Request, j id.Jurisdiction, show, cursor string) ([]sportsbook.Event, string, error) {
	list := func(status sportsbook.EventStatus) ([]sportsbook.Event, string, error) {
		return w.deps.Offer.ListEvents(r.Context(), sportsbook.EventQuery{Jurisdiction: j, Status: status, Cursor: cursor, Limit: gamesPerPage})
	}
	if show != "" {
		events, next, err := list(shows[show])
		if show == "results" {
			slices.Reverse(events)
		}
		return events, next, err
	}
	coming, next, err := list(sportsbook.EventScheduled)
	if err != nil || cursor != "" {
		return coming, next, err
	}
	live, _, err := list(sportsbook.EventLive)
	return append(live, coming...), next, err
}

// event shows one game with all its markets.
func (w *Web) event(rw http.ResponseWriter, r *http.Request) {
	v, err := w.visitor(r)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	e, err := w.deps.Offer.FindEvent(r.Context(), v.Jurisdiction.Code, r.PathValue("id"))
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	zone := w.zones[v.Jurisdiction.Code]
	view := game(e, w.deps.Clock.Now(), zone)
	view.When = dayName(e.StartsAt.In(zone), w.deps.Clock.Now()) + ", " + view.When
	w.render(rw, r, http.StatusOK, eventPage(w.frame(r, e.Name, "games", v), view))
}

// accountView is the player's account.
type accountView struct {
	Balance, Held  string
	HasHeld        bool
	PreviousSignIn string
	Lines          []lineView
	NextLine       string
	Payments       []paymentView
	DepositRange   string
	WithdrawalMin  string
}

// account shows balance, payments and statement.
func (w *Web) account(rw http.ResponseWriter, r *http.Request, v visitor) {
	ctx, zone := r.Context(), w.zones[v.Jurisdiction.Code]
	limits := v.Jurisdiction.Limits
	view := accountView{
		Balance: amountText(v.money(v.Balance.AvailableMinor)), Held: amountText(v.money(v.Balance.HeldMinor)),
		HasHeld: v.Balance.HeldMinor != 0, PreviousSignIn: momentText(v.Session.PreviousSignIn, zone),
		DepositRange:  amountText(v.money(limits.MinDepositMinor)) + " to " + amountText(v.money(limits.MaxDepositMinor)),
		WithdrawalMin: amountText(v.money(limits.MinWithdrawalMinor)),
	}
	var err error
	if view.Lines, view.NextLine, err = w.statement(r, ownBets(v)); err != nil {
		w.fail(rw, r, err)
		return
	}
	paid, _, err := w.deps.Payments.List(ctx, v.Session.Player, v.Jurisdiction.Code, "", paymentsShown)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	for _, p := range paid {
		view.Payments = append(view.Payments, payment(p, zone))
	}
	w.render(rw, r, http.StatusOK, accountPage(w.frame(r, "Account", "account", v), view))
}

// statement returns a part of a player's statement, and where the next part begins. ?before= names that place.
func (w *Web) statement(r *http.Request, of owner) (view []lineView, next string, err error) {
	before, _ := stream.ParsePosition(r.URL.Query().Get("before")) // what is none starts at the newest
	lines, err := w.deps.Books.Statement(r.Context(), ledger.PlayerCash(of.player, of.home.Code), ledger.StatementQuery{Before: before, Limit: linesPerStatement})
	if err != nil && !errs.Is(err, errs.CodeNotFound) {
		return nil, "", fmt.Errorf("read statement: %w", err)
	}
	now, zone := w.deps.Clock.Now(), w.zones[of.home.Code]
	for _, l := range lines {
		line := lineView{
			At: pastText(l.At, now, zone), Kind: kindNames[l.Kind], In: l.AmountMinor > 0,
			Amount: signedText(money.New(l.AmountMinor, of.home.Currency)), Balance: amountText(money.New(l.BalanceMinor, of.home.Currency)),
		}
		if id.Check(id.KindBet, l.Subject) == nil {
			line.Bet = of.Bet(l.Subject)
		}
		view = append(view, line)
	}
	if len(lines) == linesPerStatement {
		next = lines[len(lines)-1].Position.String()
	}
	return view, next, nil
}

// playSafe shows the responsible-gaming page.
func (w *Web) playSafe(rw http.ResponseWriter, r *http.Request) {
	v, err := w.visitor(r)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	w.render(rw, r, http.StatusOK, playSafePage(w.frame(r, "Play safe", "", v)))
}
