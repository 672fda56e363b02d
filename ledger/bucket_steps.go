package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// receive is the first step on the shard that gets buckets: their rows may be copied from now on.
type receive struct {
	move    string
	from    int
	buckets []copyStart
}

// copyStart says after which sequence of the source's log a bucket's rows are still missing.
type copyStart struct {
	bucket int
	after  int64
}

func (s *receive) apply(_ context.Context, b *builder) error {
	for _, start := range s.buckets {
		switch now := b.buckets.rows[start.bucket]; {
		case now.state == bucketLive || now.state == bucketFenced:
			return asRefusal(errs.New(errs.CodeConflict, "bucket %d lives on shard %d already", start.bucket, b.shard))
		case now.move > s.move: // ids rise: the mover has slept over the end of its move
			return asRefusal(conflictingMove(start.bucket, now, b.shard))
		}
	}
	b.mark(KindMoveIn, nil)
	for _, start := range s.buckets {
		b.setBucket(bucketRow{start.bucket, bucketCopying, s.from, s.move, start.after})
	}
	return nil
}

// setBucket makes the row part of the batch.
func (b *builder) setBucket(r bucketRow) { b.out.buckets = append(b.out.buckets, b.buckets.replace(r)) }

// conflictingMove refuses a step on a bucket that is not in the state the step is for.
func conflictingMove(bucket int, now bucketRow, shard int) *errs.Error {
	return errs.New(errs.CodeConflict, "bucket %d is %s on shard %d, by move %q", bucket, now.state, shard, now.move)
}

// fence stops serving a bucket: every transfer that the writer takes after it is turned away. What
// the shard has of the bucket then is what there will ever be.
type fence struct {
	move   string
	to     int
	bucket int
	seq    int64 // answer: of the fence
}

func (s *fence) apply(_ context.Context, b *builder) error {
	now := b.buckets.rows[s.bucket]
	switch {
	case now.state == bucketFenced && now.move == s.move:
		s.seq = now.seq // a step repeated after a crash
		return nil
	case now.state != bucketLive:
		return asRefusal(conflictingMove(s.bucket, now, b.shard))
	}
	s.seq = b.mark(KindMoveOut, nil)
	b.setBucket(bucketRow{s.bucket, bucketFenced, s.to, s.move, s.seq})
	return nil
}

// unfence serves the bucket again: its move was given up.
type unfence struct {
	move   string
	bucket int
}

func (s *unfence) apply(_ context.Context, b *builder) error {
	now := b.buckets.rows[s.bucket]
	if now.state != bucketFenced || now.move != s.move {
		return nil
	}
	b.mark(KindMoveIn, nil)
	b.setBucket(bucketRow{s.bucket, bucketLive, -1, s.move, 0})
	return nil
}

// moveOut takes a fenced bucket's share out of the shard's house accounts. From here on the bucket
// is the other shard's, even if that does not know it yet.
type moveOut struct {
	move   string
	to     int
	bucket int
	shares []share
	seq    int64 // answer: of the record
}

func (s *moveOut) apply(ctx context.Context, b *builder) error {
	now := b.buckets.rows[s.bucket]
	switch {
	case now.state == bucketAway && now.move == s.move:
		s.seq = now.seq
		return nil
	case now.state != bucketFenced || now.move != s.move:
		return asRefusal(conflictingMove(s.bucket, now, b.shard))
	}
	if err := b.shift(ctx, KindMoveOut, s.shares, -1); err != nil {
		return err
	}
	for _, part := range s.shares {
		b.out.shares = append(b.out.shares, shareChange{s.bucket, b.cache.find(part.address).id, part.amount, true})
	}
	record, err := bucketRecord(stream.TypeBucketMovedOut, stream.BucketMoved{
		Bucket: s.bucket, MoveID: s.move, From: b.shard, To: s.to, FromSeq: b.out.last + 1,
	})
	if err != nil {
		return err
	}
	s.seq = b.mark(KindMoveOut, record)
	b.setBucket(bucketRow{s.bucket, bucketAway, s.to, s.move, s.seq})
	return nil
}

// readShares reads the bucket's shares in the order of the shard's log.
type readShares struct {
	bucket int
	shares []share
}

func (s *readShares) apply(ctx context.Context, b *builder) (err error) {
	s.shares, err = b.store.shares(ctx, s.bucket)
	return err
}

// moveIn adds the copied bucket's share to the shard's house accounts and serves its players.
type moveIn struct {
	move    string
	from    int
	bucket  int
	fromSeq int64 // of the source's moveOut
	atUS    int64 // its time: what happens here happens later
	seq     int64 // answer: of the record
}

func (s *moveIn) apply(ctx context.Context, b *builder) error {
	now := b.buckets.rows[s.bucket]
	switch {
	case now.state == bucketLive && now.move == s.move:
		s.seq = now.seq
		return nil
	case now.state != bucketCopying || now.move != s.move:
		return asRefusal(conflictingMove(s.bucket, now, b.shard))
	}
	shares, err := b.store.shares(ctx, s.bucket)
	if err != nil {
		return err
	}
	if err := b.shift(ctx, KindMoveIn, shares, 1); err != nil {
		return err
	}
	record, err := bucketRecord(stream.TypeBucketMovedIn, stream.BucketMoved{
		Bucket: s.bucket, MoveID: s.move, From: s.from, To: b.shard, FromSeq: s.fromSeq,
	})
	if err != nil {
		return err
	}
	if at := fromMicros(s.atUS); b.out.at.Before(at) {
		b.out.at = at
	}
	s.seq = b.mark(KindMoveIn, record)
	b.setBucket(bucketRow{s.bucket, bucketLive, s.from, s.move, s.seq})
	return nil
}

func bucketRecord(kind string, p stream.BucketMoved) (*stream.Draft, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode %s of bucket %d: %w", kind, p.Bucket, err)
	}
	return &stream.Draft{Type: kind, Subject: fmt.Sprintf("bucket-%d", p.Bucket), Data: data}, nil
}

// shift moves shares between the house accounts and the elsewhere accounts: sign 1 brings them in,
// -1 takes them out. Shares of one jurisdiction and currency are zero together, because they are
// the sum of transfers that are.
func (b *builder) shift(ctx context.Context, kind Kind, list []share, sign int64) error {
	list = slices.Clone(list)
	slices.SortFunc(list, func(x, y share) int { return strings.Compare(string(x.address), string(y.address)) })
	want := make([]share, 0, len(list)+1)
	type books struct {
		jurisdiction id.Jurisdiction
		currency     money.Currency
	}
	groups, sums := map[books][]share{}, map[books]int64{}
	var order []books
	for _, s := range list {
		want = append(want, s)
		if s.amount == 0 {
			continue
		}
		at := books{s.address.Jurisdiction(), s.currency}
		if groups[at] == nil {
			order = append(order, at)
			want = append(want, share{address: elsewhere(typeCash, at.jurisdiction, at.currency), currency: at.currency})
		}
		groups[at] = append(groups[at], s)
		sums[at] += s.amount
	}
	for at, sum := range sums {
		if sum != 0 {
			return broken("the shares of a bucket in %s and %s add up to %d, not to zero", at.jurisdiction, at.currency, sum)
		}
	}
	if err := b.intern(ctx, want); err != nil {
		return err
	}
	for _, at := range order {
		cash := elsewhere(typeCash, at.jurisdiction, at.currency)
		others := slices.DeleteFunc(groups[at], func(s share) bool { return s.address == cash })
		for part := range slices.Chunk(others, MaxPostings-1) {
			e := b.ownEntry(kind, at.jurisdiction, at.currency)
			r := b.begin(&e)
			var sum int64
			for _, s := range part {
				b.post(r, b.cache.find(s.address), sign*s.amount, 0)
				sum += sign * s.amount
			}
			b.post(r, b.cache.find(cash), -sum, 0)
			b.finish(r, &e)
		}
	}
	return nil
}

// intern puts the accounts of the shares into the cache: those that exist as they are, the others
// opened. An account that has another currency here refuses the step.
func (b *builder) intern(ctx context.Context, list []share) error {
	var missing []Address
	for _, s := range list {
		if b.cache.find(s.address) == nil {
			missing = append(missing, s.address)
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	if err := b.loadAccounts(ctx, missing); err != nil {
		return err
	}
	for _, s := range list {
		if a := b.cache.find(s.address); a != nil && a.currency != s.currency {
			return asRefusal(errs.New(errs.CodeConflict, "account %s is in %s on shard %d, in %s on the other", s.address, a.currency, b.shard, s.currency))
		}
	}
	for _, s := range list {
		if b.cache.find(s.address) != nil {
			continue
		}
		if _, ok := parseAddress(string(s.address)); !ok {
			return broken("account address %.40q", s.address)
		}
		b.open(s.address, s.currency)
	}
	return nil
}
