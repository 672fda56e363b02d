package errs

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestCodeOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want Code
	}{
		{"no error has no code", nil, ""},
		{"an error's own code", New(CodeConflict, "x"), CodeConflict},
		{"the code survives wrapping", fmt.Errorf("place bet: %w", New(CodeSuspended, "x")), CodeSuspended},
		{"the outermost code wins", Wrap(New(CodeConflict, "x"), CodeUnavailable, "y"), CodeUnavailable},
		{"an expired context is unavailable", fmt.Errorf("read: %w", context.DeadlineExceeded), CodeUnavailable},
		{"a cancelled context is unavailable", context.Canceled, CodeUnavailable},
		{"what nobody coded is internal", errors.New("boom"), CodeInternal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := CodeOf(tt.err); got != tt.want {
				t.Errorf("CodeOf(%v) = %q, want %q", tt.err, got, tt.want)
			}
		})
	}
}

func TestCheckGathersAllFields(t *testing.T) {
	t.Parallel()
	var c Check
	if err := c.Err(); err != nil {
		t.Errorf("an empty check: got %v, want nil", err)
	}
	c.Add("stake", "must be positive")
	c.Add("legs[1].price", "%q is no price", "x")
	var err *Error
	if !errors.As(c.Err(), &err) || err.Code != CodeInvalid || len(err.Fields) != 2 {
		t.Fatalf("got %v, want both fields under invalid", c.Err())
	}
	if got, want := err.Fields[1], (Field{"legs[1].price", `"x" is no price`}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCodesAreListedOnce(t *testing.T) {
	t.Parallel()
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] {
			t.Errorf("code %s is listed twice", c)
		}
		seen[c] = true
	}
}
