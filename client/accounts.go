package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Amount is a decimal amount with its currency.
type Amount struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
}

// Balance of an account. Available is posted less held.
type Balance struct {
	Account   string `json:"account"`
	Posted    Amount `json:"posted"`
	Held      Amount `json:"held"`
	Available Amount `json:"available"`
	Position  string `json:"position"` // everything up to here is included; "" for house accounts
}

// Line is one movement of an account.
type Line struct {
	Position string    `json:"position"`
	Kind     string    `json:"kind"`
	At       time.Time `json:"at"`
	Amount   Amount    `json:"amount"`
	Balance  Amount    `json:"balance"` // after it
	Subject  string    `json:"subject"`
	Key      string    `json:"key"` // as this service sent it; "" for keys of others
}

// OpenHold is money reserved and not yet moved or given back.
type OpenHold struct {
	Key       string    `json:"key"` // as this service sent it; "" for holds of others
	Position  string    `json:"position"`
	Amount    Amount    `json:"amount"`
	To        string    `json:"to"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Page selects a part of a list. The zero value is its beginning.
type Page struct {
	Cursor string // Next of the page before
	Limit  int    // 1 to 200; 0 is 50
}

func (p Page) query() url.Values {
	q := url.Values{}
	if p.Cursor != "" {
		q.Set("cursor", p.Cursor)
	}
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	return q
}

// List is one page. Next is "" on the last.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// Balance returns the balance of an account, with at least what this client has committed for its
// player.
func (c *Client) Balance(ctx context.Context, account string) (Balance, error) {
	var out Balance
	err := c.do(ctx, request{method: http.MethodGet, path: accountPath(account), position: c.seen.of(account)}, &out)
	return out, err
}

// BalanceAt returns the balance as it was after the last commit at or before the time.
func (c *Client) BalanceAt(ctx context.Context, account string, at time.Time) (Balance, error) {
	var out Balance
	q := url.Values{"at": {at.UTC().Format(time.RFC3339Nano)}}
	err := c.do(ctx, request{method: http.MethodGet, path: accountPath(account), query: q, position: c.seen.of(account)}, &out)
	return out, err
}

// accountPath keeps an address in one segment of the path: its slashes are escaped, which the server takes
// as they are.
func accountPath(account string) string { return "/accounts/" + url.PathEscape(account) }

// BalanceItem is one of many balances, or why there is none.
type BalanceItem struct {
	Account string
	Balance
	Err error
}

// Balances returns the balances of up to 1,000 accounts in the order asked, with at least what this
// client has committed.
func (c *Client) Balances(ctx context.Context, accounts []string) ([]BalanceItem, error) {
	body := map[string]any{"accounts": accounts}
	if at := c.seen.all(); len(at) > 0 {
		body["positions"] = at
	}
	var answer struct {
		Items []struct {
			Account string   `json:"account"`
			Balance *Balance `json:"balance"`
			Error   *struct {
				Code   string `json:"code"`
				Detail string `json:"detail"`
			} `json:"error"`
		} `json:"items"`
	}
	if err := c.do(ctx, request{method: http.MethodPost, path: "/balances", body: body}, &answer); err != nil {
		return nil, err
	}
	out := make([]BalanceItem, len(answer.Items))
	for i, item := range answer.Items {
		out[i].Account = item.Account
		switch {
		case item.Balance != nil:
			out[i].Balance = *item.Balance
		case item.Error != nil:
			out[i].Err = &Error{Code: item.Error.Code, Detail: item.Error.Detail, Status: http.StatusOK, Attempts: 1}
		}
	}
	return out, nil
}

// Selection chooses movements of an account. Its zero value is all of them.
type Selection struct {
	From, To time.Time // of From or later, and before To; zero has no bound
	Kinds    []string  // of these kinds, such as "stake"; none is all
}

// Statement returns the movements of a player's account, newest first. Pages of the same selection
// have no movement twice and miss none, however much is written meanwhile.
func (c *Client) Statement(ctx context.Context, account string, s Selection, p Page) (List[Line], error) {
	query := p.query()
	if !s.From.IsZero() {
		query.Set("from", s.From.UTC().Format(time.RFC3339Nano))
	}
	if !s.To.IsZero() {
		query.Set("to", s.To.UTC().Format(time.RFC3339Nano))
	}
	if len(s.Kinds) > 0 {
		query.Set("kinds", strings.Join(s.Kinds, ","))
	}
	var out List[Line]
	err := c.do(ctx, request{method: http.MethodGet, path: accountPath(account) + "/postings", query: query, position: c.seen.of(account)}, &out)
	return out, err
}

// OpenHolds returns the open holds of a player's account, oldest first.
func (c *Client) OpenHolds(ctx context.Context, account string, p Page) (List[OpenHold], error) {
	var out List[OpenHold]
	err := c.do(ctx, request{method: http.MethodGet, path: accountPath(account) + "/holds", query: p.query()}, &out)
	return out, err
}
