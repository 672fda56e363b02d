package ledger

import (
	"context"
	"errors"
	"strconv"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// bucketState is what a bucket is to a shard. The numbers are stored.
type bucketState uint8

const (
	bucketLive    bucketState = iota + 1 // its players are served here
	bucketFenced                         // about to leave: still counted here, served nowhere
	bucketAway                           // lives on the peer; our rows are kept as a copy
	bucketCopying                        // lives on the peer; its rows are on their way here
)

// String returns the state as messages spell it.
func (s bucketState) String() string {
	return [...]string{0: "unknown", bucketLive: "live", bucketFenced: "fenced", bucketAway: "away", bucketCopying: "copying"}[s]
}

// bucketRow is what a shard keeps of a bucket it has, had, or is getting. Together the rows of two
// shards say who has the bucket, whatever a directory says: at most one of them is live or fenced.
type bucketRow struct {
	bucket int
	state  bucketState
	peer   int    // the other shard of the last move; -1 if there was none
	move   string // the last move
	// seq is where in our log the bucket came, was fenced or left. While copying it is how far the
	// peer's log has been copied.
	seq int64
}

// bucketStates are the buckets of one shard as its writer knows them, the batch being built included.
type bucketStates struct {
	rows  map[int]bucketRow
	bits  [buckets / 64]uint64 // which are live
	lived int                  // how often one came to be live
	undo  []bucketRow          // what the batch being built replaced; state 0: there was none
}

// load replaces everything by the rows.
func (s *bucketStates) load(list []bucketRow) {
	*s = bucketStates{rows: make(map[int]bucketRow, len(list)), lived: s.lived + 1}
	for _, r := range list {
		s.put(r)
	}
}

// live reports whether the bucket's players are served here.
func (s *bucketStates) live(bucket int) bool { return s.bits[bucket/64]&(1<<(bucket%64)) != 0 }

func (s *bucketStates) put(r bucketRow) {
	s.bits[r.bucket/64] &^= 1 << (r.bucket % 64)
	switch r.state {
	case 0:
		delete(s.rows, r.bucket)
		return
	case bucketLive:
		s.bits[r.bucket/64] |= 1 << (r.bucket % 64)
		s.lived++
	}
	s.rows[r.bucket] = r
}

// begin forgets what could be undone: a batch was committed.
func (s *bucketStates) begin() { s.undo = s.undo[:0] }

// rollback restores what was before the batch.
func (s *bucketStates) rollback() { s.rollbackTo(0) }

// rollbackTo restores what was when the batch had replaced n rows.
func (s *bucketStates) rollbackTo(n int) {
	for i := len(s.undo) - 1; i >= n; i-- {
		s.put(s.undo[i])
	}
	s.undo = s.undo[:n]
}

// replace sets a row for the batch being built, and returns it.
func (s *bucketStates) replace(r bucketRow) bucketRow {
	old := s.rows[r.bucket]
	old.bucket = r.bucket
	s.undo = append(s.undo, old)
	s.put(r)
	return r
}

// share is what a bucket's rows add up to on one account of the shard: a house account, or the
// elsewhere account that stands for the players' own.
type share struct {
	address  Address
	currency money.Currency
	amount   int64
}

// shareChange is a row of the share table to add to, or to set.
type shareChange struct {
	bucket  int
	account int64
	amount  int64
	set     bool
}

// copiedUpTo says how far the peer's log has been copied for the buckets of a move.
type copiedUpTo struct {
	move string
	seq  int64
}

// moverStore is what moving buckets needs of a database.
type moverStore interface {
	// buckets returns every bucket the shard has, had or is getting.
	buckets(ctx context.Context) ([]bucketRow, error)
	// claim makes the buckets live; those that have a row already are left as they are.
	claim(ctx context.Context, list []int) error
	// shares returns what the bucket's copied rows add up to.
	shares(ctx context.Context, bucket int) ([]share, error)
	// copyRows returns the transfers after one sequence and up to another of players of wanted buckets,
	// of each bucket those after its own sequence, in order, at most limit of them, and the sequence up to
	// which the log was looked at. It reads beside the writer.
	copyRows(ctx context.Context, shard int, after, end int64, limit int, wanted map[int]int64) ([]copiedRow, int64, error)
}

// ownedBuckets returns what the shard has of buckets. Books from before buckets could move say
// nothing of them: there the placement does, once.
func ownedBuckets(ctx context.Context, st moverStore, shard int, place *placement) ([]bucketRow, error) {
	list, err := st.buckets(ctx)
	if err != nil || len(list) > 0 {
		return list, err
	}
	var own []int
	for bucket, on := range place.shards {
		if int(on) == shard {
			own = append(own, bucket)
		}
	}
	if err := st.claim(ctx, own); err != nil {
		return nil, err
	}
	return st.buckets(ctx)
}

// step is work of a move that a shard's writer does in the order of its log. It either refuses with an
// answered error, and what it did before is taken back, or appends at least one row: so every change of
// a bucket's state is in the log, sealed, and durable with the answer. Any other error is one of the
// store, and fails the batch: what is wrong with a row or a share must not fail those who share it.
type step interface {
	apply(ctx context.Context, b *builder) error
}

// take applies the job's step, if it has one.
func (b *builder) take(ctx context.Context, j *job) error {
	j.refused = nil
	if j.step == nil {
		return nil
	}
	b.mayUndo()
	err := j.step.apply(ctx, b)
	if refused, ok := asAnswer(err); ok {
		b.takeBack()
		j.refused = refused
		return nil
	}
	b.keep()
	return err
}

// errElsewhere answers a transfer of a player whose bucket does not live on the shard (any more).
// Nothing was done; the service asks where it lives now.
var errElsewhere = errs.Wrap(errors.Join(errNotHere, ErrNotTaken), errs.CodeUnavailable,
	"the player's accounts are moving to another shard")

// Jurisdiction and currency of rows that mark a change of buckets and move no money: codes of no
// country and no currency.
const (
	noJurisdiction id.Jurisdiction = "ZZ"
	noCurrency     money.Currency  = "ZZZ"
)

// mark appends a row that moves nothing, with the record if there is one, and returns its sequence.
func (b *builder) mark(kind Kind, record *stream.Draft) int64 {
	e := b.ownEntry(kind, noJurisdiction, noCurrency)
	e.t.Record = record
	b.finish(b.begin(&e), &e)
	return b.out.last
}

// ownEntry is the entry of the next row, if the ledger itself makes it for a move.
func (b *builder) ownEntry(kind Kind, j id.Jurisdiction, c money.Currency) entry {
	return entry{t: &Transfer{
		Key: movePrefix + strconv.FormatInt(b.out.last+1, 10), Kind: kind, Jurisdiction: j, Currency: c,
	}}
}

// refusal is why the job's step was not taken, or nil.
func (j *job) refusal() error {
	if j.refused == nil {
		return nil
	}
	return j.refused
}

// cameWith notes where the buckets came that live here.
func (s *shard) cameWith(owned []bucketRow) {
	for _, r := range owned {
		if r.state == bucketLive {
			s.cameBy(r.seq)
		}
	}
}

// cameBy notes where a bucket came.
func (s *shard) cameBy(seq int64) {
	for {
		old := s.came.Load()
		if seq <= old || s.came.CompareAndSwap(old, seq) {
			return
		}
	}
}
