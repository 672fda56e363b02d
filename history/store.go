package history

import (
	"context"
	"database/sql"
	"time"

	"matchday/id"
	"matchday/stream"
)

// store is the database of one shard's bets.
type store interface {
	stream.Store
	reader
	// prepare brings the schema up to date.
	prepare(ctx context.Context) error
	// extendDigest takes more bets of a player into the digest, and reports whether there may be more to take.
	extendDigest(ctx context.Context, player id.Player) (more bool, err error)
	// hasLeft reports whether the player's bucket went to another shard.
	hasLeft(ctx context.Context, player id.Player, bucket int) (bool, error)
	// snapshot shows the bets and the positions at one moment. It must be closed soon.
	snapshot(ctx context.Context) (*snapshot, error)
	// inTables runs fn in one DBTx, beside which nothing else may write.
	inTables(ctx context.Context, fn func(on tables) error) error
	// createFill makes a place to note how far a second history is copied.
	createFill(ctx context.Context) error
	// fillWith tells the projection how far that is; nil is everything.
	fillWith(f *fill)
	close() error
	// sameBet is what the join of a bet with its slip needs beside the slip's sequence.
	sameBet() string

	// inOwnDBTx runs fn in a DBTx between commits.
	inOwnDBTx(ctx context.Context, fn func(on stream.Conn) error) error
	// makeMonths makes the partitions that bets of now and of the next months go to; in a history that has
	// none, from the first month on.
	makeMonths(ctx context.Context, now, first time.Time) error
	// dropMonths drops the months in which every bet is over.
	dropMonths(ctx context.Context, k *keeper) ([]droppedMonth, error)
	// oldBets lists settled bets below an id, by player, after a bet, and where to go on. It may list none and
	// yet have more.
	oldBets(ctx context.Context, after betKey, top id.Bet, limit int) (list []overBet, at betKey, more bool, err error)
	// slipOf returns the statement that deletes the slip of a bet.
	slipOf(b overBet) (q string, args []any)
}

// reader is where bets are read: each query sees what is committed when it begins.
type reader interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// tables writes bets inside one DBTx. What the projection seldom needs it says in SQL that every engine
// understands.
type tables interface {
	stream.Conn
	reader
	// sameBet is as the store's.
	sameBet() string
	// insertBets adds bets, given in log order, settled ones with their settlement.
	insertBets(ctx context.Context, list []*change) error
	// settleBets writes settlements over earlier ones of bets that are there, the changed columns only,
	// and returns how many bets changed; anything but all of them makes the projection look why. A late one
	// whose bet has been dropped changes nothing and counts as changed.
	settleBets(ctx context.Context, list []*change) (int64, error)
	// noteBucket notes that a bucket left the shard, or that it is here.
	noteBucket(ctx context.Context, bucket int, left bool) error
	// forgetPlayer deletes a player's bets.
	forgetPlayer(ctx context.Context, player id.Player) error
}
