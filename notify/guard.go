package notify

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"matchday/errs"
)

// guard decides which addresses requests may go to. Whoever can make a subscription chooses a URL,
// and the platform's own network must not be reachable through it.
type guard struct{ allowed []netip.Prefix }

func newGuard(allow []string) (guard, error) {
	var g guard
	for _, text := range allow {
		p, err := parsePrefix(text)
		if err != nil {
			return guard{}, err
		}
		g.allowed = append(g.allowed, p)
	}
	return g, nil
}

// special are networks that count as global unicast and are not the public Internet.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
}

// names reports whether the configuration names the address.
func (g guard) names(a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range g.allowed {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// permits reports whether a request may go to the address.
func (g guard) permits(a netip.Addr) bool {
	a = a.Unmap()
	if g.names(a) {
		return true
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// checkURL returns what is wrong with a URL as far as it can be told without resolving it.
func (g guard) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || len(text) > 2000:
		return errs.New(errs.CodeInvalid, "is not a URL such as https://example.com/hook")
	case u.User != nil || u.Fragment != "":
		return errs.New(errs.CodeInvalid, "may have neither a user nor a fragment")
	case u.Scheme != "https" && u.Scheme != "http":
		return errs.New(errs.CodeInvalid, "must begin with https://")
	}
	address, literal := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && (literal != nil || !g.names(address)) {
		return errs.New(errs.CodeInvalid, "must begin with https://")
	}
	if literal == nil && !g.permits(address) {
		return errs.New(errs.CodeInvalid, "is not a public address")
	}
	return nil
}

// control refuses a connection by the address that the name resolved to: checking earlier would trust
// that it resolves to the same a moment later.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !g.permits(at.Addr()) {
		return errs.New(errs.CodeForbidden, "not a public address")
	}
	return nil
}

// client returns the HTTP client for deliveries: no proxy, no redirects, no cookies.
func (g guard) client(timeout time.Duration) *http.Client {
	dialer := &net.Dialer{Timeout: timeout, Control: g.control}
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, address)
			},
			TLSHandshakeTimeout:    timeout,
			ResponseHeaderTimeout:  timeout,
			MaxResponseHeaderBytes: 16 << 10,
			MaxConnsPerHost:        2 * sendsAtOnce,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
