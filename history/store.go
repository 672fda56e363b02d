package history

import (
	"context"
	"database/sql"

	"matchday/id"
	"matchday/stream"
)

// store is the database of one shard's bets.
type store interface {
	stream.Store
	reader
	// prepare brings the schema up to date.
	prepare(ctx context.Context) error
	// hasLeft reports whether the player's bucket went to another shard.
	hasLeft(ctx context.Context, player id.Player, bucket int) (bool, error)
	close() error
}

// reader is where bets are read: each query sees what is committed when it begins.
type reader interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// tables writes bets inside one DBTx. What the projection seldom needs it says in SQL that every engine
// understands.
type tables interface {
	stream.Conn
	// insertBets adds bets, given in log order, settled ones with their settlement.
	insertBets(ctx context.Context, list []*change) error
	// settleBets writes settlements over earlier ones of bets that are there, the changed columns only,
	// and returns how many bets changed; anything but all of them makes the projection look why.
	settleBets(ctx context.Context, list []*change) (int64, error)
	// noteBucket notes that a bucket left the shard, or that it is here.
	noteBucket(ctx context.Context, bucket int, left bool) error
	// forgetPlayer deletes a player's bets.
	forgetPlayer(ctx context.Context, player id.Player) error
}
