package ledger

import (
	"bytes"
	"fmt"
	"hash/maphash"

	"matchday/id"
	"matchday/money"
)

// verifier proves one shard's log as it is read from an export, commit by commit, with no database:
// sequences without gap, seals, sums, balances, rules and holds. It keeps some 64 bytes an account
// and a few words for each open hold.
type verifier struct {
	shard  int
	before sealedBatch // the commit verified last, without rows
	whole  bool        // the file began with the first transfer, so every account is known
	begun  int64       // the sequence after which it began
	seed   maphash.Seed

	sealer   *sealer
	accounts []verifiedAccount // by number; 0 is nobody
	names    map[string]uint8  // jurisdictions and currencies, by the numbers in accounts
	texts    []string
	holds    map[int64]verifiedHold // open, by sequence
	lines    []line

	transfers, postings int64
}

// verifiedAccount is what the verifier keeps of an account. The address is kept as a hash: enough to
// find a posting that names another than its number says.
type verifiedAccount struct {
	address                uint64
	posted, held           int64
	kind                   accountType
	of                     accountType // of an elsewhere account: the type that it balances
	jurisdiction, currency uint8
	known                  bool // its balance is; an account opened before the file began shows it first
	limited                bool // it has limits of its own, or may have had some before the file began
}

type verifiedHold struct{ account, counter, amount int64 }

func newVerifier(shard int, from sealedBatch) *verifier {
	return &verifier{
		shard: shard, before: from, whole: from.last == 0, begun: from.last, seed: maphash.MakeSeed(), sealer: newSealer(),
		accounts: make([]verifiedAccount, from.accounts+1), names: map[string]uint8{}, holds: map[int64]verifiedHold{},
	}
}

// fileBatch is a commit as read from a file, with the line that each part stood on.
type fileBatch struct {
	sealedBatch
	line      int64       // of the batch itself; accounts and transfers follow it, a line each
	addresses [][]Address // of each row's postings
	made      []*storedHold
}

// lineOfRow returns the line of a transfer.
func (b *fileBatch) lineOfRow(i int) int64 { return b.line + int64(len(b.opened)) + int64(i) + 1 }

// wrongLine is a finding with the line of the file it is on.
type wrongLine struct {
	line int64
	err  error
}

func (w *wrongLine) Error() string { return fmt.Sprintf("line %d: %v", w.line, w.err) }
func (w *wrongLine) Unwrap() error { return w.err }

// batch verifies the next commit; its error is a wrongLine around a Finding.
func (v *verifier) batch(b *fileBatch) error {
	if err := v.follows(&b.sealedBatch, len(b.opened)); err != nil {
		return &wrongLine{b.line, v.located(err)}
	}
	v.sealer.begin(v.before.seal, b.first, b.last, b.at.UnixMicro(), b.epoch, b.accounts)
	for i, a := range b.opened {
		if err := v.open(a); err != nil {
			return &wrongLine{b.line + int64(i) + 1, v.located(err)}
		}
		v.sealer.account(a.id, a.address, a.jurisdiction, a.currency)
	}
	records := 0
	for i := range b.rows {
		if err := v.row(&b.rows[i], b.made[i], b.addresses[i]); err != nil {
			return &wrongLine{b.lineOfRow(i), v.located(err)}
		}
		v.sealer.row(&b.rows[i])
		if b.rows[i].published() {
			records++
		}
	}
	for i := range b.holds {
		v.sealer.later(&b.holds[i])
	}
	key := fmt.Sprintf("last_seq %d", b.last)
	if got := v.sealer.end(); got != b.seal {
		return &wrongLine{b.line, v.located(found("seals verify", "batch", key, fmt.Sprintf("%x", got[:8]), fmt.Sprintf("%x", b.seal[:8])))}
	}
	if records != b.records {
		return &wrongLine{b.line, v.located(found("a batch counts its records", "batch", key, records, b.records))}
	}
	v.before = b.sealedBatch
	v.before.opened, v.before.rows, v.before.holds = nil, nil, nil
	v.transfers += int64(len(b.rows))
	return nil
}

// located fills in the shard of a finding.
func (v *verifier) located(err error) error {
	if f, ok := err.(*Finding); ok { //nolint:errorlint // made by found, never wrapped
		f.Shard = v.shard
	}
	return err
}

// follows checks that the commit, which opened some accounts, is the next one.
func (v *verifier) follows(b *sealedBatch, opened int) error {
	key := fmt.Sprintf("last_seq %d", b.last)
	switch {
	case b.first != v.before.last+1:
		return found("batches have no gap", "batch", key, fmt.Sprintf("first_seq %d", v.before.last+1), fmt.Sprintf("first_seq %d", b.first))
	case b.at.Before(v.before.at):
		return found("time never runs back", "batch", key, v.before.at, b.at)
	case b.epoch < v.before.epoch:
		return found("epochs only rise", "batch", key, v.before.epoch, b.epoch)
	case b.accounts != v.before.accounts+int64(opened):
		return found("account numbers have no gap", "batch", key, v.before.accounts+int64(opened), b.accounts)
	}
	return nil
}

// open takes a new account.
func (v *verifier) open(a sealedAccount) error {
	key := fmt.Sprintf("id %d", a.id)
	if want := int64(len(v.accounts)); a.id != want {
		return found("account numbers have no gap", "account", key, want, a.id)
	}
	parts, ok := parseAddress(a.address)
	if !ok {
		return found("addresses are well-formed", "account", key, "an address", a.address)
	}
	if string(parts.jurisdiction) != a.jurisdiction {
		return found("an account is in its address's jurisdiction", "account", key, parts.jurisdiction, a.jurisdiction)
	}
	if _, err := money.ParseCurrency(a.currency); err != nil {
		return found("currencies are known", "account", key, "a currency", a.currency)
	}
	v.accounts = append(v.accounts, verifiedAccount{
		address: v.hash(a.address), kind: parts.kind, of: elsewhereOf(a.address), jurisdiction: v.name(a.jurisdiction), currency: v.name(a.currency), known: true,
	})
	return nil
}

func (v *verifier) hash(address string) uint64 { return maphash.String(v.seed, address) }

// name returns the number of a text that few accounts differ in. Texts beyond 255 share the last:
// the world has fewer licensed territories, and the seals do not depend on it.
func (v *verifier) name(text string) uint8 {
	if n, ok := v.names[text]; ok {
		return n
	}
	if len(v.texts) == 255 {
		return 255
	}
	n := uint8(len(v.texts)) // #nosec: bounded above
	v.names[text], v.texts = n, append(v.texts, text)
	return n
}

// row checks one transfer by itself and against the balances before it.
func (v *verifier) row(r *row, made *storedHold, addresses []Address) error {
	key := seqKey(r.seq)
	lines, err := decodeLines(v.lines[:0], r.lines)
	if err != nil {
		return found("postings are readable", "transfer", key, "1 to 8 lines", err)
	}
	v.lines = lines
	var sum int64
	for i, l := range lines {
		if err := v.checkLine(r, l, addresses[i]); err != nil {
			return err
		}
		var ok bool
		if sum, ok = money.AddMinor(sum, l.amount); !ok {
			return found("postings sum to zero", "transfer", key, 0, "overflow")
		}
	}
	if sum != 0 {
		return found("postings sum to zero", "transfer", key, 0, sum)
	}
	if r.code != "" {
		return nil
	}
	holder, held, err := v.checkHold(r, made)
	if err != nil {
		return err
	}
	if r.kind == KindLimits && len(lines) == 1 {
		v.accounts[lines[0].account].limited = true
	}
	for _, l := range lines {
		reserved := int64(0)
		if l.account == holder {
			reserved = held
		}
		if err := v.apply(r, l, reserved); err != nil {
			return err
		}
	}
	v.postings += int64(len(lines))
	return nil
}

// checkLine checks one posting of a transfer against its account.
func (v *verifier) checkLine(r *row, l line, address Address) error {
	key := seqKey(r.seq)
	if l.account >= int64(len(v.accounts)) {
		return found("postings name accounts", "transfer", key, "an account", l.account)
	}
	a := &v.accounts[l.account]
	if a.kind == 0 { // opened before the file began
		parts, ok := parseAddress(string(address))
		if !ok {
			return found("addresses are well-formed", "transfer", key, "an address", address)
		}
		*a = verifiedAccount{
			address: v.hash(string(address)), kind: parts.kind, of: elsewhereOf(string(address)),
			jurisdiction: v.name(string(parts.jurisdiction)), currency: v.name(string(r.currency)), limited: true,
		}
	}
	switch {
	case a.address != v.hash(string(address)):
		return found("an account's number is its address", "transfer", key, fmt.Sprintf("account %d", l.account), address)
	case a.jurisdiction != v.name(string(r.jurisdiction)):
		return found("a transfer stays in its jurisdiction", "transfer", key, r.jurisdiction, address.Jurisdiction())
	case a.currency != v.name(string(r.currency)):
		return found("a transfer has one currency", "transfer", key, r.currency, v.texts[a.currency])
	case address.Player() != "" && address.Player() != id.Player(r.player):
		return found("a transfer moves its own player's money", "transfer", key, r.player, address)
	}
	if l.amount == 0 || kinds[r.kind].resolves {
		return nil
	}
	allowed := kinds[r.kind].credits
	if l.amount < 0 {
		allowed = kinds[r.kind].debits
	}
	if !allowed.has(a.kind) {
		return found("kinds move only what they may", "transfer", key, r.kind, a.kind)
	}
	return nil
}

// checkHold follows holds from their making to their end. It returns the account whose money is
// reserved, if the transfer makes or ends a hold, and what it adds to what that has reserved.
func (v *verifier) checkHold(r *row, made *storedHold) (holder, change int64, err error) {
	key := seqKey(r.seq)
	if made != nil {
		if r.kind != KindHold && r.kind != KindGroupPrepare || r.holdSeq != r.seq || len(v.lines) != 1 ||
			v.lines[0].account != made.account || v.lines[0].amount != 0 || made.amount <= 0 {
			return 0, 0, found("every hold has its transfer", "transfer", key, "one posting of the held account", fmt.Sprintf("hold of account %d", made.account))
		}
		v.holds[r.seq] = verifiedHold{made.account, made.counter, made.amount}
		return made.account, made.amount, nil
	}
	if r.holdSeq == 0 {
		if r.kind == KindHold || kinds[r.kind].resolves {
			return 0, 0, found("every hold has its transfer", "transfer", key, "a hold", "none")
		}
		return 0, 0, nil
	}
	h, open := v.holds[r.holdSeq]
	switch {
	case open:
		delete(v.holds, r.holdSeq)
		return h.account, -h.amount, v.checkHoldEnd(r, h)
	case !v.whole && r.holdSeq <= v.begun && len(v.lines) > 0: // made before the file began
		first := v.lines[0]
		if a := &v.accounts[first.account]; a.known {
			return first.account, first.held - a.held, nil
		}
		return first.account, 0, nil
	}
	return 0, 0, found("a hold ends once", "transfer", key, "an open hold", fmt.Sprintf("hold %d", r.holdSeq))
}

// checkHoldEnd checks that a transfer moves what the hold it ends is for: all or part of it to the
// counter account, nothing, or, as a member of a group, all of it to where its postings say.
func (v *verifier) checkHoldEnd(r *row, h verifiedHold) error {
	var moved, taken int64
	for _, l := range v.lines {
		if l.account == h.account {
			taken = -l.amount
		}
		if l.account == h.counter {
			moved = l.amount
		}
	}
	right := taken == h.amount // a member of a group
	switch {
	case r.kind == KindPost:
		right = len(v.lines) == 2 && taken == moved && moved > 0 && moved <= h.amount
	case kinds[r.kind].resolves:
		right = len(v.lines) == 1 && v.lines[0].account == h.account && v.lines[0].amount == 0
	}
	if !right {
		return found("a hold's end moves what was held", "transfer", seqKey(r.seq), h.amount, taken)
	}
	return nil
}

// apply checks that a posting's balance continues the one before and keeps its account's rule.
func (v *verifier) apply(r *row, l line, reserved int64) error {
	key := postingKey(l.account, r.seq)
	a := &v.accounts[l.account]
	if a.known {
		want, ok := money.AddMinor(a.posted, l.amount)
		if !ok || l.balance != want {
			return found("a balance is the one before plus the amount", "posting", key, want, l.balance)
		}
		if l.held != a.held+reserved {
			return found("what is held equals the open holds", "posting", key, a.held+reserved, l.held)
		}
	}
	bound := a.kind.rule()
	if a.limited && bound == ruleAvailable {
		bound = ruleLimited
	}
	if !bound.allows(l.balance, l.held) {
		return found("available is never below zero", "posting", key, "at least 0", l.balance-l.held)
	}
	a.posted, a.held, a.known = l.balance, l.held, true
	return nil
}

// ends checks a head of the trailer against what was read.
func (v *verifier) ends(h ExportHead) error {
	sealed, err := parseSeal(h.Seal)
	if err != nil || h.Seq != v.before.last || !bytes.Equal(sealed[:], v.before.seal[:]) || h.Accounts != v.before.accounts {
		return v.located(found("the file ends where its trailer says", "trailer", fmt.Sprintf("shard %d", v.shard),
			v.before.head(v.shard), h))
	}
	return nil
}
