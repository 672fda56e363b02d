package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"matchday/errs"
)

// Problem is an error answer. Source: RFC 9457. Callers decide by Code and nothing else.
type Problem struct {
	Type      string        `json:"type" example:"/docs#insufficient_funds"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail,omitempty"`
	Code      string        `json:"code" example:"insufficient_funds"`
	RequestID string        `json:"request_id,omitempty" doc:"Name it when you ask for help"`
	Errors    []FieldError  `json:"errors,omitempty"`
	Changes   []PriceChange `json:"changes,omitempty" doc:"With price_changed: the legs whose offer moved"`
}

// FieldError is what is wrong with one field.
type FieldError struct {
	Location string `json:"location" example:"legs[0].price"`
	Message  string `json:"message"`
}

// answers is the only table from code to HTTP status; a test ranges over errs.Codes.
var answers = map[errs.Code]struct {
	status int
	title  string
}{
	errs.CodeInvalid:           {http.StatusUnprocessableEntity, "The request is not valid"},
	errs.CodeUnauthenticated:   {http.StatusUnauthorized, "Sign in first"},
	errs.CodeForbidden:         {http.StatusForbidden, "Not allowed"},
	errs.CodeNotFound:          {http.StatusNotFound, "Not found"},
	errs.CodeConflict:          {http.StatusConflict, "Conflicts with what is there"},
	errs.CodeTooLarge:          {http.StatusRequestEntityTooLarge, "Too large"},
	errs.CodeRateLimited:       {http.StatusTooManyRequests, "Too many requests"},
	errs.CodeGeoBlocked:        {http.StatusUnavailableForLegalReasons, "Not from where you are"},
	errs.CodeExcluded:          {http.StatusForbidden, "This player may not play"},
	errs.CodeInsufficientFunds: {http.StatusPaymentRequired, "Not enough money"},
	errs.CodeLimitReached:      {http.StatusUnprocessableEntity, "A limit is reached"},
	errs.CodePriceChanged:      {http.StatusConflict, "The price has changed"},
	errs.CodeSuspended:         {http.StatusConflict, "Takes no bets now"},
	errs.CodeLinkedFailed:      {http.StatusConflict, "Another transfer of the group was refused"},
	errs.CodeGone:              {http.StatusGone, "No longer kept"},
	errs.CodeUnavailable:       {http.StatusServiceUnavailable, "Try again"},
	errs.CodeInternal:          {http.StatusInternalServerError, "Something went wrong here"},
}

// statusError gives an error another status than its code has: 405 and 415 are invalid requests too.
type statusError struct {
	status int
	err    error
}

// Error implements error.
func (e *statusError) Error() string { return e.err.Error() }

// Unwrap returns the error with the code.
func (e *statusError) Unwrap() error { return e.err }

// changed is an error that knows which legs' offers moved.
type changed interface {
	error
	priceChanges() []PriceChange
}

// problemOf returns what the caller may see of err. What has no code, or a code that the table does
// not know, is internal and shows nothing.
func problemOf(err error) (p Problem, retryAfter time.Duration) {
	code := errs.CodeOf(err)
	answer, known := answers[code]
	if !known {
		code = errs.CodeInternal
		answer = answers[code]
	}
	p = Problem{Type: "/docs#" + string(code), Title: answer.title, Status: answer.status, Code: string(code)}
	if code == errs.CodeInternal {
		return p, 0
	}
	if s, ok := errors.AsType[*statusError](err); ok {
		p.Status = s.status
	}
	if e, ok := errors.AsType[*errs.Error](err); ok && e.Code == code {
		p.Detail, p.Errors, retryAfter = e.Detail, fieldErrors(e.Fields), e.RetryAfter
	} else if coder, ok := errors.AsType[errs.Coder](err); ok {
		p.Detail = coder.Error() // typed errors of a room are written for the caller
	}
	if c, ok := errors.AsType[changed](err); ok {
		p.Changes = c.priceChanges()
	}
	return p, retryAfter
}

func fieldErrors(fields []errs.Field) []FieldError {
	if len(fields) == 0 {
		return nil
	}
	out := make([]FieldError, len(fields))
	for i, f := range fields {
		out[i] = FieldError{Location: f.Location, Message: f.Message}
	}
	return out
}

// itemError is the problem of one item of a batch.
func itemError(err error) *ItemError {
	p, _ := problemOf(err)
	return &ItemError{Code: p.Code, Detail: p.Detail, Errors: p.Errors}
}

// writeProblem answers with err.
func writeProblem(w http.ResponseWriter, requestID string, err error) Problem {
	p, retryAfter := problemOf(err)
	p.RequestID = requestID
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="matchday"`)
	}
	if retryAfter > 0 {
		seconds := (retryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
	body, encodeErr := json.Marshal(p, json.DefaultOptionsV2())
	if encodeErr != nil { // a detail with invalid UTF-8: the code is what counts
		p.Detail, p.Errors, p.Changes = "", nil, nil
		body, _ = json.Marshal(p)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
	return p
}
