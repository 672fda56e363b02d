package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/money"
	"matchday/stream"
)

// builder applies transfers in memory and gathers what one commit writes. It belongs to one shard's
// writer and is used again for every batch.
//
// Accounts are changed in place; rollback restores what they held before the batch. So a batch
// that could not be written leaves no trace, and the next one starts from what is committed.
type builder struct {
	shard  int
	store  writerStore
	cache  *accountCache
	known  *keyRing
	sealer *sealer

	state   shardState // as committed
	buckets bucketStates
	tenure  int64  // how often this process has taken the shard over
	number  uint64 // of the batch being built
	checked bool   // every key of the batch was looked up
	tried   int    // transfers of dry runs in the batch
	out     batch

	touched []*account
	pending map[string]int             // key -> index in out.rows
	stored  map[string]*storedTransfer // keys of the batch that the log has already
	holds   map[string]*holdEntry
	notes   map[Address]map[string]string // metadata of accounts that the batch changed
	undo    *undo                         // non-nil while what is applied may be taken back
	answers []answer
	lines   []line
	blob    []byte
	prints  []int64
}

// holdEntry is a hold that the batch being built made or looked up.
type holdEntry struct {
	storedHold
	source, target *account // nil until resolved
	fresh          bool     // made by this batch
	dirty          bool
}

// answer is a result that is given once the batch is durable.
type answer struct {
	result *Result
	row    int
	replay bool
}

func newBuilder(shard int, s writerStore, cached, knownKeys int) *builder {
	return &builder{
		shard: shard, store: s, cache: newAccountCache(cached), known: newKeyRing(knownKeys), sealer: newSealer(),
		pending: map[string]int{}, stored: map[string]*storedTransfer{}, holds: map[string]*holdEntry{},
		notes: map[Address]map[string]string{},
	}
}

// reset starts an empty batch at the time.
func (b *builder) reset(now time.Time) {
	b.number++
	if now.Before(b.state.at) {
		now = b.state.at // the log's time never runs back, whatever the clock does
	}
	clear(b.pending)
	clear(b.stored)
	clear(b.holds)
	clear(b.notes)
	clear(b.touched)
	clear(b.answers)
	clear(b.out.rows)
	b.touched, b.answers, b.lines, b.blob = b.touched[:0], b.answers[:0], b.lines[:0], nil
	b.prints, b.undo, b.tried = nil, nil, 0
	b.buckets.begin()
	b.out = batch{
		epoch: b.state.epoch, first: b.state.seq + 1, last: b.state.seq, at: now, accounts: b.state.accounts,
		opened: b.out.opened[:0], rows: b.out.rows[:0], postings: b.out.postings[:0],
		newHolds: b.out.newHolds[:0], oldHolds: b.out.oldHolds[:0],
		buckets: b.out.buckets[:0], copied: b.out.copied[:0], shares: b.out.shares[:0],
		limits: b.out.limits[:0], notes: b.out.notes[:0], begun: b.out.begun[:0], ended: b.out.ended[:0],
	}
}

// rollback restores every account to what it held before the batch and forgets those it opened.
func (b *builder) rollback() {
	for _, a := range b.touched {
		a.posted, a.held, a.limits = a.savedPosted, a.savedHeld, a.savedLimits
	}
	for _, a := range b.out.opened {
		b.cache.remove(a)
	}
	b.touched, b.out.opened = b.touched[:0], b.out.opened[:0]
	b.buckets.rollback()
	b.cache.trim()
}

// committed takes the batch as the new state of the log.
func (b *builder) committed() {
	b.state.seq, b.state.at, b.state.accounts, b.state.seal = b.out.last, b.out.at, b.out.accounts, b.out.seal
	for i := range b.out.rows {
		b.known.add(b.out.rows[i].key)
	}
	b.cache.trim()
}

// load reads what the entries need and memory does not have: accounts, and the outcome of keys that
// were seen before (of every key, if checked).
func (b *builder) load(ctx context.Context, jobs []*job, checked bool) error {
	b.checked = checked
	var addresses []Address
	var keys []string
	asked := map[Address]struct{}{}
	want := func(a Address) {
		if b.cache.find(a) != nil {
			return
		}
		if _, ok := asked[a]; !ok {
			asked[a] = struct{}{}
			addresses = append(addresses, a)
		}
	}
	for _, j := range jobs {
		for i := range j.entries {
			e := &j.entries[i]
			for p := range e.t.Postings {
				want(e.t.Postings[p].Account)
			}
			if e.asked != nil {
				want(e.asked.address)
			}
			if checked || j.checked() || b.known.has(e.t.Key) {
				keys = append(keys, e.t.Key)
			}
		}
		keys = append(keys, j.keys()...)
	}
	if err := b.loadAccounts(ctx, addresses); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := b.store.transfers(ctx, keys)
	if err != nil {
		return err
	}
	for i := range found {
		b.stored[found[i].key] = &found[i]
	}
	return nil
}

// loadAccounts puts those of the addresses that exist into the cache.
func (b *builder) loadAccounts(ctx context.Context, addresses []Address) error {
	if len(addresses) == 0 {
		return nil
	}
	rows, err := b.store.accounts(ctx, addresses)
	if err != nil {
		return err
	}
	limits, err := b.loadLimits(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		parts, ok := parseAddress(string(rows[i].address))
		if !ok {
			return fmt.Errorf("account %d has address %.40q", rows[i].id, rows[i].address)
		}
		b.cache.add(&account{
			id: rows[i].id, address: rows[i].address, parts: parts, currency: rows[i].currency,
			posted: rows[i].posted, held: rows[i].held, limits: limits[rows[i].id],
		})
	}
	return nil
}

// loadLimits reads the limits of those accounts that have any: without one this is no look-up.
func (b *builder) loadLimits(ctx context.Context, rows []storedAccount) (map[int64]*limitsExtra, error) {
	var limited []int64
	for i := range rows {
		if rows[i].limited {
			limited = append(limited, rows[i].id)
		}
	}
	if len(limited) == 0 {
		return nil, nil
	}
	found, err := b.store.limitsOf(ctx, limited)
	if err == nil && len(found) != len(limited) {
		err = fmt.Errorf("%d of %d accounts have no limits although their postings say so", len(limited)-len(found), len(limited))
	}
	return found, err
}

// applyJob applies what one call brought.
func (b *builder) applyJob(ctx context.Context, j *job) error {
	switch {
	case j.group != nil:
		return b.group(ctx, j)
	case j.dry:
		return b.try(ctx, j)
	}
	for i := range j.entries {
		if err := b.apply(ctx, &j.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// apply decides one transfer. Its result is given by answer or at once: only an error of the store
// is returned, which fails the whole batch.
func (b *builder) apply(ctx context.Context, e *entry) error {
	t := e.t
	if !b.buckets.live(e.bucket) {
		e.out.Err = errElsewhere
		return nil
	}
	if index, ok := b.pending[t.Key]; ok {
		r := &b.out.rows[index]
		if r.print != e.print {
			e.out.Err = conflict(t.Key, differsInBatch(t, r.request))
			return nil
		}
		b.answers = append(b.answers, answer{e.out, index, true})
		return nil
	}
	if old := b.stored[t.Key]; old != nil {
		return b.replay(ctx, e, old)
	}
	err := b.decide(ctx, e)
	if refused, ok := asAnswer(err); ok {
		return b.answerUnlogged(ctx, e, refused)
	}
	return err
}

// decide applies a transfer whose key is new.
func (b *builder) decide(ctx context.Context, e *entry) error {
	switch {
	case kinds[e.t.Kind].resolves:
		return b.resolve(ctx, e)
	case e.asked == nil:
		return b.move(ctx, e)
	case e.asked.limits != nil:
		return b.limit(e)
	default:
		return b.describe(ctx, e)
	}
}

// answerUnlogged answers a transfer that will not be written, so that no unique key can tell whether
// it is a retry: a post repeated after its hold has ended is a replay, not a conflict.
func (b *builder) answerUnlogged(ctx context.Context, e *entry, answer *errs.Error) error {
	if !b.checked {
		found, err := b.store.transfers(ctx, []string{e.t.Key})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return b.replay(ctx, e, &found[0])
		}
	}
	e.out.Err = answer
	return nil
}

// move applies a transfer that brings its own postings, a hold included.
func (b *builder) move(ctx context.Context, e *entry) error {
	t := e.t
	var accounts [MaxPostings]*account
	for i := range t.Postings {
		a := b.cache.find(t.Postings[i].Account)
		if a != nil && a.currency != t.Currency {
			return asRefusal(errs.New(errs.CodeInvalid, "account %s is in %s, the transfer in %s", a.address, a.currency, t.Currency))
		}
		accounts[i] = a
	}
	if t.Hold != nil && !t.Hold.ExpiresAt.After(b.out.at) {
		return asRefusal(errs.New(errs.CodeInvalid, "hold %s would have run out already", t.Key))
	}
	for i := range t.Postings {
		if accounts[i] == nil {
			accounts[i] = b.open(t.Postings[i].Account, t.Currency)
		}
	}
	list := accounts[:len(t.Postings)]
	refusal, err := b.admit(ctx, t, list)
	if err != nil {
		return err
	}
	if refusal != nil {
		b.refuse(e, list, refusal)
		return nil
	}
	if t.Kind == KindHold {
		source, target, amount := list[0], list[1], -t.Postings[0].AmountMinor
		if amount < 0 {
			source, target, amount = target, source, -amount
		}
		b.reserve(e, source, target, amount, t.Hold.ExpiresAt.UTC().Truncate(time.Microsecond))
		return nil
	}
	r := b.begin(e)
	for i, a := range list {
		b.post(r, a, t.Postings[i].AmountMinor, 0)
	}
	b.finish(r, e)
	return nil
}

// admit says whether the balances allow the postings. A debit that fails only because of holds that
// have run out makes them expire first: expiry is judged when it matters, not when a sweeper comes.
func (b *builder) admit(ctx context.Context, t *Transfer, accounts []*account) (*errs.Error, error) {
	k := &kinds[t.Kind]
	for i, a := range accounts {
		refusal, err := b.admitOne(ctx, a, t.Postings[i].AmountMinor, k)
		if refusal != nil || err != nil {
			return refusal, err
		}
	}
	return nil, nil
}

func (b *builder) admitOne(ctx context.Context, a *account, amount int64, k *kindRow) (*errs.Error, error) {
	refusal := bounds(a, amount, k)
	if refusal == nil || a.held == 0 {
		return refusal, nil
	}
	if err := b.expireOf(ctx, a); err != nil {
		return nil, err
	}
	return bounds(a, amount, k), nil
}

// bounds returns why the account cannot take the amount, or nil.
func bounds(a *account, amount int64, k *kindRow) *errs.Error {
	after, ok := money.AddMinor(a.posted, amount)
	switch {
	case !ok:
		return errs.New(errs.CodeLimitReached, "the balance of %s would be out of range", a.parts.kind)
	case a.limits != nil:
		return a.limits.refuse(k, amount, after, a.held)
	case amount < 0 && a.parts.kind.rule() == ruleAvailable && after < a.held:
		return errs.New(errs.CodeInsufficientFunds, "the available balance is too low")
	case amount > 0 && a.parts.kind.rule() == ruleOwed && after > 0:
		return errs.New(errs.CodeLimitReached, "more than what is owed")
	}
	return nil
}

// open interns a well-formed address.
func (b *builder) open(address Address, currency money.Currency) *account {
	b.out.accounts++
	a := &account{id: b.out.accounts, address: Address(strings.Clone(string(address))), currency: currency}
	a.parts, _ = parseAddress(string(a.address)) // which is not the caller's memory
	b.cache.add(a)
	b.out.opened = append(b.out.opened, a)
	return a
}

// touch saves what the account held before this batch, once.
func (b *builder) touch(a *account) {
	if b.undo != nil {
		b.undo.account(a)
	}
	if a.batch == b.number {
		return
	}
	a.batch, a.savedPosted, a.savedHeld, a.savedLimits = b.number, a.posted, a.held, a.limits
	b.touched = append(b.touched, a)
}

// begin appends a row for the entry with the next sequence. The pointer is good until the next begin.
func (b *builder) begin(e *entry) *row {
	t := e.t
	b.out.last++
	b.out.rows = append(b.out.rows, row{
		seq: b.out.last, key: t.Key, kind: t.Kind, player: t.Player, jurisdiction: t.Jurisdiction,
		currency: t.Currency, print: e.print, extra: e.extra, record: t.Record, request: t,
	})
	b.lines = b.lines[:0]
	return &b.out.rows[len(b.out.rows)-1]
}

// post moves amount and held on one account and notes the posting.
func (b *builder) post(r *row, a *account, amount, held int64) {
	b.touch(a)
	a.posted += amount
	a.held += held
	b.lines = append(b.lines, line{account: a.id, amount: amount, balance: a.posted, held: a.held})
	b.out.postings = append(b.out.postings, posting{
		account: a.id, seq: r.seq, amount: amount, balance: a.posted, held: a.held, rule: a.rule(),
	})
}

// finish encodes the row's lines and queues the answer, if somebody waits for one.
func (b *builder) finish(r *row, e *entry) {
	start := len(b.blob)
	b.blob = appendLines(b.blob, b.lines)
	r.lines = b.blob[start:len(b.blob):len(b.blob)]
	first := len(b.prints)
	for i := range b.lines {
		b.prints = append(b.prints, b.lines[i].balance)
	}
	r.balances = b.prints[first:len(b.prints):len(b.prints)]
	if r.published() {
		b.out.records++
	}
	index := len(b.out.rows) - 1
	b.pending[r.key] = index
	if e.out != nil {
		b.answers = append(b.answers, answer{e.out, index, false})
	}
}

// refuse appends a row that moves nothing and answers the same for ever.
func (b *builder) refuse(e *entry, accounts []*account, refusal *errs.Error) {
	r := b.begin(e)
	r.code, r.detail, r.record = refusal.Code, refusal.Detail, nil
	for i, a := range accounts {
		b.lines = append(b.lines, line{account: a.id, amount: e.t.Postings[i].AmountMinor, balance: a.posted, held: a.held})
	}
	b.finish(r, e)
}

// reserve makes a hold: the debited account keeps its money but cannot spend it.
func (b *builder) reserve(e *entry, source, target *account, amount int64, expires time.Time) {
	r := b.begin(e)
	r.holdSeq = r.seq
	b.post(r, source, 0, amount)
	h := &holdEntry{fresh: true, source: source, target: target, storedHold: storedHold{
		key: e.t.Key, seq: r.seq, account: source.id, counter: target.id, player: e.t.Player,
		jurisdiction: e.t.Jurisdiction, currency: e.t.Currency, amount: amount,
		expires: expires, state: holdOpen,
	}}
	b.holds[h.key] = h
	b.out.newHolds = append(b.out.newHolds, h)
	b.finish(r, e)
}

// resolve ends a hold: posts it in full or part, releases it, or lets it expire.
func (b *builder) resolve(ctx context.Context, e *entry) error {
	t := e.t
	h, err := b.findHold(ctx, t.HoldKey)
	if err != nil {
		return err
	}
	if h.player != t.Player || h.jurisdiction != t.Jurisdiction {
		return asRefusal(errs.New(errs.CodeNotFound, "there is no hold %s", t.HoldKey))
	}
	if h.currency != t.Currency {
		return asRefusal(errs.New(errs.CodeInvalid, "hold %s is in %s", t.HoldKey, h.currency))
	}
	if h.state != holdOpen {
		return asRefusal(errs.New(errs.CodeConflict, "hold %s has ended already: %s", t.HoldKey, h.state))
	}
	ranOut := !h.expires.After(b.out.at)
	switch {
	case t.Kind == KindPost && ranOut:
		return asRefusal(errs.New(errs.CodeConflict, "hold %s has run out", t.HoldKey))
	case t.Kind == KindExpire && !ranOut:
		return asRefusal(errs.New(errs.CodeConflict, "hold %s has not run out yet", t.HoldKey))
	case t.Kind == KindPost && t.AmountMinor > h.amount:
		return asRefusal(errs.New(errs.CodeInvalid, "hold %s is over %d, not %d", t.HoldKey, h.amount, t.AmountMinor))
	}
	b.end(h, e)
	return nil
}

// end writes the transfer that ends an open hold.
func (b *builder) end(h *holdEntry, e *entry) {
	b.saveHold(h)
	r := b.begin(e)
	switch e.t.Kind {
	case KindPost:
		amount := e.t.AmountMinor
		if amount == 0 {
			amount = h.amount
		}
		b.post(r, h.source, -amount, -h.amount)
		b.post(r, h.target, amount, 0)
		h.state, h.posted = holdPosted, amount
	case KindRelease:
		b.post(r, h.source, 0, -h.amount)
		h.state = holdReleased
	default:
		b.post(r, h.source, 0, -h.amount)
		h.state = holdExpired
	}
	b.endHold(h, r)
	b.finish(r, e)
}

// endHold notes that the row ended the hold.
func (b *builder) endHold(h *holdEntry, r *row) {
	r.holdSeq, h.resolved = h.seq, r.seq
	if !h.fresh && !h.dirty {
		b.out.oldHolds = append(b.out.oldHolds, h)
	}
	h.dirty = true
}

// String returns the state as messages spell it.
func (s holdState) String() string {
	return [...]string{holdOpen: "open", holdPosted: "posted", holdReleased: "released", holdExpired: "expired"}[s]
}

// findHold returns the hold made under key, with its accounts in the cache.
func (b *builder) findHold(ctx context.Context, key string) (*holdEntry, error) {
	if h := b.holds[key]; h != nil {
		return h, nil
	}
	stored, err := b.store.hold(ctx, key)
	if errs.Is(err, errs.CodeNotFound) {
		return nil, asRefusal(errs.New(errs.CodeNotFound, "there is no hold %s", key))
	}
	if err != nil {
		return nil, err
	}
	return b.adopt(ctx, stored)
}

// adopt makes a stored hold part of this batch.
func (b *builder) adopt(ctx context.Context, stored storedHold) (*holdEntry, error) {
	h := &holdEntry{storedHold: stored}
	ids := []int64{stored.account, stored.counter}
	names, err := b.store.addresses(ctx, ids)
	if err != nil {
		return nil, err
	}
	var missing []Address
	for _, account := range ids {
		if b.cache.find(names[account]) == nil {
			missing = append(missing, names[account])
		}
	}
	if err := b.loadAccounts(ctx, missing); err != nil {
		return nil, err
	}
	h.source, h.target = b.cache.find(names[stored.account]), b.cache.find(names[stored.counter])
	if h.source == nil || h.target == nil {
		return nil, broken("hold %s names accounts %d and %d, which do not exist", stored.key, stored.account, stored.counter)
	}
	b.holds[h.key] = h
	return h, nil
}

// maxExpiredAtOnce bounds how many holds of one account expire for one debit.
const maxExpiredAtOnce = 100

// expireOf ends the account's holds that have run out.
func (b *builder) expireOf(ctx context.Context, a *account) error {
	list, err := b.store.expired(ctx, a.id, holdMark{}, b.out.at, maxExpiredAtOnce)
	if err != nil {
		return err
	}
	for _, stored := range list {
		h := b.holds[stored.key]
		if h == nil {
			if h, err = b.adopt(ctx, stored); err != nil {
				return err
			}
		}
		if h.state == holdOpen {
			e := expireEntry(&h.storedHold)
			b.end(h, &e)
		}
	}
	return nil
}

// expireEntry is the transfer by which the ledger itself ends a hold that ran out.
func expireEntry(h *storedHold) entry {
	t := &Transfer{
		Key: expirePrefix + h.key, Kind: KindExpire, Player: h.player, Jurisdiction: h.jurisdiction,
		Currency: h.currency, HoldKey: h.key,
	}
	return entry{t: t, print: t.fingerprint(), bucket: bucketOf(h.player)}
}

// answered is an answer to one transfer that is not written to the log: the transfer is wrong, or
// comes too late. It fails that transfer only, never the batch.
type answered struct{ err *errs.Error }

func (a answered) Error() string { return a.err.Error() }

func asRefusal(err *errs.Error) error { return answered{err} }

// broken says that one job cannot be done because the books are not what they should be where it touches
// them. It fails that job, never the others of its batch.
func broken(format string, args ...any) error {
	return asRefusal(errs.New(errs.CodeInternal, format, args...))
}

// seal computes the seal of the batch and sorts its postings for the table they go to.
func (b *builder) seal() {
	s := b.sealer
	s.begin(b.state.seal, b.out.first, b.out.last, b.out.at.UnixMicro(), b.out.epoch, b.out.accounts)
	for _, a := range b.out.opened {
		s.account(a.id, string(a.address), string(a.parts.jurisdiction), string(a.currency))
	}
	for i := range b.out.rows {
		s.row(&b.out.rows[i])
	}
	for _, h := range b.out.newHolds {
		s.later(&h.storedHold)
	}
	b.out.seal = s.end()
	slices.SortFunc(b.out.postings, func(x, y posting) int {
		if x.account != y.account {
			if x.account < y.account {
				return -1
			}
			return 1
		}
		if x.seq < y.seq {
			return -1
		}
		return 1
	})
}

// answer fills the results that waited for the commit.
func (b *builder) answer() {
	for i := range b.answers {
		b.fill(&b.answers[i])
	}
}

// fill gives one result what its row says.
func (b *builder) fill(a *answer) {
	r := &b.out.rows[a.row]
	out := a.result
	out.Position = stream.Position{Shard: b.shard, Seq: r.seq}
	out.At, out.Replayed, out.Balances = b.out.at, a.replay, r.balances
	if r.code != "" {
		out.Err = errs.New(r.code, "%s", r.detail)
		return
	}
	if r.record != nil {
		out.Data = r.record.Data
	}
}
