package ledger

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"matchday/internal/sqldb"
)

const (
	// walPages is when SQLite itself copies the write-ahead log into the file, in the middle of a commit:
	// what happens if walKeeper did not.
	walPages = 64_000
	// keptPages is about when walKeeper copies it, beside the writer.
	keptPages = 8_000
	// tailPages is what may be left over for the writer to copy, maxCopies how often the keeper copies to come near it,
	// the first slowCopies times with rests. On a disk that is too slow for that it stops where the log has longPages.
	tailPages, maxCopies, slowCopies, longPages = 120, 24, 2, walPages / 2
	// The pages that a commit writes, roughly: some for itself, one for each transfer.
	pagesPerBatch, pagesPerRow = 12, 1
	// A flush rests for restTimes of what a part of it took the disk, maxFlushRest at most, until the log has grown by
	// restPages meanwhile.
	restTimes, restPages = 3, keptPages / 2
	maxFlushRest         = 5 * time.Millisecond
	// The keeper has the system read ahead of the writer when aheadEvery more pages have been written, aheadFor as many.
	// A page takes loggedBytes in the log: itself and what the log says of it (sqlite.org/fileformat2.html, section 4.1).
	aheadEvery, aheadFor = 1_000, 6_000
	loggedBytes          = pageSize + 24
	// keeperReads is how many reading connections the keeper uses at a time.
	keeperReads = 2
	// holdFor is how long the keeper waits for a commit that it can copy up to, maxHold how long it keeps a copy from the
	// end at most: a copy that waits for a reading connection is not to keep the log from beginning again.
	holdFor, maxHold = 20 * time.Millisecond, time.Second
)

// walKeeper copies a shard's write-ahead log into the file beside the writer, on a reading
// connection. Left to SQLite, one commit in a few hundred did it, and every debit of that moment
// waited for thousands of page writes and the fsync of the file.
//
// A checkpoint that fails loses nothing and fails no commit: what is committed stays in the log, which is
// on disk and is read with the file. SQLite takes the same view of its own checkpoints and says nothing. But
// the log grows, until the disk is full, and is read at the next start; so the keeper tells of it, see
// [walWatch], and tries again when as much has come together once more.
//
// A log that is written all the time is never copied to its end this way, and it starts again from
// its beginning only then. So the keeper copies again, without rests, until hardly anything comes meanwhile, and the
// writer copies that. SQLite flushes the file only after a copy to the end, which is to be the writer's,
// so the keeper flushes what it has copied: else the writer waits for the disk to take all of it. At first it leaves the disk
// three quarters of the time: a commit's own sync otherwise queues behind some thousand pages.
//
// It also has the system read the log ahead of the writer, which writes over what it wrote a while ago:
// see [sqldb.DB.ReadAhead].
type walKeeper struct {
	db      *sqldb.DB
	watch   *walWatch
	attempt func(ctx context.Context, on sqldb.Querier) (logged, copied int, err error)
	due     chan struct{}
	written atomic.Int64  // pages, roughly
	came    chan struct{} // a commit
	begun   atomic.Int64  // how many of them before the log last began, roughly
	further chan struct{} // the writer has come nearer to the end of what was read ahead
	asked   int64         // how many when the keeper was last asked; of the writer's goroutine
	ahead   int64         // how many when it was last to read ahead; of the writer's goroutine
	nearly  atomic.Bool   // all but a short tail is copied: the writer's turn
	stop    context.CancelFunc
	ended   sync.WaitGroup
}

// keepWAL starts a keeper. It ends with close.
func keepWAL(ctx context.Context, db *sqldb.DB, watch *walWatch) *walKeeper {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &walKeeper{
		db: db, watch: watch, attempt: sqldb.Checkpoint, stop: stop,
		due: make(chan struct{}, 1), came: make(chan struct{}, 1), further: make(chan struct{}, 1),
	}
	k.ended.Go(func() { whenever(ctx, k.due, func() { k.copy(ctx) }) })
	k.ended.Go(func() { whenever(ctx, k.further, k.readAhead) })
	return k
}

// whenever calls fn each time it is asked, until ctx is done.
func whenever(ctx context.Context, asked <-chan struct{}, fn func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			fn()
		}
	}
}

// ask asks once: whoever is at work does not keep the caller.
func ask(whom chan<- struct{}) {
	select {
	case whom <- struct{}{}:
	default:
	}
}

// readAhead has the system read what the writer is about to write over. Where it is in the log is known roughly: from
// the last copy, and by what was written since.
func (k *walKeeper) readAhead() {
	at := max(0, k.written.Load()-k.begun.Load()-aheadEvery)
	_ = k.db.ReadAhead(at*loggedBytes, (aheadEvery+aheadFor)*loggedBytes) // without it some commits take longer
}

// copy copies what is in the log, again if much was written meanwhile.
func (k *walKeeper) copy(ctx context.Context) {
	if k.nearly.Load() { // to read now would keep the writer from the end of the log
		return
	}
	for n := range maxCopies {
		before := k.written.Load()
		rests := n < slowCopies // the longer a copy takes, the more comes meanwhile
		if !k.pass(ctx, rests) {
			return
		}
		now := k.written.Load()
		if now-before <= tailPages || now-k.begun.Load() >= longPages {
			break
		}
	}
	k.nearly.Store(true)
}

// pass copies once and writes out what it has copied, with rests or without. It reports whether it could copy.
func (k *walKeeper) pass(ctx context.Context, rests bool) bool {
	before := k.written.Load()
	release := k.hold(ctx)
	copied := k.checkpoint(ctx, k.db.Read)
	release()
	if !copied {
		return false
	}
	var rest func(took time.Duration)
	if rests {
		rest = func(took time.Duration) { k.rest(ctx, took, k.written.Load()-before) }
	}
	_ = k.db.Flush(rest) // an error is the writer's, whose copy waits for the same
	return true
}

// hold keeps the next copy from the end of the log, until release, by reading what was there before the last commit. A copy
// to the end is followed by SQLite's flush of the file, all at once. If nobody writes, nothing is held, and that flush is in nobody's way.
func (k *walKeeper) hold(ctx context.Context) (release func()) {
	select {
	case <-k.came:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, maxHold)
	tx, err := k.db.Read.BeginTx(ctx, nil)
	if err != nil {
		cancel()
		return func() {}
	}
	release = func() {
		_ = tx.Rollback() // it has read only, and has ended if it was too long
		cancel()
	}
	var epoch int64
	if err := tx.QueryRowContext(ctx, `SELECT epoch FROM shard`).Scan(&epoch); err != nil { // SQLite's begin alone does not read
		release()
		return func() {}
	}
	timer := time.NewTimer(holdFor)
	defer timer.Stop()
	select {
	case <-k.came:
		return release
	case <-timer.C:
	case <-ctx.Done():
	}
	release()
	return func() {}
}

// rest leaves the disk to commits after a part of a flush, unless the keeper is to stop.
func (k *walKeeper) rest(ctx context.Context, took time.Duration, grown int64) {
	timer := time.NewTimer(flushRest(took, grown))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// flushRest returns how long a flush rests after a part that took the disk so long. Where the log has grown much meanwhile, by pages, it
// does not: the copy would never come near its end.
func flushRest(took time.Duration, grown int64) time.Duration {
	if grown > restPages {
		return 0
	}
	return min(restTimes*took, maxFlushRest)
}

// checkpoint copies once and reports whether it could.
func (k *walKeeper) checkpoint(ctx context.Context, on sqldb.Querier) bool {
	before := k.written.Load()
	logged, copied, err := k.attempt(ctx, on)
	switch {
	case err == nil:
		k.learn(before, logged, copied)
		k.watch.works(ctx, logged)
	case ctx.Err() == nil:
		k.watch.fails(ctx, k.db.Path(), err)
	}
	return err == nil
}

// learn notes where the log began, from what a copy found in it that was made when so many pages had been written.
func (k *walKeeper) learn(written int64, logged, copied int) {
	switch {
	case logged == 0: // not known
	case logged == copied: // the next commit begins it again
		k.begun.Store(written)
	default:
		k.begun.Store(written - int64(logged))
	}
}

// finish lets the writer copy the tail when its turn has come. It is called between commits. If it fails the
// log goes on growing from where it is, and the commit that follows is as good as any.
func (k *walKeeper) finish(ctx context.Context, on sqldb.Querier) {
	if !k.nearly.Load() {
		return
	}
	_ = k.checkpoint(ctx, on)
	k.asked = k.written.Load()
	k.nearly.Store(false)
}

// wrote counts a batch and asks the keeper when enough has come together.
func (k *walKeeper) wrote(rows int) {
	written := k.written.Add(pagesPerBatch + pagesPerRow*int64(rows))
	ask(k.came)
	if written-k.ahead >= aheadEvery {
		k.ahead = written
		ask(k.further)
	}
	if written-k.asked >= keptPages {
		k.asked = written
		ask(k.due)
	}
}

func (k *walKeeper) close() {
	k.stop()
	k.ended.Wait()
}

// walWatch tells how a shard's write-ahead log fares: metrics, and a line in the log when checkpoints begin
// to fail and when they work again. Nil tells nobody.
type walWatch struct {
	shard   int
	log     *slog.Logger
	figures walFigures

	mu    sync.Mutex // keeper and writer both copy
	inRow int        // failures since one worked
}

// works notes a checkpoint and how many pages the log has; 0 is not known.
func (w *walWatch) works(ctx context.Context, logged int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if logged > 0 {
		w.figures.long(logged)
	}
	if w.inRow > 0 {
		w.log.InfoContext(ctx, "checkpoints work again", "shard", w.shard, "failed", w.inRow, "pages", logged)
		w.inRow = 0
	}
}

// fails notes a checkpoint that failed. Then only the file says how long the log is.
func (w *walWatch) fails(ctx context.Context, path string, err error) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.figures.failed.Inc()
	pages := 0
	if file, statErr := os.Stat(path + "-wal"); statErr == nil {
		pages = int(file.Size() / pageSize)
		w.figures.long(pages)
	}
	if w.inRow++; w.inRow == 1 {
		w.log.ErrorContext(ctx, "checkpoint failed: the write-ahead log grows until one works", "shard", w.shard, "pages", pages, "error", err)
	}
}
