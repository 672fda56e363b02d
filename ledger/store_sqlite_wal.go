package ledger

import (
	"context"
	"sync"
	"sync/atomic"

	"matchday/internal/sqldb"
)

const (
	// walPages is when SQLite itself copies the write-ahead log into the file, in the middle of a commit:
	// what happens if walKeeper did not.
	walPages = 24_000
	// keptPages is about when walKeeper copies it, beside the writer.
	keptPages = 8_000
	// tailPages is what may be left over for the writer to copy.
	tailPages = 500
	// The pages that a commit writes, roughly: some for itself, some for each transfer.
	pagesPerBatch, pagesPerRow = 12, 3
)

// walKeeper copies a shard's write-ahead log into the file beside the writer, on a reading
// connection. Left to SQLite, one commit in a few hundred did it, and every debit of that moment
// waited for thousands of page writes and the fsync of the file.
//
// A log that is written all the time is never copied to its end this way, and it starts again from
// its beginning only then. So the writer copies what came meanwhile, a few hundred pages, when the
// keeper says that there is not more.
type walKeeper struct {
	due     chan struct{}
	written atomic.Int64 // pages, roughly
	asked   int64        // how many when the keeper was last asked; of the writer's goroutine
	nearly  atomic.Bool  // all but a short tail is copied: the writer's turn
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// keepWAL starts a keeper. It ends with close.
func keepWAL(ctx context.Context, db *sqldb.DB) *walKeeper {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &walKeeper{due: make(chan struct{}, 1), stop: stop}
	k.ended.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-k.due:
				k.copy(ctx, db)
			}
		}
	})
	return k
}

// copy copies what is in the log, again if much was written meanwhile. An error is not the
// keeper's to report: SQLite's own checkpoint meets it too, and fails the commit.
func (k *walKeeper) copy(ctx context.Context, db *sqldb.DB) {
	for range 3 {
		before := k.written.Load()
		if _, _, err := sqldb.Checkpoint(ctx, db.Read); err != nil {
			return
		}
		if k.written.Load()-before <= tailPages {
			break
		}
	}
	k.nearly.Store(true)
}

// finish lets the writer copy the tail when its turn has come. It is called between commits.
func (k *walKeeper) finish(ctx context.Context, on sqldb.Querier) {
	if k.nearly.CompareAndSwap(true, false) {
		_, _, _ = sqldb.Checkpoint(ctx, on) // what fails here fails the commit that follows
		k.asked = k.written.Load()
	}
}

// wrote counts a batch and asks the keeper when enough has come together.
func (k *walKeeper) wrote(rows int) {
	written := k.written.Add(pagesPerBatch + pagesPerRow*int64(rows))
	if written-k.asked < keptPages {
		return
	}
	k.asked = written
	select {
	case k.due <- struct{}{}:
	default: // it is at work
	}
}

func (k *walKeeper) close() {
	k.stop()
	k.ended.Wait()
}
