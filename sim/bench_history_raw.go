package sim

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"matchday/internal/sqldb"
	"matchday/stream"
)

// rawHistory writes the rows of one shard, or on a server of one writer's players, as quickly as the database
// takes them: no record is read, no bet is looked for, nothing is compared.
type rawHistory struct {
	db                     *sql.DB
	close                  func() error
	slip, upsert           string
	statementRows          int
	slips, placed, settled [][]any
}

const (
	rawSlipOnSQLite = `
		INSERT INTO slip (seq, jurisdiction, product, currency, placed_us, stake_minor, potential_minor, legs)
		VALUES `
	rawSlipOnMySQL = `
		INSERT INTO slip (seq, jurisdiction, product, currency, placed_us, stake_minor, potential_minor, legs, bet_id)
		VALUES `
	rawOnSQLite = `
		ON CONFLICT (player_id, bet_id) DO UPDATE SET seq = excluded.seq, status = excluded.status, version = excluded.version,
			settled_us = excluded.settled_us, payout_minor = excluded.payout_minor, outcomes = excluded.outcomes`
	rawOnMySQL = `
		ON DUPLICATE KEY UPDATE seq = VALUES(seq), status = VALUES(status), version = VALUES(version),
			settled_us = VALUES(settled_us), payout_minor = VALUES(payout_minor), outcomes = VALUES(outcomes)`
)

// openRawHistory reads what the log says of a shard and keeps the rows that follow from it, for each writer
// of the shard.
func openRawHistory(ctx context.Context, b *historyBench, shard int) ([]*rawHistory, error) {
	list, err := connectRaw(b, shard)
	if err != nil {
		return nil, err
	}
	placements := make(map[string][]any)
	for at, head := int64(0), b.books.Head(shard); at < head; {
		batches, err := b.books.ReadLog(ctx, shard, at, ledgerBatch)
		if err != nil {
			return nil, err
		}
		for _, batch := range batches {
			at = batch.Last
			for i := range batch.Records {
				r := &batch.Records[i]
				n := 0
				for _, c := range []byte(r.Player) {
					n += int(c)
				}
				if err := list[n%len(list)].keep(r, placements); err != nil {
					return nil, err
				}
			}
		}
	}
	return list, nil
}

// connectRaw opens a shard's database for each writer; the first one closes it for all.
func connectRaw(b *historyBench, shard int) ([]*rawHistory, error) {
	if b.server == nil {
		path := filepath.Join(b.folder("raw"), fmt.Sprintf("history-%03d.db", shard))
		db, err := sqldb.Open(path, sqldb.Options{Durability: sqldb.Rebuildable, CacheKiB: 16 << 10, WALPages: 16_000})
		if err != nil {
			return nil, err
		}
		return []*rawHistory{{db: db.Write, close: db.Close, slip: rawSlipOnSQLite, upsert: rawOnSQLite, statementRows: 64}}, nil
	}
	db, err := sql.Open("mysql", b.server.DSN(fmt.Sprintf("%s_%d", historyDatabase("raw"), shard))+"?interpolateParams=true&charset=binary")
	if err != nil {
		return nil, err
	}
	list := make([]*rawHistory, historyWriters)
	for n := range list {
		list[n] = &rawHistory{db: db, close: db.Close, slip: rawSlipOnMySQL, upsert: rawOnMySQL, statementRows: 1_000}
	}
	return list, nil
}

// keep adds the rows of a record.
func (w *rawHistory) keep(r *stream.Record, placements map[string][]any) error {
	switch r.Type {
	case stream.TypeBetPlaced:
		p, legs, err := stream.ParseBetPlaced(r.Data)
		if err != nil {
			return err
		}
		slip := []any{r.Position.Seq, string(r.Jurisdiction), p.Product, p.Currency, r.Time.UnixMicro(), p.StakeMinor,
			p.PotentialPayoutMinor, strings.Clone(string(legs))}
		if w.slip == rawSlipOnMySQL {
			slip = append(slip, r.Subject) // by which its month is known
		}
		w.slips = append(w.slips, slip)
		row := []any{string(r.Player), r.Subject, string(r.Jurisdiction), r.Position.Seq, r.Position.Seq, 1, 0, 0, 0, ""}
		w.placed = append(w.placed, row)
		placements[r.Subject] = row
	case stream.TypeBetSettled:
		p, err := stream.ParseBetSettled(r.Data)
		if err != nil {
			return err
		}
		row := slices.Clone(placements[r.Subject])
		row[4], row[5], row[6], row[7], row[8] = r.Position.Seq, 4, p.Version, r.Time.UnixMicro(), p.PayoutMinor
		row[9] = strings.Repeat("p", len(p.LegOutcomes))
		w.settled = append(w.settled, row)
	}
	return nil
}

// write writes all rows, as many in a DBTx as the sink does at most.
func (w *rawHistory) write(ctx context.Context) error {
	const bet = `
		INSERT INTO bet (player_id, bet_id, jurisdiction, slip_seq, seq, status, version, settled_us, payout_minor, outcomes)
		VALUES `
	for from := 0; from < len(w.placed); from += stream.SinkRecords {
		upTo := min(from+stream.SinkRecords, len(w.placed))
		err := w.inTx(ctx, func(tx *sql.Tx) error {
			if err := w.rows(ctx, tx, w.slip, "", w.slips[from:upTo]); err != nil {
				return err
			}
			return w.rows(ctx, tx, bet, w.upsert, byKey(w.placed[from:upTo]))
		})
		if err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(w.settled, stream.SinkRecords) {
		err := w.inTx(ctx, func(tx *sql.Tx) error { return w.rows(ctx, tx, bet, w.upsert, byKey(chunk)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// inTx runs fn in one DBTx.
func (w *rawHistory) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := w.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// byKey sorts rows by player and bet, as the tree has them.
func byKey(rows [][]any) [][]any {
	slices.SortFunc(rows, func(a, b []any) int {
		if c := strings.Compare(a[0].(string), b[0].(string)); c != 0 { //nolint:forcetypeassert // made above
			return c
		}
		return strings.Compare(a[1].(string), b[1].(string)) //nolint:forcetypeassert // made above
	})
	return rows
}

// rows runs multi-row statements over the rows.
func (w *rawHistory) rows(ctx context.Context, tx *sql.Tx, head, tail string, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	mark := "(" + strings.TrimSuffix(strings.Repeat("?,", len(rows[0])), ",") + ")"
	text := func(n int) string { return head + mark + strings.Repeat(","+mark, n-1) + tail }
	var full *sql.Stmt // a server gets texts: preparing would be a round trip more
	var err error
	if w.upsert == rawOnSQLite {
		if full, err = tx.PrepareContext(ctx, text(w.statementRows)); err != nil {
			return err
		}
		defer full.Close() //nolint:errcheck // the DBTx ends with it
	}
	for chunk := range slices.Chunk(rows, w.statementRows) {
		args := slices.Concat(chunk...)
		if full != nil && len(chunk) == w.statementRows {
			_, err = full.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, text(len(chunk)), args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
