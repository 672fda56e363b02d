package stream

import (
	"context"
	"encoding/json"
	"time"

	"matchday/id"
)

// Record is one fact that committed with its money at a position of a shard's log. Records are
// immutable; their schemas only ever gain fields.
type Record struct {
	Position     Position
	Type         string // one of the Type constants, for example TypeBetPlaced
	Subject      string // the thing it is about, for example a bet id
	Player       id.Player
	Jurisdiction id.Jurisdiction
	Time         time.Time       // commit time, by the shard's clock
	Data         json.RawMessage // the payload, a JSON object of the type's schema
}

// Draft is a record before it commits: the ledger adds position and time. Data must be one JSON
// object, at most MaxRecordBytes.
type Draft struct {
	Type    string
	Subject string
	Data    json.RawMessage
}

// MaxRecordBytes bounds one record's payload.
const MaxRecordBytes = 16 << 10

// Batch is what one commit added to a shard's log: the sequences First..Last, of which some carry a
// record. Records are in log order.
type Batch struct {
	Shard   int
	First   int64
	Last    int64
	At      time.Time // commit time of the batch
	Records []Record
	// Source is the place right after the batch in what the log was read from, such as a GTID of a
	// binlog; "" if there is none. It only saves work: a reader without one finds its place by sequence.
	Source string
}

// Log is a shard log as relays and sinks read it. The ledger implements it.
type Log interface {
	// Shards returns the number of shards, numbered from 0.
	Shards() int
	// Head returns the last committed sequence of a shard, 0 for an empty log.
	Head(shard int) int64
	// ReadLog returns whole batches that follow the sequence after, in order, at least one if there
	// is one, and not many more than maxRecords records in all.
	ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]Batch, error)
	// Changed returns a channel that is closed at the next commit of the shard.
	Changed(shard int) <-chan struct{}
}

// SharedLog is a Log that other processes write too, so that this one may know its end from a while ago.
type SharedLog interface {
	Log
	// HeadAge returns Head and how long ago that was the end, 0 for now. Known is false before the end was
	// looked for.
	HeadAge(shard int) (seq int64, age time.Duration, known bool)
}

// SourceLog is a Log that reads something with places of its own, and so can be told where a relay
// goes on.
type SourceLog interface {
	Log
	// Resume prepares reading after the sequence, with the Source of the message that ended there.
	// An error that [ErrLost] is in the chain of ends the relay.
	Resume(ctx context.Context, shard int, after int64, source string) error
}
