package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// querier runs one statement and returns its rows: a connection, a pool, a DBTx, or [inDatabase].
type querier interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

// dialect is the SQL in which the engines differ, because a form that one of them answers with a
// look-up in an index the other one scans for. Everything else they share.
type dialect struct {
	accounts  string // by address, with the newest balance; a list of addresses follows
	balance   string // of an address, with the shard's position
	balances  string // of a list of addresses, which takes the place of %s
	balanceAt string // of an address at a time
}

// lookups is what a writer reads, over its own connection.
type lookups struct {
	on  querier
	sql *dialect
}

// state implements writerStore.
func (l lookups) state(ctx context.Context) (shardState, error) {
	const q = `
		SELECT s.shards, s.epoch, s.writer, s.seq, s.accounts, s.at_us, b.seal
		FROM shard s
		LEFT JOIN batch b ON b.last_seq = s.seq
		WHERE s.id = 1`
	var out shardState
	var atUS int64
	var sealed []byte
	err := oneRow(l.on.QueryContext(ctx, q))(&out.shards, &out.epoch, &out.writer, &out.seq, &out.accounts, &atUS, &sealed)
	if err != nil {
		return shardState{}, sqldb.Wrap("read shard state", err)
	}
	if out.seq > 0 && len(sealed) != len(out.seal) {
		return shardState{}, errs.New(errs.CodeInternal, "sequence %d has no batch", out.seq)
	}
	copy(out.seal[:], sealed)
	out.at = fromMicros(atUS)
	return out, nil
}

func fromMicros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// maxParameters bounds the look-ups of one statement.
const maxParameters = 500

// accounts implements writerStore.
func (l lookups) accounts(ctx context.Context, addresses []Address) ([]storedAccount, error) {
	out := make([]storedAccount, 0, len(addresses))
	err := eachChunk(addresses, func(args []any) error {
		return l.query(ctx, l.sql.accounts+placeholders(len(args)), args, func(rows *sql.Rows) error {
			var a storedAccount
			var posted, held, bound sql.NullInt64
			err := rows.Scan(&a.id, &a.address, &a.currency, &posted, &held, &bound)
			a.posted, a.held, a.limited = posted.Int64, held.Int64, rule(bound.Int64) == ruleLimited
			out = append(out, a)
			return err
		})
	})
	return out, sqldb.Wrap("read accounts", err)
}

// addresses implements writerStore.
func (l lookups) addresses(ctx context.Context, ids []int64) (map[int64]Address, error) {
	return addressesOn(ctx, l.on, ids)
}

func addressesOn(ctx context.Context, on querier, ids []int64) (map[int64]Address, error) {
	const q = `
		SELECT id, address
		FROM account
		WHERE id IN `
	out := make(map[int64]Address, len(ids))
	err := eachChunk(ids, func(args []any) error {
		return eachRow(on.QueryContext(ctx, q+placeholders(len(args)), args...))(func(rows *sql.Rows) error {
			var account int64
			var address Address
			err := rows.Scan(&account, &address)
			out[account] = address
			return err
		})
	})
	return out, sqldb.Wrap("read addresses", err)
}

// transfers implements writerStore.
func (l lookups) transfers(ctx context.Context, keys []string) ([]storedTransfer, error) {
	return transfersOn(ctx, l.on, keys)
}

// transfersOn returns those of the keys that exist, as the connection sees them.
func transfersOn(ctx context.Context, on querier, keys []string) ([]storedTransfer, error) {
	const q = `
		SELECT t.seq, t.key, t.kind, COALESCE(t.code, ''), COALESCE(t.detail, ''), t.player, t.jurisdiction,
			t.currency, t.fingerprint, COALESCE(t.hold_seq, 0), t.lines, COALESCE(t.record_type, ''),
			COALESCE(t.subject, ''), t.data, t.extra, COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= t.seq
				ORDER BY b.last_seq
				LIMIT 1)), COALESCE(t.origin_shard, 0), COALESCE(t.origin_seq, 0), COALESCE(t.origin_at_us, 0)
		FROM transfer t
		WHERE t.key IN `
	var out []storedTransfer
	err := eachChunk(keys, func(args []any) error {
		return eachRow(on.QueryContext(ctx, q+placeholders(len(args)), args...))(func(rows *sql.Rows) error {
			var t storedTransfer
			var lines, print []byte
			var atUS int64
			err := rows.Scan(&t.seq, &t.key, &t.kind, &t.code, &t.detail, &t.player, &t.jurisdiction,
				&t.currency, &print, &t.holdSeq, &lines, &t.recordType, &t.subject, &t.data, &t.extra, &atUS,
				&t.origin.shard, &t.origin.seq, &t.origin.atUS)
			if err != nil {
				return err
			}
			t.at = fromMicros(atUS)
			copy(t.print[:], print)
			if t.lines, err = decodeLines(nil, lines); err != nil {
				return fmt.Errorf("transfer %d: %w", t.seq, err)
			}
			out = append(out, t)
			return nil
		})
	})
	return out, sqldb.Wrap("read transfers by key", err)
}

// holdColumns are what scanHold reads.
const holdColumns = `
		SELECT t.key, h.seq, h.account_id, h.counter_id, t.player, h.jurisdiction, h.currency,
			h.amount_minor, h.expires_us, h.state, h.posted_minor, COALESCE(h.resolved_seq, 0)
		FROM hold h
		JOIN transfer t ON t.seq = h.seq`

func scanHold(scan func(...any) error) (storedHold, error) {
	var h storedHold
	var expiresUS int64
	err := scan(&h.key, &h.seq, &h.account, &h.counter, &h.player, &h.jurisdiction, &h.currency,
		&h.amount, &expiresUS, &h.state, &h.posted, &h.resolved)
	h.expires = fromMicros(expiresUS)
	return h, err
}

// hold implements writerStore.
func (l lookups) hold(ctx context.Context, key string) (storedHold, error) {
	const q = holdColumns + `
		WHERE t.key = ?`
	h, err := scanHold(oneRow(l.on.QueryContext(ctx, q, key)))
	return h, sqldb.Wrap("read hold", err)
}

// expired implements writerStore.
func (l lookups) expired(ctx context.Context, account int64, after holdMark, now time.Time, limit int) ([]storedHold, error) {
	const ofAny = holdColumns + `
		WHERE h.state = 1 AND h.expires_us <= ? AND h.expires_us >= ? AND (h.expires_us > ? OR h.seq > ?)
		ORDER BY h.expires_us, h.seq
		LIMIT ?`
	const ofOne = holdColumns + `
		WHERE h.state = 1 AND h.account_id = ? AND h.expires_us <= ? AND h.expires_us >= ? AND (h.expires_us > ? OR h.seq > ?)
		ORDER BY h.expires_us, h.seq
		LIMIT ?`
	q, args := ofAny, []any{now.UnixMicro(), after.us, after.us, after.seq, limit}
	if account != 0 {
		q, args = ofOne, append([]any{account}, args...)
	}
	var out []storedHold
	err := l.query(ctx, q, args, func(rows *sql.Rows) error {
		h, err := scanHold(rows.Scan)
		out = append(out, h)
		return err
	})
	return out, sqldb.Wrap("read expired holds", err)
}

// query runs q on the writing connection and hands each row to scan.
func (l lookups) query(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error {
	return eachRow(l.on.QueryContext(ctx, q, args...))(scan)
}

// oneRow wraps the reading of a result's only row; sql.ErrNoRows if there is none.
func oneRow(rows *sql.Rows, err error) func(into ...any) error {
	return func(into ...any) error {
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		if !rows.Next() {
			return cmp.Or(rows.Err(), sql.ErrNoRows)
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		return rows.Close()
	}
}

// eachRow wraps the loop over a result.
func eachRow(rows *sql.Rows, err error) func(func(*sql.Rows) error) error {
	return func(scan func(*sql.Rows) error) error {
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// eachChunk calls fn with list as arguments, at most maxParameters at a time.
func eachChunk[T any](list []T, fn func(args []any) error) error {
	for len(list) > 0 {
		n := min(len(list), maxParameters)
		args := make([]any, n)
		for i := range n {
			args[i] = argument(list[i])
		}
		if err := fn(args); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

func argument[T any](v T) any {
	switch x := any(v).(type) {
	case Address:
		return string(x)
	default:
		return x
	}
}

// placeholders returns "(?, ?, ...)" with n marks.
func placeholders(n int) string {
	return "(" + strings.TrimSuffix(strings.Repeat("?, ", n), ", ") + ")"
}
