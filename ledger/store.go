package ledger

import (
	"context"
	"errors"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// store keeps one shard. The writer side (writerStore) is called by the shard's writer only, one
// call at a time; the reader side by anyone, never waiting for the writer.
type store interface {
	writerStore
	readerStore
	close() error
}

// writerStore is what a writer needs of its database.
type writerStore interface {
	moverStore
	// takeOver raises the epoch, which stops every earlier writer at its next commit, and returns
	// where the log stands, all in one DBTx. A log that lacks one of the marks is left as it is:
	// errDiverged.
	takeOver(ctx context.Context, t takeover) (shardState, error)
	// state returns where the log stands without raising the epoch; errs.CodeNotFound for a shard that
	// nobody has taken over yet.
	state(ctx context.Context) (shardState, error)
	// accounts returns those of the addresses that exist, with their newest balances.
	accounts(ctx context.Context, addresses []Address) ([]storedAccount, error)
	// addresses returns the addresses of account ids.
	addresses(ctx context.Context, ids []int64) (map[int64]Address, error)
	// transfers returns those of the keys that exist.
	transfers(ctx context.Context, keys []string) ([]storedTransfer, error)
	// hold returns the hold made under the key; errs.CodeNotFound if there is none.
	hold(ctx context.Context, key string) (storedHold, error)
	// limitsOf returns the newest limits of those accounts that have any.
	limitsOf(ctx context.Context, accounts []int64) (map[int64]*limitsExtra, error)
	// accountMetadata returns the newest metadata of an account, nil if it has none.
	accountMetadata(ctx context.Context, account int64) (map[string]string, error)
	// expired returns open holds that ran out after the mark and by now, in that order; account 0 is any
	// account.
	expired(ctx context.Context, account int64, after holdMark, now time.Time, limit int) ([]storedHold, error)
	// raiseEpoch changes the shard's epoch from one to a higher; errFenced if it is another by now.
	raiseEpoch(ctx context.Context, from, to int64) error
	// settled is state once every commit of this process has ended, also one of a connection that
	// was lost, or is still on its way: if the log ends where the writer left it, the epoch is raised, and
	// stays the writer's. So what the answer says of the log holds for good.
	settled(ctx context.Context, left shardState) (shardState, error)
	// passing reports whether an error may be over soon: a node that fails over, a lock.
	passing(err error) bool
	// commit writes the batch in one DBTx, which checks the epoch: errFenced if another writer has
	// taken the shard, errDuplicate if a key exists already. After any error nothing is written,
	// except that an error of the commit itself may leave it unknown; state then tells.
	commit(ctx context.Context, b *batch) error
}

// readerStore is what reads need. Each call sees one committed state.
type readerStore interface {
	// position returns the last committed sequence that a read here sees.
	position(ctx context.Context) (int64, error)
	// standing returns the same with the epoch of the writer and the seal there that a read here sees.
	standing(ctx context.Context) (mark, error)
	balance(ctx context.Context, a Address) (balanceRow, error)
	// balances returns the balances of the addresses, in their order, the zero row for one that
	// nobody has used. All show everything up to the sequence that it returns, or more.
	balances(ctx context.Context, list []Address) ([]balanceRow, int64, error)
	balanceAt(ctx context.Context, a Address, at time.Time) (balanceRow, error)
	statement(ctx context.Context, a Address, q StatementQuery) ([]StatementLine, error)
	log(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error)
	export(ctx context.Context, shard int, fn func(ExportedTransfer) error) error
	// sealAt returns the newest batch that ends at or before seq, without its rows; zero if there is none.
	sealAt(ctx context.Context, seq int64) (sealedBatch, error)
	// sealed returns the batches after a sequence with everything their seals cover: as many as have
	// maxRows rows, and one at least unless there is none.
	sealed(ctx context.Context, after int64, maxRows int) ([]sealedBatch, error)
	// openHolds returns the open holds of an account made after a sequence, oldest first.
	openHolds(ctx context.Context, a Address, after int64, limit int) ([]OpenHold, error)
	// seqAt returns the last sequence committed at or before the time, 0 if there is none.
	seqAt(ctx context.Context, at time.Time) (int64, error)
	// totals sums the balances up to a sequence.
	totals(ctx context.Context, cut int64) ([]totalRow, error)
	// takings sums what moved on the accounts of products after one sequence and up to another.
	takings(ctx context.Context, after, upTo int64) ([]takingRow, error)
	// names returns the addresses of account ids.
	names(ctx context.Context, ids []int64) (map[int64]Address, error)
	// limits returns an account's limits as last committed, nil if it never had any.
	limits(ctx context.Context, a Address) (*limitsExtra, error)
	// metadata returns an account's metadata as last committed, empty if it has none.
	metadata(ctx context.Context, a Address) (map[string]string, error)
	// bucketRecords hands over the records of a bucket's players up to a sequence, copies included.
	bucketRecords(ctx context.Context, shard, bucket int, upTo int64, fn func([]stream.Record) error) error
	// rowAt returns the transfer at a sequence; the zero value if there is none.
	rowAt(ctx context.Context, shard int, seq int64) (placedRow, error)
	// serves reports whether the bucket's players are served on this shard, or will be again.
	serves(ctx context.Context, bucket int) (bool, error)
	// bucketsAt returns the same with their shares, and where the log ended at that moment.
	bucketsAt(ctx context.Context) (shardBuckets, error)
	// bucketRows returns every bucket the shard has, had or is getting.
	bucketRows(ctx context.Context) ([]bucketRow, error)
	// openGroups returns the groups that began on this shard and have not ended, oldest first.
	openGroups(ctx context.Context, limit int) ([]openGroup, error)
	// answered returns the transfer stored under the key; false if there is none.
	answered(ctx context.Context, key string) (storedTransfer, bool, error)
}

var (
	errFenced    = errors.New("another writer has taken the shard")
	errDuplicate = errors.New("a key of the batch exists already")
	errMoved     = errors.New("the log is not where this writer left it")
)

// shardState is where a shard's log stands.
type shardState struct {
	shards   int // see madeFor
	epoch    int64
	writer   string // who raised it; "" in books from before this was noted
	seq      int64
	accounts int64
	at       time.Time
	seal     seal
}

// storedAccount is an account with its newest balance.
type storedAccount struct {
	id       int64
	address  Address
	currency money.Currency
	posted   int64
	held     int64
	limited  bool // its newest posting says that it has limits
}

// openGroup is a group over several shards that has not ended.
type openGroup struct {
	seq   int64
	key   string // of its first row
	at    time.Time
	extra []byte // of its first row
}

// storedTransfer is a row of the log as a replay needs it.
type storedTransfer struct {
	seq          int64
	key          string
	kind         Kind
	code         errs.Code // "" if committed
	detail       string
	player       id.Player
	jurisdiction id.Jurisdiction
	currency     money.Currency
	print        fingerprint
	holdSeq      int64
	lines        []line
	recordType   string
	subject      string
	data         []byte
	extra        []byte // nil: none
	at           time.Time
	origin       origin
}

// origin says of a copied transfer where it was committed first, and when. The zero value is that of
// a transfer which is no copy.
type origin struct {
	shard int
	seq   int64
	atUS  int64
}

// copied reports whether the transfer came from another shard.
func (o origin) copied() bool { return o.seq != 0 }

// holdState is how far a hold has come. The numbers are stored.
type holdState uint8

const (
	holdOpen holdState = iota + 1
	holdPosted
	holdReleased
	holdExpired
)

// storedHold is a hold with the key it was made under.
type storedHold struct {
	key          string
	seq          int64
	account      int64 // whose money is reserved
	counter      int64 // where it goes when posted
	player       id.Player
	jurisdiction id.Jurisdiction
	currency     money.Currency
	amount       int64
	expires      time.Time
	state        holdState
	posted       int64
	resolved     int64
}

// batch is what one commit writes.
type batch struct {
	epoch int64 // the writer's: commits only while it is the shard's
	// sealedEpoch is that of the writer who made the batch first, if it is imported; 0 is epoch.
	sealedEpoch int64
	first       int64
	last        int64
	at          time.Time
	accounts    int64 // highest account id after the batch
	opened      []*account
	rows        []row
	postings    []posting
	newHolds    []*holdEntry
	oldHolds    []*holdEntry
	limits      []accountLimits
	notes       []accountNote
	begun       []int64      // sequences of groups that began
	ended       []endedGroup // groups that ended
	records     int
	seal        seal
	written     func()        // the store calls it when only its commit is left; nil: nobody asks
	buckets     []bucketRow   // new states
	copied      []copiedUpTo  // how far copying has come
	shares      []shareChange // what was copied adds to
}

// statementsDone tells whoever measures that only the commit is left.
func (b *batch) statementsDone() {
	if b.written != nil {
		b.written()
	}
}

// writtenEpoch is the epoch that the batch's row and its seal have.
func (b *batch) writtenEpoch() int64 {
	if b.sealedEpoch != 0 {
		return b.sealedEpoch
	}
	return b.epoch
}

// row is one transfer of a batch.
type row struct {
	seq          int64
	key          string
	kind         Kind
	code         errs.Code // "" if committed
	detail       string
	player       id.Player
	jurisdiction id.Jurisdiction
	currency     money.Currency
	print        fingerprint
	holdSeq      int64 // 0: none
	lines        []byte
	extra        []byte        // nil: none
	record       *stream.Draft // nil: none, or refused
	balances     []int64
	request      *Transfer // what was asked, for conflicts within the batch
	origin       origin
}

// published reports whether the row's record goes out with the batch: a copy's has gone out before.
func (r *row) published() bool { return r.record != nil && !r.origin.copied() }

// posting is one row of the posting table.
type posting struct {
	account int64
	seq     int64
	amount  int64
	balance int64
	held    int64
	rule    rule
}

// accountLimits are the limits of an account from a sequence on.
type accountLimits struct {
	account int64
	seq     int64
	limitsExtra
}

// accountNote is an account's metadata from a sequence on.
type accountNote struct {
	account int64
	seq     int64
	data    []byte
}

// endedGroup is a group that began under one key and ended at a sequence.
type endedGroup struct {
	began string
	seq   int64
}

// balanceRow is a balance with the place in the log it was read at.
type balanceRow struct {
	currency money.Currency
	posted   int64
	held     int64
	seq      int64
}
