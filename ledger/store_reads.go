package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
	"matchday/stream"
)

// tableReads is the reading side of a shard, over connections that are not the writer's.
type tableReads struct {
	on  querier
	sql *dialect
}

// balance implements readerStore.
func (r tableReads) balance(ctx context.Context, a Address) (balanceRow, error) {
	return scanBalance("read balance", oneRow(r.on.QueryContext(ctx, r.sql.balance, string(a))))
}

// position implements readerStore.
func (r tableReads) position(ctx context.Context) (int64, error) {
	const q = `
		SELECT seq
		FROM shard
		WHERE id = 1`
	var seq int64
	err := oneRow(r.on.QueryContext(ctx, q))(&seq)
	return seq, sqldb.Wrap("read position", err)
}

// standing implements readerStore.
func (r tableReads) standing(ctx context.Context) (mark, error) {
	const q = `
		SELECT s.epoch, s.seq, b.seal
		FROM shard s
		LEFT JOIN batch b ON b.last_seq = s.seq
		WHERE s.id = 1`
	var out mark
	var sealed []byte
	err := oneRow(r.on.QueryContext(ctx, q))(&out.epoch, &out.seq, &sealed)
	copy(out.seal[:], sealed)
	return out, sqldb.Wrap("read position and epoch", err)
}

// balances implements readerStore, with one statement for each chunk of addresses, which sees one
// state.
func (r tableReads) balances(ctx context.Context, list []Address) ([]balanceRow, int64, error) {
	found := make(map[Address]balanceRow, len(list))
	oldest := int64(math.MaxInt64)
	err := eachChunk(list, func(args []any) error {
		rows, err := r.on.QueryContext(ctx, fmt.Sprintf(r.sql.balances, placeholders(len(args))), args...)
		return eachRow(rows, err)(func(rows *sql.Rows) error {
			var a Address
			var row balanceRow
			err := rows.Scan(&row.seq, &a, &row.currency, &row.posted, &row.held)
			found[a] = row
			oldest = min(oldest, row.seq)
			return err
		})
	})
	if err != nil {
		return nil, 0, sqldb.Wrap("read balances", err)
	}
	out := make([]balanceRow, len(list))
	for i, a := range list {
		out[i] = found[a]
		out[i].seq = oldest
	}
	return out, oldest, nil
}

// balanceAt implements readerStore. The batch that was last at the time gives the position, the
// last posting up to it gives the balance. Copies of a player's transfers came later than what they
// are copies of, so those made at their origin by the time count too.
func (r tableReads) balanceAt(ctx context.Context, a Address, at time.Time) (balanceRow, error) {
	atUS, ofPlayer := at.UnixMicro(), a.Player() != ""
	return scanBalance("read balance at", oneRow(r.on.QueryContext(ctx, r.sql.balanceAt, atUS, string(a), ofPlayer, atUS)))
}

func scanBalance(op string, scan func(into ...any) error) (balanceRow, error) {
	var out balanceRow
	var currency sql.NullString
	var posted, held sql.NullInt64
	err := scan(&out.seq, &currency, &posted, &held)
	if err != nil {
		return balanceRow{}, sqldb.Wrap(op, err)
	}
	out.currency, out.posted, out.held = money.Currency(currency.String), posted.Int64, held.Int64
	return out, nil
}

// maxBatchesPerRead bounds what one read of the log returns, however few records the batches have.
const maxBatchesPerRead = 1000

// log implements readerStore: the batches first, then their records in one range scan.
func (r tableReads) log(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	const batches = `
		SELECT first_seq, last_seq, at_us, records
		FROM batch
		WHERE last_seq > ?
		ORDER BY last_seq
		LIMIT ?`
	var out []stream.Batch
	total := 0
	err := eachRow(r.on.QueryContext(ctx, batches, after, maxBatchesPerRead))(func(rows *sql.Rows) error {
		b := stream.Batch{Shard: shard}
		var atUS int64
		var records int
		if err := rows.Scan(&b.First, &b.Last, &atUS, &records); err != nil {
			return err
		}
		if len(out) > 0 && total+records > maxRecords {
			return errEnough
		}
		b.At = fromMicros(atUS)
		if records > 0 {
			b.Records = make([]stream.Record, 0, records)
		}
		out = append(out, b)
		total += records
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, sqldb.Wrap("read batches", err)
	}
	if total == 0 {
		return out, nil
	}
	return out, r.records(ctx, out)
}

// records fills the records of consecutive batches.
func (r tableReads) records(ctx context.Context, list []stream.Batch) error {
	const q = `
		SELECT seq, record_type, subject, player, jurisdiction, data
		FROM transfer
		WHERE seq BETWEEN ? AND ? AND record_type IS NOT NULL AND origin_seq IS NULL
		ORDER BY seq`
	at := 0
	names := map[string]string{} // types and jurisdictions are few: keep one copy of each
	rows, err := r.on.QueryContext(ctx, q, list[0].First, list[len(list)-1].Last)
	err = eachRow(rows, err)(func(rows *sql.Rows) error {
		var seq int64
		var kind, subject, player, jurisdiction string
		var data []byte
		if err := rows.Scan(&seq, &kind, &subject, &player, &jurisdiction, &data); err != nil {
			return err
		}
		for seq > list[at].Last {
			at++
		}
		b := &list[at]
		b.Records = append(b.Records, stream.Record{
			Position: stream.Position{Shard: b.Shard, Seq: seq}, Type: intern(names, kind), Subject: subject,
			Player: id.Player(player), Jurisdiction: id.Jurisdiction(intern(names, jurisdiction)),
			Time: b.At, Data: data,
		})
		return nil
	})
	return sqldb.Wrap("read records", err)
}

func intern(names map[string]string, text string) string {
	if kept, ok := names[text]; ok {
		return kept
	}
	names[text] = text
	return text
}

// export implements readerStore. It reads a bounded page at a time, so that a long export does not
// keep the write-ahead log from being emptied.
func (r tableReads) export(ctx context.Context, shard int, fn func(ExportedTransfer) error) error {
	const q = `
		SELECT t.seq, t.key, t.kind, t.jurisdiction, t.currency, COALESCE(t.code, ''), t.lines,
			COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= t.seq
				ORDER BY b.last_seq
				LIMIT 1)), COALESCE(t.origin_shard, 0), COALESCE(t.origin_seq, 0)
		FROM transfer t
		WHERE t.seq > ?
		ORDER BY t.seq
		LIMIT ?`
	const page = 5000
	names := &addressBook{on: r.on, byID: map[int64]Address{}}
	for after := int64(0); ; {
		list := make([]ExportedTransfer, 0, page)
		var lines [][]byte
		err := eachRow(r.on.QueryContext(ctx, q, after, page))(func(rows *sql.Rows) error {
			t := ExportedTransfer{Shard: shard, State: stateCommitted}
			var atUS int64
			var encoded []byte
			err := rows.Scan(&t.Seq, &t.Key, &t.Kind, &t.Jurisdiction, &t.Currency, &t.Code, &encoded, &atUS,
				&t.Origin.Shard, &t.Origin.Seq)
			t.At = fromMicros(atUS)
			if t.Code != "" {
				t.State = stateRefused
			}
			list, lines = append(list, t), append(lines, encoded)
			return err
		})
		if err != nil {
			return sqldb.Wrap("export transfers", err)
		}
		for i := range list {
			if list[i].Postings, err = names.postings(ctx, lines[i]); err != nil {
				return errs.Wrap(err, errs.CodeInternal, "export transfer %d-%d", shard, list[i].Seq)
			}
			if err := fn(list[i]); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].Seq
	}
}

// addressBook turns account ids back into addresses, with a bounded memory.
type addressBook struct {
	on   querier
	byID map[int64]Address
}

const maxAddressBook = 200_000

func (b *addressBook) find(ctx context.Context, account int64) (Address, error) {
	const q = `
		SELECT address
		FROM account
		WHERE id = ?`
	if a, ok := b.byID[account]; ok {
		return a, nil
	}
	if len(b.byID) >= maxAddressBook {
		clear(b.byID)
	}
	var a Address
	if err := oneRow(b.on.QueryContext(ctx, q, account))(&a); err != nil {
		return "", sqldb.Wrap("read address", err)
	}
	b.byID[account] = a
	return a, nil
}

func (b *addressBook) postings(ctx context.Context, encoded []byte) ([]Posting, error) {
	lines, err := decodeLines(nil, encoded)
	if err != nil {
		return nil, err
	}
	out := make([]Posting, len(lines))
	for i := range lines {
		if out[i].Account, err = b.find(ctx, lines[i].account); err != nil {
			return nil, err
		}
		out[i].AmountMinor = lines[i].amount
	}
	return out, nil
}
