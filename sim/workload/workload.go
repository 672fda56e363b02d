// Package workload holds the canonical workloads of the benchmarks, so that two figures of one name
// always mean the same thing.
//
// Ledger. Mix: four stakes (cash to escrow) to one deposit (provider to cash), each with one record of
// 300 bytes. Skew: a tenth of the players make six tenths of the transfers. Players are spread over
// three jurisdictions in the order of their number. Keys rise with time, as ids do. Warm-up: every
// player is funded first, with so much that no stake is refused.
//
// Debits. Single stakes of one unit over the same players and skew.
//
// Bets. Singles (7 of 10) and parlays of two to four legs (3 of 10) on a slate of one day, at the
// price just read, stakes of 1.00 to 50.00, mostly small.
package workload

import (
	"math/rand/v2"
	"strconv"

	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// RecordType is the type of the records of the ledger workload. No projection reads it.
const RecordType = "bench.transfer"

// RecordBytes is the size of the payload of such a record.
const RecordBytes = 300

// FundMinor is the money each player starts with.
const FundMinor = 1_000_000_000

// Territory is where a player of a workload belongs.
type Territory struct {
	Code     id.Jurisdiction
	Currency money.Currency
}

var territories = [...]Territory{{"US-NJ", money.USD}, {"US-PA", money.USD}, {"CA-ON", money.CAD}}

// Territories are those of the default configuration.
func Territories() []Territory { return territories[:] }

// TerritoryOf returns the territory of player number n.
func TerritoryOf(n int) Territory {
	return territories[n%len(territories)]
}

// Player returns the id of player number n.
func Player(n int) id.Player {
	b := []byte("plr_00000000000000000000000000")
	for i := len(b) - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return id.Player(b)
}

// Skewed returns a player number below n: the first tenth of them six times in ten.
func Skewed(rng *rand.Rand, n int) int {
	if tenth := n / 10; tenth > 0 && rng.IntN(10) < 6 {
		return rng.IntN(tenth)
	}
	return rng.IntN(n)
}

// Ledger makes the transfers of the ledger workload. It is not safe for concurrent use: give every
// goroutine its own, with its own prefix. Its memory does not grow with the number of players.
type Ledger struct {
	prefix  string
	next    int
	rng     *rand.Rand
	players int
	pad     string
}

type player struct {
	id        id.Player
	territory Territory
	cash      ledger.Address
}

// NewLedger returns a source of transfers between n players. Keys start with prefix.
func NewLedger(prefix string, n int, seed uint64) *Ledger {
	w := &Ledger{prefix: prefix, rng: rand.New(rand.NewPCG(seed, 1)), players: n} // #nosec: not for secrets
	pad := make([]byte, RecordBytes)
	for i := range pad {
		pad[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[w.rng.IntN(36)]
	}
	w.pad = string(pad)
	return w
}

// Fund returns the deposits that give the players from to upTo their money.
func (w *Ledger) Fund(from, upTo int) []ledger.Transfer {
	out := make([]ledger.Transfer, 0, upTo-from)
	for n := from; n < min(upTo, w.players); n++ {
		p := playerOf(n)
		out = append(out, deposit("fund-"+string(p.id), p, FundMinor, nil))
	}
	return out
}

// Players returns how many players there are.
func (w *Ledger) Players() int { return w.players }

// playerOf returns player number n.
func playerOf(n int) player {
	p, t := Player(n), TerritoryOf(n)
	return player{id: p, territory: t, cash: ledger.PlayerCash(p, t.Code)}
}

// Next fills batch with fresh transfers.
func (w *Ledger) Next(batch []ledger.Transfer) {
	for i := range batch {
		p := playerOf(Skewed(w.rng, w.players))
		w.next++
		key := w.prefix + pad12(w.next)
		amount := int64(100 + w.rng.IntN(5_000))
		draft := w.draft(key, p, amount)
		if w.rng.IntN(5) == 0 {
			batch[i] = deposit(key, p, amount, draft)
			continue
		}
		batch[i] = stake(key, p, amount, draft)
	}
}

// Debit returns one stake of a single unit without a record.
func (w *Ledger) Debit() ledger.Transfer {
	w.next++
	return stake(w.prefix+pad12(w.next), playerOf(Skewed(w.rng, w.players)), 1, nil)
}

// Payouts fills batch with fresh payouts, each with a record, from escrow to the players evenly.
func (w *Ledger) Payouts(batch []ledger.Transfer) {
	for i := range batch {
		p := playerOf(w.rng.IntN(w.players))
		w.next++
		key := w.prefix + pad12(w.next)
		amount := int64(100 + w.rng.IntN(5_000))
		draft := w.draft(key, p, amount)
		batch[i] = transfer(key, ledger.KindSettlement, p, draft,
			ledger.Posting{Account: ledger.Bets(p.territory.Code, "bench"), AmountMinor: -amount},
			ledger.Posting{Account: p.cash, AmountMinor: amount})
	}
}

// Deposit returns a transfer that gives a player money.
func Deposit(key string, p id.Player, t Territory, minor int64) ledger.Transfer {
	return deposit(key, player{id: p, territory: t, cash: ledger.PlayerCash(p, t.Code)}, minor, nil)
}

func deposit(key string, p player, amount int64, draft *stream.Draft) ledger.Transfer {
	return transfer(key, ledger.KindDeposit, p, draft, ledger.Posting{
		Account: ledger.PSP("sandbox", p.territory.Code), AmountMinor: -amount,
	}, ledger.Posting{Account: p.cash, AmountMinor: amount})
}

func stake(key string, p player, amount int64, draft *stream.Draft) ledger.Transfer {
	return transfer(key, ledger.KindStake, p, draft,
		ledger.Posting{Account: p.cash, AmountMinor: -amount},
		ledger.Posting{Account: ledger.Bets(p.territory.Code, "bench"), AmountMinor: amount})
}

func transfer(key string, kind ledger.Kind, p player, draft *stream.Draft, from, to ledger.Posting) ledger.Transfer {
	return ledger.Transfer{
		Key: key, Kind: kind, Player: p.id, Jurisdiction: p.territory.Code, Currency: p.territory.Currency,
		Postings: []ledger.Posting{from, to}, Record: draft,
	}
}

// draft returns a record of the workload.
func (w *Ledger) draft(key string, p player, amount int64) *stream.Draft {
	return &stream.Draft{Type: RecordType, Subject: key, Data: w.payload(key, p, amount)}
}

// payload builds a JSON object of RecordBytes bytes by hand: the generator must cost little beside
// what it measures.
func (w *Ledger) payload(key string, p player, amount int64) []byte {
	b := make([]byte, 0, RecordBytes)
	b = append(b, `{"key":"`...)
	b = append(b, key...)
	b = append(b, `","player_id":"`...)
	b = append(b, p.id...)
	b = append(b, `","amount_minor":`...)
	b = strconv.AppendInt(b, amount, 10)
	b = append(b, `,"note":"`...)
	if left := RecordBytes - len(b) - len(`"}`); left > 0 {
		at := w.rng.IntN(len(w.pad) - left)
		b = append(b, w.pad[at:at+left]...)
	}
	return append(b, `"}`...)
}

// pad12 writes n with twelve digits, so that keys sort as they were made.
func pad12(n int) string {
	var b [12]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return string(b[:])
}

// AppendBatch appends the body of POST /v1/ledger/transfers/batch with n fresh transfers.
func (w *Ledger) AppendBatch(b []byte, n int) []byte {
	b = append(b, `{"transfers":[`...)
	one := make([]ledger.Transfer, 1)
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		w.Next(one)
		b = AppendTransfer(b, &one[0])
	}
	return append(b, `]}`...)
}

// AppendTransfer appends a transfer in the JSON of the ledger API. Both currencies of the workload have
// cents.
func AppendTransfer(b []byte, t *ledger.Transfer) []byte {
	b = append(b, `{"key":"`...)
	b = append(b, t.Key...)
	b = append(b, `","kind":"`...)
	b = append(b, t.Kind.String()...)
	b = append(b, `","player_id":"`...)
	b = append(b, t.Player...)
	b = append(b, `","jurisdiction":"`...)
	b = append(b, t.Jurisdiction...)
	b = append(b, `","currency":"`...)
	b = append(b, t.Currency...)
	b = append(b, `","postings":[`...)
	for i, p := range t.Postings {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"account":"`...)
		b = append(b, p.Account...)
		b = append(b, `","amount":"`...)
		b = appendCents(b, p.AmountMinor)
		b = append(b, `"}`...)
	}
	b = append(b, ']')
	if t.Record != nil {
		b = append(b, `,"record":{"type":"`...)
		b = append(b, t.Record.Type...)
		b = append(b, `","subject":"`...)
		b = append(b, t.Record.Subject...)
		b = append(b, `","data":`...)
		b = append(b, t.Record.Data...)
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendCents(b []byte, minor int64) []byte {
	if minor < 0 {
		b, minor = append(b, '-'), -minor
	}
	b = strconv.AppendInt(b, minor/100, 10)
	return append(b, '.', byte('0'+minor/10%10), byte('0'+minor%10))
}

// Adjustment returns a transfer that gives a player money, or takes it for a negative amount.
func Adjustment(key string, p id.Player, t Territory, minor int64) ledger.Transfer {
	holder := player{id: p, territory: t, cash: ledger.PlayerCash(p, t.Code)}
	return transfer(key, ledger.KindAdjustment, holder, nil,
		ledger.Posting{Account: ledger.Adjustments(t.Code), AmountMinor: -minor},
		ledger.Posting{Account: holder.cash, AmountMinor: minor})
}
