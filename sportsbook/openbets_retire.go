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
		n, err := o.deleteBets(ctx, old, before.UnixMicro())
		if err != nil {
			return deleted, err
		}
		deleted += n
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

// deleteBets deletes bets with their legs and settlements, in one DBTx, and returns how many. A bet
// that was settled again, or opened again, after it was listed stays.
func (o *openBets) deleteBets(ctx context.Context, bets []oldBet, beforeUS int64) (deleted int, err error) {
	err = o.db.InTx(ctx, func(tx *sql.Tx) error {
		deleted = 0
		var parser legParser
		for _, b := range bets {
			isOld, err := deleteSettlement(ctx, tx, b.id, beforeUS)
			if err != nil {
				return err
			}
			if !isOld {
				continue
			}
			legs, err := parser.parse(b.legs)
			if err != nil {
				return err
			}
			if err := deleteBet(ctx, tx, b.seq, legs); err != nil {
				return err
			}
			deleted++
		}
		return nil
	})
	return deleted, err
}

// deleteSettlement deletes the settlement of a bet if it is still one from before the time, and
// reports whether it was.
func deleteSettlement(ctx context.Context, tx *sql.Tx, betID id.Bet, beforeUS int64) (bool, error) {
	const q = `
		DELETE FROM bet_settled
		WHERE bet_id = ?
			AND outcome <> ''
			AND settled_us < ?`
	res, err := tx.ExecContext(ctx, q, betID, beforeUS)
	if err != nil {
		return false, sqldb.Wrap("delete settlement", err)
	}
	n, err := res.RowsAffected()
	return n == 1, sqldb.Wrap("delete settlement", err)
}

// deleteBet deletes a bet and its legs.
func deleteBet(ctx context.Context, tx *sql.Tx, seq int64, legs []leg) error {
	const (
		deleteLeg = `
			DELETE FROM bet_leg
			WHERE market = (SELECT market FROM market WHERE market_id = ?)
				AND seq = ?`
		deleteRow = `
			DELETE FROM bet
			WHERE seq = ?`
	)
	for _, l := range legs {
		if _, err := tx.ExecContext(ctx, deleteLeg, l.marketID, seq); err != nil {
			return sqldb.Wrap("delete leg", err)
		}
	}
	_, err := tx.ExecContext(ctx, deleteRow, seq)
	return sqldb.Wrap("delete bet", err)
}
