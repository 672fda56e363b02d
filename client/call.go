package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// request is one call of the API.
type request struct {
	method, path string
	query        url.Values
	body         any    // nil: none
	position     string // that a read must include
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 32 << 20

// do sends the request until it is answered for good, and decodes the answer into out.
func (c *Client) do(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("client: encode request: %w", err)
		}
	}
	pause := c.config.Pause
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, r, body, out)
		if err == nil {
			return nil
		}
		err.Attempts = attempt
		if !err.again() || attempt == c.config.Attempts || ctx.Err() != nil {
			return err
		}
		wait := max(err.retryAfter, pause/2+rand.N(pause/2+1))
		if pause = 2 * pause; pause > c.config.MaxPause {
			pause = c.config.MaxPause
		}
		if !sleep(ctx, wait) {
			return err
		}
	}
}

// again reports whether another attempt may end better. Every call is safe to repeat: writes carry
// their keys.
func (e *Error) again() bool {
	return e.Code == CodeUnavailable || e.Status == http.StatusTooManyRequests
}

// sleep waits, or returns false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once makes one attempt.
func (c *Client) once(ctx context.Context, r request, body []byte, out any) *Error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	answer, err := c.send(ctx, r, body)
	if err != nil {
		return unanswered(err)
	}
	defer func() { _ = answer.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return unanswered(err)
	case len(raw) > maxAnswer:
		return &Error{Code: CodeInternal, Detail: "the answer is too long", Status: answer.StatusCode}
	case answer.StatusCode >= 400:
		return refusal(answer, raw)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return &Error{Code: CodeInternal, Detail: "the answer is not what this client knows", Status: answer.StatusCode, cause: err}
	}
	return nil
}

// send sends the request once.
func (c *Client) send(ctx context.Context, r request, body []byte) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.config.Key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.position != "" {
		req.Header.Set("Matchday-Position", r.position)
	}
	return c.config.HTTP.Do(req)
}

// unanswered is a call of which nobody knows how it ended.
func unanswered(err error) *Error {
	detail := "no answer came"
	if errors.Is(err, context.DeadlineExceeded) {
		detail = "no answer came in time"
	}
	return &Error{Code: CodeUnavailable, Detail: detail, cause: err}
}

// refusal reads a problem document.
func refusal(answer *http.Response, raw []byte) *Error {
	var p struct {
		Code      string  `json:"code"`
		Detail    string  `json:"detail"`
		Title     string  `json:"title"`
		RequestID string  `json:"request_id"`
		Errors    []Field `json:"errors"`
	}
	e := &Error{Code: CodeInternal, Status: answer.StatusCode}
	if err := json.Unmarshal(raw, &p); err == nil && p.Code != "" {
		e.Code, e.Detail, e.RequestID, e.Fields = p.Code, orElse(p.Detail, p.Title), p.RequestID, p.Errors
	} else if answer.StatusCode == http.StatusBadGateway || answer.StatusCode >= http.StatusServiceUnavailable {
		e.Code = CodeUnavailable // a proxy on the way answered
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.retryAfter = time.Duration(min(seconds, 60)) * time.Second
	}
	return e
}
