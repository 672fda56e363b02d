package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"matchday/errs"
	"matchday/id"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/player"
)

// The cookies. Room api reads the first two. Staff and players have one each, so that one browser
// can hold both.
const (
	sessionCookie      = "matchday_session"
	staffCookie        = "matchday_staff"
	jurisdictionCookie = "matchday_jurisdiction"
)

// visitor is who looks at a page, and from where.
type visitor struct {
	Session      player.Session
	Name         string
	SignedIn     bool
	Staff        bool
	Cleared      []id.Jurisdiction // of a member of staff
	Jurisdiction jurisdiction.Jurisdiction
	Balance      ledger.Balance
}

// money makes an amount of the visitor's currency.
func (v visitor) money(minor int64) money.Money { return money.New(minor, v.Jurisdiction.Currency) }

// visitor returns who asks. A session that is no longer valid makes a visitor, not an error.
func (w *Web) visitor(r *http.Request) (visitor, error) {
	ctx := r.Context()
	session, err := w.session(r, sessionCookie)
	if err != nil {
		return visitor{}, err
	}
	if session.Player == "" {
		return visitor{Jurisdiction: w.chosenJurisdiction(r)}, nil
	}
	v := visitor{Session: session, SignedIn: true}
	if v.Jurisdiction, err = w.deps.Jurisdictions.Find(session.Jurisdiction); err != nil {
		return visitor{}, err
	}
	who, err := w.deps.Players.Find(ctx, session.Player, session.Jurisdiction)
	if err != nil {
		return visitor{}, err
	}
	v.Name = who.DisplayName
	v.Balance, err = w.balance(ctx, session.Player, v.Jurisdiction)
	return v, err
}

// balance returns a player's cash; a player who never deposited has no account yet.
func (w *Web) balance(ctx context.Context, p id.Player, j jurisdiction.Jurisdiction) (ledger.Balance, error) {
	b, err := w.deps.Books.Balance(ctx, ledger.PlayerCash(p, j.Code))
	if errs.Is(err, errs.CodeNotFound) {
		return ledger.Balance{Account: ledger.PlayerCash(p, j.Code), Currency: j.Currency}, nil
	}
	return b, err
}

// session returns the session of a cookie, or the zero session.
func (w *Web) session(r *http.Request, cookie string) (player.Session, error) {
	c, err := r.Cookie(cookie)
	if err != nil || c.Value == "" {
		return player.Session{}, nil
	}
	session, err := w.deps.Players.Authenticate(r.Context(), c.Value)
	if errs.Is(err, errs.CodeUnauthenticated) || errs.Is(err, errs.CodeExcluded) || errs.Is(err, errs.CodeForbidden) {
		return player.Session{}, nil
	}
	return session, err
}

// chosenJurisdiction is the one the visitor chose, or the first.
func (w *Web) chosenJurisdiction(r *http.Request) jurisdiction.Jurisdiction {
	all := w.deps.Jurisdictions.List()
	if c, err := r.Cookie(jurisdictionCookie); err == nil {
		for _, j := range all {
			if string(j.Code) == c.Value {
				return j
			}
		}
	}
	return all[0]
}

// chooseJurisdiction notes a visitor's choice.
func (w *Web) chooseJurisdiction(rw http.ResponseWriter, r *http.Request) {
	j, err := w.deps.Jurisdictions.Find(id.Jurisdiction(r.PostFormValue("jurisdiction")))
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	w.setCookie(rw, r, &http.Cookie{Name: jurisdictionCookie, Value: string(j.Code), MaxAge: 365 * 24 * 3600})
	http.Redirect(rw, r, localPath(r.PostFormValue("next"), "/"), http.StatusSeeOther)
}

// signedIn lets only players through; others sign in first and come back.
func (w *Web) signedIn(next func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		v, err := w.visitor(r)
		if err != nil {
			w.fail(rw, r, err)
			return
		}
		if !v.SignedIn {
			http.Redirect(rw, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		next(rw, r, v)
	}
}

// staffOnly lets only staff through.
func (w *Web) staffOnly(next func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		session, err := w.session(r, staffCookie)
		if err != nil {
			w.fail(rw, r, err)
			return
		}
		if session.Staff == "" {
			http.Redirect(rw, r, "/staff/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
			return
		}
		v := visitor{Session: session, Name: session.Staff, Staff: true}
		for _, j := range w.deps.Jurisdictions.List() { // in the order of the configuration
			if slices.Contains(session.Jurisdictions, j.Code) {
				v.Cleared = append(v.Cleared, j.Code)
			}
		}
		next(rw, r, v)
	}
}

// setCookie sets a cookie with the attributes all of ours have.
func (w *Web) setCookie(rw http.ResponseWriter, r *http.Request, c *http.Cookie) {
	c.Path = "/"
	c.HttpOnly = true
	c.SameSite = http.SameSiteStrictMode
	c.Secure = w.cfg.SecureCookies || r.TLS != nil
	http.SetCookie(rw, c)
}

// localPath returns where a form wants to go next, if that is a page of ours.
func localPath(next, fallback string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return fallback
	}
	return next
}
