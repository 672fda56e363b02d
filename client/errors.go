package client

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The codes that a ledger call can be refused with. More may come: treat one that is not here as a
// refusal.
const (
	CodeInvalid           = "invalid"
	CodeUnauthenticated   = "unauthenticated"
	CodeForbidden         = "forbidden"
	CodeNotFound          = "not_found"
	CodeConflict          = "conflict" // the key was used for another request, or the hold has ended
	CodeTooLarge          = "too_large"
	CodeInsufficientFunds = "insufficient_funds"
	CodeLimitReached      = "limit_reached"
	CodeLinkedFailed      = "linked_failed" // another transfer of the group was refused
	CodeUnavailable       = "unavailable"   // the outcome is open: ask again with the same key
	CodeInternal          = "internal"
)

// Error is a refusal, or a failure after the last attempt.
type Error struct {
	Code      string
	Detail    string
	Status    int    // of HTTP; 0 if no answer came
	RequestID string // name it when you ask for help
	Fields    []Field
	Attempts  int // how often the call was made

	retryAfter time.Duration
	cause      error
}

// Field is what is wrong with one field of a request.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string {
	var out strings.Builder
	out.WriteString("ledger: " + e.Code)
	if e.Detail != "" {
		out.WriteString(": " + e.Detail)
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&out, "; %s %s", f.Location, f.Message)
	}
	if e.cause != nil {
		out.WriteString(": " + e.cause.Error())
	}
	if e.RequestID != "" {
		out.WriteString(" (request " + e.RequestID + ")")
	}
	return out.String()
}

// Unwrap returns what kept an answer from coming, for example a context's error.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of an error of this package: "" for nil, internal for any other error.
func CodeOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return CodeInternal
}

// IsFinal reports whether asking again with the same key cannot end otherwise.
func IsFinal(err error) bool { return err != nil && CodeOf(err) != CodeUnavailable }
