package ledger

import (
	"context"
	"database/sql"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// cursorOn returns the sequence on a shard of the row at which a page of a player's rows ended. The player
// may have moved since, and the row's copy has another sequence here; the row itself is still where the page
// was read. All shards that have had the player have the rows in one order, so a list read across a move has
// no row twice and misses none.
//
// Errors: invalid if there is no such row of the player; conflict if its copy cannot be told.
func (s *Service) cursorOn(ctx context.Context, p id.Player, one *shard, at stream.Position) (int64, error) {
	if at.Seq == 0 || at.Shard == one.number {
		return at.Seq, nil
	}
	from, err := s.shard(at.Shard)
	if err != nil {
		return 0, err
	}
	row, err := from.store.rowAt(ctx, at.Shard, at.Seq)
	switch {
	case err != nil:
		return 0, err
	case row.player != p:
		return 0, errs.New(errs.CodeInvalid, "position %s is not one of the account", at)
	case row.place.shard == one.number:
		return row.place.seq, nil // it was made here, and has been away
	}
	for _, key := range []string{row.key, originKey(row.place)} {
		old, found, err := one.store.answered(ctx, key)
		if err != nil {
			return 0, err
		}
		if !found || old.player != p {
			continue
		}
		there, err := one.store.rowAt(ctx, one.number, old.seq)
		if err != nil {
			return 0, err
		}
		if there.place == row.place {
			return old.seq, nil
		}
	}
	return 0, errs.New(errs.CodeConflict, "the account has moved since position %s: ask again from the start", at)
}

// placedRow is a row of the log by where it was committed first.
type placedRow struct {
	key    string
	player id.Player
	place  origin // without its time
}

// rowAt implements readerStore.
func (r tableReads) rowAt(ctx context.Context, shard int, seq int64) (placedRow, error) {
	const q = `
		SELECT t.key, t.player, COALESCE(t.origin_shard, ?), COALESCE(t.origin_seq, t.seq)
		FROM transfer t
		WHERE t.seq = ?`
	var out placedRow
	err := eachRow(r.on.QueryContext(ctx, q, shard, seq))(func(rows *sql.Rows) error {
		return rows.Scan(&out.key, &out.player, &out.place.shard, &out.place.seq)
	})
	return out, sqldb.Wrap("read transfer", err)
}
