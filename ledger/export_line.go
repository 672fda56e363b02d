package ledger

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// The export format. Source: docs/ledger-export.md.
const (
	exportFormat  = "matchday ledger export"
	exportVersion = 1
	exportMoves   = 2 // the version of books whose buckets have moved
)

// exportLine is one line of an export: an object with exactly one of these members.
type exportLine struct {
	Header   *exportHeader   `json:"header,omitempty"`
	Batch    *exportBatch    `json:"batch,omitempty"`
	Account  *exportAccount  `json:"account,omitempty"`
	Transfer *exportTransfer `json:"transfer,omitempty"`
	Bucket   *exportBucket   `json:"bucket,omitempty"`
	Trailer  *exportTrailer  `json:"trailer,omitempty"`
}

// exportHeader is the first line. From has, for each shard in the file, where the file goes on from:
// an import and an audit continue only from exactly there.
type exportHeader struct {
	Format  string       `json:"format"`
	Version int          `json:"version"`
	Shards  int          `json:"shards"`
	Homes   []uint16     `json:"homes"` // the shard of each bucket of players when the file was begun
	From    []ExportHead `json:"from"`
	Chart   []exportKind `json:"chart"`
	Moving  bool         `json:"moving,omitempty"` // buckets moved while the file was begun: it has none
}

// exportKind is a row of the kinds table, for who reads the file without this program.
type exportKind struct {
	Kind    string   `json:"kind"`
	Debits  []string `json:"debits,omitempty"`
	Credits []string `json:"credits,omitempty"`
}

// ExportHead is where a shard's log stands: everything up to Seq, under Seal.
type ExportHead struct {
	Shard    int    `json:"shard"`
	Seq      int64  `json:"seq"`
	Accounts int64  `json:"accounts"`
	Seal     string `json:"seal"`
}

// exportBatch opens a commit. The accounts it opened follow, then its transfers.
type exportBatch struct {
	Shard    int       `json:"shard"`
	First    int64     `json:"first"`
	Last     int64     `json:"last"`
	At       time.Time `json:"at"`
	Epoch    int64     `json:"epoch"`
	Accounts int64     `json:"accounts"` // highest number of an account after it
	Opened   int       `json:"opened"`
	Records  int       `json:"records"`
	Seal     string    `json:"seal"`
}

type exportAccount struct {
	Shard        int    `json:"shard"`
	ID           int64  `json:"id"`
	Address      string `json:"address"`
	Jurisdiction string `json:"jurisdiction"`
	Currency     string `json:"currency"`
}

type exportTransfer struct {
	Shard        int             `json:"shard"`
	Seq          int64           `json:"seq"`
	Key          string          `json:"key"`
	Kind         string          `json:"kind"`
	Code         string          `json:"code,omitempty"` // why it was refused; absent: committed
	Detail       string          `json:"detail,omitempty"`
	Player       string          `json:"player"`
	Jurisdiction string          `json:"jurisdiction"`
	Currency     string          `json:"currency"`
	Fingerprint  string          `json:"fingerprint"`
	Postings     []exportPosting `json:"postings"`
	HoldSeq      int64           `json:"hold_seq,omitempty"` // of the transfer that made the hold
	Hold         *exportHold     `json:"hold,omitempty"`
	Record       *exportRecord   `json:"record,omitempty"`
	Extra        string          `json:"extra,omitempty"` // JSON as it is sealed: metadata, limits, group
	Origin       *exportOrigin   `json:"origin,omitempty"`
}

// exportOrigin says of a copy, made when the player moved to another shard, what it is a copy of.
type exportOrigin struct {
	Shard int       `json:"shard"`
	Seq   int64     `json:"seq"`
	At    time.Time `json:"at"`
}

// exportPosting is one line of a transfer; a refused one moved nothing and shows what was asked for.
type exportPosting struct {
	Account      string `json:"account"`
	ID           int64  `json:"id"`
	AmountMinor  int64  `json:"amount_minor"`
	BalanceMinor int64  `json:"balance_minor"`
	HeldMinor    int64  `json:"held_minor"`
}

// exportHold is what a hold reserves, as it was made. How it ended is the transfer that ended it.
type exportHold struct {
	Account     int64     `json:"account_id"`
	Counter     int64     `json:"counter_id"`
	AmountMinor int64     `json:"amount_minor"`
	ExpiresAt   time.Time `json:"expires_at"`
}

// exportRecord keeps the payload as text: seals cover its bytes, not its meaning.
type exportRecord struct {
	Type    string `json:"type"`
	Subject string `json:"subject"`
	Data    string `json:"data"`
	Base64  bool   `json:"base64,omitempty"` // all three are, because one is not valid UTF-8
}

// exportTrailer is the last line. A file without one is not all there.
type exportTrailer struct {
	Lines int64        `json:"lines"` // before this one
	Heads []ExportHead `json:"heads"`
}

// sealedBatch is a commit with everything its seal covers.
type sealedBatch struct {
	first, last, accounts, epoch int64
	at                           time.Time
	records                      int
	seal                         seal
	opened                       []sealedAccount
	rows                         []row
	holds                        []storedHold
}

func (b *sealedBatch) head(shard int) ExportHead {
	return ExportHead{Shard: shard, Seq: b.last, Accounts: b.accounts, Seal: hex.EncodeToString(b.seal[:])}
}

func (b *sealedBatch) line(shard int) *exportBatch {
	return &exportBatch{
		Shard: shard, First: b.first, Last: b.last, At: b.at, Epoch: b.epoch, Accounts: b.accounts,
		Opened: len(b.opened), Records: b.records, Seal: hex.EncodeToString(b.seal[:]),
	}
}

// exportedRow is a row of the log as a line. Names has the addresses of its accounts.
func exportedRow(shard int, r *row, h *storedHold, names map[int64]Address) (*exportTransfer, error) {
	lines, err := decodeLines(nil, r.lines)
	if err != nil {
		return nil, errs.Wrap(err, errs.CodeInternal, "transfer %d-%d", shard, r.seq)
	}
	t := &exportTransfer{
		Shard: shard, Seq: r.seq, Key: r.key, Kind: r.kind.String(), Code: string(r.code), Detail: r.detail,
		Player: string(r.player), Jurisdiction: string(r.jurisdiction), Currency: string(r.currency),
		Fingerprint: hex.EncodeToString(r.print[:]), HoldSeq: r.holdSeq, Extra: string(r.extra), Postings: make([]exportPosting, len(lines)),
	}
	for i, l := range lines {
		name, ok := names[l.account]
		if !ok {
			return nil, errs.New(errs.CodeInternal, "transfer %d-%d names account %d, which does not exist", shard, r.seq, l.account)
		}
		t.Postings[i] = exportPosting{string(name), l.account, l.amount, l.balance, l.held}
	}
	if h != nil {
		t.Hold = &exportHold{h.account, h.counter, h.amount, h.expires}
	}
	if r.record != nil {
		t.Record = exportedRecord(r.record)
	}
	if r.origin.copied() {
		t.Origin = &exportOrigin{r.origin.shard, r.origin.seq, fromMicros(r.origin.atUS)}
	}
	return t, nil
}

func exportedRecord(d *stream.Draft) *exportRecord {
	out := &exportRecord{Type: d.Type, Subject: d.Subject, Data: string(d.Data)}
	if utf8.ValidString(out.Type) && utf8.ValidString(out.Subject) && utf8.ValidString(out.Data) {
		return out
	}
	encode := func(text *string) { *text = base64.StdEncoding.EncodeToString([]byte(*text)) }
	encode(&out.Type)
	encode(&out.Subject)
	encode(&out.Data)
	out.Base64 = true
	return out
}

// row reads the line back: the row, its postings and the hold it made.
func (t *exportTransfer) row() (row, []line, *storedHold, error) {
	kind, err := ParseKind(t.Kind)
	if err != nil {
		return row{}, nil, nil, err
	}
	r := row{
		seq: t.Seq, key: t.Key, kind: kind, code: errs.Code(t.Code), detail: t.Detail, player: id.Player(t.Player),
		jurisdiction: id.Jurisdiction(t.Jurisdiction), currency: money.Currency(t.Currency), holdSeq: t.HoldSeq,
	}
	if n, err := hex.Decode(r.print[:], []byte(t.Fingerprint[:min(len(t.Fingerprint), 2*len(r.print))])); err != nil || len(t.Fingerprint) != 2*n || n != len(r.print) {
		return row{}, nil, nil, errs.New(errs.CodeInvalid, "fingerprint is not %d bytes in hexadecimal", len(r.print))
	}
	if len(t.Postings) > MaxPostings {
		return row{}, nil, nil, errs.New(errs.CodeInvalid, "%d postings, at most %d", len(t.Postings), MaxPostings)
	}
	lines := make([]line, len(t.Postings))
	for i, p := range t.Postings {
		if p.ID < 1 || p.ID > 1<<62 {
			return row{}, nil, nil, errs.New(errs.CodeInvalid, "postings[%d].id is not the number of an account", i)
		}
		lines[i] = line{p.ID, p.AmountMinor, p.BalanceMinor, p.HeldMinor}
	}
	r.lines = appendLines(nil, lines)
	if r.record, err = t.Record.draft(); err != nil {
		return row{}, nil, nil, err
	}
	if t.Extra != "" {
		r.extra = []byte(t.Extra)
	}
	if t.Origin != nil {
		r.origin = origin{t.Origin.Shard, t.Origin.Seq, t.Origin.At.UnixMicro()}
	}
	var h *storedHold
	if t.Hold != nil {
		h = &storedHold{
			key: t.Key, seq: t.Seq, account: t.Hold.Account, counter: t.Hold.Counter, player: r.player,
			jurisdiction: r.jurisdiction, currency: r.currency, amount: t.Hold.AmountMinor,
			expires: t.Hold.ExpiresAt.UTC(), state: holdOpen,
		}
	}
	return r, lines, h, nil
}

func (r *exportRecord) draft() (*stream.Draft, error) {
	if r == nil {
		return nil, nil
	}
	if !r.Base64 {
		return &stream.Draft{Type: r.Type, Subject: r.Subject, Data: []byte(r.Data)}, nil
	}
	var out stream.Draft
	for _, field := range []struct {
		text string
		into func([]byte)
	}{
		{r.Type, func(b []byte) { out.Type = string(b) }},
		{r.Subject, func(b []byte) { out.Subject = string(b) }},
		{r.Data, func(b []byte) { out.Data = b }},
	} {
		raw, err := base64.StdEncoding.Strict().DecodeString(field.text)
		if err != nil {
			return nil, errs.New(errs.CodeInvalid, "record is not valid base64")
		}
		field.into(raw)
	}
	return &out, nil
}

// parseSeal reads the text of a seal.
func parseSeal(text string) (seal, error) {
	var out seal
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(out) {
		return out, fmt.Errorf("%.70q is not a seal", text)
	}
	copy(out[:], raw)
	return out, nil
}

// exportChart is the kinds table as the header shows it.
func exportChart() []exportKind {
	var out []exportKind
	for k := KindDeposit; int(k) < len(kinds); k++ {
		if !k.valid() {
			continue
		}
		out = append(out, exportKind{k.String(), kinds[k].debits.names(), kinds[k].credits.names()})
	}
	return out
}

func (s typeSet) names() []string {
	var out []string
	for t := typeCash; int(t) < len(accountTypeNames); t++ {
		if s.has(t) {
			out = append(out, t.String())
		}
	}
	return out
}
