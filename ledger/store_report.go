package ledger

import (
	"context"
	"database/sql"
	"time"

	"matchday/internal/sqldb"
)

// What the reports read. The statements are the same for both engines.

// seqAt implements readerStore.
func (r tableReads) seqAt(ctx context.Context, at time.Time) (int64, error) {
	return readSeqAt(ctx, r.on, at)
}

// totals implements readerStore.
func (r tableReads) totals(ctx context.Context, cut int64) ([]totalRow, error) {
	return readTotals(ctx, r.on, cut)
}

// takings implements readerStore.
func (r tableReads) takings(ctx context.Context, after, upTo int64) ([]takingRow, error) {
	return readTakings(ctx, r.on, after, upTo)
}

// readSeqAt returns the last sequence committed at or before the time, 0 if there is none.
func readSeqAt(ctx context.Context, on querier, at time.Time) (int64, error) {
	const q = `
		SELECT last_seq
		FROM batch
		WHERE at_us <= ?
		ORDER BY at_us DESC, last_seq DESC
		LIMIT 1`
	var seq int64
	err := eachRow(on.QueryContext(ctx, q, at.UnixMicro()))(func(found *sql.Rows) error { return found.Scan(&seq) })
	return seq, sqldb.Wrap("read position at", err)
}

// readTotals sums the balances up to a sequence. The last posting of each account is one look-up in
// the key of the posting table; what belongs together is summed by the database, so that a million
// players are a few rows. CROSS JOIN keeps SQLite from walking all postings instead of all accounts; to
// MySQL it is a plain join. In an address player/{player}/{jurisdiction}/{role} the role begins after
// the slash that follows the jurisdiction.
func readTotals(ctx context.Context, on querier, cut int64) ([]totalRow, error) {
	const q = `
		SELECT a.jurisdiction, a.currency,
			CASE
				WHEN SUBSTR(a.address, 1, 7) = 'player/'
				THEN SUBSTR(a.address, 9 + INSTR(SUBSTR(a.address, 8), '/') + LENGTH(a.jurisdiction))
				ELSE a.address
			END AS place,
			SUM(CASE WHEN p.balance_minor < 0 THEN -p.balance_minor ELSE 0 END),
			SUM(CASE WHEN p.balance_minor > 0 THEN p.balance_minor ELSE 0 END)
		FROM account a
		CROSS JOIN posting p ON p.account_id = a.id AND p.seq = (
			SELECT MAX(m.seq)
			FROM posting m
			WHERE m.account_id = a.id AND m.seq <= ?)
		GROUP BY a.jurisdiction, a.currency, place`
	var out []totalRow
	err := eachRow(on.QueryContext(ctx, q, cut))(func(found *sql.Rows) error {
		var r totalRow
		err := found.Scan(&r.jurisdiction, &r.currency, &r.place, &r.debit, &r.credit)
		out = append(out, r)
		return err
	})
	return out, sqldb.Wrap("sum balances", err)
}

// readTakings sums what each kind of transfer moved on the accounts of products, after one sequence
// and up to another: a range of the posting table an account, and a look-up of each transfer's kind. Copies from other shards are counted there.
func readTakings(ctx context.Context, on querier, after, upTo int64) ([]takingRow, error) {
	const q = `
		SELECT a.address, a.currency, t.kind, COUNT(*), SUM(p.amount_minor)
		FROM account a
		JOIN posting p ON p.account_id = a.id
		JOIN transfer t ON t.seq = p.seq
		WHERE (a.address BETWEEN 'bets/' AND 'bets0' OR a.address BETWEEN 'revenue/' AND 'revenue0')
			AND p.seq > ? AND p.seq <= ? AND t.origin_seq IS NULL AND t.kind IN `
	const grouped = `
		GROUP BY a.address, a.currency, t.kind`
	args := []any{after, upTo}
	for _, k := range takingKinds {
		args = append(args, int64(k))
	}
	var out []takingRow
	rows, err := on.QueryContext(ctx, q+placeholders(len(takingKinds))+grouped, args...)
	err = eachRow(rows, err)(func(found *sql.Rows) error {
		var r takingRow
		err := found.Scan(&r.account, &r.currency, &r.kind, &r.count, &r.amount)
		out = append(out, r)
		return err
	})
	return out, sqldb.Wrap("sum takings", err)
}
