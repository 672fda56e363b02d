package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"matchday/errs"
)

func TestEveryCodeHasAStatusAndATitle(t *testing.T) {
	t.Parallel()
	for _, code := range errs.Codes() {
		answer, ok := answers[code]
		if !ok || answer.title == "" || answer.status < 400 || answer.status > 599 {
			t.Errorf("code %s answers %d %q, want a status of 4xx or 5xx and a title", code, answer.status, answer.title)
		}
	}
	if got, want := len(answers), len(errs.Codes()); got != want {
		t.Errorf("the table has %d codes, want %d: one is no code", got, want)
	}
}

func TestProblemShowsWhatItMayAndNoMore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		err    error
		status int
		code   errs.Code
		detail string
		retry  time.Duration
	}{
		{"a code with its detail", errs.New(errs.CodeConflict, "key used before"), 409, errs.CodeConflict, "key used before", 0},
		{"wrapping shows nothing of the wrapper", fmt.Errorf("shard 3 of host x: %w", errs.New(errs.CodeInvalid, "bad")), 422, errs.CodeInvalid, "bad", 0},
		{"an error without code is internal", errors.New("secret"), 500, errs.CodeInternal, "", 0},
		{"an internal error's detail stays here", errs.New(errs.CodeInternal, "secret"), 500, errs.CodeInternal, "", 0},
		{"an unknown code is internal", errs.New("made_up", "secret"), 500, errs.CodeInternal, "", 0},
		{"a time-out is unavailable", context.DeadlineExceeded, 503, errs.CodeUnavailable, "", 0},
		{"retry hints are kept", &errs.Error{Code: errs.CodeUnavailable, RetryAfter: time.Second}, 503, errs.CodeUnavailable, "", time.Second},
		{"a status of its own keeps the code", &statusError{http.StatusUnsupportedMediaType, errs.New(errs.CodeInvalid, "send JSON")}, 415, errs.CodeInvalid, "send JSON", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, retry := problemOf(tt.err)
			if got.Status != tt.status || got.Code != string(tt.code) || got.Detail != tt.detail || retry != tt.retry {
				t.Errorf("problemOf(%v) = %+v retry %s, want %d %s %q retry %s", tt.err, got, retry, tt.status, tt.code, tt.detail, tt.retry)
			}
		})
	}
}
