package sportsbook

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// applyMoves applies records among which buckets of players leave the shard or come to it.
func (o *openBets) applyMoves(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
	if o.moves == nil {
		return errs.New(errs.CodeInternal, "open bets: buckets move, and the log cannot list a bucket's records")
	}
	m := stream.Moves{
		Records: func(list []stream.Record) error {
			return o.applyRecords(ctx, tx, []stream.Batch{{Records: list}}, false)
		},
		Left: func(bucket int) error { return o.leave(ctx, tx, bucket) },
		Came: func(bucket int, seq int64) error { return o.come(ctx, tx, bucket, seq) },
	}
	return m.Each(batches)
}

// leave deletes the bets of a bucket's players: their next shard has them from the log.
func (o *openBets) leave(ctx context.Context, tx *sql.Tx, bucket int) error {
	const settled = `
		DELETE FROM bet_settled
		WHERE bet_id = ?`
	seqs, err := o.ofBucket(ctx, tx, bucket)
	if err != nil {
		return err
	}
	var parser legParser
	for chunk := range slices.Chunk(seqs, maxLookup) {
		bets, err := betsOn(ctx, tx, chunk)
		if err != nil {
			return err
		}
		for i := range bets {
			b := &bets[i]
			legs, err := parser.parse(b.legs)
			if err != nil {
				return fmt.Errorf("bet %s: %w", b.id, err)
			}
			if err := deleteBet(ctx, tx, b.seq, legs); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, settled, b.id); err != nil {
				return sqldb.Wrap("delete settlement", err)
			}
		}
		o.pending.left = append(o.pending.left, bets...)
	}
	return nil
}

// come makes the bets of a bucket's players from their records on this shard's log.
func (o *openBets) come(ctx context.Context, tx *sql.Tx, bucket int, seq int64) error {
	var placed []int64
	err := o.moves.BucketRecords(ctx, o.shard, bucket, seq, func(list []stream.Record) error {
		for i := range list {
			if list[i].Type == stream.TypeBetPlaced {
				placed = append(placed, list[i].Position.Seq)
			}
		}
		return o.applyRecords(ctx, tx, []stream.Batch{{Records: list}}, true)
	})
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(placed, maxLookup) {
		bets, err := betsOn(ctx, tx, chunk)
		if err != nil {
			return err
		}
		for i := range bets {
			if bets[i].isOpen() {
				o.pending.came = append(o.pending.came, bets[i])
			}
		}
	}
	return nil
}

// ofBucket returns the sequences of the bets of a bucket's players.
func (o *openBets) ofBucket(ctx context.Context, tx *sql.Tx, bucket int) ([]int64, error) {
	const q = `
		SELECT seq, player_id
		FROM bet`
	rows, err := tx.QueryContext(ctx, q)
	if err != nil {
		return nil, sqldb.Wrap("find bets of a bucket", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	var seqs []int64
	for rows.Next() {
		var seq int64
		var player id.Player
		if err := rows.Scan(&seq, &player); err != nil {
			return nil, sqldb.Wrap("find bets of a bucket", err)
		}
		if o.moves.BucketOf(player) == bucket {
			seqs = append(seqs, seq)
		}
	}
	return seqs, sqldb.Wrap("find bets of a bucket", rows.Err())
}

// betsOn reads bets by sequence as the DBTx sees them.
func betsOn(ctx context.Context, tx *sql.Tx, seqs []int64) ([]bet, error) {
	const q = `
		SELECT ` + betColumns + `
		FROM bet b
		LEFT JOIN bet_settled s ON s.bet_id = b.bet_id
		WHERE b.seq IN `
	args := make([]any, len(seqs))
	for i, seq := range seqs {
		args[i] = seq
	}
	rows, err := tx.QueryContext(ctx, q+valueTuple(len(seqs)), args...)
	if err != nil {
		return nil, sqldb.Wrap("read bets of a bucket", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	var out []bet
	for rows.Next() {
		out = append(out, bet{})
		if err := scanBet(rows, &out[len(out)-1]); err != nil {
			return nil, sqldb.Wrap("read bets of a bucket", err)
		}
	}
	return out, sqldb.Wrap("read bets of a bucket", rows.Err())
}

// moved hears, after its commit, which bets went to another shard with their players and which open
// ones came. What was on its way to the payer is settled where the player is now.
func (w *shardSettler) moved(left, came []bet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range left {
		b := &left[i]
		delete(w.flights, b.id)
		delete(w.stuck, b.id)
		if b.isOpen() {
			w.expose(b, false)
		}
	}
	for i := range came {
		w.expose(&came[i], true)
	}
	w.t.metrics.flights(w.shard, len(w.flights))
	signal(w.confirmed)
	signal(w.wake)
}

// expose counts an open bet in the exposure, or no longer. Until the open bets were counted at the
// start, it leaves that to the count. The caller holds mu.
func (w *shardSettler) expose(b *bet, counted bool) {
	if !w.restored {
		return
	}
	legs, err := w.parser.parse(b.legs)
	if err != nil {
		w.t.log.Error("legs of a bet that moved are not readable", "bet_id", b.id, "error", err)
		return
	}
	if counted {
		w.t.exposure.restore(b.record(legs))
		return
	}
	w.t.exposure.release(b.record(legs))
}
