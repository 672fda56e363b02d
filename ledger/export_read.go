package ledger

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"matchday/errs"
	"matchday/money"
)

// Bounds of what a file may make us keep: a record of 16 KiB escaped in full, and the largest commit
// that Config allows.
const (
	maxExportLine  = 256 << 10
	maxExportBatch = 100_000
)

// exportReader reads an export commit by commit and verifies each. Files that follow one another are
// read as one: the next must go on where the one before ended.
type exportReader struct {
	header  *exportHeader
	shards  map[int]*verifier
	order   []int
	line    int64
	trailed bool
	buckets map[int]*shardBuckets // of the file, by shard

	// headed is called with each header, begun with where a shard goes on from, batch with each commit
	// after it was verified; nil is no calls.
	headed func(*exportHeader) error
	begun  func(shard int, from *sealedBatch) error
	batch  func(shard int, b *fileBatch) error
	// progress is called now and then with the number of transfers so far.
	progress func(transfers int64)
	total    int64
}

// errTruncated says that the file ends before its trailer.
var errTruncated = errors.New("the file ends too early")

// file reads one file to its end.
func (x *exportReader) file(ctx context.Context, r io.Reader) error {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxExportLine)
	x.line, x.trailed, x.buckets = 0, false, map[int]*shardBuckets{}
	first, err := x.next(in)
	if err != nil {
		return err
	}
	if first == nil || first.Header == nil {
		return x.wrong("an export begins with its header")
	}
	if err := x.begin(first.Header); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := x.next(in)
		switch {
		case err != nil:
			return err
		case l == nil && x.trailed:
			return nil
		case l == nil:
			return &wrongLine{x.line + 1, errs.Wrap(errTruncated, errs.CodeInvalid, "the file ends before its trailer; whole up to %s", x.position())}
		case x.trailed:
			return x.wrong("something follows the trailer")
		case l.Trailer != nil:
			err = x.end(l.Trailer)
		case l.Bucket != nil:
			err = x.bucket(l.Bucket)
		case l.Batch != nil && len(x.buckets) == 0:
			err = x.commit(in, l.Batch)
		default:
			return x.wrong("expected a batch or the trailer")
		}
		if err != nil {
			return err
		}
	}
}

// wrong is what is wrong with the line read last.
func (x *exportReader) wrong(format string, args ...any) error {
	return &wrongLine{x.line, errs.New(errs.CodeInvalid, format, args...)}
}

// next reads a line; nil at the end.
func (x *exportReader) next(in *bufio.Scanner) (*exportLine, error) {
	if !in.Scan() {
		err := in.Err()
		switch {
		case errors.Is(err, bufio.ErrTooLong):
			x.line++
			return nil, x.wrong("longer than %d bytes", maxExportLine)
		case err != nil:
			return nil, fmt.Errorf("read export: %w", err)
		}
		return nil, nil
	}
	x.line++
	l := new(exportLine)
	if err := json.Unmarshal(in.Bytes(), l, json.RejectUnknownMembers(true)); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, &wrongLine{x.line, errs.Wrap(errTruncated, errs.CodeInvalid, "cut off in the middle; whole up to %s", x.position())}
		}
		return nil, x.wrong("%s", badLine(err))
	}
	members := 0
	for _, there := range []bool{l.Header != nil, l.Batch != nil, l.Account != nil, l.Transfer != nil, l.Bucket != nil, l.Trailer != nil} {
		if there {
			members++
		}
	}
	if members != 1 {
		return nil, x.wrong("a line is one of header, batch, account, transfer, bucket and trailer")
	}
	return l, nil
}

// badLine says what a decoder found without its package's words.
func badLine(err error) string {
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		if errors.Is(err, json.ErrUnknownName) {
			return fmt.Sprintf("%s is not known to version %d of the format", e.JSONPointer, exportMoves)
		}
		return fmt.Sprintf("%s is not of the expected type", e.JSONPointer)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("not valid JSON at byte %d", e.ByteOffset)
	}
	return "not valid JSON"
}

// begin takes a header: the first file's decides the shards, a later one's must go on from there.
func (x *exportReader) begin(h *exportHeader) error {
	switch {
	case h.Format != exportFormat:
		return x.wrong("this is no export of a ledger")
	case h.Version < exportVersion || h.Version > exportMoves:
		return x.wrong("format version %d, this program reads %d and %d", h.Version, exportVersion, exportMoves)
	case h.Shards < 1 || h.Shards > maxShards || len(h.From) > h.Shards:
		return x.wrong("%d shards, at most %d", h.Shards, maxShards)
	case len(h.Homes) != buckets || int(slices.Max(h.Homes)) >= h.Shards:
		return x.wrong("homes is not a shard for each of %d buckets", buckets)
	case x.header != nil && x.header.Shards != h.Shards:
		return x.wrong("%d shards, the file before had %d", h.Shards, x.header.Shards)
	}
	x.header = h
	x.order = x.order[:0]
	if x.headed != nil {
		if err := x.headed(h); err != nil {
			return &wrongLine{x.line, err}
		}
	}
	for _, from := range h.From {
		at, err := from.batch()
		if err != nil || from.Shard < 0 || from.Shard >= h.Shards || len(x.order) > 0 && from.Shard <= x.order[len(x.order)-1] {
			return x.wrong("from is not a list of shards with their positions, accounts and seals")
		}
		x.order = append(x.order, from.Shard)
		v := x.shards[from.Shard]
		switch {
		case v == nil:
			x.shards[from.Shard] = newVerifier(from.Shard, at)
			if x.begun == nil {
				continue
			}
			if err := x.begun(from.Shard, &at); err != nil {
				return &wrongLine{x.line, err}
			}
		case v.before.last != at.last || v.before.seal != at.seal || v.before.accounts != at.accounts:
			return x.wrong("shard %d goes on after %d, the file before ended at %d or has another seal", from.Shard, at.last, v.before.last)
		}
	}
	return nil
}

// batch reads a head as the commit it stands for.
func (h ExportHead) batch() (sealedBatch, error) {
	sealed, err := parseSeal(h.Seal)
	if err != nil || h.Seq < 0 || h.Accounts < 0 || h.Accounts > maxExportAccounts || (h.Seq == 0) != (sealed == seal{}) {
		return sealedBatch{}, errs.New(errs.CodeInvalid, "%v is not a head", h)
	}
	return sealedBatch{last: h.Seq, accounts: h.Accounts, seal: sealed}, nil
}

// maxExportAccounts bounds what the header of a file can make us allocate.
const maxExportAccounts = 100_000_000

// commit reads and verifies the batch that was opened.
func (x *exportReader) commit(in *bufio.Scanner, h *exportBatch) error {
	v := x.shards[h.Shard]
	if v == nil {
		return x.wrong("shard %d is not in the header", h.Shard)
	}
	rows := h.Last - h.First + 1
	if rows < 1 || rows > maxExportBatch || h.Opened < 0 || int64(h.Opened) > rows*MaxPostings {
		return x.wrong("a batch has 1 to %d transfers and at most %d accounts each", maxExportBatch, MaxPostings)
	}
	sealed, err := parseSeal(h.Seal)
	if err != nil {
		return x.wrong("%v", err)
	}
	b := &fileBatch{line: x.line, sealedBatch: sealedBatch{
		first: h.First, last: h.Last, at: h.At.UTC(), epoch: h.Epoch, accounts: h.Accounts, records: h.Records, seal: sealed,
	}}
	if err := v.follows(&b.sealedBatch, h.Opened); err != nil {
		return &wrongLine{x.line, v.located(err)}
	}
	if err := x.parts(in, h, b); err != nil {
		return err
	}
	if err := v.batch(b); err != nil {
		return err
	}
	if x.total += rows; x.progress != nil && x.total/16384 != (x.total-rows)/16384 {
		x.progress(x.total)
	}
	if x.batch == nil {
		return nil
	}
	return x.batch(h.Shard, b)
}

// parts reads the accounts and transfers of a batch.
func (x *exportReader) parts(in *bufio.Scanner, h *exportBatch, b *fileBatch) error {
	for range h.Opened {
		l, err := x.part(in, h.Shard, func(l *exportLine) (int, bool) {
			if l.Account == nil {
				return 0, false
			}
			return l.Account.Shard, true
		}, "an account that the batch opened")
		if err != nil {
			return err
		}
		a := l.Account
		b.opened = append(b.opened, sealedAccount{a.ID, a.Address, a.Jurisdiction, a.Currency})
	}
	for seq := h.First; seq <= h.Last; seq++ {
		l, err := x.part(in, h.Shard, func(l *exportLine) (int, bool) {
			if l.Transfer == nil {
				return 0, false
			}
			return l.Transfer.Shard, true
		}, "a transfer of the batch")
		if err != nil {
			return err
		}
		if err := x.transfer(l.Transfer, seq, b); err != nil {
			return err
		}
	}
	return nil
}

// part reads a line that must be what is expected, of the shard.
func (x *exportReader) part(in *bufio.Scanner, shard int, shardOf func(*exportLine) (int, bool), expected string) (*exportLine, error) {
	l, err := x.next(in)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, &wrongLine{x.line + 1, errs.Wrap(errTruncated, errs.CodeInvalid, "the file ends inside a batch; whole up to %s", x.position())}
	}
	if of, is := shardOf(l); !is || of != shard {
		return nil, x.wrong("expected %s, of shard %d", expected, shard)
	}
	return l, nil
}

// transfer adds a transfer to its batch.
func (x *exportReader) transfer(t *exportTransfer, seq int64, b *fileBatch) error {
	if t.Seq != seq {
		return x.wrong("sequence %d, expected %d", t.Seq, seq)
	}
	r, _, made, err := t.row()
	if err != nil {
		return &wrongLine{x.line, err}
	}
	addresses := make([]Address, len(t.Postings))
	for i, p := range t.Postings {
		addresses[i] = Address(p.Account)
	}
	b.rows, b.addresses, b.made = append(b.rows, r), append(b.addresses, addresses), append(b.made, made)
	if made != nil {
		b.holds = append(b.holds, *made)
	}
	return nil
}

// end checks the trailer.
func (x *exportReader) end(t *exportTrailer) error {
	if t.Lines != x.line-1 {
		return x.wrong("%d lines came before the trailer, it says %d", x.line-1, t.Lines)
	}
	if len(t.Heads) != len(x.order) {
		return x.wrong("the trailer has %d heads for %d shards", len(t.Heads), len(x.order))
	}
	for i, h := range t.Heads {
		if h.Shard != x.order[i] {
			return x.wrong("the trailer has a head of shard %d, expected shard %d", h.Shard, x.order[i])
		}
		if err := x.shards[h.Shard].ends(h); err != nil {
			return &wrongLine{x.line, err}
		}
	}
	x.trailed = true
	return nil
}

// position says how far every shard was read, in the form that an export goes on from.
func (x *exportReader) position() string {
	var parts []string
	for _, n := range x.order {
		parts = append(parts, fmt.Sprintf("%d:%d", n, x.shards[n].before.last))
	}
	return strings.Join(parts, ",")
}

// heads returns where every shard that was read stands.
func (x *exportReader) heads() []ExportHead {
	var out []ExportHead
	if x.header == nil {
		return nil
	}
	for n := range x.header.Shards {
		if v := x.shards[n]; v != nil {
			out = append(out, v.before.head(n))
		}
	}
	return out
}

// VerifyOptions says how an export is verified.
type VerifyOptions struct {
	// Progress is called now and then; nil is no calls.
	Progress func(transfers int64)
}

// VerifyReport is what the verification of an export found.
type VerifyReport struct {
	Shards    int
	Whole     bool // every shard of the books is there, from its first transfer
	Accounts  int64
	Transfers int64
	Postings  int64
	Heads     []ExportHead // compare them with heads that were published: a log cut at its end verifies
	// Totals has the sum of every balance, a currency and a type of account each; empty unless Whole.
	Totals []VerifyTotal
}

// VerifyTotal is the sum of the balances of one type of account in one currency.
type VerifyTotal struct {
	Currency    money.Currency
	Type        string
	Accounts    int64
	PostedMinor int64
	HeldMinor   int64
}

// Verify proves exports with no database and no access to us: that the log has no gap, that seals,
// sums, balances and holds agree, and that the file ends where its trailer says. Files are read in
// the order given; a later one must go on where the one before ended. Files that do not begin with the
// first transfer are proved from where they begin: what an account held before is taken from its first
// posting there.
//
// Errors: the first wrong line, named by file name and line number; for a broken invariant the cause
// is a [*Finding].
func Verify(ctx context.Context, files []NamedReader, o VerifyOptions) (VerifyReport, error) {
	x := &exportReader{shards: map[int]*verifier{}, progress: o.Progress}
	for _, f := range files {
		if err := x.file(ctx, f.Reader); err != nil {
			return x.report(), fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return x.report(), nil
}

// NamedReader is a file to read, with the name that errors say.
type NamedReader struct {
	Name string
	io.Reader
}

// report adds up what was read.
func (x *exportReader) report() VerifyReport {
	out := VerifyReport{Heads: x.heads()}
	if x.header == nil {
		return out
	}
	out.Shards, out.Whole = x.header.Shards, len(x.shards) == x.header.Shards
	totals := map[[2]string]*VerifyTotal{}
	for _, h := range out.Heads {
		v := x.shards[h.Shard]
		out.Whole = out.Whole && v.whole
		out.Accounts += int64(len(v.accounts)) - 1
		out.Transfers += v.transfers
		out.Postings += v.postings
		v.addTotals(totals)
	}
	if out.Whole {
		for _, t := range totals {
			out.Totals = append(out.Totals, *t)
		}
		slices.SortFunc(out.Totals, func(a, b VerifyTotal) int {
			return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Type, b.Type))
		})
	}
	return out
}

func (v *verifier) addTotals(totals map[[2]string]*VerifyTotal) {
	for i := 1; i < len(v.accounts); i++ {
		a := &v.accounts[i]
		if a.kind == 0 || int(a.currency) >= len(v.texts) {
			continue
		}
		kind := a.kind
		if a.of != 0 { // it balances copies of accounts that are on another shard, and in its export
			kind = a.of
		}
		key := [2]string{v.texts[a.currency], kind.String()}
		t := totals[key]
		if t == nil {
			t = &VerifyTotal{Currency: money.Currency(key[0]), Type: key[1]}
			totals[key] = t
		}
		t.Accounts++
		t.PostedMinor += a.posted
		t.HeldMinor += a.held
	}
}
