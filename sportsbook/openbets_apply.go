package sportsbook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json" // a third of encoding/json's time per record

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// betChange is what the records of one DBTx did to a bet that was settled, or opened again, in it.
type betChange struct {
	id           id.Bet
	jurisdiction id.Jurisdiction
	seq          int64 // of the record, the last one if there were several
	version      int
	outcome      string
	payoutMinor  int64
	wasOpen      bool // before the DBTx
}

// isOpen reports whether the bet is open now.
func (c betChange) isOpen() bool { return c.outcome == outcomeOpen }

// applied gathers what one DBTx does, until its commit.
type applied struct {
	changes []betChange
	late    []int64  // sequences of bets placed on markets that were decided before
	left    []bet    // open ones that went to another shard with their players
	came    []bet    // open ones that came
	markets []string // numbered in it
}

// settledRow is the last settlement of a bet among the records of a DBTx.
type settledRow struct {
	stream.BetSettled
	jurisdiction id.Jurisdiction
	at           time.Time
	seq          int64
	wasOpen      bool
}

// apply is the stream.Projection of open bets. Records are merged per bet, so that a bet that is
// settled twice in one DBTx is written once.
func (o *openBets) apply(ctx context.Context, tx *sql.Tx, batches []stream.Batch) error {
	o.forget()
	if stream.AnyMove(batches) {
		return o.applyMoves(ctx, tx, batches)
	}
	return o.applyRecords(ctx, tx, batches, false)
}

// applyRecords applies records in which no bucket comes or goes. Copies of records that were applied
// on another shard change nothing that settlement waits for.
func (o *openBets) applyRecords(ctx context.Context, tx *sql.Tx, batches []stream.Batch, copies bool) error {
	var placed, legs []any
	settled := map[id.Bet]*settledRow{}
	var order []id.Bet
	for i := range batches {
		for j := range batches[i].Records {
			r := &batches[i].Records[j]
			var err error
			switch r.Type {
			case stream.TypeBetPlaced:
				placed, legs, err = o.addPlaced(ctx, tx, r, placed, legs)
			case stream.TypeBetSettled:
				order, err = o.addSettled(ctx, tx, r, settled, order)
			}
			if err != nil {
				return fmt.Errorf("open bets: record %s: %w", r.Position, err)
			}
		}
	}
	if err := o.insert(ctx, tx, insertBets, 9, placed); err != nil {
		return sqldb.Wrap("insert bets", err)
	}
	if err := o.insert(ctx, tx, insertLegs, 2, legs); err != nil {
		return sqldb.Wrap("insert legs", err)
	}
	return o.writeSettled(ctx, tx, settled, order, copies)
}

// forget drops what a DBTx did that was not committed.
func (o *openBets) forget() {
	for _, name := range o.pending.markets {
		delete(o.markets, name)
	}
	o.pending = applied{}
}

// addPlaced appends the rows of a placed bet.
func (o *openBets) addPlaced(ctx context.Context, tx *sql.Tx, r *stream.Record, bets, legs []any) ([]any, []any, error) {
	var b stream.BetPlaced
	if err := json.Unmarshal(r.Data, &b); err != nil {
		return nil, nil, err
	}
	if b.Product != Product {
		return bets, legs, nil
	}
	text, err := legsText(b.Legs)
	if err != nil {
		return nil, nil, err
	}
	bets = append(bets, r.Position.Seq, b.BetID, b.PlayerID, b.Jurisdiction, b.Currency, b.StakeMinor,
		b.PotentialPayoutMinor, r.Time.UnixMicro(), text)
	late := false
	for _, l := range b.Legs {
		market, err := o.marketNumber(ctx, tx, l.MarketID)
		if err != nil {
			return nil, nil, err
		}
		legs = append(legs, market, r.Position.Seq)
		late = late || o.decided(l.MarketID)
	}
	if late {
		o.pending.late = append(o.pending.late, r.Position.Seq)
	}
	return bets, legs, nil
}

// marketNumber returns the number of a market id, and gives it one at first sight.
func (o *openBets) marketNumber(ctx context.Context, tx *sql.Tx, marketID string) (int64, error) {
	if n, ok := o.markets[marketID]; ok {
		return n, nil
	}
	const q = `
		INSERT INTO market (market_id)
		VALUES (?)
		ON CONFLICT (market_id) DO UPDATE SET market_id = excluded.market_id
		RETURNING market`
	var n int64
	if err := tx.QueryRowContext(ctx, q, marketID).Scan(&n); err != nil {
		return 0, sqldb.Wrap("number market", err)
	}
	o.markets[marketID] = n
	o.pending.markets = append(o.pending.markets, marketID)
	return n, nil
}

// addSettled notes a settlement, unless a later version of the bet is known.
func (o *openBets) addSettled(ctx context.Context, tx *sql.Tx, r *stream.Record, rows map[id.Bet]*settledRow, order []id.Bet) ([]id.Bet, error) {
	p, err := stream.ParseBetSettled(r.Data)
	if err != nil {
		return nil, err
	}
	next := settledRow{BetSettled: p, jurisdiction: r.Jurisdiction, at: r.Time, seq: r.Position.Seq, wasOpen: true}
	if last, ok := rows[next.BetID]; ok {
		if next.Version > last.Version {
			next.wasOpen = last.wasOpen
			*last = next
		}
		return order, nil
	}
	if next.Version > 1 {
		const q = `
			SELECT outcome = ''
			FROM bet_settled
			WHERE bet_id = ?`
		err := tx.QueryRowContext(ctx, q, next.BetID).Scan(&next.wasOpen)
		if errors.Is(err, sql.ErrNoRows) {
			err, next.wasOpen = nil, false // the bet has retired
		}
		if err != nil {
			return nil, sqldb.Wrap("read settlement of "+string(next.BetID), err)
		}
	}
	rows[next.BetID] = &next
	return append(order, next.BetID), nil
}

// writeSettled upserts the settlements. A version that is not newer changes nothing.
func (o *openBets) writeSettled(ctx context.Context, tx *sql.Tx, rows map[id.Bet]*settledRow, order []id.Bet, copies bool) error {
	args := make([]any, 0, 6*len(order))
	for _, betID := range order {
		r := rows[betID]
		args = append(args, betID, r.jurisdiction, r.Version, r.Outcome, r.PayoutMinor, r.at.UnixMicro())
		if copies {
			continue
		}
		o.pending.changes = append(o.pending.changes, betChange{
			id: betID, jurisdiction: r.jurisdiction, seq: r.seq, version: r.Version, outcome: r.Outcome,
			payoutMinor: r.PayoutMinor, wasOpen: r.wasOpen,
		})
	}
	return sqldb.Wrap("upsert settlements", o.insert(ctx, tx, upsertSettled, 6, args))
}

// committed hands on what the last DBTx did. The sink calls it for each batch of the DBTx; the first
// call takes all.
func (o *openBets) committed(stream.Batch) {
	done := o.pending
	o.pending = applied{}
	if len(done.left)+len(done.came) > 0 {
		o.onMoved(done.left, done.came)
	}
	if len(done.changes)+len(done.late) > 0 {
		o.onApply(done.changes, done.late)
	}
}

// insertStatement is an INSERT of many rows: head, the row's tuple again and again, tail.
type insertStatement struct{ head, tail string }

var (
	insertBets = insertStatement{head: `
		INSERT INTO bet (seq, bet_id, player_id, jurisdiction, currency, stake_minor, potential_minor, placed_us, legs)
		VALUES `}
	insertLegs = insertStatement{head: `
		INSERT INTO bet_leg (market, seq)
		VALUES `}
	upsertSettled = insertStatement{head: `
		INSERT INTO bet_settled (bet_id, jurisdiction, version, outcome, payout_minor, settled_us)
		VALUES `, tail: `
		ON CONFLICT (bet_id) DO UPDATE SET
			version = excluded.version,
			outcome = excluded.outcome,
			payout_minor = excluded.payout_minor,
			settled_us = excluded.settled_us
		WHERE excluded.version > bet_settled.version`}
)

// insertRows are the row counts that statements are prepared for, largest first.
var insertRows = [...]int{100, 10, 1}

// text returns the statement for n rows of the width.
func (i insertStatement) text(n, width int) string {
	tuple := valueTuple(width)
	return i.head + strings.Repeat(tuple+", ", n-1) + tuple + i.tail
}

// prepare prepares every statement that insert may need.
func (o *openBets) prepare(ctx context.Context) error {
	widths := map[insertStatement]int{insertBets: 9, insertLegs: 2, upsertSettled: 6}
	for statement, width := range widths {
		for _, n := range insertRows {
			q := statement.text(n, width)
			prepared, err := o.db.Write.PrepareContext(ctx, q)
			if err != nil {
				return sqldb.Wrap("prepare", err)
			}
			o.inserts[preparedInsert{statement, n}] = prepared
		}
	}
	return nil
}

// preparedInsert names the prepared statement for a number of rows.
type preparedInsert struct {
	statement insertStatement
	rows      int
}

// insert writes args, width values a row, with as few statements as possible.
func (o *openBets) insert(ctx context.Context, tx *sql.Tx, statement insertStatement, width int, args []any) error {
	ctx = context.WithoutCancel(ctx) // under one that can end the driver starts a goroutine for each statement
	for _, n := range insertRows {
		if len(args) < n*width {
			continue
		}
		prepared := tx.StmtContext(ctx, o.inserts[preparedInsert{statement, n}])
		for len(args) >= n*width {
			if _, err := prepared.ExecContext(ctx, args[:n*width]...); err != nil {
				return err
			}
			args = args[n*width:]
		}
	}
	return nil
}
