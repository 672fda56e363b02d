package client

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestAnErrorSaysWhatKeptTheAnswerAway: the address and the reason, which whoever runs the service needs.
func TestAnErrorSaysWhatKeptTheAnswerAway(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c, err := New(Config{URL: gone.URL, Key: "k", Attempts: 1, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Balance(t.Context(), "psp/bank/US-NJ")
	var cause *url.Error
	if !errors.As(err, &cause) || CodeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), gone.URL) || strings.Contains(err.Error(), "Bearer") {
		t.Errorf("got %v, want the address that did not answer", err)
	}
}
