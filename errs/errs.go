// Package errs holds the closed list of error codes that Matchday answers with, and the one error
// type that carries a code with what the caller needs to act on it.
//
// Codes are the API contract: they are appended to, never renamed, and nobody decides anything by
// the text of an error. The only table from code to HTTP status is in room api.
package errs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code is a stable, machine-readable reason.
type Code string

// The codes, in the order in which a caller would check them.
const (
	CodeInvalid           Code = "invalid"            // the request itself is wrong; see Fields
	CodeUnauthenticated   Code = "unauthenticated"    // no valid session or key
	CodeForbidden         Code = "forbidden"          // known caller, not allowed here
	CodeNotFound          Code = "not_found"          // no such thing, or not in the caller's jurisdiction
	CodeConflict          Code = "conflict"           // key reused for another request, or state has moved on
	CodeTooLarge          Code = "too_large"          // body, list or batch over its bound
	CodeRateLimited       Code = "rate_limited"       // too many requests from this caller
	CodeGeoBlocked        Code = "geo_blocked"        // not where the player's jurisdiction allows it
	CodeExcluded          Code = "excluded"           // the player may not bet (self-exclusion, closed account)
	CodeInsufficientFunds Code = "insufficient_funds" // available balance too low
	CodeLimitReached      Code = "limit_reached"      // stake, payout, exposure or deposit limit
	CodePriceChanged      Code = "price_changed"      // the offer moved against the price policy
	CodeSuspended         Code = "suspended"          // market or selection takes no bets now
	CodeLinkedFailed      Code = "linked_failed"      // refused because another transfer of its group was
	CodeGone              Code = "gone"               // was there, and is no longer kept
	CodeUnavailable       Code = "unavailable"        // overload, time-out or a part is down: try again
	CodeInternal          Code = "internal"           // our fault; no detail leaves the process
)

// Codes lists every code once, so that tables over codes can be tested for completeness.
func Codes() []Code {
	return []Code{
		CodeInvalid, CodeUnauthenticated, CodeForbidden, CodeNotFound, CodeConflict, CodeTooLarge,
		CodeRateLimited, CodeGeoBlocked, CodeExcluded, CodeInsufficientFunds, CodeLimitReached,
		CodePriceChanged, CodeSuspended, CodeLinkedFailed, CodeGone, CodeUnavailable, CodeInternal,
	}
}

// Field is what is wrong with one field of a request.
type Field struct {
	Location string // dotted path from the body's root, for example "legs[2].price"
	Message  string // what is wrong and what is expected
}

// Error is an error with a code. Detail is written for the caller of the API and is safe to show,
// unless the code is internal.
type Error struct {
	Code       Code
	Detail     string
	Fields     []Field
	RetryAfter time.Duration // with CodeUnavailable and CodeRateLimited: when to try again
	Err        error         // cause, for logs and errors.Is; never shown
}

// New returns an error with a code and a formatted detail.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap gives cause a code and a detail of its own; errors.Is still finds the cause.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Detail: fmt.Sprintf(format, args...), Err: cause}
}

// Error implements error.
func (e *Error) Error() string {
	text := string(e.Code)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	for _, f := range e.Fields {
		text += "; " + f.Location + ": " + f.Message
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrCode implements Coder.
func (e *Error) ErrCode() Code { return e.Code }

// Coder is an error that knows its code: *Error, or a typed error of a room such as
// sportsbook.PriceChangedError.
type Coder interface {
	error
	ErrCode() Code
}

// CodeOf returns the code of the first Coder in err's chain. A cancelled or expired context is
// unavailable; an error without code is internal; nil has no code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if coder, ok := errors.AsType[Coder](err); ok {
		return coder.ErrCode()
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return CodeUnavailable
	}
	return CodeInternal
}

// Is reports whether err has the code.
func Is(err error, code Code) bool { return CodeOf(err) == code }

// Check gathers the field errors of one request, so that a caller sees all of them at once.
// Its zero value is ready for use.
type Check struct{ fields []Field }

// Add notes that the field at location is wrong.
func (c *Check) Add(location, format string, args ...any) {
	c.fields = append(c.fields, Field{Location: location, Message: fmt.Sprintf(format, args...)})
}

// Err returns nil, or one CodeInvalid error with every field that was added.
func (c *Check) Err() error {
	if len(c.fields) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalid, Detail: "the request has invalid fields", Fields: c.fields}
}
