package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/player"
)

// staffPlayerAddress is the address of the page about a player.
func staffPlayerAddress(j id.Jurisdiction, p id.Player) string {
	return "/staff/players/" + url.PathEscape(string(j)) + "/" + url.PathEscape(string(p))
}

// playerOf returns the player of the address to a member of staff who is cleared for the jurisdiction, and to
// nobody else.
func (w *Web) playerOf(r *http.Request, v visitor) (owner, player.Player, error) {
	code, which := id.Jurisdiction(r.PathValue("jurisdiction")), r.PathValue("id")
	if err := v.Session.MayActIn(code); err != nil {
		return owner{}, player.Player{}, err
	}
	home, err := w.deps.Jurisdictions.Find(code)
	if err != nil {
		return owner{}, player.Player{}, err
	}
	if id.Check(id.KindPlayer, which) != nil {
		return owner{}, player.Player{}, errs.New(errs.CodeNotFound, "no such player")
	}
	p, err := w.deps.Players.Find(r.Context(), id.Player(which), code)
	if err != nil {
		return owner{}, player.Player{}, fmt.Errorf("find player %s: %w", which, err)
	}
	return owner{
		player: p.ID, home: home, name: p.DisplayName, staff: true, root: staffPlayerAddress(code, p.ID) + "/bets",
		file: "/v1/operator/players/" + url.PathEscape(which) + "/bets/export",
	}, p, nil
}

// noteRead logs that staff read what is a player's, as the API does.
func (w *Web) noteRead(r *http.Request, v visitor, of owner, message string) {
	w.deps.Log.InfoContext(r.Context(), message, slog.String("by", v.Session.Staff), slog.String("player_id", string(of.player)),
		slog.String("jurisdiction", string(of.home.Code)), slog.String("operation", r.Pattern))
}

// ofPlayer lets staff see a page about a player's bets.
func (w *Web) ofPlayer(title string, show func(http.ResponseWriter, *http.Request, owner, frame)) http.HandlerFunc {
	return w.staffOnly(func(rw http.ResponseWriter, r *http.Request, v visitor) {
		of, _, err := w.playerOf(r, v)
		if err != nil {
			w.fail(rw, r, err)
			return
		}
		w.noteRead(r, v, of, "staff read a player's bets")
		show(rw, r, of, w.frame(r, title, "players", v))
	})
}

// playerView is what staff see of a player.
type playerView struct {
	Of                   owner
	ID, Email, Status    string
	Active               bool
	Since, Balance, Held string
	Lines                []lineView
	NextLine             string
}

// staffPlayer shows a player's account and statement.
func (w *Web) staffPlayer(rw http.ResponseWriter, r *http.Request, v visitor) {
	of, p, err := w.playerOf(r, v)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	w.noteRead(r, v, of, "staff read a player's account")
	balance, err := w.balance(r.Context(), p.ID, of.home)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	view := playerView{
		Of: of, ID: string(p.ID), Email: p.Email, Status: p.Status.String(), Active: p.Status == player.StatusActive,
		Since:   exactText(p.CreatedAt, w.zones[of.home.Code]),
		Balance: amountText(money.New(balance.AvailableMinor, of.home.Currency)), Held: amountText(money.New(balance.HeldMinor, of.home.Currency)),
	}
	if view.Lines, view.NextLine, err = w.statement(r, of); err != nil {
		w.fail(rw, r, err)
		return
	}
	w.render(rw, r, http.StatusOK, staffPlayerPage(w.frame(r, of.name, "players", v), view))
}

// findPlayer leads to the page of the player whose number was typed.
func (w *Web) findPlayer(rw http.ResponseWriter, r *http.Request, v visitor) {
	code, which := id.Jurisdiction(r.URL.Query().Get("jurisdiction")), strings.TrimSpace(r.URL.Query().Get("id"))
	err := v.Session.MayActIn(code)
	if err == nil && id.Check(id.KindPlayer, which) != nil {
		err = errs.New(errs.CodeNotFound, "no such player")
	}
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	http.Redirect(rw, r, staffPlayerAddress(code, id.Player(which)), http.StatusSeeOther)
}
