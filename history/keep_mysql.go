package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"matchday/id"
	"matchday/internal/mysqldb"
	"matchday/stream"
)

// inOwnDBTx implements store.
func (s *mysqlStore) inOwnDBTx(ctx context.Context, fn func(on stream.Conn) error) error {
	return s.on(ctx, func(conn *sql.Conn) error {
		return s.tenure.InDBTx(ctx, conn, func() error { return fn(conn) })
	})
}

// droppedMonth is a month that was dropped, with the number of its bets.
type droppedMonth struct {
	month month
	bets  int64
}

// dropMonths implements store. Where a bet is to stay, an open one or one of a jurisdiction that keeps longer,
// the month stays, and its other bets go one by one.
func (s *mysqlStore) dropMonths(ctx context.Context, k *keeper) (out []droppedMonth, err error) {
	floors, top := k.all()
	if top == "" {
		return nil, nil
	}
	have, err := s.months(ctx, "bet")
	if err != nil {
		return nil, err
	}
	for _, m := range have {
		if (m + 1).first() > top {
			break
		}
		bets, dropped, err := s.dropMonth(ctx, k, floors, m)
		if err != nil {
			return out, fmt.Errorf("drop month %s: %w", m, err)
		}
		if dropped {
			out = append(out, droppedMonth{m, bets})
		}
	}
	return out, nil
}

// dropMonth drops a month if nothing in it is to stay. A bet may come back to life, or come from another
// shard, while its bets are looked at: the keeper watches for that.
func (s *mysqlStore) dropMonth(ctx context.Context, k *keeper, floors map[id.Jurisdiction]id.Bet, m month) (bets int64, dropped bool, err error) {
	end := (m + 1).first()
	k.watch(end)
	defer k.watch("")
	bets, stay, err := s.countMonth(ctx, floors, m)
	if err != nil || stay {
		return 0, false, err
	}
	var tables []string
	for _, table := range monthTables {
		have, err := s.months(ctx, table)
		if err != nil {
			return 0, false, err
		}
		if slices.Contains(have, m) { // not if an earlier run was stopped between two tables
			tables = append(tables, table)
		}
	}
	dropped, err = k.untouched(func() error {
		for _, table := range tables {
			if err := s.cluster.Alter(ctx, s.database, s.guard()+fmt.Sprintf("ALTER TABLE %s DROP PARTITION %s", table, m)); err != nil {
				return err
			}
		}
		return nil
	})
	return bets, dropped, err
}

// countMonth counts the bets of a month, and says whether one of them is to stay.
func (s *mysqlStore) countMonth(ctx context.Context, floors map[id.Jurisdiction]id.Bet, m month) (bets int64, stay bool, err error) {
	const (
		anyone = `
			SELECT COUNT(*)
			FROM (
				SELECT 1
				FROM bet PARTITION (%s)
				WHERE status = 1 OR jurisdiction NOT IN (%s)
				LIMIT 1) AS staying`
		all = `
			SELECT COUNT(*)
			FROM bet PARTITION (%s)`
	)
	pool, _, err := s.cluster.PrimaryReads(ctx)
	if err != nil {
		return 0, false, err
	}
	var marks []string
	var over []any
	for j, floor := range floors {
		if floor >= (m + 1).first() {
			marks, over = append(marks, "?"), append(over, string(j))
		}
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return 0, false, mysqldb.Wrap("connect", err)
	}
	defer func() { mysqldb.Release(ctx, conn, err) }()
	if _, err = conn.ExecContext(ctx, "USE "+mysqldb.Quote(s.database)); err != nil {
		return 0, false, mysqldb.Wrap("use "+s.database, err)
	}
	var staying int
	err = conn.QueryRowContext(ctx, fmt.Sprintf(anyone, m, strings.Join(marks, ",")), over...).Scan(&staying)
	if err != nil || staying > 0 {
		return 0, staying > 0, mysqldb.Wrap("look for bets that stay", err)
	}
	err = conn.QueryRowContext(ctx, fmt.Sprintf(all, m)).Scan(&bets)
	return bets, false, mysqldb.Wrap("count bets of a month", err)
}

// oldBets implements store. The server looks into the months below top only, and into the first one that is
// left, where older bets of moved players go.
func (s *mysqlStore) oldBets(ctx context.Context, after betKey, top id.Bet, limit int) (list []overBet, at betKey, more bool, err error) {
	const q = `
		SELECT player_id, bet_id, jurisdiction, slip_seq
		FROM bet
		WHERE player_id >= ?
		  AND (player_id > ? OR bet_id > ?)
		  AND bet_id < ?
		  AND status > 1
		ORDER BY player_id, bet_id
		LIMIT ?`
	rows, err := s.QueryContext(ctx, q, string(after.player), string(after.player), string(after.bet), string(top), limit)
	if err != nil {
		return nil, after, false, mysqldb.Wrap("find old bets", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b overBet
		if err := rows.Scan(&b.player, &b.bet, &b.jurisdiction, &b.slip); err != nil {
			return nil, after, false, mysqldb.Wrap("find old bets", err)
		}
		list, at = append(list, b), b.betKey
	}
	return list, at, len(list) == limit, mysqldb.Wrap("find old bets", rows.Err())
}

// slipOf implements store.
func (s *mysqlStore) slipOf(b overBet) (string, []any) {
	const q = `
		DELETE FROM slip
		WHERE seq = ?
		  AND bet_id = ?`
	return q, []any{b.slip, string(b.bet)}
}
