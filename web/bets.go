package web

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/stream"
)

// owner is whose bets a page shows, and where the pages about them are.
type owner struct {
	player id.Player
	home   jurisdiction.Jurisdiction
	name   string // of the player, on the pages of staff
	root   string // address of the list; the summary and each bet are below it
	file   string // address of the file with all bets, of the API, up to its ending
	staff  bool   // a member of staff looks at them
}

// Bet is the address of a bet's page.
func (o owner) Bet(bet string) string { return o.root + "/" + url.PathEscape(bet) }

// File is the address of all bets as a file with the ending: "" or ".csv".
func (o owner) File(ending string) string {
	if o.staff {
		return o.file + ending + "?" + url.Values{"jurisdiction": {string(o.home.Code)}}.Encode()
	}
	return o.file + ending
}

// Event is the address of a game's page.
func (o owner) Event(event string) string {
	if o.staff {
		return "/staff/events/" + url.PathEscape(event)
	}
	return "/events/" + url.PathEscape(event)
}

// OnEvent is the address of the list with the bets on a game.
func (o owner) OnEvent(event string) string {
	return o.root + "?" + url.Values{"event": {event}}.Encode()
}

// Account is the address of the statement.
func (o owner) Account() string {
	if o.staff {
		return staffPlayerAddress(o.home.Code, o.player)
	}
	return "/account"
}

// ownBets are the bets of the player who asks.
func ownBets(v visitor) owner {
	return owner{player: v.Session.Player, home: v.Jurisdiction, root: "/bets", file: "/v1/me/bets/export"}
}

// bets shows the player's bets.
func (w *Web) bets(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.listBets(rw, r, ownBets(v), w.frame(r, "My bets", "bets", v))
}

// bet shows one of the player's bets.
func (w *Web) bet(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.followBet(rw, r, ownBets(v), w.frame(r, "Bet", "bets", v))
}

// summary shows sums of the player's bets.
func (w *Web) summary(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.summariseBets(rw, r, ownBets(v), w.frame(r, "Summary", "bets", v))
}

// betsView is a page of a player's bets.
type betsView struct {
	Of                   owner
	Filter               betFilter
	Chosen               []chosen
	Bets                 []betView
	Next                 string // address of the next page
	Newest               string // address of the first page, on the others
	Fresh                freshView
	Sports, Competitions []string // of the bets that are shown, to choose from
}

// statusFilters are the chips of the list, in order.
var statusFilters = []history.Status{
	history.StatusAny, history.StatusOpen, history.StatusSettled, history.StatusWon, history.StatusLost, history.StatusPush, history.StatusVoid,
}

// filterNames are the labels of statusFilters.
var filterNames = map[history.Status]string{
	history.StatusAny: "All", history.StatusOpen: "Open", history.StatusSettled: "Settled",
	history.StatusWon: "Won", history.StatusLost: "Lost", history.StatusPush: "Push", history.StatusVoid: "Void",
}

// at returns the position that a page must show, if the address names one: the slip sends a player to the
// list with the position of the bet just placed.
func at(r *http.Request) *stream.Position {
	at, err := stream.ParsePosition(r.URL.Query().Get("at"))
	if err != nil {
		return nil
	}
	return &at
}

// listBets shows bets, newest first. A page begins behind the last bet of the one before, so that bets which
// are placed meanwhile move nothing.
func (w *Web) listBets(rw http.ResponseWriter, r *http.Request, of owner, f frame) {
	filter, untidy := readBetFilter(r.URL.Query())
	if untidy && !r.URL.Query().Has("at") {
		http.Redirect(rw, r, of.root+filter.tidy(), http.StatusSeeOther)
		return
	}
	view := betsView{Of: of, Filter: filter}
	var page history.Page
	if q := filter.query(of, at(r)); !filter.IsWrong() {
		var err error
		if page, err = w.deps.Bets.List(r.Context(), q); err != nil && !filter.refuse(err) {
			w.fail(rw, r, err)
			return
		}
	}
	if filter.IsWrong() {
		view.Chosen = filter.chosenParts(of, nil)
		w.render(rw, r, http.StatusBadRequest, betsPage(f, view))
		return
	}
	now, zone := w.deps.Clock.Now(), w.zones[of.home.Code]
	view.Fresh = freshness(page.Freshness, now, zone)
	games := map[string]string{}
	for _, b := range page.Bets {
		view.Bets = append(view.Bets, bet(b, now, zone))
		for _, l := range b.Legs {
			games[l.EventID] = l.EventName
			view.Sports, view.Competitions = addName(view.Sports, l.Sport), addName(view.Competitions, l.Competition)
		}
	}
	view.Chosen = filter.chosenParts(of, games)
	if page.Next != "" {
		view.Next = of.root + filter.with(cursorField, string(page.Next))
	}
	if filter.Text(cursorField) != "" {
		view.Newest = of.root + filter.with(cursorField, "")
	}
	w.render(rw, r, http.StatusOK, betsPage(f, view))
}

// lifeView is a bet's page.
type lifeView struct {
	Of    owner
	Bet   betView
	Facts string
	Steps []stepView
	Fresh freshView
}

// followBet shows a bet with all that has happened to it.
func (w *Web) followBet(rw http.ResponseWriter, r *http.Request, of owner, f frame) {
	which := r.PathValue("bet")
	if id.Check(id.KindBet, which) != nil {
		w.fail(rw, r, errs.New(errs.CodeNotFound, "no such bet"))
		return
	}
	b, err := w.deps.Bets.Follow(r.Context(), of.player, of.home.Code, id.Bet(which), at(r))
	if err != nil {
		w.fail(rw, r, fmt.Errorf("show bet %s: %w", which, err))
		return
	}
	now, zone := w.deps.Clock.Now(), w.zones[of.home.Code]
	view := lifeView{Of: of, Bet: bet(b.Bet, now, zone), Steps: life(b, zone), Fresh: freshness(b.Freshness, now, zone)}
	f.Title = view.Bet.Title
	w.render(rw, r, http.StatusOK, betPage(f, view))
}

// exactText writes a moment with its second and year: "Sun Nov 22, 2026, 1:04:05 PM".
func exactText(t time.Time, zone *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return t.In(zone).Format("Mon Jan 2, 2006, 3:04:05 PM")
}
