package ledger

import (
	"context"
	"errors"
	"os"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// Reader reads the books of a folder without writing them: beside a running Service or without one.
// It raises no epoch, so it disturbs no writer. It implements stream.Log, except that nobody tells
// it of new commits: each Head looks.
type Reader struct {
	shards   shardReaders
	books    *bookSet
	position func(shard int) (int64, error)
	never    chan struct{}
}

// OpenReader opens the books in the folder and on the clusters; not_found if there are none.
func OpenReader(ctx context.Context, dir string, clusters ...Cluster) (*Reader, error) {
	opened, err := openBooks(ctx, dir, clusters, 2)
	if err != nil {
		return nil, err
	}
	r := &Reader{books: opened, never: make(chan struct{})}
	look := context.WithoutCancel(ctx) // Head has none of its own
	r.position = func(shard int) (int64, error) { return r.shards.stores[shard].position(look) }
	for i := range opened.shards {
		r.shards.stores = append(r.shards.stores, opened.shards[i].store)
	}
	place, err := r.placement(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.shards.place = newPlaced(place)
	return r, nil
}

// placement returns where the buckets live: as the directory says, or, when there is none, spread
// as the books began.
func (r *Reader) placement(ctx context.Context, dir string) (*placement, error) {
	const made = `
		SELECT shards
		FROM shard
		WHERE id = 1`
	if _, err := os.Stat(directoryFile(dir)); err == nil {
		db, err := sqldb.Open(directoryFile(dir), sqldb.Options{ReadOnly: true, Readers: 1})
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		d := &directory{db: &sqliteDirectory{db}}
		home, err := d.placement(ctx, 0)
		if err != nil || home != nil {
			return home, err
		}
	}
	var first int
	if err := oneRow(r.books.shards[0].on.QueryContext(ctx, made))(&first); err != nil {
		return nil, sqldb.Wrap("read shard 0", err)
	}
	return newPlacement(first), nil
}

// Close closes files and connections. It may be called twice.
func (r *Reader) Close() error { return r.books.close() }

// Balance returns the balance of an account as Service.Balance does.
func (r *Reader) Balance(ctx context.Context, a Address) (Balance, error) {
	return r.shards.balance(a, func(_ int, s readerStore) (balanceRow, error) { return s.balance(ctx, a) })
}

// Shards implements [stream.Log].
func (r *Reader) Shards() int { return len(r.books.shards) }

// Head implements [stream.Log]: the last sequence in the database, 0 if it cannot be read.
func (r *Reader) Head(shard int) int64 {
	if shard < 0 || shard >= len(r.books.shards) {
		return 0
	}
	head, err := r.position(shard)
	if err != nil {
		return 0 // who reads on finds the same error where it can be returned
	}
	return head
}

// ReadLog implements [stream.Log].
func (r *Reader) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	if shard < 0 || shard >= len(r.books.shards) {
		return nil, errs.New(errs.CodeInvalid, "there is no shard %d", shard)
	}
	return r.shards.stores[shard].log(ctx, shard, after, maxRecords)
}

// Changed implements [stream.Log] with a channel that is never closed.
func (r *Reader) Changed(int) <-chan struct{} { return r.never }
