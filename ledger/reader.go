package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// Reader reads the books of a folder without writing them: beside a running Service or without one.
// It raises no epoch, so it disturbs no writer. It implements stream.Log, except that nobody tells
// it of new commits: each Head looks.
type Reader struct {
	shards shardReaders
	files  []*sqldb.DB
	never  chan struct{}
}

// OpenReader opens the books in the folder; not_found if there are none.
func OpenReader(ctx context.Context, dir string) (*Reader, error) {
	names, err := filepath.Glob(filepath.Join(dir, "shard-*.db"))
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	if len(names) == 0 {
		return nil, errs.New(errs.CodeNotFound, "there are no books in %s", dir)
	}
	r := &Reader{never: make(chan struct{})}
	for n, name := range names {
		if name != shardFile(dir, n) { // opening it would make an empty one
			return nil, errors.Join(errs.New(errs.CodeNotFound, "shard %d of %d is missing", n, len(names)), r.Close())
		}
		db, err := sqldb.Open(name, sqldb.Options{ReadOnly: true, Readers: 2})
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.files = append(r.files, db)
		store, err := newSQLiteReads(db)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.shards.stores = append(r.shards.stores, store)
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
	if err := r.files[0].Read.QueryRowContext(ctx, made).Scan(&first); err != nil {
		return nil, sqldb.Wrap("read shard 0", err)
	}
	return newPlacement(first), nil
}

// Close closes the files. It may be called twice.
func (r *Reader) Close() error {
	var list []error
	for _, db := range r.files {
		list = append(list, db.Close())
	}
	return errors.Join(list...)
}

// Balance returns the balance of an account as Service.Balance does.
func (r *Reader) Balance(ctx context.Context, a Address) (Balance, error) {
	return r.shards.balance(a, func(_ int, s readerStore) (balanceRow, error) { return s.balance(ctx, a) })
}

// Shards implements [stream.Log].
func (r *Reader) Shards() int { return len(r.files) }

// Head implements [stream.Log]: the last sequence in the file, 0 if it cannot be read.
func (r *Reader) Head(shard int) int64 {
	if shard < 0 || shard >= len(r.files) {
		return 0
	}
	const q = `
		SELECT COALESCE(MAX(last_seq), 0)
		FROM batch`
	var head int64
	if err := r.files[shard].Read.QueryRow(q).Scan(&head); err != nil {
		return 0 // who reads on finds the same error where it can be returned
	}
	return head
}

// ReadLog implements [stream.Log].
func (r *Reader) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	if shard < 0 || shard >= len(r.files) {
		return nil, errs.New(errs.CodeInvalid, "there is no shard %d", shard)
	}
	return r.shards.stores[shard].log(ctx, shard, after, maxRecords)
}

// Changed implements [stream.Log] with a channel that is never closed.
func (r *Reader) Changed(int) <-chan struct{} { return r.never }
