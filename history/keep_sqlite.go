package history

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// inOwnDBTx implements store. It waits for the writing connection, and so comes between two batches.
func (s *sqliteStore) inOwnDBTx(ctx context.Context, fn func(on stream.Conn) error) error {
	return s.inTx(ctx, func(tx *sqliteTx) error { return fn(tx) })
}

// oldPlayers is how many players one call of oldBets looks at.
const oldPlayers = 1000

// oldBets implements store. A player's bets are together, oldest first: one look tells whether there is an old
// one. The pages that come free take new bets; the file does not shrink.
func (s *sqliteStore) oldBets(ctx context.Context, after betKey, top id.Bet, limit int) (list []overBet, at betKey, more bool, err error) {
	const (
		old = `
			SELECT bet_id, jurisdiction, slip_seq
			FROM bet
			WHERE player_id = ?
			  AND bet_id > ?
			  AND bet_id < ?
			  AND status > 1
			ORDER BY bet_id
			LIMIT ?`
		next = `
			SELECT player_id
			FROM bet
			WHERE player_id > ?
			ORDER BY player_id
			LIMIT 1`
	)
	at = after
	for range oldPlayers {
		n := len(list)
		list, err = s.scanOld(ctx, list, at.player, old, string(at.player), string(at.bet), string(top), limit-n)
		if err != nil {
			return nil, at, false, err
		}
		if len(list) == limit {
			return list, list[limit-1].betKey, true, nil
		}
		at.bet = ""
		err = scanOne(ctx, s, &at.player, next, string(at.player))
		if errors.Is(err, sql.ErrNoRows) {
			return list, at, false, nil
		}
		if err != nil {
			return nil, at, false, sqldb.Wrap("find players with old bets", err)
		}
	}
	return list, at, true, nil
}

// scanOld adds old bets of a player to the list.
func (s *sqliteStore) scanOld(ctx context.Context, list []overBet, player id.Player, q string, args ...any) ([]overBet, error) {
	rows, err := s.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, sqldb.Wrap("find old bets", err)
	}
	defer rows.Close()
	for rows.Next() {
		b := overBet{betKey: betKey{player: player}}
		if err := rows.Scan(&b.bet, &b.jurisdiction, &b.slip); err != nil {
			return nil, sqldb.Wrap("find old bets", err)
		}
		list = append(list, b)
	}
	return list, sqldb.Wrap("find old bets", rows.Err())
}

// slipOf implements store.
func (s *sqliteStore) slipOf(b overBet) (string, []any) {
	const q = `
		DELETE FROM slip
		WHERE seq = ?`
	return q, []any{b.slip}
}

// makeMonths implements store: a file has no months.
func (s *sqliteStore) makeMonths(context.Context, time.Time, time.Time) error { return nil }

// dropMonths implements store: a file has no months.
func (s *sqliteStore) dropMonths(context.Context, *keeper) ([]droppedMonth, error) { return nil, nil }
