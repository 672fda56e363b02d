package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"matchday/internal/sqldb"
)

// buckets implements moverStore.
func (l lookups) buckets(ctx context.Context) ([]bucketRow, error) {
	return bucketsOn(ctx, l.on)
}

// bucketRows implements readerStore.
func (r tableReads) bucketRows(ctx context.Context) ([]bucketRow, error) {
	return bucketsOn(ctx, r.on)
}

func bucketsOn(ctx context.Context, on querier) ([]bucketRow, error) {
	const q = `
		SELECT bucket, state, COALESCE(peer, -1), move_id, seq
		FROM bucket
		ORDER BY bucket`
	var out []bucketRow
	err := eachRow(on.QueryContext(ctx, q))(func(rows *sql.Rows) error {
		var r bucketRow
		err := rows.Scan(&r.bucket, &r.state, &r.peer, &r.move, &r.seq)
		out = append(out, r)
		return err
	})
	return out, sqldb.Wrap("read buckets", err)
}

// shares implements moverStore.
func (l lookups) shares(ctx context.Context, bucket int) ([]share, error) {
	const q = `
		SELECT a.address, a.currency, b.amount_minor
		FROM bucket_share b
		JOIN account a ON a.id = b.account_id
		WHERE b.bucket = ?
		ORDER BY b.account_id`
	var out []share
	err := l.query(ctx, q, []any{bucket}, func(rows *sql.Rows) error {
		var one share
		err := rows.Scan(&one.address, &one.currency, &one.amount)
		out = append(out, one)
		return err
	})
	return out, sqldb.Wrap("read bucket's shares", err)
}

// copyScan bounds how much of the log one call of copyRows looks at: a bucket is a small part of a
// shard, and a read must end.
const copyScan = 20_000

// copyRows implements moverStore. The players are looked at first, because most are not wanted; the
// rows of those that are follow by their sequences. It looks no further than it has to: where most are
// wanted, the rest of a long page would cost more than the rows, and a copy that is behind would fall
// behind for ever.
func (r tableReads) copyRows(ctx context.Context, shard int, after, end int64, limit int, wanted map[int]int64) ([]copiedRow, int64, error) {
	var seqs []int64
	upTo := after
	for looked, page := 0, 2*limit; looked < copyScan && len(seqs) < limit; page *= 2 {
		page = min(page, copyScan-looked)
		read, err := r.wantedSeqs(ctx, &upTo, end, page, limit, wanted, &seqs)
		if err != nil {
			return nil, 0, err
		}
		if looked += read; read < page {
			break
		}
	}
	out := make([]copiedRow, 0, len(seqs))
	err := eachChunk(seqs, func(args []any) error {
		list, err := r.copyOf(ctx, shard, args)
		out = append(out, list...)
		return err
	})
	return out, upTo, err
}

// wantedSeqs adds the sequences of wanted players in the next page of the log up to end, until there are
// limit of them, and moves upTo as far as it looked. It returns how many rows the page had.
func (r tableReads) wantedSeqs(ctx context.Context, upTo *int64, end int64, page, limit int, wanted map[int]int64, into *[]int64) (int, error) {
	const q = `
		SELECT seq, player
		FROM transfer
		WHERE seq > ? AND seq <= ?
		ORDER BY seq
		LIMIT ?`
	read := 0
	err := eachRow(r.on.QueryContext(ctx, q, *upTo, end, page))(func(rows *sql.Rows) error {
		read++
		if len(*into) == limit {
			return nil
		}
		var player sql.RawBytes
		if err := rows.Scan(upTo, &player); err != nil {
			return err
		}
		if len(player) == 0 {
			return nil
		}
		if from, ok := wanted[bucketOf(player)]; ok && *upTo > from {
			*into = append(*into, *upTo)
		}
		return nil
	})
	return read, sqldb.Wrap("read log to copy", err)
}

// copyOf reads transfers by sequence.
func (r tableReads) copyOf(ctx context.Context, shard int, seqs []any) ([]copiedRow, error) {
	const q = `
		SELECT t.seq, t.key, t.kind, COALESCE(t.code, ''), COALESCE(t.detail, ''), t.player, t.jurisdiction,
			t.currency, t.fingerprint, t.lines, COALESCE(t.record_type, ''), COALESCE(t.subject, ''), t.data, t.extra,
			COALESCE(t.origin_shard, ?), COALESCE(t.origin_seq, t.seq), COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= t.seq
				ORDER BY b.last_seq
				LIMIT 1)),
			COALESCE(h.counter_id, 0), COALESCE(h.amount_minor, 0), COALESCE(h.expires_us, 0),
			COALESCE(m.key, ''), COALESCE(m.origin_shard, ?), COALESCE(m.origin_seq, m.seq, 0)
		FROM transfer t
		LEFT JOIN hold h ON h.seq = t.seq
		LEFT JOIN transfer m ON m.seq = t.hold_seq AND m.seq <> t.seq
		WHERE t.seq IN `
	var out []copiedRow
	var counters []int64
	args := append([]any{shard, shard}, seqs...)
	err := eachRow(r.on.QueryContext(ctx, q+placeholders(len(seqs))+" ORDER BY t.seq", args...))(func(rows *sql.Rows) error {
		var c copiedRow
		var lines, print []byte
		var h copiedHold
		var counter int64
		err := rows.Scan(&c.from, &c.key, &c.kind, &c.code, &c.detail, &c.player, &c.jurisdiction,
			&c.currency, &print, &lines, &c.recordType, &c.subject, &c.data, &c.extra,
			&c.origin.shard, &c.origin.seq, &c.origin.atUS, &counter, &h.amount, &h.expiresUS,
			&c.holdKey, &c.holdOrigin.shard, &c.holdOrigin.seq)
		if err != nil {
			return err
		}
		copy(c.print[:], print)
		c.bucket = bucketOf(c.player)
		if c.lines, err = decodeLines(nil, lines); err != nil {
			return fmt.Errorf("transfer %d: %w", c.from, err)
		}
		if counter != 0 {
			c.hold = &h
		}
		out, counters = append(out, c), append(counters, counter)
		return nil
	})
	if err != nil {
		return nil, sqldb.Wrap("read transfers to copy", err)
	}
	return out, r.nameAccounts(ctx, out, counters)
}

// nameAccounts fills in the addresses of the rows' accounts and of their holds' counter-accounts.
func (r tableReads) nameAccounts(ctx context.Context, list []copiedRow, counters []int64) error {
	ids := map[int64]struct{}{}
	for i := range list {
		for _, l := range list[i].lines {
			ids[l.account] = struct{}{}
		}
		if counters[i] != 0 {
			ids[counters[i]] = struct{}{}
		}
	}
	unique := make([]int64, 0, len(ids))
	for account := range ids {
		unique = append(unique, account)
	}
	names, err := addressesOn(ctx, r.on, unique)
	if err != nil {
		return err
	}
	for i := range list {
		c := &list[i]
		for _, l := range c.lines {
			c.accounts = append(c.accounts, names[l.account])
		}
		if c.hold != nil {
			c.hold.counter = names[counters[i]]
		}
	}
	return nil
}
