package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"matchday/internal/sqldb"
)

// statement implements readerStore. It reads the account's postings from the newest selected one
// down: a time costs what a look-up costs, a kind that is rare costs reading past the others.
func (r tableReads) statement(ctx context.Context, a Address, query StatementQuery) ([]StatementLine, error) {
	const q = `
		SELECT p.seq, t.key, t.kind, COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= p.seq
				ORDER BY b.last_seq
				LIMIT 1)),
			p.amount_minor, p.balance_minor, COALESCE(t.subject, '')
		FROM account a
		JOIN posting p ON p.account_id = a.id
		JOIN transfer t ON t.seq = p.seq
		WHERE a.address = ? AND p.seq > ? AND p.seq < ? AND p.amount_minor <> 0%s
		ORDER BY p.seq DESC
		LIMIT ?`
	filter, args, err := r.selected(ctx, a, query)
	if err != nil {
		return nil, err
	}
	var out []StatementLine
	rows, err := r.on.QueryContext(ctx, fmt.Sprintf(q, filter), append(args, query.Limit)...)
	err = eachRow(rows, err)(func(rows *sql.Rows) error {
		var l StatementLine
		var atUS int64
		err := rows.Scan(&l.Position.Seq, &l.Key, &l.Kind, &atUS, &l.AmountMinor, &l.BalanceMinor, &l.Subject)
		l.At = fromMicros(atUS)
		out = append(out, l)
		return err
	})
	return out, sqldb.Wrap("read statement", err)
}

// selected returns the conditions of a query that are not always there, and the arguments of all.
func (r tableReads) selected(ctx context.Context, a Address, q StatementQuery) (filter string, args []any, err error) {
	const during = `
			AND (t.origin_at_us IS NULL AND p.seq > ? AND p.seq <= ? OR t.origin_at_us >= ? AND t.origin_at_us < ?)`
	const ofKinds = `
			AND t.kind IN %s`
	span := statementSpan{below: q.below}
	if !q.From.IsZero() || !q.To.IsZero() {
		fromUS, toUS := int64(math.MinInt64), int64(math.MaxInt64)
		if !q.From.IsZero() {
			fromUS = q.From.UnixMicro()
		}
		if !q.To.IsZero() {
			toUS = q.To.UnixMicro()
		}
		if span, err = r.span(ctx, bucketOf(a.Player()), fromUS, toUS); err != nil {
			return "", nil, err
		}
		span.below = min(span.below, q.below)
		filter += during
		args = append(args, span.first, span.last, fromUS, toUS)
	}
	if len(q.Kinds) > 0 {
		filter += fmt.Sprintf(ofKinds, placeholders(len(q.Kinds)))
		for _, k := range q.Kinds {
			args = append(args, k)
		}
	}
	return filter, append([]any{string(a), span.above, span.below}, args...), nil
}

// statementSpan is the part of the log with a period's transfers of one bucket: those written here
// in the period are after first and up to last, the copies of such transfers are between above and
// below, both excluded.
type statementSpan struct {
	first, last  int64
	above, below int64
}

// span finds the sequences of a period. Copies of its transfers came to this log at other times, but
// not after their bucket arrived, was fenced or left; a bucket that has never moved has none.
func (r tableReads) span(ctx context.Context, bucket int, fromUS, toUS int64) (statementSpan, error) {
	const q = `
		SELECT COALESCE((
				SELECT last_seq
				FROM batch
				WHERE at_us < ?
				ORDER BY at_us DESC, last_seq DESC
				LIMIT 1), 0),
			COALESCE((
				SELECT last_seq
				FROM batch
				WHERE at_us < ?
				ORDER BY at_us DESC, last_seq DESC
				LIMIT 1), 0),
			(
				SELECT CASE WHEN move_id = '' THEN 0 WHEN state < 4 AND seq > 0 THEN seq END
				FROM bucket
				WHERE bucket = ?)`
	var s statementSpan
	var copied sql.NullInt64
	err := oneRow(r.on.QueryContext(ctx, q, fromUS, toUS, bucket))(&s.first, &s.last, &copied)
	switch {
	case err != nil:
		return s, sqldb.Wrap("find the period in the log", err)
	case !copied.Valid: // nothing known of copies
		s.above, s.below = 0, math.MaxInt64
	case copied.Int64 == 0:
		s.above, s.below = s.first, s.last+1
	default:
		s.above, s.below = 0, max(s.last, copied.Int64)+1
	}
	return s, nil
}
