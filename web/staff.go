package web

import (
	"net/http"

	"github.com/a-h/templ"
)

// authPage is a page with a sign-in form.
type authPage func(f frame, v authView) templ.Component

func (w *Web) staffSignInPage(rw http.ResponseWriter, r *http.Request) {
	view := authView{Next: localPath(r.URL.Query().Get("next"), "/staff")}
	w.render(rw, r, http.StatusOK, staffSignInPage(w.formFrame(r, "Staff", ""), view))
}

// staffSignIn opens a staff session from the form.
func (w *Web) staffSignIn(rw http.ResponseWriter, r *http.Request) {
	view := authView{Next: localPath(r.PostFormValue("next"), "/staff"), Name: r.PostFormValue("name")}
	err := w.limited(r)
	if err == nil {
		session, token, signInErr := w.deps.Players.SignInStaff(r.Context(), view.Name, r.PostFormValue("password"))
		if signInErr == nil {
			w.setCookie(rw, r, &http.Cookie{Name: staffCookie, Value: token, Expires: session.ExpiresAt})
			http.Redirect(rw, r, view.Next, http.StatusSeeOther)
			return
		}
		err = signInErr
	}
	if !view.explain(err, signInProblems) {
		w.fail(rw, r, err)
		return
	}
	w.render(rw, r, http.StatusUnprocessableEntity, staffSignInPage(w.formFrame(r, "Staff", ""), view))
}

// The pages below are frames: their figures come from /v1/operator, which decides what this member of
// staff may see. What staff see of one player is rendered here, see staff_players.go.

func (w *Web) staffBoard(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffBoardPage(w.frame(r, "Game day", "board", v), second(w.deps.Bets.NextStatus())))
}

func (w *Web) staffEvents(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffEventsPage(w.frame(r, "Events", "events", v)))
}

func (w *Web) staffEvent(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffEventPage(w.frame(r, "Event", "events", v), r.PathValue("id")))
}

func (w *Web) staffPlayers(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffPlayersPage(w.frame(r, "Players", "players", v)))
}

func (w *Web) staffFinance(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffFinancePage(w.frame(r, "Finance", "finance", v)))
}

func (w *Web) staffShards(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffShardsPage(w.frame(r, "Shards", "shards", v)))
}

func (w *Web) staffWebhooks(rw http.ResponseWriter, r *http.Request, v visitor) {
	w.render(rw, r, http.StatusOK, staffWebhooksPage(w.frame(r, "Webhooks", "webhooks", v)))
}
