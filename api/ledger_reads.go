package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
	"matchday/ledger"
	"matchday/stream"
)

// ledgerReadRoutes are the reads that are more than one account's.
func (a *API) ledgerReadRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/ledger/balances", id: "balances", tag: "Ledger", who: whoService,
			summary: "Balances of many accounts", detail: "Up to 1,000 accounts, in the order asked. It changes nothing; it is a POST because of its length.",
			end: taking(a.balances)},
		{method: "GET", path: "/v1/ledger/accounts/{address}/holds", mux: "-", id: "account-holds", tag: "Ledger", who: whoService, params: paged,
			summary: "Open holds of a player's account, oldest first", detail: addressDetail, end: showing[List[HoldLine]](a.holds)},
		{method: "GET", path: "/v1/ledger/export", id: "export", tag: "Ledger", who: whoService, streams: "application/x-ndjson",
			params: []param{
				{name: "from", doc: "Go on after these positions, shard:sequence separated by commas; other shards are left out", example: "0:4711,1:4699"},
				{name: "shard", doc: "Only this shard", example: "0"},
			},
			summary: "The whole log, one JSON object a line", detail: "Everything that the seals cover: `matchday audit --seals` proves such a file, " +
				"`matchday ledger import` makes books of it. Only for keys that reach every jurisdiction. A stream that ends without a line " +
				"`trailer` was cut off.", end: answering(a.export)},
	}
}

// addressDetail is said of every route with an address in its path.
const addressDetail = "The address may keep its slashes or have them percent-encoded."

func (a *API) balances(ctx context.Context, c *call, in *BalancesRequest) (*BalancesResult, error) {
	if n := len(in.Accounts); n < 1 || n > ledger.MaxBalances {
		return nil, invalidField("accounts", "has %d items, 1 to %d are allowed", n, ledger.MaxBalances)
	}
	at, err := a.positions(in.Positions)
	if err != nil {
		return nil, err
	}
	out := &BalancesResult{Items: make([]BalanceItem, len(in.Accounts))}
	var asked []ledger.Address
	var place []int
	for i, text := range in.Accounts {
		out.Items[i].Account = clip(text, 128)
		address, err := ledger.ParseAddress(text)
		if err == nil {
			err = c.reaches(address.Jurisdiction())
		}
		if err != nil {
			out.Items[i].Error = itemError(err)
			continue
		}
		asked, place = append(asked, address), append(place, i)
	}
	results, err := a.deps.Ledger.Balances(ctx, asked, at)
	if err != nil {
		return nil, fmt.Errorf("balances of %d accounts: %w", len(asked), err)
	}
	for k, r := range results {
		item := &out.Items[place[k]]
		if r.Err == nil {
			item.Balance, r.Err = a.accountBalance(asked[k], r.Balance)
		}
		if r.Err != nil {
			item.Error = itemError(r.Err)
		}
	}
	return out, nil
}

// accountBalance shapes a balance.
func (a *API) accountBalance(address ledger.Address, b ledger.Balance) (*AccountBalance, error) {
	currency, err := a.currencyOf(address, b.Currency)
	if err != nil {
		return nil, err
	}
	out := &AccountBalance{Account: string(address), Posted: minor(b.PostedMinor, currency), Held: minor(b.HeldMinor, currency),
		Available: minor(b.AvailableMinor, currency)}
	if b.Position.Seq > 0 {
		out.Position = b.Position.String()
	}
	return out, nil
}

// positions reads a list of positions, one a shard.
func (a *API) positions(list []string) (map[int]int64, error) {
	out := map[int]int64{}
	for i, text := range list {
		p, err := stream.ParsePosition(text)
		if err != nil || p.Shard >= a.deps.Ledger.Shards() {
			return nil, invalidField("positions["+strconv.Itoa(i)+"]", "is not a position such as 0-42")
		}
		out[p.Shard] = max(out[p.Shard], p.Seq)
	}
	return out, nil
}

func (a *API) holds(ctx context.Context, c *call) (any, error) {
	limit, err := c.limit()
	if err != nil {
		return nil, err
	}
	after, err := c.positionCursor()
	if err != nil {
		return nil, err
	}
	address, _, err := c.address()
	if err != nil {
		return nil, err
	}
	if address.Player() == "" {
		return nil, errs.New(errs.CodeNotFound, "only players' accounts have holds")
	}
	list, err := a.deps.Ledger.OpenHolds(ctx, address, after, limit+1)
	if err != nil {
		return nil, fmt.Errorf("open holds of %s: %w", address, err)
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		next = list[limit-1].Position.String()
	}
	return listOf(list, next, func(h ledger.OpenHold) HoldLine {
		return HoldLine{Key: c.ownKey(h.Key), Position: h.Position.String(), Amount: minor(h.AmountMinor, h.Currency), To: string(h.Counter), At: h.At, ExpiresAt: h.ExpiresAt}
	}), nil
}

// export streams the log. Once something was sent an error can only be told by the stream's end.
func (a *API) export(ctx context.Context, c *call) error {
	for _, j := range a.deps.Jurisdictions.List() {
		if err := c.reaches(j.Code); err != nil {
			return errs.New(errs.CodeForbidden, "an export has every jurisdiction, and this key is not for all of them")
		}
	}
	if len(c.caller.service.jurisdictions) > 0 {
		return errs.New(errs.CodeForbidden, "an export has every jurisdiction there will be: it needs a key without a list of them")
	}
	o, err := c.exportOptions()
	if err != nil {
		return err
	}
	done, err := a.heavy.take()
	if err != nil {
		return err
	}
	defer done()
	w := &lateWriter{w: c.w, rc: http.NewResponseController(c.w), now: a.deps.Clock.Now}
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.Header()["Cache-Control"] = noStore
	_, err = a.deps.Ledger.Export(ctx, w, o)
	if err != nil && w.began {
		a.log.ErrorContext(ctx, "export cut off", "request_id", c.requestID, "error", err)
		_ = w.rc.SetWriteDeadline(a.deps.Clock.Now().Add(-time.Second)) // so that the stream does not end as if it were whole
		return nil
	}
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_ = w.rc.SetWriteDeadline(time.Time{}) // the connection lives on
	return nil
}

// exportOptions reads from and shard.
func (c *call) exportOptions() (ledger.ExportOptions, error) {
	var o ledger.ExportOptions
	if text := c.query.Get("from"); text != "" {
		o.From = map[int]int64{}
		for part := range strings.SplitSeq(text, ",") {
			left, right, ok := strings.Cut(part, ":")
			shard, err := strconv.Atoi(left)
			seq, seqErr := strconv.ParseInt(right, 10, 64)
			if _, twice := o.From[shard]; !ok || err != nil || seqErr != nil || shard < 0 || seq < 0 || twice {
				return o, invalidField("query.from", "is not a list of positions such as 0:4711,1:4699")
			}
			o.From[shard] = seq
			o.Shards = append(o.Shards, shard)
		}
	}
	if text := c.query.Get("shard"); text != "" {
		shard, err := strconv.Atoi(text)
		if err != nil || shard < 0 || shard >= c.a.deps.Ledger.Shards() {
			return o, invalidField("query.shard", "is not a shard")
		}
		o.Shards = []int{shard}
	}
	return o, nil
}

// exportStall is how long a reader of an export may take for one write.
const exportStall = 30 * time.Second

// lateWriter gives each write a deadline of its own: an export may take hours, a reader that stands
// still may not.
type lateWriter struct {
	w     io.Writer
	rc    *http.ResponseController
	now   func() time.Time
	began bool
}

// Write implements io.Writer.
func (l *lateWriter) Write(p []byte) (int, error) {
	l.began = true
	_ = l.rc.SetWriteDeadline(l.now().Add(exportStall)) // not every writer can: a test's recorder
	return l.w.Write(p)
}
