package ledger

import (
	"context"
	"database/sql"
	"errors"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// maxSealedBatches bounds the commits of one page of an export, however small they are.
const maxSealedBatches = 1000

// What exports read. The statements are the same for both engines; a qualified name needs no quotes in
// MySQL although key and lines are words of its own.

// sealAt implements readerStore.
func (r tableReads) sealAt(ctx context.Context, seq int64) (sealedBatch, error) {
	return readSealAt(ctx, r.on, seq)
}

// sealed implements readerStore.
func (r tableReads) sealed(ctx context.Context, after int64, maxRows int) ([]sealedBatch, error) {
	return readSealed(ctx, r.on, after, maxRows)
}

// names implements readerStore.
func (r tableReads) names(ctx context.Context, ids []int64) (map[int64]Address, error) {
	return addressesOn(ctx, r.on, ids)
}

// readSealAt returns the newest batch that ends at or before seq, without its rows.
func readSealAt(ctx context.Context, on querier, seq int64) (sealedBatch, error) {
	const q = `
		SELECT first_seq, last_seq, at_us, epoch, accounts, records, seal
		FROM batch
		WHERE last_seq <= ?
		ORDER BY last_seq DESC
		LIMIT 1`
	var out sealedBatch
	err := eachRow(on.QueryContext(ctx, q, seq))(func(found *sql.Rows) error {
		var err error
		out, err = scanSealed(found.Scan)
		return err
	})
	return out, sqldb.Wrap("read seal", err)
}

func scanSealed(scan func(...any) error) (sealedBatch, error) {
	var b sealedBatch
	var atUS int64
	var sealed []byte
	if err := scan(&b.first, &b.last, &atUS, &b.epoch, &b.accounts, &b.records, &sealed); err != nil {
		return b, err
	}
	if len(sealed) != len(b.seal) {
		return b, errs.New(errs.CodeInternal, "the batch that ends at %d has a seal of %d bytes", b.last, len(sealed))
	}
	copy(b.seal[:], sealed)
	b.at = fromMicros(atUS)
	return b, nil
}

// readSealed reads the commits first, then what belongs to them, a range scan each. The
// log is append-only and a commit is there with all it has, so the scans need not share a snapshot.
func readSealed(ctx context.Context, on querier, after int64, maxRows int) ([]sealedBatch, error) {
	const q = `
		SELECT first_seq, last_seq, at_us, epoch, accounts, records, seal
		FROM batch
		WHERE last_seq > ?
		ORDER BY last_seq
		LIMIT ?`
	before, err := readSealAt(ctx, on, after)
	if err != nil {
		return nil, err
	}
	var out []sealedBatch
	rows := int64(0)
	err = eachRow(on.QueryContext(ctx, q, after, maxSealedBatches))(func(found *sql.Rows) error {
		b, err := scanSealed(found.Scan)
		if err != nil {
			return err
		}
		if rows += b.last - b.first + 1; len(out) > 0 && rows > int64(maxRows) {
			return errEnough
		}
		out = append(out, b)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, sqldb.Wrap("read batches", err)
	}
	if len(out) == 0 {
		return nil, nil
	}
	for _, fill := range []func(context.Context, querier, int64, []sealedBatch) error{readOpened, readSealedRows, readSealedHolds} {
		if err := fill(ctx, on, before.accounts, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

var errEnough = errors.New("enough")

// readOpened fills the accounts that consecutive commits opened, the first after number opened.
func readOpened(ctx context.Context, on querier, opened int64, list []sealedBatch) error {
	const q = `
		SELECT id, address, jurisdiction, currency
		FROM account
		WHERE id > ? AND id <= ?
		ORDER BY id`
	at := 0
	err := eachRow(on.QueryContext(ctx, q, opened, list[len(list)-1].accounts))(func(found *sql.Rows) error {
		var a sealedAccount
		if err := found.Scan(&a.id, &a.address, &a.jurisdiction, &a.currency); err != nil {
			return err
		}
		for at < len(list)-1 && a.id > list[at].accounts {
			at++
		}
		list[at].opened = append(list[at].opened, a)
		return nil
	})
	return sqldb.Wrap("read opened accounts", err)
}

// readSealedRows fills the transfers of consecutive commits.
func readSealedRows(ctx context.Context, on querier, _ int64, list []sealedBatch) error {
	const q = `
		SELECT t.seq, t.key, t.kind, COALESCE(t.code, ''), COALESCE(t.detail, ''), t.player, t.jurisdiction,
			t.currency, t.fingerprint, COALESCE(t.hold_seq, 0), t.lines, t.record_type, COALESCE(t.subject, ''), t.data,
			COALESCE(t.origin_shard, 0), COALESCE(t.origin_seq, 0), COALESCE(t.origin_at_us, 0), t.extra
		FROM transfer t
		WHERE t.seq BETWEEN ? AND ?
		ORDER BY t.seq`
	at := 0
	err := eachRow(on.QueryContext(ctx, q, list[0].first, list[len(list)-1].last))(func(found *sql.Rows) error {
		var r row
		var print, data []byte
		var recordType, subject sql.NullString
		err := found.Scan(&r.seq, &r.key, &r.kind, &r.code, &r.detail, &r.player, &r.jurisdiction, &r.currency,
			&print, &r.holdSeq, &r.lines, &recordType, &subject, &data,
			&r.origin.shard, &r.origin.seq, &r.origin.atUS, &r.extra)
		if err != nil {
			return err
		}
		copy(r.print[:], print)
		if recordType.Valid {
			r.record = &stream.Draft{Type: recordType.String, Subject: subject.String, Data: data}
		}
		for at < len(list)-1 && r.seq > list[at].last {
			at++
		}
		list[at].rows = append(list[at].rows, r)
		return nil
	})
	return sqldb.Wrap("read transfers", err)
}

// readSealedHolds fills the holds that consecutive commits made.
func readSealedHolds(ctx context.Context, on querier, _ int64, list []sealedBatch) error {
	const q = `
		SELECT seq, account_id, counter_id, jurisdiction, currency, amount_minor, expires_us
		FROM hold
		WHERE seq BETWEEN ? AND ?
		ORDER BY seq`
	at := 0
	err := eachRow(on.QueryContext(ctx, q, list[0].first, list[len(list)-1].last))(func(found *sql.Rows) error {
		h := storedHold{state: holdOpen}
		var expiresUS int64
		if err := found.Scan(&h.seq, &h.account, &h.counter, &h.jurisdiction, &h.currency, &h.amount, &expiresUS); err != nil {
			return err
		}
		h.expires = fromMicros(expiresUS)
		for at < len(list)-1 && h.seq > list[at].last {
			at++
		}
		list[at].holds = append(list[at].holds, h)
		return nil
	})
	return sqldb.Wrap("read holds", err)
}
