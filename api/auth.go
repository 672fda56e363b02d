package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"matchday/errs"
	"matchday/id"
	"matchday/player"
)

// caller is who made a request; the zero value is anybody.
type caller struct {
	session player.Session // of a player or a member of staff
	token   string
	service *serviceKey
}

// label returns the jurisdiction that metrics show: a player's, or none.
func (c caller) label() string {
	if c.session.Jurisdiction == "" {
		return "none"
	}
	return string(c.session.Jurisdiction)
}

// serviceKey is one API key, ready for comparison.
type serviceKey struct {
	name          string
	sum           [sha256.Size]byte
	jurisdictions []id.Jurisdiction
	profiles      bool
	bets          bool
	webhooks      bool
	limits        bool
	creditLines   bool
}

func newServiceKeys(configured []ServiceKey) []serviceKey {
	keys := make([]serviceKey, len(configured))
	for i, k := range configured {
		keys[i] = serviceKey{
			name: k.Name, jurisdictions: k.Jurisdictions, profiles: k.Profiles, bets: k.Bets, webhooks: k.Webhooks,
			limits: k.Limits, creditLines: k.CreditLines,
		}
		_, _ = hex.Decode(keys[i].sum[:], []byte(k.SHA256)) // Validate has read it
	}
	return keys
}

// mayActIn reports whether the key reaches the jurisdiction.
func (k *serviceKey) mayActIn(j id.Jurisdiction) bool {
	return len(k.jurisdictions) == 0 || slices.Contains(k.jurisdictions, j)
}

// The rights with which services call routes of staff, named as in the configuration.
const (
	rightBets     = "bets"
	rightWebhooks = "webhooks"
)

// has reports whether the key was given such a right.
func (k *serviceKey) has(right string) bool {
	return right == rightBets && k.bets || right == rightWebhooks && k.webhooks
}

// needs returns nil if a service's key was given a right, named as in the configuration.
func needs(given bool, right, location string) error {
	if given {
		return nil
	}
	out := errs.New(errs.CodeForbidden, "this key has not the right %s, which api.keys gives", right)
	if location != "" {
		out.Fields = []errs.Field{{Location: location, Message: "needs the right " + right}}
	}
	return out
}

func newOrigins(trusted []string) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	for _, origin := range trusted {
		if err := p.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("api: origin %q: %w", origin, err)
		}
	}
	return p, nil
}

// The cookies that carry a session, for pages of the same site.
const (
	cookiePlayer = "matchday_session"
	cookieStaff  = "matchday_staff"
)

// authorise finds out who is calling and whether the route is for them.
func (a *API) authorise(ctx context.Context, r *http.Request, rt *route) (caller, error) {
	header := r.Header.Get("Authorization")
	if rt.who == whoService || rt.right != "" && header != "" {
		c, err := a.authoriseService(header)
		if err == nil && rt.right != "" {
			err = needs(c.service.has(rt.right), rt.right, "")
		}
		if c.service != nil || rt.who == whoService { // otherwise it may be a session
			return c, err
		}
	}
	token, fromCookie, err := sessionToken(r, header, rt.who)
	if err != nil {
		return caller{}, err
	}
	if token == "" {
		if rt.who == whoPublic {
			return caller{}, nil
		}
		return caller{}, errs.New(errs.CodeUnauthenticated, "this needs a session")
	}
	session, err := a.deps.Players.Authenticate(ctx, token)
	if err != nil {
		if rt.who == whoPublic && fromCookie && errs.Is(err, errs.CodeUnauthenticated) {
			return caller{}, nil // a page left open overnight still shows the games
		}
		return caller{}, fmt.Errorf("authenticate: %w", err)
	}
	c := caller{session: session, token: token}
	if fromCookie {
		if err := a.checkOrigin(r); err != nil {
			return c, err
		}
	}
	return c, rt.admit(session)
}

// admit returns nil if the route is for the session's kind and role.
func (rt *route) admit(s player.Session) error {
	switch {
	case rt.who == whoPublic:
		return nil
	case rt.who == whoPlayer && s.Player != "":
		return nil
	case rt.who == whoStaff && s.IsStaff() && s.Role >= rt.role:
		return nil
	case rt.who == whoStaff && s.IsStaff():
		return errs.New(errs.CodeForbidden, "this needs the role %s", rt.role)
	}
	return errs.New(errs.CodeForbidden, "this is for a %s", rt.who)
}

// sessionToken returns the bearer token, or that of the cookie the route looks at.
func sessionToken(r *http.Request, header string, w who) (token string, fromCookie bool, err error) {
	if header != "" {
		token, err = bearer(header)
		return token, false, err
	}
	names := []string{cookiePlayer}
	if w == whoStaff {
		names = []string{cookieStaff, cookiePlayer}
	}
	for _, name := range names {
		if cookie, err := r.Cookie(name); err == nil && cookie.Value != "" {
			return cookie.Value, true, nil
		}
	}
	return "", false, nil
}

// bearer returns the token of an Authorization header.
func bearer(header string) (string, error) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") || token == "" || len(token) > 512 {
		return "", errs.New(errs.CodeUnauthenticated, "send Authorization: Bearer and a token")
	}
	return token, nil
}

// checkOrigin lets a cookie act only for pages of the same site: a browser sends it from anywhere.
func (a *API) checkOrigin(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return nil
	}
	unsaid := r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == ""
	if unsaid || a.origins.Check(r) != nil {
		return errs.New(errs.CodeForbidden, "a cookie acts only for requests from our own pages")
	}
	return nil
}

// authoriseService compares the key with every key there is, in constant time.
func (a *API) authoriseService(header string) (caller, error) {
	token, err := bearer(header)
	if err != nil {
		return caller{}, err
	}
	sum := sha256.Sum256([]byte(token))
	var found *serviceKey
	for i := range a.keys {
		if subtle.ConstantTimeCompare(sum[:], a.keys[i].sum[:]) == 1 {
			found = &a.keys[i]
		}
	}
	if found == nil {
		return caller{}, errs.New(errs.CodeUnauthenticated, "no such API key")
	}
	return caller{service: found}, nil
}

// mayActIn returns nil if the calling member of staff is cleared for the jurisdiction.
func (c *call) mayActIn(j id.Jurisdiction) error {
	if err := c.caller.session.MayActIn(j); err != nil {
		return errs.Wrap(err, errs.CodeForbidden, "this account is not cleared for that jurisdiction")
	}
	return nil
}

// mayActEverywhere returns nil if the calling member of staff is cleared for every jurisdiction:
// results, scores and imports concern all of them at once.
func (c *call) mayActEverywhere() error {
	for _, j := range c.a.deps.Jurisdictions.List() {
		if c.caller.session.MayActIn(j.Code) != nil {
			return errs.New(errs.CodeForbidden, "this concerns every jurisdiction, and this account is not cleared for all of them")
		}
	}
	return nil
}

// limiter bounds sign-ins and sign-ups of one address. It keeps a bounded number of addresses and
// forgets all when there are more: a wide attack then costs its own bound, not our memory.
type limiter struct {
	perMinute int
	mu        sync.Mutex
	byAddress map[string]*rate.Limiter
}

const maxLimited = 50_000

func newLimiter(perMinute int) *limiter {
	return &limiter{perMinute: perMinute, byAddress: map[string]*rate.Limiter{}}
}

// allow takes one token of the caller's address.
func (l *limiter) allow(r *http.Request, now time.Time) error {
	if l.perMinute < 0 {
		return nil
	}
	host := address(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	one, ok := l.byAddress[host]
	if !ok {
		if len(l.byAddress) >= maxLimited {
			clear(l.byAddress)
		}
		one = rate.NewLimiter(rate.Limit(float64(l.perMinute)/60), l.perMinute)
		l.byAddress[host] = one
	}
	if one.AllowN(now, 1) {
		return nil
	}
	return &errs.Error{Code: errs.CodeRateLimited, Detail: "too many sign-ins from this address",
		RetryAfter: time.Minute / time.Duration(l.perMinute)}
}

// address returns the caller's network address without port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
