package sportsbook

import (
	"context"
	"database/sql"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// retire deletes the bets that were settled before the time, chunk bets in a DBTx so that the
// projection never waits long, and returns how many it deleted.
func (o *openBets) retire(ctx context.Context, before time.Time, chunk int) (int, error) {
	const q = `
		SELECT bet_id
		FROM bet_settled
		WHERE bet_id > ?
			AND settled_us < ?
			AND outcome <> ''
		ORDER BY bet_id
		LIMIT ?`
	deleted := 0
	last := id.Bet("")
	for {
		ids, err := o.betIDs(ctx, q, last, before.UnixMicro(), chunk)
		if err != nil || len(ids) == 0 {
			return deleted, err
		}
		bets, err := o.byID(ctx, ids)
		if err != nil {
			return deleted, err
		}
		if err := o.db.InTx(ctx, func(tx *sql.Tx) error { return deleteBets(ctx, tx, bets, ids) }); err != nil {
			return deleted, err
		}
		deleted += len(bets)
		last = ids[len(ids)-1]
	}
}

// betIDs returns the ids that q selects.
func (o *openBets) betIDs(ctx context.Context, q string, args ...any) ([]id.Bet, error) {
	rows, err := o.db.Read.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, sqldb.Wrap("list old bets", err)
	}
	defer func() { _ = rows.Close() }() // the error is in rows.Err
	var ids []id.Bet
	for rows.Next() {
		var betID id.Bet
		if err := rows.Scan(&betID); err != nil {
			return nil, sqldb.Wrap("list old bets", err)
		}
		ids = append(ids, betID)
	}
	return ids, sqldb.Wrap("list old bets", rows.Err())
}

// deleteBets deletes bets with their legs, and settlements by bet id.
func deleteBets(ctx context.Context, tx *sql.Tx, bets []bet, ids []id.Bet) error {
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
	for i := range bets {
		legs, err := parser.parse(bets[i].legs)
		if err != nil {
			return err
		}
		for _, l := range legs {
			if _, err := tx.ExecContext(ctx, deleteLeg, l.marketID, bets[i].seq); err != nil {
				return sqldb.Wrap("delete leg", err)
			}
		}
		if _, err := tx.ExecContext(ctx, deleteBet, bets[i].seq); err != nil {
			return sqldb.Wrap("delete bet", err)
		}
	}
	for _, betID := range ids {
		if _, err := tx.ExecContext(ctx, deleteSettled, betID); err != nil {
			return sqldb.Wrap("delete settlement", err)
		}
	}
	return nil
}
