package sportsbook

import (
	"context"
	"database/sql"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// oldBet is a bet that may be deleted.
type oldBet struct {
	seq  int64
	id   id.Bet
	legs string
}

// retire deletes the bets that were settled before the time, chunk bets at a time so that the
// projection never waits long, and returns how many it deleted. It stops at the first bet that was
// placed after the time, so it reads only what is old.
func (o *openBets) retire(ctx context.Context, before time.Time, chunk int) (int, error) {
	deleted := 0
	var after int64
	for {
		old, last, err := o.oldBets(ctx, after, before.UnixMicro(), chunk)
		if err != nil {
			return deleted, err
		}
		if err := o.db.InTx(ctx, func(tx *sql.Tx) error { return deleteBets(ctx, tx, old) }); err != nil {
			return deleted, err
		}
		deleted += len(old)
		if last == 0 {
			return deleted, nil
		}
		after = last
	}
}

// oldBets returns, of the next chunk bets after a sequence, those that were settled before the time,
// and the sequence to go on after; 0 at the end.
func (o *openBets) oldBets(ctx context.Context, after, beforeUS int64, chunk int) (old []oldBet, last int64, err error) {
	const q = `
		SELECT b.seq, b.bet_id, b.legs, b.placed_us, COALESCE(s.outcome, '') <> '' AND s.settled_us < ?
		FROM bet b
		LEFT JOIN bet_settled s ON s.bet_id = b.bet_id
		WHERE b.seq > ?
		ORDER BY b.seq
		LIMIT ?`
	rows, err := o.db.Read.QueryContext(ctx, q, beforeUS, after, chunk)
	if err != nil {
		return nil, 0, sqldb.Wrap("list old bets", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	for rows.Next() {
		var b oldBet
		var placedUS int64
		var isOld bool
		if err := rows.Scan(&b.seq, &b.id, &b.legs, &placedUS, &isOld); err != nil {
			return nil, 0, sqldb.Wrap("list old bets", err)
		}
		if placedUS >= beforeUS {
			return old, 0, nil
		}
		last = b.seq
		if isOld {
			old = append(old, b)
		}
	}
	return old, last, sqldb.Wrap("list old bets", rows.Err())
}

// deleteBets deletes bets with their legs and settlements.
func deleteBets(ctx context.Context, tx *sql.Tx, bets []oldBet) error {
	const (
		deleteLeg = `
			DELETE FROM bet_leg
			WHERE market = (SELECT market FROM market WHERE market_id = ?)
				AND seq = ?`
		deleteBet = `
			DELETE FROM bet
			WHERE seq = ?`
		deleteSettled = `
			DELETE FROM bet_settled
			WHERE bet_id = ?`
	)
	var parser legParser
	for _, b := range bets {
		legs, err := parser.parse(b.legs)
		if err != nil {
			return err
		}
		for _, l := range legs {
			if _, err := tx.ExecContext(ctx, deleteLeg, l.marketID, b.seq); err != nil {
				return sqldb.Wrap("delete leg", err)
			}
		}
		if _, err := tx.ExecContext(ctx, deleteBet, b.seq); err != nil {
			return sqldb.Wrap("delete bet", err)
		}
		if _, err := tx.ExecContext(ctx, deleteSettled, b.id); err != nil {
			return sqldb.Wrap("delete settlement", err)
		}
	}
	return nil
}
