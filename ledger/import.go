package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/money"
)

// ImportOptions says how an export is imported.
type ImportOptions struct {
	Clock clock.Clock // required
	// Progress is called now and then with the number of transfers read; nil is no calls.
	Progress func(transfers int64)
}

// ImportReport says what an import did.
type ImportReport struct {
	Shards    int
	Read      int64 // transfers in the files
	Imported  int64 // transfers written; the others were there already
	Heads     []ExportHead
	Untouched []int // shards that the files do not have
}

// Import makes the books of c equal to an export: the same log, sequences, seals and balances. They
// must be empty or hold a beginning of the export; then the import goes on after what is there, so
// one that was interrupted is simply run again. Nothing may write to the books meanwhile. Every
// commit is verified as by [Verify] before it is written, and written as one; a file that is wrong or
// cut off imports up to its last whole commit. Records are in the log again and are published again
// by relays whose streams do not have them.
//
// Errors: those of Verify; conflict if the books hold something else; invalid if they have another
// number of shards.
func Import(ctx context.Context, c Config, files []NamedReader, o ImportOptions) (ImportReport, error) {
	if err := c.Validate(); err != nil {
		return ImportReport{}, err
	}
	if o.Clock == nil {
		return ImportReport{}, errs.New(errs.CodeInternal, "an import needs a clock")
	}
	m := &importer{ctx: ctx, config: c, clock: o.Clock, targets: map[int]*importTarget{}}
	m.config.relaxed = true
	var err error
	if m.fleet, err = openFleet(ctx, c.Clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler)}); err != nil {
		return ImportReport{}, err
	}
	x := &exportReader{shards: map[int]*verifier{}, progress: o.Progress, headed: m.check, begun: m.begin, batch: m.commit}
	var failed error
	for _, f := range files {
		if err := x.file(ctx, f.Reader); err != nil {
			failed = fmt.Errorf("%s: %w", f.Name, err)
			break
		}
		if failed = m.reached(x); failed == nil {
			failed = m.settle(x)
		}
		if failed == nil && m.ends(x) {
			failed = m.place(x.header)
		}
		if failed != nil {
			failed = fmt.Errorf("%s: %w", f.Name, failed)
			break
		}
	}
	report := ImportReport{Shards: c.shards(), Read: x.total, Imported: m.imported, Heads: x.heads()}
	for n := range c.shards() {
		if m.targets[n] == nil {
			report.Untouched = append(report.Untouched, n)
		}
	}
	return report, errors.Join(failed, m.close())
}

// importer writes verified commits to the shards of one set of books.
type importer struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	config   Config
	fleet    *fleet // of the clusters that some shards are on
	clock    clock.Clock
	targets  map[int]*importTarget
	imported int64
	moved    bool // the file says where the buckets are
}

// importTarget is a shard of the books.
type importTarget struct {
	store store
	was   shardState // when the import began
	now   shardState // once taken over
	taken bool
	// limited are the accounts with limits of their own. Known has what the books said of accounts that
	// were there when an import of a later part began.
	limited map[int64]bool
	known   map[int64]bool
	began   int64 // accounts opened before the first file
	// held is the last commit of books whose buckets have moved, until it is known whether it is the
	// file's last; its line is for errors.
	held *batch
	line int64
}

// check refuses a file that is not for these books, before anything is opened.
func (m *importer) check(h *exportHeader) error {
	if h.Shards != m.config.shards() {
		return errs.New(errs.CodeInvalid, "the export has %d shards, the books %d: set ledger.shards", h.Shards, m.config.shards())
	}
	m.moved = h.Version == exportMoves && !h.Moving
	if err := os.MkdirAll(m.config.Dir, 0o700); err != nil {
		return fmt.Errorf("create ledger folder: %w", err)
	}
	return nil
}

// place makes the directory say what the export's does: its books may have had buckets moved. It is
// done after a whole file, when it is certain that the books are those of the export.
func (m *importer) place(h *exportHeader) error {
	for n, t := range m.targets {
		if t.was.seq > 0 {
			continue
		}
		if err := m.take(n, t, 0); err != nil { // an empty shard of the export is one of the books too
			return err
		}
	}
	even := func(context.Context) (*layout, error) { return evenLayout(h.Shards), nil }
	d, err := openDirectory(m.ctx, m.config, m.fleet, m.clock, even)
	if err != nil {
		return err
	}
	return errors.Join(d.adopt(m.ctx, h.Homes), d.close())
}

// adopt moves every bucket to the home given.
func (d *directory) adopt(ctx context.Context, homes []uint16) error {
	now, err := d.placement(ctx, 0)
	if err != nil {
		return err
	}
	for bucket, home := range homes {
		if at := now.shards[bucket]; at != home {
			if err := d.moveBucket(ctx, "", bucket, int(at), int(home)); err != nil {
				return err
			}
		}
	}
	return nil
}

// open opens a shard's database, where the configuration says that it lives.
func (m *importer) open(shard int) (store, error) {
	if cluster, ok := m.fleet.byShard[shard]; ok {
		return openMySQL(m.ctx, cluster, shard, m.clock.Now())
	}
	return openSQLite(m.ctx, m.config, shard, m.clock.Now(), nil)
}

// begin opens a shard and checks that the file can go on there.
func (m *importer) begin(shard int, from *sealedBatch) error {
	st, err := m.open(shard)
	if err != nil {
		return err
	}
	state, err := st.state(m.ctx)
	if err != nil && !errs.Is(err, errs.CodeNotFound) { // a shard that nobody has written yet
		return errors.Join(err, st.close())
	}
	m.targets[shard] = &importTarget{store: st, was: state, now: state, limited: map[int64]bool{}, known: map[int64]bool{}, began: from.accounts}
	if from.last > state.seq {
		return errs.New(errs.CodeInvalid, "shard %d goes on after %d, the books end at %d: import what is between first", shard, from.last, state.seq)
	}
	return m.same(shard, from)
}

// same checks that the books have the same seal where a commit ends that they hold already.
func (m *importer) same(shard int, b *sealedBatch) error {
	there, err := m.targets[shard].store.sealAt(m.ctx, b.last)
	if err != nil {
		return err
	}
	if there.last != b.last || there.seal != b.seal {
		return errs.New(errs.CodeConflict, "shard %d of the books is not empty and holds something else than the export at sequence %d", shard, b.last)
	}
	return nil
}

// commit writes a verified commit, unless the books have it.
func (m *importer) commit(shard int, b *fileBatch) error {
	t := m.targets[shard]
	if err := t.learn(m.ctx, b); err != nil {
		return err
	}
	if b.last < t.was.seq {
		return nil // proved when the one that ends where the books ended comes
	}
	if b.last == t.was.seq || b.first <= t.was.seq {
		return m.same(shard, &b.sealedBatch)
	}
	if err := m.flush(shard, t); err != nil { // under the epoch it was made for
		return err
	}
	if err := m.take(shard, t, b.epoch); err != nil {
		return err
	}
	out, err := b.asBatch(t.now.epoch, t.limited, m.moved)
	if err != nil {
		return err
	}
	if m.moved {
		t.held, t.line = out, b.line
		return nil
	}
	return m.write(shard, t, out, b.line)
}

// write commits a batch.
func (m *importer) write(shard int, t *importTarget, b *batch, line int64) error {
	if err := t.store.commit(m.ctx, b); err != nil {
		if errors.Is(err, errDuplicate) {
			return &wrongLine{line, found("keys are unique", "batch", fmt.Sprintf("last_seq %d", b.last), "new keys", "one that was there before")}
		}
		return fmt.Errorf("import batch %d-%d: %w", shard, b.last, err)
	}
	t.now.seq, t.now.seal, t.now.accounts = b.last, b.seal, b.accounts
	m.imported += int64(len(b.rows))
	return nil
}

// learn notes which accounts have limits: from the rows that set them, and for accounts older than the
// first file from the books.
func (t *importTarget) learn(ctx context.Context, b *fileBatch) error {
	var asked []Address
	for i := range b.rows {
		r := &b.rows[i]
		lines, err := decodeLines(nil, r.lines)
		if err != nil {
			return err
		}
		if r.kind == KindLimits && r.code == "" && len(lines) == 1 {
			t.limited[lines[0].account] = true
		}
		for k, l := range lines {
			if l.account <= t.began && !t.known[l.account] {
				t.known[l.account] = true
				asked = append(asked, b.addresses[i][k])
			}
		}
	}
	if len(asked) == 0 {
		return nil
	}
	found, err := t.store.accounts(ctx, asked)
	for _, a := range found {
		t.limited[a.id] = t.limited[a.id] || a.limited
	}
	return err
}

// take makes this process the shard's writer, when the first commit is to be written and not before:
// books that hold something else keep theirs. It brings the shard's epoch to that of the commit at
// least: epochs in the log only rise, and the shard's own is never below them.
func (m *importer) take(shard int, t *importTarget, epoch int64) error {
	if !t.taken {
		state, err := t.store.takeOver(m.ctx, takeover{shard: shard, shards: madeFor(shard, m.config.shards()), writer: "import"})
		if err != nil {
			return err
		}
		if state.seq != t.was.seq || state.seal != t.was.seal {
			return errs.New(errs.CodeConflict, "somebody else writes shard %d of the books", shard)
		}
		t.now, t.taken = state, true
	}
	if t.now.epoch >= epoch {
		return nil
	}
	if err := t.store.raiseEpoch(m.ctx, t.now.epoch, epoch); err != nil {
		return err
	}
	t.now.epoch = epoch
	return nil
}

// reached refuses a file that ends before the books do: they are not a beginning of it.
func (m *importer) reached(x *exportReader) error {
	for n, t := range m.targets {
		if t.was.seq > x.shards[n].before.last {
			if err := m.same(n, &x.shards[n].before); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *importer) close() error {
	var list []error
	for _, t := range m.targets {
		list = append(list, t.store.close())
	}
	return errors.Join(append(list, m.fleet.close())...)
}

// asBatch is the commit as the store writes it: under the epoch of who writes, sealed with its own.
func (b *fileBatch) asBatch(epoch int64, limited map[int64]bool, moved bool) (*batch, error) {
	out := &batch{
		epoch: epoch, sealedEpoch: b.epoch, first: b.first, last: b.last, at: b.at, accounts: b.accounts,
		rows: b.rows, records: b.records, seal: b.seal,
	}
	for _, a := range b.opened {
		opened, err := a.account()
		if err != nil {
			return nil, err
		}
		out.opened = append(out.opened, opened)
	}
	made := map[int64]*holdEntry{}
	for i := range b.holds {
		h := &holdEntry{storedHold: b.holds[i], fresh: true}
		made[h.seq] = h
		out.newHolds = append(out.newHolds, h)
	}
	for i := range b.rows {
		if r := &b.rows[i]; !moved && (r.kind == KindMoveOut || r.kind == KindMoveIn || r.origin.copied()) {
			return nil, errMovedBefore
		}
		if err := out.importRow(&b.rows[i], b.addresses[i], made, limited); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.postings, func(x, y posting) int {
		return cmp.Or(cmp.Compare(x.account, y.account), cmp.Compare(x.seq, y.seq))
	})
	return out, nil
}

// account is the account as the store takes it.
func (a *sealedAccount) account() (*account, error) {
	out := &account{id: a.id, address: Address(a.address), currency: money.Currency(a.currency)}
	var ok bool
	if out.parts, ok = parseAddress(a.address); !ok {
		return nil, errs.New(errs.CodeInvalid, "%.40q is not an account address", a.address)
	}
	return out, nil
}

// importRow adds a row's postings, what it does to a hold, and what the tables beside the log keep of it.
func (b *batch) importRow(r *row, addresses []Address, made map[int64]*holdEntry, limited map[int64]bool) error {
	if r.code != "" {
		return nil
	}
	lines, err := decodeLines(nil, r.lines)
	if err != nil {
		return err
	}
	var only int64
	if len(lines) == 1 {
		only = lines[0].account
	}
	if _, err := b.derive(r, only); err != nil {
		return errs.Wrap(err, errs.CodeInvalid, "sequence %d has extra that is not readable", r.seq)
	}
	for i, l := range lines {
		parts, _ := parseAddress(string(addresses[i])) // verified
		bound := parts.kind.rule()
		if limited[l.account] {
			bound = ruleLimited
		}
		b.postings = append(b.postings, posting{account: l.account, seq: r.seq, amount: l.amount, balance: l.balance, held: l.held, rule: bound})
	}
	if r.holdSeq != 0 && r.holdSeq != r.seq {
		b.importHoldEnd(r, lines, addresses, made)
	}
	return nil
}

// importHoldEnd ends a hold of this batch or of one before.
func (b *batch) importHoldEnd(r *row, lines []line, addresses []Address, made map[int64]*holdEntry) {
	h := made[r.holdSeq]
	if h == nil {
		// Stores update a hold by its sequence; what it was made with only has to be of the right form.
		h = &holdEntry{storedHold: storedHold{
			seq: r.holdSeq, account: lines[0].account, counter: lines[len(lines)-1].account,
			jurisdiction: r.jurisdiction, currency: r.currency, amount: money.MaxMinor,
		}}
		b.oldHolds = append(b.oldHolds, h)
	}
	h.resolved = r.seq
	switch r.kind {
	case KindRelease:
		h.state = holdReleased
	case KindExpire:
		h.state = holdExpired
	default: // a post, or a group's transfer that was reserved
		h.state = holdPosted
		for i, l := range lines {
			if l.amount < 0 && addresses[i].Player() != "" {
				h.posted = -l.amount
			}
		}
	}
}
