package ledger

import (
	"context"
	"fmt"
	"strconv"

	"matchday/money"
	"matchday/stream"
)

// copiedRow is a transfer of another shard's log on its way here: what it is, and its accounts by
// address, because numbers of accounts mean nothing on another shard.
type copiedRow struct {
	storedTransfer
	from     int64     // its sequence in the log it is read from
	bucket   int       // of its player
	accounts []Address // of the lines

	hold       *copiedHold // of a transfer that made a hold
	holdKey    string      // of a transfer that ended one: the hold's
	holdOrigin origin      // and where that was made
}

// copiedHold is the part of a hold that its transfer does not say.
type copiedHold struct {
	counter   Address
	amount    int64
	expiresUS int64
}

// copyIn appends rows of buckets that are being copied. Player accounts go through the same balances
// as on the source. What the rows bring to house accounts is taken out again at once, against the
// elsewhere accounts, so that sums over the shards are right at every moment; the bucket's share
// keeps it for the day the bucket changes sides.
type copyIn struct {
	move string
	from int
	upTo int64 // the source's log has been read up to here
	rows []copiedRow
}

func (s *copyIn) apply(ctx context.Context, b *builder) error {
	rows := make([]*copiedRow, 0, len(s.rows))
	var want []share
	for i := range s.rows {
		c := &s.rows[i]
		now := b.buckets.rows[c.bucket]
		if now.state != bucketCopying || now.move != s.move {
			return asRefusal(conflictingMove(c.bucket, now, b.shard))
		}
		if c.from <= now.seq {
			continue
		}
		rows = append(rows, c)
		for n, a := range c.accounts {
			want = append(want, share{address: a, currency: c.currency})
			if kind := playerKind(a); kind != 0 && c.lines[n].amount != 0 && c.code == "" {
				want = append(want, share{address: elsewhere(kind, c.jurisdiction, c.currency), currency: c.currency})
			}
		}
		if c.hold != nil {
			want = append(want, share{address: c.hold.counter, currency: c.currency})
		}
	}
	if err := b.intern(ctx, want); err != nil {
		return err
	}
	keys, err := b.copyKeys(ctx, rows)
	if err != nil {
		return err
	}
	t := tally{byBucket: map[bucketAccount]int64{}, all: map[*account]int64{}}
	for i, c := range rows {
		if keys[i] == "" {
			continue
		}
		if err := b.copyRow(ctx, c, keys[i]); err != nil {
			return b.notCopied(s, c, err)
		}
		b.count(&t, c)
	}
	if err := b.shift(ctx, KindMoveOut, t.shares(), -1); err != nil {
		return err
	}
	for at, amount := range t.byBucket {
		b.out.shares = append(b.out.shares, shareChange{at.bucket, at.account, amount, false})
	}
	b.copiedTo(s)
	return nil
}

// notCopied says why a row could not be copied. It may be here already, from when the bucket lived here or
// on the way to a third shard: that is known only once its key was looked up.
func (b *builder) notCopied(s *copyIn, c *copiedRow, err error) error {
	own, ok := asAnswer(err)
	switch {
	case !ok:
		return fmt.Errorf("copy transfer %d-%d: %w", s.from, c.from, err)
	case !b.checked:
		return fmt.Errorf("copy transfer %d-%d: %w: %s", s.from, c.from, errDuplicate, own.Detail)
	}
	return broken("copy transfer %d-%d: %s", s.from, c.from, own.Detail)
}

// copiedTo moves the cursor of every bucket of the move.
func (b *builder) copiedTo(s *copyIn) {
	if b.out.last < b.out.first {
		b.mark(KindMoveIn, nil)
	}
	for _, r := range b.buckets.rows {
		if r.state == bucketCopying && r.move == s.move && r.seq < s.upTo {
			r.seq = s.upTo
			b.buckets.replace(r)
		}
	}
	b.out.copied = append(b.out.copied, copiedUpTo{s.move, s.upTo})
}

// playerKind returns the type of a player account, 0 for a house account.
func playerKind(a Address) accountType {
	if parts, ok := parseAddress(string(a)); ok && parts.player != "" {
		return parts.kind
	}
	return 0
}

// tally is what the rows of one step add up to: by bucket for the share table, and in all.
type tally struct {
	byBucket map[bucketAccount]int64
	all      map[*account]int64
}

type bucketAccount struct {
	bucket  int
	account int64
}

// count adds a copied row to the tally. A player's own accounts count on the elsewhere account.
func (b *builder) count(t *tally, c *copiedRow) {
	if c.code != "" {
		return
	}
	for i, address := range c.accounts {
		amount := c.lines[i].amount
		if amount == 0 {
			continue
		}
		if kind := playerKind(address); kind != 0 {
			address = elsewhere(kind, c.jurisdiction, c.currency)
		}
		a := b.cache.find(address)
		t.byBucket[bucketAccount{c.bucket, a.id}] += amount
		t.all[a] += amount
	}
}

func (t *tally) shares() []share {
	out := make([]share, 0, len(t.all))
	for a, amount := range t.all {
		out = append(out, share{a.address, a.currency, amount})
	}
	return out
}

// copyKeys returns the key for each row: its own; "" if the row is here already; or, if another
// player's transfer has the key on this shard, one made of its origin. Keys are unique per shard and
// callers scope theirs, so the last is for callers that do not: the transfer is kept, and its
// request sent again is a conflict.
func (b *builder) copyKeys(ctx context.Context, rows []*copiedRow) ([]string, error) {
	keys := make([]string, len(rows))
	for i, c := range rows {
		keys[i] = c.key
	}
	known := map[string]origin{}
	if err := b.originsOf(ctx, keys, known); err != nil {
		return nil, err
	}
	var second []string
	for i, c := range rows {
		switch at, found := known[c.key]; {
		case found && at == c.place():
			keys[i] = ""
		case found || b.isPending(c.key):
			keys[i] = c.secondKey()
			second = append(second, keys[i])
		}
	}
	if len(second) == 0 {
		return keys, nil
	}
	clear(known)
	found, err := b.store.transfers(ctx, second)
	if err != nil {
		return nil, err
	}
	for i := range found {
		known[found[i].key] = found[i].origin
	}
	for i := range keys {
		if _, found := known[keys[i]]; found {
			keys[i] = ""
		}
	}
	return keys, nil
}

// originsOf notes where those of the keys that exist were committed first. As in apply, a key is
// looked up only after one was met twice: the unique key of the table tells.
func (b *builder) originsOf(ctx context.Context, keys []string, into map[string]origin) error {
	if !b.checked || len(keys) == 0 {
		return nil
	}
	found, err := b.store.transfers(ctx, keys)
	if err != nil {
		return err
	}
	for i := range found {
		at := found[i].origin
		if !at.copied() {
			at = origin{shard: b.shard, seq: found[i].seq}
		}
		at.atUS = 0
		into[found[i].key] = at
	}
	return nil
}

func (b *builder) isPending(key string) bool {
	_, ok := b.pending[key]
	return ok
}

// place is the origin without its time: what tells one transfer from another.
func (c *copiedRow) place() origin { return origin{shard: c.origin.shard, seq: c.origin.seq} }

// secondKey is the row's key where its own is taken.
func (c *copiedRow) secondKey() string { return originKey(c.origin) }

func originKey(o origin) string {
	return movePrefix + strconv.Itoa(o.shard) + "-" + strconv.FormatInt(o.seq, 10)
}

// copyRow appends one row as it was, and checks that each player account then stands as it stood.
func (b *builder) copyRow(ctx context.Context, c *copiedRow, key string) error {
	e := entry{print: c.print, t: &Transfer{
		Key: key, Kind: c.kind, Player: c.player, Jurisdiction: c.jurisdiction, Currency: c.currency,
	}}
	if c.recordType != "" {
		e.t.Record = &stream.Draft{Type: c.recordType, Subject: c.subject, Data: c.data}
	}
	e.extra = c.extra
	r := b.begin(&e)
	r.code, r.detail, r.origin = c.code, c.detail, c.origin
	if err := b.copyExtra(r, c); err != nil {
		return err
	}
	for i, l := range c.lines {
		a := b.cache.find(c.accounts[i])
		switch house := a.parts.player == ""; {
		case c.code != "" && house:
			b.lines = append(b.lines, line{account: a.id, amount: l.amount, balance: a.posted})
		case c.code != "":
			b.lines = append(b.lines, line{account: a.id, amount: l.amount, balance: l.balance, held: l.held})
		case house:
			if _, ok := money.AddMinor(a.posted, l.amount); !ok {
				return broken("the share of %s is out of range", a.address)
			}
			b.post(r, a, l.amount, 0)
		default:
			b.post(r, a, l.amount, l.held-a.held)
			if a.posted != l.balance || a.held < 0 {
				return broken("the copy of account %s has %d, the original %d", a.address, a.posted, l.balance)
			}
		}
	}
	if err := b.copyHold(ctx, r, c); err != nil {
		return err
	}
	b.finish(r, &e)
	return nil
}

// copyExtra keeps what the row says of limits, metadata and groups. The outcome of an open group is
// found by its keys, wherever they are.
func (b *builder) copyExtra(r *row, c *copiedRow) error {
	var a *account
	var number int64
	if len(c.accounts) > 0 {
		a = b.cache.find(c.accounts[0])
		number = a.id
	}
	x, err := b.out.derive(r, number)
	if err != nil {
		return broken("%s", err)
	}
	if x.Limits != nil && c.code == "" {
		b.touch(a)
		a.limits = x.Limits
	}
	return nil
}

// copyHold makes or ends the hold that the row made or ended.
func (b *builder) copyHold(ctx context.Context, r *row, c *copiedRow) error {
	if c.code != "" {
		return nil
	}
	if c.hold != nil {
		source, counter := b.cache.find(c.accounts[0]), b.cache.find(c.hold.counter)
		h := &holdEntry{fresh: true, source: source, target: counter, storedHold: storedHold{
			key: r.key, seq: r.seq, account: source.id, counter: counter.id, player: c.player,
			jurisdiction: c.jurisdiction, currency: c.currency, amount: c.hold.amount,
			expires: fromMicros(c.hold.expiresUS), state: holdOpen,
		}}
		r.holdSeq = r.seq
		b.holds[h.key] = h
		b.out.newHolds = append(b.out.newHolds, h)
		return nil
	}
	if c.holdKey == "" {
		return nil
	}
	h, err := b.findHold(ctx, c.holdKey)
	if _, none := asAnswer(err); none || err == nil && h.player != c.player { // the key is another player's here
		h, err = b.findHold(ctx, originKey(c.holdOrigin))
	}
	if err != nil {
		return fmt.Errorf("hold %s: %w", c.holdKey, err)
	}
	if h.state != holdOpen {
		return broken("hold %s has ended already: %s", h.key, h.state)
	}
	b.saveHold(h)
	switch c.kind {
	case KindPost:
		h.state, h.posted = holdPosted, c.lines[1].amount
	case KindRelease:
		h.state = holdReleased
	case KindExpire:
		h.state = holdExpired
	default: // a group's transfer, which was reserved
		h.state, h.posted = holdPosted, h.amount
	}
	b.endHold(h, r)
	return nil
}
