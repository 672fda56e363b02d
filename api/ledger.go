package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/sportsbook"
	"matchday/stream"
)

// Bounds of service requests.
const (
	maxBatch    = 1000
	maxPostings = 8
	maxSubject  = 100 // of a record's type and subject, as the ledger has it
)

// resolveDetail is said of both ways to end a hold.
const resolveDetail = "The path names the hold by its key; the body's key is a new one, of this step. Player, jurisdiction and currency are " +
	"the hold's: they say where to look for it."

func (a *API) ledgerRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/ledger/transfers", id: "transfer", tag: "Ledger", who: whoService, status: http.StatusCreated, writes: true,
			params:  []param{paramDryRun},
			summary: "Move money", detail: "A key belongs to the service that sends it, for ever: use it for one transfer only, of one player. " +
				"Stakes and revenue of the sportsbook, and what a player owes or is withdrawing, are moved by the platform only.", end: taking(a.transfer)},
		{method: "POST", path: "/v1/ledger/transfers/batch", id: "transfer-batch", tag: "Ledger", who: whoService, maxBody: a.cfg.MaxBatchBytes,
			params:  []param{paramDryRun},
			summary: "Move money many times", detail: "Up to 1,000 transfers, each for itself (in a dry run at most 128 of one player): the answer has a result or an error for each, " +
				"in the order asked. They wait in the bulk lane, behind what customers wait for.", end: taking(a.transferBatch)},
		{method: "POST", path: "/v1/ledger/holds", id: "hold", tag: "Ledger", who: whoService, status: http.StatusCreated, writes: true,
			params:  []param{paramDryRun},
			summary: "Reserve money", detail: "Two postings: a player's cash, and bets or withdrawing, where the money goes when the hold is posted. " +
				"Until expires_at it can be posted or released under its key; then it ends by itself.", end: taking(a.hold)},
		{method: "POST", path: "/v1/ledger/holds/{key}/post", id: "post-hold", tag: "Ledger", who: whoService, status: http.StatusCreated, writes: true,
			params: []param{paramDryRun}, detail: resolveDetail,
			summary: "Move reserved money, all or part; the rest is released", end: taking(a.resolve(ledger.KindPost))},
		{method: "POST", path: "/v1/ledger/holds/{key}/release", id: "release-hold", tag: "Ledger", who: whoService, status: http.StatusCreated, writes: true,
			params: []param{paramDryRun}, detail: resolveDetail,
			summary: "Give reserved money back", end: taking(a.resolve(ledger.KindRelease))},
		{method: "GET", path: "/v1/ledger/accounts/{address}", mux: "/v1/ledger/accounts/{address...}", id: "account", tag: "Ledger", who: whoService,
			reads:   true,
			params:  []param{{name: "at", doc: "Balance at this time (RFC 3339); now if absent", example: "2026-11-21T20:00:00Z"}, paramCursor, paramLimit, paramFrom, paramTo, paramKinds},
			summary: "Balance of an account, now or at a time", detail: addressDetail, end: showing[AccountBalance](a.account)},
		{method: "GET", path: "/v1/ledger/accounts/{address}/postings", mux: "-", id: "account-postings", tag: "Ledger", who: whoService, reads: true,
			params: selected, summary: "Movements of a player's account, newest first", detail: addressDetail, end: showing[List[StatementLine]](a.postings)},
	}
}

// scoped is the ledger's key for a service's key: services cannot reach each other's keys, nor those
// of bets and payments.
func (c *call) scoped(key string) string { return "api/" + c.caller.service.name + "/" + key }

func (a *API) transfer(ctx context.Context, c *call, in *TransferRequest) (*TransferResult, error) {
	t, err := c.transferOf(in)
	if err != nil {
		return nil, err
	}
	if c.isDryRun() {
		return c.tryOne(ctx, t, in.Key)
	}
	return c.commit(ctx, t, in.Key)
}

// commit commits one transfer and shapes the answer.
func (c *call) commit(ctx context.Context, t ledger.Transfer, key string) (*TransferResult, error) {
	r, err := c.a.deps.Ledger.Commit(ctx, ledger.LaneInteractive, t)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", key, c.plain(err))
	}
	c.setPosition(r.Position)
	out := resultOf(r, t.Currency)
	return &out, nil
}

func resultOf(r ledger.Result, currency money.Currency) TransferResult {
	out := TransferResult{Position: positionText(r.Position), At: r.At, Replayed: r.Replayed, Balances: make([]string, len(r.Balances))}
	for i, b := range r.Balances {
		out.Balances[i] = money.New(b, currency).Amount()
	}
	if r.Replayed {
		out.Data = r.Data
	}
	return out
}

// transferBatch commits many. An item that is wrong by itself never reaches the ledger; the others do.
func (a *API) transferBatch(ctx context.Context, c *call, in *BatchRequest) (*BatchResult, error) {
	if n := len(in.Transfers); n < 1 || n > maxBatch {
		code := errs.CodeInvalid
		if n > maxBatch {
			code = errs.CodeTooLarge
		}
		return nil, &errs.Error{Code: code, Detail: "a batch has 1 to 1000 transfers",
			Fields: []errs.Field{{Location: "transfers", Message: "has " + strconv.Itoa(n) + " items"}}}
	}
	out := &BatchResult{Results: make([]BatchItem, len(in.Transfers))}
	transfers := make([]ledger.Transfer, 0, len(in.Transfers))
	asked := make([]int, 0, len(in.Transfers))
	for i := range in.Transfers {
		item := &in.Transfers[i]
		out.Results[i] = BatchItem{Index: i, Key: clip(item.Key, 64)}
		t, err := c.transferOf(item)
		if err != nil {
			out.Results[i].Error = itemError(err)
			continue
		}
		transfers, asked = append(transfers, t), append(asked, i)
	}
	if len(transfers) > 0 {
		commit := func() ([]ledger.Result, error) { return a.deps.Ledger.CommitBatch(ctx, ledger.LaneBulk, transfers) }
		if c.isDryRun() {
			commit = func() ([]ledger.Result, error) { return a.deps.Ledger.DryRun(ctx, transfers) }
		}
		results, err := commit()
		if err != nil {
			return nil, fmt.Errorf("commit batch of %d: %w", len(transfers), err)
		}
		c.fillBatch(ctx, out, transfers, asked, results)
	}
	for i := range out.Results {
		if out.Results[i].Error == nil {
			out.Committed++
		}
	}
	out.Failed = len(out.Results) - out.Committed
	return out, nil
}

// fillBatch puts the ledger's results at the places of the items they answer. A fault of ours is
// logged here, once for the batch, because an item's answer shows only its code.
func (c *call) fillBatch(ctx context.Context, out *BatchResult, transfers []ledger.Transfer, asked []int, results []ledger.Result) {
	held := make([]TransferResult, len(results)) // one allocation for all
	logged := false
	for k, r := range results {
		item := &out.Results[asked[k]]
		if r.Err != nil {
			item.Error = itemError(c.plain(r.Err))
			if errs.Is(r.Err, errs.CodeInternal) && !logged {
				c.a.log.ErrorContext(ctx, "batch item failed", "request_id", c.requestID, "index", item.Index, "error", r.Err)
				logged = true
			}
			continue
		}
		held[k] = resultOf(r, transfers[k].Currency)
		item.Result = &held[k]
	}
}

// transferOf turns an item into a transfer, with every field that is wrong.
func (c *call) transferOf(in *TransferRequest) (ledger.Transfer, error) {
	var check errs.Check
	kind, err := ledger.ParseKind(in.Kind)
	if err != nil {
		check.Add("kind", "is not one of %s", strings.Join(kindNames(), ", "))
	}
	switch kind {
	case ledger.KindHold, ledger.KindPost, ledger.KindRelease, ledger.KindExpire:
		check.Add("kind", "has its own path under /v1/ledger/holds")
	}
	t := ledger.Transfer{Kind: kind, Key: c.scoped(in.Key)}
	checkKey(&check, "key", in.Key)
	c.fillWho(&check, &t, in.PlayerID, in.Jurisdiction, in.Currency)
	t.Postings = parsePostings(&check, in.Postings, t.Currency, maxPostings)
	t.Record, t.Metadata = parseRecord(&check, in.Record), in.Metadata
	if err := check.Err(); err != nil {
		return t, err
	}
	return t, c.mayMove(&t)
}

// fillWho reads player, jurisdiction and currency.
func (c *call) fillWho(check *errs.Check, t *ledger.Transfer, player, jurisdiction, currency string) {
	if err := id.Check(id.KindPlayer, player); err != nil {
		check.Add("player_id", "is not the id of a player")
	}
	t.Player, t.Jurisdiction, t.Currency = id.Player(player), id.Jurisdiction(jurisdiction), money.Currency(currency)
	j, err := c.a.deps.Jurisdictions.Find(t.Jurisdiction)
	switch {
	case err != nil:
		check.Add("jurisdiction", "is not served here")
		if _, err := money.ParseCurrency(currency); err != nil {
			check.Add("currency", "is not a currency here")
		}
	case j.Currency != t.Currency:
		check.Add("currency", "is not %s", j.Currency)
		t.Currency = j.Currency // read the amounts all the same, to name every wrong field
	}
}

// parsePostings reads 2 to most postings.
func parsePostings(check *errs.Check, in []PostingJSON, currency money.Currency, most int) []ledger.Posting {
	if n := len(in); n < 2 || n > most {
		check.Add("postings", "needs 2 to %d postings", most)
		return nil
	}
	out := make([]ledger.Posting, len(in))
	for i := range in {
		account, err := ledger.ParseAddress(in[i].Account)
		if err != nil {
			check.Add("postings["+strconv.Itoa(i)+"].account", "is not an account address: %s", addressForms)
		}
		m, err := money.Parse(in[i].Amount, currency)
		if err != nil {
			check.Add("postings["+strconv.Itoa(i)+"].amount", "is not a decimal amount such as -25.00")
		} else if m.Minor() > money.MaxMinor || m.Minor() < -money.MaxMinor {
			check.Add("postings["+strconv.Itoa(i)+"].amount", "is out of range")
		}
		out[i] = ledger.Posting{Account: account, AmountMinor: m.Minor()}
	}
	return out
}

// parseRecord reads an optional record. The platform's own types are refused: a service must not be
// able to say that a bet was placed.
func parseRecord(check *errs.Check, in *RecordJSON) *stream.Draft {
	if in == nil {
		return nil
	}
	if in.Type == "" || len(in.Type) > maxSubject || !plainKey(in.Type) || strings.HasPrefix(in.Type, "matchday.") {
		check.Add("record.type", "needs 1 to %d characters of A-Z a-z 0-9 . _ ~ - and must not begin with matchday.", maxSubject)
	}
	if in.Subject == "" || len(in.Subject) > maxSubject || !plainKey(in.Subject) {
		check.Add("record.subject", "needs 1 to %d characters of A-Z a-z 0-9 . _ ~ -", maxSubject)
	}
	if firstByte(in.Data) != '{' || len(in.Data) > stream.MaxRecordBytes {
		check.Add("record.data", "is not a JSON object of at most 16 KiB")
	}
	return &stream.Draft{Type: in.Type, Subject: in.Subject, Data: in.Data}
}

// mayMove returns nil if the service's key may commit the transfer: it reaches the jurisdiction, and
// no posting touches an account that a room keeps. Money that moved there behind the room's back would
// no longer agree with the room's bets and payments.
func (c *call) mayMove(t *ledger.Transfer) error {
	if err := c.reaches(t.Jurisdiction); err != nil {
		return err
	}
	var fields []errs.Field
	for i, p := range t.Postings {
		if keptByRoom(p.Account) {
			fields = append(fields, errs.Field{Location: "postings[" + strconv.Itoa(i) + "].account", Message: "is moved by the platform only"})
		}
	}
	if fields != nil {
		return &errs.Error{Code: errs.CodeForbidden, Detail: "a service may not move money in the platform's own accounts", Fields: fields}
	}
	return nil
}

// keptByRoom reports whether only a room moves money in a well-formed account: stakes and revenue of
// the sportsbook, and of a player's accounts all but the cash.
func keptByRoom(a ledger.Address) bool {
	text := string(a)
	switch head, _, _ := strings.Cut(text, "/"); head {
	case "bets", "revenue":
		return strings.HasSuffix(text, "/"+sportsbook.Product)
	case "player":
		return !strings.HasSuffix(text, "/cash")
	}
	return false
}

// reaches returns nil if the service's key is for the jurisdiction.
func (c *call) reaches(j id.Jurisdiction) error {
	if !c.caller.service.mayActIn(j) {
		return errs.New(errs.CodeForbidden, "this key is not for that jurisdiction")
	}
	return nil
}

func (a *API) hold(ctx context.Context, c *call, in *HoldRequest) (*TransferResult, error) {
	var check errs.Check
	t := ledger.Transfer{Kind: ledger.KindHold, Key: c.scoped(in.Key)}
	checkKey(&check, "key", in.Key)
	c.fillWho(&check, &t, in.PlayerID, in.Jurisdiction, in.Currency)
	t.Postings = parsePostings(&check, in.Postings, t.Currency, 2)
	t.Record = parseRecord(&check, in.Record)
	if in.ExpiresAt.IsZero() {
		check.Add("expires_at", "is required")
	}
	if err := check.Err(); err != nil {
		return nil, err
	}
	if err := c.mayMove(&t); err != nil {
		return nil, err
	}
	t.Hold = &ledger.HoldTerms{ExpiresAt: in.ExpiresAt.UTC().Truncate(time.Microsecond)}
	if c.isDryRun() {
		return c.tryOne(ctx, t, in.Key)
	}
	return c.commit(ctx, t, in.Key)
}

// resolve posts or releases a hold.
func (a *API) resolve(kind ledger.Kind) func(context.Context, *call, *ResolveRequest) (*TransferResult, error) {
	return func(ctx context.Context, c *call, in *ResolveRequest) (*TransferResult, error) {
		var check errs.Check
		hold := c.r.PathValue("key")
		t := ledger.Transfer{Kind: kind, Key: c.scoped(in.Key), HoldKey: c.scoped(hold)}
		checkKey(&check, "path.key", hold)
		switch in.Key {
		case "":
			check.Add("key", "is required: a new key for this step, besides the hold's in the path")
		case hold:
			check.Add("key", "is the hold's: this step needs a new one of its own")
		default:
			checkKey(&check, "key", in.Key)
		}
		c.fillWho(&check, &t, in.PlayerID, in.Jurisdiction, in.Currency)
		t.Record = parseRecord(&check, in.Record)
		switch {
		case in.Amount != "" && kind != ledger.KindPost:
			check.Add("amount", "belongs to post: a release gives all of it back")
		case in.Amount != "":
			t.AmountMinor = positiveText(&check, "amount", in.Amount, t.Currency).Minor()
		}
		if err := check.Err(); err != nil {
			return nil, err
		}
		if err := c.mayMove(&t); err != nil {
			return nil, err
		}
		if c.isDryRun() {
			return c.tryOne(ctx, t, in.Key)
		}
		return c.commit(ctx, t, in.Key)
	}
}

// account answers for every row of an account's path: the address has slashes of its own, so
// ServeMux cannot tell them apart. No address ends as those do.
func (a *API) account(ctx context.Context, c *call) (any, error) {
	text := c.r.PathValue("address")
	for suffix, read := range map[string]func(context.Context, *call) (any, error){
		"/postings": a.postings, "/holds": a.holds, "/limits": a.limits, "/metadata": a.metadata,
	} {
		if text, cut := strings.CutSuffix(text, suffix); cut {
			if err := c.only(suffix); err != nil {
				return nil, err
			}
			c.r.SetPathValue("address", text)
			return read(ctx, c)
		}
	}
	for _, p := range selected {
		if c.query.Has(p.name) {
			return nil, invalidField("query", "cursor, limit, from, to and kinds are parameters of .../postings")
		}
	}
	address, from, err := c.address()
	if err != nil {
		return nil, err
	}
	read := func(ctx context.Context, address ledger.Address) (ledger.Balance, error) {
		return a.balanceFrom(ctx, address, from)
	}
	if at := c.query.Get("at"); at != "" {
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return nil, invalidField("query.at", "is not a time such as 2026-11-21T20:00:00Z")
		}
		read = func(ctx context.Context, address ledger.Address) (ledger.Balance, error) {
			waiting, cancel := context.WithTimeout(ctx, positionWait)
			defer cancel()
			if err := a.deps.Ledger.WaitFor(waiting, from); err != nil {
				return ledger.Balance{}, err
			}
			return a.deps.Ledger.BalanceAt(ctx, address, when.UTC())
		}
	}
	b, err := read(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("balance of %s: %w", address, err)
	}
	return a.accountBalance(address, b)
}

// only refuses parameters of the other rows that share the path.
func (c *call) only(suffix string) error {
	others := []string{"at"}
	if suffix != "/postings" {
		others = append(others, "from", "to", "kinds")
	}
	for _, name := range others {
		if c.query.Has(name) {
			return invalidField("query."+name, "is not a parameter here")
		}
	}
	return nil
}

// address returns the path's account if the key reaches its jurisdiction, and the position that the
// read asks for.
func (c *call) address() (ledger.Address, stream.Position, error) {
	address, err := ledger.ParseAddress(c.r.PathValue("address"))
	if err != nil {
		return "", stream.Position{}, errs.New(errs.CodeNotFound, "no such account")
	}
	if err := c.reaches(address.Jurisdiction()); err != nil {
		return "", stream.Position{}, err
	}
	at, err := c.ledgerPosition()
	return address, at, err
}

// currencyOf returns the account's currency; one that nothing has moved on yet has that of its
// jurisdiction.
func (a *API) currencyOf(address ledger.Address, known money.Currency) (money.Currency, error) {
	if known != "" {
		return known, nil
	}
	j, err := a.deps.Jurisdictions.Find(address.Jurisdiction())
	if err != nil {
		return "", errs.New(errs.CodeNotFound, "no such account")
	}
	return j.Currency, nil
}

func (a *API) postings(ctx context.Context, c *call) (any, error) {
	q, limit, err := c.statementQuery()
	if err != nil {
		return nil, err
	}
	address, at, err := c.address()
	if err != nil {
		return nil, err
	}
	if address.Player() == "" {
		return nil, errs.New(errs.CodeNotFound, "postings are listed for players' accounts")
	}
	currency, err := a.currencyOf(address, "")
	if err != nil {
		return nil, err
	}
	lines, err := a.statementFrom(ctx, address, q, at)
	if err != nil {
		return nil, fmt.Errorf("postings of %s: %w", address, err)
	}
	return statementOf(lines, limit, currency, c.ownKey), nil
}
