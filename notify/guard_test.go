package notify

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestOnlyPublicAddressesOverHTTPS(t *testing.T) {
	t.Parallel()
	strict, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	lax, err := newGuard([]string{"127.0.0.0/8", "10.1.0.0/16"})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		url         string
		strict, lax bool
	}{
		{"https://hooks.example.com/a?b=c", true, true},
		{"https://8.8.8.8:8443/", true, true},
		{"http://hooks.example.com/", false, false},
		{"http://8.8.8.8/", false, false},
		{"http://127.0.0.1:9000/", false, true},
		{"https://127.0.0.1/", false, true},
		{"https://10.1.2.3/", false, true},
		{"https://10.2.2.3/", false, false},
		{"https://169.254.169.254/latest", false, false},
		{"https://[::1]/", false, false},
		{"https://[::ffff:10.9.0.1]/", false, false},
		{"https://[fd00::1]/", false, false},
		{"https://100.64.0.1/", false, false},
		{"https://0.0.0.0/", false, false},
		{"https://name:word@example.com/", false, false},
		{"https://example.com/#part", false, false},
		{"ftp://example.com/", false, false},
		{"https:///path", false, false},
		{"example.com", false, false},
		{"https://example.com/" + strings.Repeat("x", 2000), false, false},
	}
	for _, tt := range tests {
		if err := strict.checkURL(tt.url); (err == nil) != tt.strict {
			t.Errorf("%.60s: %v, want allowed %t", tt.url, err, tt.strict)
		}
		if err := lax.checkURL(tt.url); (err == nil) != tt.lax {
			t.Errorf("%.60s with an allowance: %v, want allowed %t", tt.url, err, tt.lax)
		}
	}
	if _, err := newGuard([]string{"inside"}); err == nil {
		t.Error("an allowance that is no network was accepted")
	}
}

// TestANameThatResolvesInsideIsRefused looks at the address that is dialled, not at the name: a name
// can say one thing when it is checked and another when it is used.
func TestANameThatResolvesInsideIsRefused(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	g, err := newGuard(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost:"+port, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := g.client(10 * time.Second).Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "not a public address") || reached {
		t.Errorf("got %v, reached %t; want the connection refused", err, reached)
	}
	if g.permits(netip.MustParseAddr("fe80::1%eth0")) {
		t.Error("a link-local address is permitted")
	}
}
