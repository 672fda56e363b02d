package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"matchday/errs"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// ledgerFeatureRoutes are groups, and the limits and metadata of accounts.
func (a *API) ledgerFeatureRoutes() []route {
	const accountMux = "/v1/ledger/accounts/{address...}"
	return []route{
		{method: "POST", path: "/v1/ledger/groups", id: "group", tag: "Ledger", who: whoService, status: http.StatusCreated, maxBody: a.cfg.MaxBatchBytes,
			summary: "Move money many times, all or nothing", detail: "Up to 1,000 transfers, of players on any shards. If one is refused, none commits, and " +
				"the error names it. A player-to-player payment is two transfers of kind player_transfer: payer's cash to transit/{jurisdiction}, and from " +
				"there to the payee's cash. The same key and transfers answer as the first time.", params: []param{paramDryRun}, end: taking(a.group)},
		{method: "PUT", path: "/v1/ledger/accounts/{address}/limits", mux: accountMux, id: "set-account-limits", tag: "Ledger", who: whoService,
			summary: "Replace the limits of a player's account", detail: "All limits are replaced by those sent, if they still have the version if_version. A balance " +
				"outside the new limits stays and can only move back inside. Only for keys with the right limits; a min_available below zero, which is a " +
				"credit line, needs the right credit_lines too, unless the account has it already. " + addressDetail, end: taking(a.setLimits)},
		{method: "GET", path: "/v1/ledger/accounts/{address}/limits", mux: "-", id: "account-limits", tag: "Ledger", who: whoService,
			summary: "Limits of a player's account", detail: addressDetail, end: showing[AccountLimits](a.limits)},
		{method: "PATCH", path: "/v1/ledger/accounts/{address}/metadata", mux: accountMux, id: "change-account-metadata", tag: "Ledger", who: whoService,
			summary: "Change the metadata of a player's account", detail: "At most 16 entries, with names of at most 64 and values of at most 512 bytes. " + addressDetail,
			end: taking(a.setMetadata)},
		{method: "GET", path: "/v1/ledger/accounts/{address}/metadata", mux: "-", id: "account-metadata", tag: "Ledger", who: whoService,
			summary: "Metadata of a player's account", detail: addressDetail, end: showing[AccountMetadata](a.metadata)},
	}
}

// group commits all or nothing. A refusal is one problem that says which transfer was refused for its
// own sake, and that the others were not for theirs.
func (a *API) group(ctx context.Context, c *call, in *GroupRequest) (*GroupResult, error) {
	var check errs.Check
	checkKey(&check, "key", in.Key)
	if n := len(in.Transfers); n < 1 || n > ledger.MaxGroup {
		check.Add("transfers", "has %d items, 1 to %d are allowed", n, ledger.MaxGroup)
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	g := ledger.Group{Key: c.scoped(in.Key), Transfers: make([]ledger.Transfer, len(in.Transfers))}
	for i := range in.Transfers {
		var err error
		if g.Transfers[i], err = c.transferOf(&in.Transfers[i]); err != nil {
			return nil, inItem(err, "transfers["+strconv.Itoa(i)+"]")
		}
	}
	commit, verb := a.commitGroup, "commit"
	if c.isDryRun() {
		commit, verb, c.status = a.deps.Ledger.DryRunGroup, "try", http.StatusOK
	}
	results, err := commit(ctx, g)
	if err != nil {
		return nil, fmt.Errorf("%s group %s: %w", verb, in.Key, c.plainGroup(err, results))
	}
	out := &GroupResult{Results: make([]GroupItem, len(results))}
	for i, r := range results {
		out.Results[i] = GroupItem{Index: i, Key: in.Transfers[i].Key, Result: resultOf(r, g.Transfers[i].Currency)}
	}
	return out, nil
}

func (a *API) commitGroup(ctx context.Context, g ledger.Group) ([]ledger.Result, error) {
	return a.deps.Ledger.CommitGroup(ctx, ledger.LaneInteractive, g)
}

// inItem places the fields of an error inside an item of a list.
func inItem(err error, place string) error {
	e, ok := err.(*errs.Error) //nolint:errorlint // of our own making, not wrapped
	if !ok {
		return err
	}
	moved := *e
	moved.Fields = make([]errs.Field, 0, len(e.Fields))
	for _, f := range e.Fields {
		moved.Fields = append(moved.Fields, errs.Field{Location: place + "." + f.Location, Message: f.Message})
	}
	if len(e.Fields) == 0 {
		moved.Fields = append(moved.Fields, errs.Field{Location: place, Message: e.Detail})
	}
	return &moved
}

// plainGroup is groupProblem with the caller's keys as it sent them.
func (c *call) plainGroup(err error, results []ledger.Result) error {
	for i := range results {
		results[i].Err = c.plain(results[i].Err)
	}
	return c.plain(groupProblem(err, results))
}

// groupProblem says which transfers of a refused group were refused for their own sake.
func groupProblem(err error, results []ledger.Result) error {
	code := errs.CodeOf(err)
	if code == errs.CodeInternal || code == errs.CodeUnavailable {
		return err
	}
	out := &errs.Error{Code: code, Detail: "the group was refused: nothing of it was committed", Err: err}
	for i, r := range results {
		if r.Err == nil || errs.Is(r.Err, errs.CodeLinkedFailed) {
			continue
		}
		p, _ := problemOf(r.Err)
		message := p.Code
		if p.Detail != "" {
			message += ": " + p.Detail
		}
		out.Fields = append(out.Fields, errs.Field{Location: "transfers[" + strconv.Itoa(i) + "]", Message: message})
	}
	return out
}

// playerAccount returns the path's account without its suffix, if it is a player's that the key reaches.
func (c *call) playerAccount(suffix string) (ledger.Address, error) {
	text, cut := strings.CutSuffix(c.r.PathValue("address"), suffix)
	if !cut {
		return "", errs.New(errs.CodeNotFound, "no such path")
	}
	address, err := ledger.ParseAddress(text)
	if err != nil || address.Player() == "" {
		return "", errs.New(errs.CodeNotFound, "no such account of a player")
	}
	if keptByRoom(address) {
		return "", errs.New(errs.CodeForbidden, "this account is the platform's own")
	}
	return address, c.reaches(address.Jurisdiction())
}

var freezes = map[string]ledger.Freeze{"": ledger.FreezeNone, "none": ledger.FreezeNone, "debits": ledger.FreezeDebits, "all": ledger.FreezeAll}

func (a *API) setLimits(ctx context.Context, c *call, in *LimitsRequest) (*AccountLimits, error) {
	var check errs.Check
	checkKey(&check, "key", in.Key)
	address, err := c.playerAccount("/limits")
	if err != nil {
		return nil, err
	}
	currency, err := a.currencyOf(address, "")
	if err != nil {
		return nil, err
	}
	if in.Currency != string(currency) {
		check.Add("currency", "is not %s", currency)
	}
	change := ledger.LimitsChange{Key: c.scoped(in.Key), Account: address, Currency: currency, IfVersion: in.IfVersion}
	change.MinMinor = optionalMinor(&check, "min_available", in.MinAvailable, currency)
	change.MaxMinor = optionalMinor(&check, "max_balance", in.MaxBalance, currency)
	freeze, known := freezes[in.Freeze]
	if !known {
		check.Add("freeze", "is not one of none, debits, all")
	}
	change.Freeze = freeze
	if err := check.Err(); err != nil {
		return nil, err
	}
	if err := c.mayLimit(ctx, &change); err != nil {
		return nil, err
	}
	l, err := a.deps.Ledger.SetLimits(ctx, change)
	if err != nil {
		return nil, fmt.Errorf("set limits of %s: %w", address, c.plain(err))
	}
	return limitsOf(l, currency), nil
}

// mayLimit returns nil if the caller was given the right to the change. A credit line lets a player owe
// money, so it is a right of its own. A key without it may keep one that is there, or make it smaller: who
// freezes an account need not be who lends.
func (c *call) mayLimit(ctx context.Context, change *ledger.LimitsChange) error {
	key := c.caller.service
	if err := needs(key.limits, "limits", ""); err != nil || key.creditLines || change.MinMinor == nil || *change.MinMinor >= 0 {
		return err
	}
	now, err := c.a.deps.Ledger.Limits(ctx, change.Account)
	switch {
	case err != nil:
		return fmt.Errorf("limits of %s: %w", change.Account, err)
	case now.Version > change.IfVersion:
		return nil // it can only be a replay or a conflict: nothing new is set
	case now.Version == change.IfVersion && now.MinMinor != nil && *now.MinMinor <= *change.MinMinor:
		return nil // and if another change comes first, the version refuses this one
	}
	return needs(false, "credit_lines", "min_available")
}

// optionalMinor reads an amount that may be absent.
func optionalMinor(check *errs.Check, location string, text *string, currency money.Currency) *int64 {
	if text == nil {
		return nil
	}
	m, err := money.Parse(*text, currency)
	if err != nil || m.Minor() > money.MaxMinor || m.Minor() < -money.MaxMinor {
		check.Add(location, "is not a decimal amount such as -25.00")
		return nil
	}
	n := m.Minor()
	return &n
}

func limitsOf(l ledger.Limits, currency money.Currency) *AccountLimits {
	text := func(n *int64) *Amount {
		if n == nil {
			return nil
		}
		out := minor(*n, currency)
		return &out
	}
	out := &AccountLimits{Account: string(l.Account), Version: l.Version, MinAvailable: text(l.MinMinor), MaxBalance: text(l.MaxMinor)}
	for _, name := range []string{"none", "debits", "all"} {
		if freezes[name] == l.Freeze {
			out.Freeze = name
		}
	}
	return out
}

func (a *API) limits(ctx context.Context, c *call) (any, error) {
	address, _, err := c.address()
	if err != nil {
		return nil, err
	}
	if address.Player() == "" {
		return nil, errs.New(errs.CodeNotFound, "only players' accounts have limits")
	}
	currency, err := a.currencyOf(address, "")
	if err != nil {
		return nil, err
	}
	l, err := a.deps.Ledger.Limits(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("limits of %s: %w", address, err)
	}
	return limitsOf(l, currency), nil
}

func (a *API) setMetadata(ctx context.Context, c *call, in *MetadataRequest) (*AccountMetadata, error) {
	var check errs.Check
	checkKey(&check, "key", in.Key)
	address, err := c.playerAccount("/metadata")
	if err != nil {
		return nil, err
	}
	currency, err := a.currencyOf(address, "")
	if err != nil {
		return nil, err
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	change := ledger.MetadataChange{Key: c.scoped(in.Key), Account: address, Currency: currency, Set: in.Set, Remove: in.Remove}
	if err := a.deps.Ledger.SetMetadata(ctx, change); err != nil {
		return nil, fmt.Errorf("set metadata of %s: %w", address, c.plain(err))
	}
	return a.metadataOf(ctx, address)
}

func (a *API) metadata(ctx context.Context, c *call) (any, error) {
	address, _, err := c.address()
	if err != nil {
		return nil, err
	}
	if address.Player() == "" {
		return nil, errs.New(errs.CodeNotFound, "only players' accounts have metadata")
	}
	return a.metadataOf(ctx, address)
}

func (a *API) metadataOf(ctx context.Context, address ledger.Address) (*AccountMetadata, error) {
	found, err := a.deps.Ledger.Metadata(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", address, err)
	}
	if found == nil {
		found = map[string]string{}
	}
	return &AccountMetadata{Account: string(address), Metadata: found}, nil
}

// paramDryRun is on the routes that can try without doing.
var paramDryRun = param{name: "dry_run", doc: "true: answer what would happen now and change nothing", enum: []string{"true", "false"}}

func (c *call) isDryRun() bool { return c.query.Get("dry_run") == "true" }

// tryOne answers what committing the transfer would, and changes nothing.
func (c *call) tryOne(ctx context.Context, t ledger.Transfer, key string) (*TransferResult, error) {
	results, err := c.a.deps.Ledger.DryRun(ctx, []ledger.Transfer{t})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("try %s: %w", key, c.plain(err))
	}
	c.status = http.StatusOK
	out := resultOf(results[0], t.Currency)
	return &out, nil
}

// positionText is the position of an answer; a dry run has none.
func positionText(p stream.Position) string {
	if p.Seq == 0 {
		return ""
	}
	return p.String()
}
