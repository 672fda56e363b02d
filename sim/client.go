package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"matchday/errs"
	"matchday/sim/internal/wire"
)

// problem is what the generator reads of a problem+json answer.
type problem struct {
	Status int       `json:"status"`
	Code   errs.Code `json:"code"`
	Detail string    `json:"detail"`
}

// Error implements error.
func (p *problem) Error() string {
	return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Detail)
}

// ErrCode implements errs.Coder.
func (p *problem) ErrCode() errs.Code { return p.Code }

// retryable reports whether the outcome of a request is unknown or its time has not come: the same
// request under the same key is to be sent again.
func retryable(err error) bool {
	if err == nil {
		return false
	}
	p, ok := errors.AsType[*problem](err)
	return !ok || p.Code == errs.CodeUnavailable || p.Code == errs.CodeRateLimited || p.Code == errs.CodeInternal || p.Code == ""
}

// call sends a request and reads a successful answer into answer, if that is not nil. Another answer is
// a *problem; no answer is the connection's error.
func call(ctx context.Context, c *wire.Client, r *wire.Request, answer any) error {
	response, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	if response.Status < 200 || response.Status > 299 {
		p := &problem{Status: response.Status}
		if err := json.Unmarshal(response.Body, p); err != nil {
			p.Detail = fmt.Sprintf("%.120q", response.Body)
		}
		return p
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(response.Body, answer); err != nil {
		return fmt.Errorf("%s %s: answer %.120q: %w", r.Method, r.Path, response.Body, err)
	}
	return nil
}
