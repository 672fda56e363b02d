package web

import (
	"errors"
	"net/http"

	"matchday/errs"
	"matchday/id"
	"matchday/player"
)

// authView is a sign-in or sign-up form with what was wrong with it.
type authView struct {
	Next    string
	Email   string
	Name    string
	Birth   string
	Problem string            // of the whole form
	Wrong   map[string]string // by field
}

// formFields are the fields of the forms, by the names rooms use for them.
var formFields = map[string]bool{"email": true, "password": true, "display_name": true, "birth_date": true, "jurisdiction": true}

// explain fills in what an error says about the form. It reports false for an error that is no
// fault of the form.
func (v *authView) explain(err error, problems map[errs.Code]string) bool {
	v.Wrong = map[string]string{}
	var detailed *errs.Error
	if errors.As(err, &detailed) {
		for _, f := range detailed.Fields {
			if formFields[f.Location] {
				v.Wrong[f.Location] = f.Message
			}
		}
	}
	code := errs.CodeOf(err)
	if code == errs.CodeInvalid && len(v.Wrong) > 0 {
		v.Problem = "Please check the fields below."
		return true
	}
	text, ok := problems[code]
	v.Problem = text
	return ok
}

// signInProblems say no more than an attacker may know.
var signInProblems = map[errs.Code]string{
	errs.CodeUnauthenticated: "E-mail, password and jurisdiction do not match an account.",
	errs.CodeInvalid:         "E-mail, password and jurisdiction do not match an account.",
	errs.CodeNotFound:        "E-mail, password and jurisdiction do not match an account.",
	errs.CodeRateLimited:     "Too many attempts. Wait a little, then try again.",
	errs.CodeExcluded:        "This account is closed. Please write to support.",
	errs.CodeForbidden:       "This account is closed. Please write to support.",
	errs.CodeUnavailable:     "Sign-in is busy at the moment. Try again in a few seconds.",
}

var signUpProblems = map[errs.Code]string{
	errs.CodeConflict:    "There is already an account with this e-mail here. Sign in instead.",
	errs.CodeExcluded:    "You are not old enough to bet in this jurisdiction.",
	errs.CodeNotFound:    "We do not serve this jurisdiction.",
	errs.CodeInvalid:     "Please check the fields below.",
	errs.CodeRateLimited: signInProblems[errs.CodeRateLimited],
	errs.CodeUnavailable: signInProblems[errs.CodeUnavailable],
}

func (w *Web) signInPage(rw http.ResponseWriter, r *http.Request) {
	w.showForm(rw, r, "Sign in", signInPage)
}

func (w *Web) signUpPage(rw http.ResponseWriter, r *http.Request) {
	w.showForm(rw, r, "Join", signUpPage)
}

// showForm shows an empty form, or sends a player who is already signed in on their way.
func (w *Web) showForm(rw http.ResponseWriter, r *http.Request, title string, page authPage) {
	v, err := w.visitor(r)
	if err != nil {
		w.fail(rw, r, err)
		return
	}
	next := localPath(r.URL.Query().Get("next"), "/")
	if v.SignedIn {
		http.Redirect(rw, r, next, http.StatusSeeOther)
		return
	}
	w.render(rw, r, http.StatusOK, page(w.frame(r, title, "", v), authView{Next: next}))
}

// signIn opens a session from the form.
func (w *Web) signIn(rw http.ResponseWriter, r *http.Request) {
	view := authView{Next: localPath(r.PostFormValue("next"), "/"), Email: r.PostFormValue("email")}
	j := id.Jurisdiction(r.PostFormValue("jurisdiction"))
	err := w.limited(r)
	if err == nil {
		err = w.openSession(rw, r, player.Credentials{Email: view.Email, Password: r.PostFormValue("password"), Jurisdiction: j})
	}
	if err == nil {
		http.Redirect(rw, r, view.Next, http.StatusSeeOther)
		return
	}
	if !view.explain(err, signInProblems) {
		w.fail(rw, r, err)
		return
	}
	w.render(rw, r, http.StatusUnprocessableEntity, signInPage(w.formFrame(r, "Sign in", j), view))
}

// signUp makes a player from the form and signs them in.
func (w *Web) signUp(rw http.ResponseWriter, r *http.Request) {
	view := authView{
		Next: localPath(r.PostFormValue("next"), "/"), Email: r.PostFormValue("email"),
		Name: r.PostFormValue("display_name"), Birth: r.PostFormValue("birth_date"),
	}
	j := id.Jurisdiction(r.PostFormValue("jurisdiction"))
	password := r.PostFormValue("password")
	err := w.limited(r)
	if err == nil {
		_, err = w.deps.Players.SignUp(r.Context(), player.SignUp{
			Email: view.Email, Password: password, DisplayName: view.Name, BirthDate: view.Birth, Jurisdiction: j,
		})
	}
	if err == nil {
		err = w.openSession(rw, r, player.Credentials{Email: view.Email, Password: password, Jurisdiction: j})
	}
	if err == nil {
		http.Redirect(rw, r, "/account?welcome=1", http.StatusSeeOther)
		return
	}
	if !view.explain(err, signUpProblems) {
		w.fail(rw, r, err)
		return
	}
	w.render(rw, r, http.StatusUnprocessableEntity, signUpPage(w.formFrame(r, "Join", j), view))
}

// limited refuses an address that tries too often.
func (w *Web) limited(r *http.Request) error {
	if w.limiter.allow(r) {
		return nil
	}
	return errs.New(errs.CodeRateLimited, "too many attempts from this address")
}

// openSession signs a player in and sets the cookie.
func (w *Web) openSession(rw http.ResponseWriter, r *http.Request, c player.Credentials) error {
	session, token, err := w.deps.Players.SignIn(r.Context(), c)
	if err != nil {
		return err
	}
	w.setCookie(rw, r, &http.Cookie{Name: sessionCookie, Value: token, Expires: session.ExpiresAt})
	w.setCookie(rw, r, &http.Cookie{Name: jurisdictionCookie, Value: string(c.Jurisdiction), MaxAge: 365 * 24 * 3600})
	return nil
}

// formFrame is the frame of a form that comes back, with the jurisdiction that was chosen in it.
func (w *Web) formFrame(r *http.Request, title string, j id.Jurisdiction) frame {
	v := visitor{Jurisdiction: w.chosenJurisdiction(r)}
	if chosen, err := w.deps.Jurisdictions.Find(j); err == nil {
		v.Jurisdiction = chosen
	}
	return w.frame(r, title, "", v)
}

// signOut ends the player's session.
func (w *Web) signOut(rw http.ResponseWriter, r *http.Request) {
	w.endSession(rw, r, sessionCookie, "/")
}

func (w *Web) staffSignOut(rw http.ResponseWriter, r *http.Request) {
	w.endSession(rw, r, staffCookie, "/staff/sign-in")
}

func (w *Web) endSession(rw http.ResponseWriter, r *http.Request, cookie, next string) {
	if c, err := r.Cookie(cookie); err == nil && c.Value != "" {
		if err := w.deps.Players.SignOut(r.Context(), c.Value); err != nil && !errs.Is(err, errs.CodeUnauthenticated) {
			w.fail(rw, r, err)
			return
		}
	}
	w.setCookie(rw, r, &http.Cookie{Name: cookie, MaxAge: -1})
	http.Redirect(rw, r, next, http.StatusSeeOther)
}
