package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Transfer asks to move money. Key is the caller's: 1 to 64 of A-Z a-z 0-9 . _ ~ -, kept for ever.
type Transfer struct {
	Key          string    `json:"key"`
	Kind         string    `json:"kind"` // for example deposit, stake, settlement
	Player       string    `json:"player_id"`
	Jurisdiction string    `json:"jurisdiction"`
	Currency     string    `json:"currency"`
	Postings     []Posting `json:"postings"` // 2 to 8 that sum to zero
	Record       *Record   `json:"record,omitempty"`

	Metadata map[string]string `json:"metadata,omitempty"` // kept with it: at most 16 entries
}

// Posting is one signed line of a transfer: a positive amount credits the account.
type Posting struct {
	Account string `json:"account"` // for example player/plr_1/US-NJ/cash
	Amount  string `json:"amount"`  // decimal, for example -25.00
}

// Record is a fact that commits with a transfer and is published to whoever follows the log.
type Record struct {
	Type    string          `json:"type"`
	Subject string          `json:"subject"`
	Data    json.RawMessage `json:"data"` // a JSON object
}

// Result is the answer to a transfer.
type Result struct {
	Position string          `json:"position"` // where in the log it is
	At       time.Time       `json:"at"`
	Replayed bool            `json:"replayed"` // the key was answered before: this is the first answer
	Balances []string        `json:"balances"` // of each posting's account after it
	Data     json.RawMessage `json:"data,omitempty"`
}

// Transfer commits one transfer.
func (c *Client) Transfer(ctx context.Context, t Transfer) (Result, error) {
	var out Result
	err := c.do(ctx, request{method: http.MethodPost, path: "/transfers", body: t}, &out)
	c.seen.note(t.Player, out.Position)
	return out, err
}

// Item is the answer to one transfer of many: a result, or why it was not committed.
type Item struct {
	Result
	Err error
}

// MaxTransfers is how many transfers one call of Transfers may have.
const MaxTransfers = 1000

// Transfers commits many transfers, each for itself, behind what customers wait for. The items are in
// the order of the transfers. Items that end in unavailable are not sent again by themselves: send
// those, with their keys.
func (c *Client) Transfers(ctx context.Context, list []Transfer) ([]Item, error) {
	var answer batchAnswer
	err := c.do(ctx, request{method: http.MethodPost, path: "/transfers/batch", body: map[string]any{"transfers": list}}, &answer)
	if err != nil {
		return nil, err
	}
	return c.items(list, answer)
}

// batchAnswer is what the server says to many transfers.
type batchAnswer struct {
	Results []struct {
		Index  int     `json:"index"`
		Result *Result `json:"result"`
		Error  *struct {
			Code   string  `json:"code"`
			Detail string  `json:"detail"`
			Errors []Field `json:"errors"`
		} `json:"error"`
	} `json:"results"`
}

// items puts the answers in the order of the transfers.
func (c *Client) items(list []Transfer, answer batchAnswer) ([]Item, error) {
	out := make([]Item, len(list))
	if len(answer.Results) != len(list) {
		return nil, &Error{Code: CodeInternal, Detail: "the answer has another number of items than the request"}
	}
	for _, r := range answer.Results {
		if r.Index < 0 || r.Index >= len(list) {
			return nil, &Error{Code: CodeInternal, Detail: "the answer has an item that was not asked for"}
		}
		switch {
		case r.Result != nil:
			out[r.Index].Result = *r.Result
			c.seen.note(list[r.Index].Player, r.Result.Position)
		case r.Error != nil:
			out[r.Index].Err = &Error{Code: r.Error.Code, Detail: r.Error.Detail, Fields: r.Error.Errors, Status: http.StatusOK, Attempts: 1}
		default:
			out[r.Index].Err = &Error{Code: CodeInternal, Detail: "the item has no answer"}
		}
	}
	return out, nil
}

// Hold asks to reserve money until a time. Postings are the two that commit when it is posted in full.
type Hold struct {
	Key          string    `json:"key"`
	Player       string    `json:"player_id"`
	Jurisdiction string    `json:"jurisdiction"`
	Currency     string    `json:"currency"`
	Postings     []Posting `json:"postings"`
	ExpiresAt    time.Time `json:"expires_at"`
	Record       *Record   `json:"record,omitempty"`
}

// Hold reserves money.
func (c *Client) Hold(ctx context.Context, h Hold) (Result, error) {
	var out Result
	err := c.do(ctx, request{method: http.MethodPost, path: "/holds", body: h}, &out)
	c.seen.note(h.Player, out.Position)
	return out, err
}

// Resolution ends a hold. Key is its own, not the hold's.
type Resolution struct {
	Key          string  `json:"key"`
	Player       string  `json:"player_id"`
	Jurisdiction string  `json:"jurisdiction"`
	Currency     string  `json:"currency"`
	Amount       string  `json:"amount,omitempty"` // with Post: how much; "" is all, the rest is released
	Record       *Record `json:"record,omitempty"`
}

// Post moves what the hold reserved, all or part.
func (c *Client) Post(ctx context.Context, holdKey string, r Resolution) (Result, error) {
	return c.resolve(ctx, holdKey, "post", r)
}

// Release gives what the hold reserved back.
func (c *Client) Release(ctx context.Context, holdKey string, r Resolution) (Result, error) {
	return c.resolve(ctx, holdKey, "release", r)
}

func (c *Client) resolve(ctx context.Context, holdKey, how string, r Resolution) (Result, error) {
	var out Result
	err := c.do(ctx, request{method: http.MethodPost, path: "/holds/" + url.PathEscape(holdKey) + "/" + how, body: r}, &out)
	c.seen.note(r.Player, out.Position)
	return out, err
}
