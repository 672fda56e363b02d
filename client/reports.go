package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// TrialBalance is the books by type of account. Debits and credits of a currency are equal if the key
// reaches every jurisdiction.
type TrialBalance struct {
	At     time.Time    `json:"at"`
	Lines  []TrialLine  `json:"lines"`
	Totals []TrialTotal `json:"totals"`
}

// TrialLine is what the accounts of one type hold together.
type TrialLine struct {
	Jurisdiction string `json:"jurisdiction"`
	Currency     string `json:"currency"`
	Type         string `json:"type"`
	Name         string `json:"name"` // product or provider
	Debit        string `json:"debit"`
	Credit       string `json:"credit"`
}

// TrialTotal is the sum of a currency's lines.
type TrialTotal struct {
	Currency string `json:"currency"`
	Debit    string `json:"debit"`
	Credit   string `json:"credit"`
}

// TrialBalance returns the trial balance after the last commit at or before the time; the zero time is
// now.
func (c *Client) TrialBalance(ctx context.Context, at time.Time) (TrialBalance, error) {
	q := url.Values{}
	if !at.IsZero() {
		q.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	var out TrialBalance
	err := c.do(ctx, request{method: http.MethodGet, path: "/trial-balance", query: q}, &out)
	return out, err
}

// GGRLine is what a product took in one jurisdiction.
type GGRLine struct {
	Jurisdiction string `json:"jurisdiction"`
	Currency     string `json:"currency"`
	Product      string `json:"product"`
	Handle       string `json:"handle"`  // stakes placed
	Stakes       string `json:"stakes"`  // stakes settled
	Payouts      string `json:"payouts"` // for them
	GGR          string `json:"ggr"`     // stakes less payouts
	Voided       string `json:"voided"`
	Corrections  string `json:"corrections"` // part of GGR
	Placed       int64  `json:"placed"`
	Settled      int64  `json:"settled"`
	VoidedCount  int64  `json:"voided_count"`
	Corrected    int64  `json:"corrected"`
}

// GGR returns gross gaming revenue from one time up to, not including, another.
func (c *Client) GGR(ctx context.Context, from, to time.Time) ([]GGRLine, error) {
	q := url.Values{"from": {from.UTC().Format(time.RFC3339Nano)}, "to": {to.UTC().Format(time.RFC3339Nano)}}
	var out struct {
		Lines []GGRLine `json:"lines"`
	}
	err := c.do(ctx, request{method: http.MethodGet, path: "/ggr", query: q}, &out)
	return out.Lines, err
}

// ErrCutOff says that an export ended before its last line. What was written is good up to its last
// whole commit; go on from there.
var ErrCutOff = errors.New("ledger: the export was cut off")

// Export writes the log as NDJSON, see docs/ledger-export.md, for `matchday audit --seals`. From is ""
// for everything, or the positions to go on after, such as 0:4711,1:4699. It has no time limit but
// ctx's and is not repeated by itself.
func (c *Client) Export(ctx context.Context, w io.Writer, from string) error {
	q := url.Values{}
	if from != "" {
		q.Set("from", from)
	}
	answer, err := c.send(ctx, request{method: http.MethodGet, path: "/export", query: q}, nil)
	if err != nil {
		return unanswered(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode >= 400 {
		raw, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
		if err != nil {
			return unanswered(err)
		}
		return refusal(answer, raw)
	}
	last := &lastLine{w: w}
	if _, err := io.Copy(last, answer.Body); err != nil {
		return errors.Join(ErrCutOff, err)
	}
	if !strings.HasPrefix(last.line(), `{"trailer":`) {
		return ErrCutOff
	}
	return nil
}

// lastLine passes everything on and keeps the beginning of the last line.
type lastLine struct {
	w       io.Writer
	current []byte
	ended   bool
}

// Write implements io.Writer.
func (l *lastLine) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	for rest := p[:n]; len(rest) > 0; {
		if l.ended {
			l.current, l.ended = l.current[:0], false
		}
		line, after, found := bytes.Cut(rest, []byte("\n"))
		l.current = append(l.current, line[:min(len(line), 32)]...)
		l.ended, rest = found, after
	}
	return n, err
}

// line returns the beginning of the last whole line, "" if the last one has no end.
func (l *lastLine) line() string {
	if !l.ended {
		return ""
	}
	return string(l.current)
}
