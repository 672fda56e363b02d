package client

import (
	"context"
	"net/http"
	"net/url"
)

// DryRun answers what Transfer would answer now, and changes nothing. The result has no position.
func (c *Client) DryRun(ctx context.Context, t Transfer) (Result, error) {
	var out Result
	err := c.do(ctx, request{method: http.MethodPost, path: "/transfers", query: dryRun(), body: t}, &out)
	return out, err
}

// DryRuns answers what Transfers would answer now, each transfer on top of those before it.
func (c *Client) DryRuns(ctx context.Context, list []Transfer) ([]Item, error) {
	var answer batchAnswer
	body := map[string]any{"transfers": list}
	if err := c.do(ctx, request{method: http.MethodPost, path: "/transfers/batch", query: dryRun(), body: body}, &answer); err != nil {
		return nil, err
	}
	return c.items(list, answer)
}

// DryRunGroup answers what Group would answer now, and changes nothing. The results have no position unless
// the group was decided before.
func (c *Client) DryRunGroup(ctx context.Context, key string, list []Transfer) ([]Result, error) {
	return c.group(ctx, dryRun(), key, list)
}

func dryRun() url.Values { return url.Values{"dry_run": {"true"}} }

// Group commits all of the transfers or none. Key is the group's own, kept for ever like the
// transfers' keys. A refusal is an Error whose Fields name the transfer that was refused.
func (c *Client) Group(ctx context.Context, key string, list []Transfer) ([]Result, error) {
	return c.group(ctx, nil, key, list)
}

func (c *Client) group(ctx context.Context, query url.Values, key string, list []Transfer) ([]Result, error) {
	var answer struct {
		Results []struct {
			Result Result `json:"result"`
		} `json:"results"`
	}
	body := map[string]any{"key": key, "transfers": list}
	if err := c.do(ctx, request{method: http.MethodPost, path: "/groups", query: query, body: body}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(list) {
		return nil, &Error{Code: CodeInternal, Detail: "the answer has another number of items than the request"}
	}
	out := make([]Result, len(list))
	for i, r := range answer.Results {
		out[i] = r.Result
		c.seen.note(list[i].Player, r.Result.Position)
	}
	return out, nil
}

// LimitsChange replaces the limits of a player's account, if they still have the version IfVersion.
type LimitsChange struct {
	Key          string  `json:"key"`
	Currency     string  `json:"currency"`
	MinAvailable *string `json:"min_available,omitempty"` // below zero is a credit line; nil is zero
	MaxBalance   *string `json:"max_balance,omitempty"`   // nil is no bound
	Freeze       string  `json:"freeze,omitempty"`        // none, debits or all
	IfVersion    int64   `json:"if_version"`
}

// Limits of an account. Version 0 is an account that never had any.
type Limits struct {
	Account      string  `json:"account"`
	Version      int64   `json:"version"`
	MinAvailable *Amount `json:"min_available"`
	MaxBalance   *Amount `json:"max_balance"`
	Freeze       string  `json:"freeze"`
}

// SetLimits changes the limits of a player's account and returns the new ones.
func (c *Client) SetLimits(ctx context.Context, account string, change LimitsChange) (Limits, error) {
	var out Limits
	err := c.do(ctx, request{method: http.MethodPut, path: accountPath(account) + "/limits", body: change}, &out)
	return out, err
}

// Limits returns the limits of a player's account.
func (c *Client) Limits(ctx context.Context, account string) (Limits, error) {
	var out Limits
	err := c.do(ctx, request{method: http.MethodGet, path: accountPath(account) + "/limits"}, &out)
	return out, err
}

// MetadataChange sets and removes entries of an account's metadata.
type MetadataChange struct {
	Key    string            `json:"key"`
	Set    map[string]string `json:"set,omitempty"`
	Remove []string          `json:"remove,omitempty"`
}

// SetMetadata changes the metadata of a player's account and returns all of it.
func (c *Client) SetMetadata(ctx context.Context, account string, change MetadataChange) (map[string]string, error) {
	return c.metadata(ctx, request{method: http.MethodPatch, path: accountPath(account) + "/metadata", body: change})
}

// Metadata returns the metadata of a player's account.
func (c *Client) Metadata(ctx context.Context, account string) (map[string]string, error) {
	return c.metadata(ctx, request{method: http.MethodGet, path: accountPath(account) + "/metadata"})
}

func (c *Client) metadata(ctx context.Context, r request) (map[string]string, error) {
	var out struct {
		Metadata map[string]string `json:"metadata"`
	}
	err := c.do(ctx, r, &out)
	return out.Metadata, err
}
