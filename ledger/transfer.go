package ledger

import (
	"encoding/json"
	"time"

	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// Kind says why money moves. The list is closed: which kind may move money between which types of
// account is a table that the ledger enforces.
type Kind uint8

// The kinds. Numbers are stored: append only.
const (
	KindDeposit           Kind = iota + 1 // psp -> cash
	KindWithdrawalRequest                 // cash -> withdrawing
	KindWithdrawal                        // withdrawing -> psp
	KindWithdrawalReturn                  // withdrawing -> cash
	KindStake                             // cash -> bets
	KindSettlement                        // bets -> cash (payout) and revenue
	KindVoid                              // bets -> cash
	KindResettlement                      // revenue <-> cash, owed or, when a bet is open again, bets
	KindHold                              // reserves cash; see HoldTerms
	KindPost                              // turns a hold into money moved
	KindRelease                           // gives a hold back
	KindExpire                            // a hold ran out
	KindAdjustment                        // adjustments <-> cash or owed
	KindOwedRecovery                      // cash -> owed
	KindMoveOut                           // house accounts <-> elsewhere: players leave the shard
	KindMoveIn                            // house accounts <-> elsewhere: players come to the shard
)

// More kinds; 15 to 19 are those of bucket moves. All but KindPlayerTransfer are made by the ledger
// itself only.
const (
	KindLimits         Kind = 20 // changes an account's limits; moves nothing
	KindMetadata       Kind = 21 // changes an account's metadata; moves nothing
	KindPlayerTransfer Kind = 22 // cash <-> transit, within a Group only
	KindGroup          Kind = 23 // the outcome of a Group, after its transfers on the same shard
	KindGroupBegin     Kind = 24 // a Group over several shards, as asked
	KindGroupPrepare   Kind = 25 // reserves what one of its transfers needs on another shard
	KindGroupEnd       Kind = 26 // every shard has its part of the outcome
)

// Lane is the queue a transfer waits in.
type Lane uint8

const (
	// LaneInteractive is for what a customer waits for: stakes, deposits, holds.
	LaneInteractive Lane = iota
	// LaneBulk is for payouts and settlements; it cannot delay the interactive lane.
	LaneBulk
)

// Posting is one signed line of a transfer: positive credits the account.
type Posting struct {
	Account     Address
	AmountMinor int64
}

// Transfer is a request to move money: postings in one currency that sum to zero, with at most one
// record that commits with them.
//
// Idempotency: Key is kept for ever. The same Key with the same request answers as the first time;
// with another request it is a conflict. A refusal is kept too.
type Transfer struct {
	Key          string // 1 to 200 bytes of printable ASCII, unique per shard; callers scope their own
	Kind         Kind
	Player       id.Player // decides the shard; must be the player of every player account in Postings
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	Postings     []Posting // 2 to 8; empty for Release, Expire and Post
	Record       *stream.Draft

	// Metadata are names and values of the caller's, kept with the transfer for good and part of what
	// its Key stands for: at most MaxMetadata.
	Metadata map[string]string

	// Request is a digest of what the caller was asked for, if that is not simply the postings: it
	// decides between replay and conflict when Record holds generated ids. Empty: kind, currency,
	// postings and record are compared.
	Request []byte

	Hold        *HoldTerms // only with KindHold
	HoldKey     string     // the hold's Key, with KindPost, KindRelease and KindExpire
	AmountMinor int64      // with KindPost: how much of the hold; 0 is all of it
}

// HoldTerms are the terms of a hold. A hold has exactly two postings: what moves when it is posted
// in full.
type HoldTerms struct {
	ExpiresAt time.Time
}

// Result is the answer to one transfer of a call.
type Result struct {
	Position stream.Position
	At       time.Time // commit time
	Replayed bool      // this Key had been answered before; everything here is the first answer

	// Balances holds the posted balance of each posting's account after the transfer, a house account
	// being that of the player's shard. A hold, a release and an expiry have one: the account whose
	// money is reserved. A post has that account's and then the other's.
	Balances []int64

	// Data is the record's payload as committed: on a replay that of the first request.
	Data json.RawMessage

	// Err is why the transfer was not committed; nil if it was. Refusals (insufficient_funds,
	// limit_reached, excluded, linked_failed) are part of the log and final under their Key; invalid, conflict and
	// unavailable are not.
	Err error
}

// Balance of an account. Available is posted less held.
type Balance struct {
	Account        Address
	Currency       money.Currency
	PostedMinor    int64
	HeldMinor      int64
	AvailableMinor int64
	Position       stream.Position // everything up to here is included
}

// StatementLine is one posting of an account with the balance after it.
type StatementLine struct {
	Position     stream.Position
	Key          string
	Kind         Kind
	At           time.Time
	AmountMinor  int64
	BalanceMinor int64
	Subject      string // of the record, for example a bet id
}
