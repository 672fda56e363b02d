package ledger

import (
	"context"
	"fmt"

	"matchday/internal/sqldb"
)

// claim implements moverStore. It is one statement, so it needs no DBTx of its own.
func (s *sqliteStore) claim(ctx context.Context, list []int) error {
	const one = `
		INSERT INTO bucket (bucket, state, move_id, seq)
		SELECT value, 1, '', 0
		FROM json_each(?)
		WHERE true
		ON CONFLICT (bucket) DO NOTHING`
	text := []byte{'['}
	for i, b := range list {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, "%d", b)
	}
	_, err := s.conn.ExecContext(ctx, one, string(append(text, ']')))
	return sqldb.Wrap("claim buckets", err)
}

// placeBuckets writes the batch's changes of buckets.
func (w *sqliteWriter) placeBuckets(ctx context.Context, b *batch) error {
	for _, r := range b.buckets {
		var peer any
		if r.peer >= 0 {
			peer = int64(r.peer)
		}
		if _, err := w.place.Run(ctx, int64(r.bucket), int64(r.state), peer, r.move, r.seq); err != nil {
			return err
		}
	}
	for _, c := range b.copied {
		if _, err := w.copiedTo.Run(ctx, c.seq, c.move, c.seq); err != nil {
			return err
		}
	}
	for _, c := range b.shares {
		into := w.addShare
		if c.set {
			into = w.setShare
		}
		if _, err := into.Run(ctx, int64(c.bucket), c.account, c.amount); err != nil {
			return err
		}
	}
	return nil
}
