package history

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// rowsPerStatement is how many rows one statement writes: enough that the call costs little beside
// the rows, few enough that the statement's text stays small.
const rowsPerStatement = 64

// write runs a multi-row statement for chunks of the changes: head, a value list, tail. values
// appends one row's arguments. It returns the number of rows that changed.
func write(ctx context.Context, tx *sql.Tx, changes []*change, head, row, tail string,
	values func([]any, *change) []any) (int64, error) {
	var full *sql.Stmt
	var total int64
	var args []any
	for chunk := range slices.Chunk(changes, rowsPerStatement) {
		args = args[:0]
		for _, c := range chunk {
			args = values(args, c)
		}
		var result sql.Result
		var err error
		if len(chunk) == rowsPerStatement {
			if full == nil {
				if full, err = tx.PrepareContext(ctx, statement(head, row, tail, rowsPerStatement)); err != nil {
					return 0, err
				}
				defer func() { _ = full.Close() }()
			}
			result, err = full.ExecContext(ctx, args...)
		} else {
			result, err = tx.ExecContext(ctx, statement(head, row, tail, len(chunk)), args...)
		}
		if err != nil {
			return 0, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// statement joins the parts of a multi-row statement.
func statement(head, row, tail string, rows int) string {
	return head + row + strings.Repeat(",\n"+row, rows-1) + tail
}

// insertSlips writes the constant part of new bets.
func insertSlips(ctx context.Context, tx *sql.Tx, changes []*change) error {
	const (
		head = `
			INSERT INTO slip (seq, jurisdiction, product, currency, placed_us, stake_minor, potential_minor, legs)
			VALUES `
		row = `(?, ?, ?, ?, ?, ?, ?, ?)`
	)
	_, err := write(ctx, tx, changes, head, row, "", func(args []any, c *change) []any {
		return append(args, c.placedSeq, string(c.jurisdiction), c.slip.Product, c.slip.Currency,
			c.placedAt.UnixMicro(), c.slip.StakeMinor, c.slip.PotentialPayoutMinor, string(c.legs))
	})
	return sqldb.Wrap("insert slips", err)
}

// insertBets writes new bets, settled ones with their settlement.
func insertBets(ctx context.Context, tx *sql.Tx, changes []*change) error {
	const (
		head = `
			INSERT INTO bet (player_id, bet_id, jurisdiction, slip_seq, seq, status, version, settled_us, payout_minor, outcomes)
			VALUES `
		row = `(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	)
	_, err := write(ctx, tx, changes, head, row, "", func(args []any, c *change) []any {
		args = append(args, string(c.player), string(c.bet), string(c.jurisdiction), c.placedSeq)
		if c.settlement.version == 0 {
			return append(args, c.placedSeq, int(stateOpen), 0, 0, 0, "")
		}
		return append(args, settlementArgs(&c.settlement)...)
	})
	return sqldb.Wrap("insert bets", err)
}

// settlementArgs lists the columns a settlement sets, in the order of both statements.
func settlementArgs(s *settlement) []any {
	return []any{s.seq, int(s.state), s.version, s.settledUS, s.payout, s.outcomes}
}

// updateBets writes settlements of bets that were placed before: the changed columns only, and only
// over an earlier change.
func updateBets(ctx context.Context, tx *sql.Tx, changes []*change) error {
	const (
		head = `
			WITH settled (player_id, bet_id, jurisdiction, seq, status, version, settled_us, payout_minor, outcomes) AS (
			VALUES `
		row  = `(?, ?, ?, ?, ?, ?, ?, ?, ?)`
		tail = `)
			UPDATE bet
			SET seq = s.seq, status = s.status, version = s.version, settled_us = s.settled_us,
			    payout_minor = s.payout_minor, outcomes = s.outcomes
			FROM settled AS s
			WHERE bet.player_id = s.player_id
			  AND bet.bet_id = s.bet_id
			  AND bet.jurisdiction = s.jurisdiction
			  AND bet.version < s.version
			  AND bet.seq < s.seq`
	)
	changed, err := write(ctx, tx, changes, head, row, tail, func(args []any, c *change) []any {
		args = append(args, string(c.player), string(c.bet), string(c.jurisdiction))
		return append(args, settlementArgs(&c.settlement)...)
	})
	if err != nil {
		return sqldb.Wrap("update bets", err)
	}
	if changed == int64(len(changes)) {
		return nil
	}
	return explain(ctx, tx, changes)
}

// explain looks for the reason why a settlement changed nothing. The bet may show a newer one, which
// is in order; a bet that is not there is not.
func explain(ctx context.Context, tx *sql.Tx, changes []*change) error {
	const q = `
		SELECT COUNT(*)
		FROM bet
		WHERE player_id = ? AND bet_id = ? AND jurisdiction = ?`
	for _, c := range changes {
		var n int
		if err := tx.QueryRowContext(ctx, q, string(c.player), string(c.bet), string(c.jurisdiction)).Scan(&n); err != nil {
			return sqldb.Wrap("find settled bet", err)
		}
		if n == 0 {
			return errs.New(errs.CodeInternal, "history: bet %s is settled at sequence %d and was never placed in %s",
				c.bet, c.settlement.seq, c.jurisdiction)
		}
	}
	return nil
}
