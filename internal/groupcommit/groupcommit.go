// Package groupcommit lets many callers share one commit of a database. A durable commit costs a
// wait for the disk, from a fraction of a millisecond to several when the disk is busy; callers that
// arrive during one wait together pay for the next one together.
//
// Invariants:
//   - Do returns nil only after the caller's write has been committed.
//   - A write that fails leaves nothing behind and does not hurt the others of its group.
//   - Writes are applied in the order in which they arrived.
//
// Not guaranteed: that a caller whose context ends during the wait learns the outcome earlier.
package groupcommit

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// Bounds of the line and of one group.
const (
	maxWaiting = 10_000
	maxGroup   = 256
)

// Group shares commits of one database. It has no background work: one of the waiting callers
// commits for all.
type Group struct {
	db      *sqldb.DB
	mu      sync.Mutex
	waiting []*write
	led     bool // somebody is committing or has been asked to
}

// write is one caller's part of a group.
type write struct {
	fn   func(ctx context.Context, tx *sql.Tx) error
	err  error
	wake chan bool // true: you lead the next group, yours included; false: err is your answer
}

// New returns a Group for the database.
func New(db *sqldb.DB) *Group { return &Group{db: db} }

// Do runs fn in a DBTx shared with other callers and returns when it is committed, or with fn's
// error when fn's changes have been undone. fn must use the context and the DBTx it is given; it may run
// in another caller's goroutine, and must neither commit nor begin anything itself.
//
// Errors: those of fn and of the commit; unavailable when too many are waiting. A context that has
// ended before its turn in the line is refused; later it does not stop the write.
func (g *Group) Do(ctx context.Context, fn func(ctx context.Context, tx *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{fn: fn, wake: make(chan bool, 1)}
	g.mu.Lock()
	if len(g.waiting) >= maxWaiting {
		g.mu.Unlock()
		return &errs.Error{Code: errs.CodeUnavailable, Detail: "too many writes are waiting", RetryAfter: time.Second}
	}
	g.waiting = append(g.waiting, w)
	lead := !g.led
	g.led = true
	g.mu.Unlock()
	if lead || <-w.wake {
		g.lead(context.WithoutCancel(ctx))
	}
	return w.err
}

// lead commits the group at the head of the line, which the caller is part of, answers it, and
// passes the lead on.
func (g *Group) lead(ctx context.Context) {
	g.mu.Lock()
	n := min(len(g.waiting), maxGroup)
	group := make([]*write, n)
	copy(group, g.waiting)
	g.waiting = append(g.waiting[:0], g.waiting[n:]...)
	g.mu.Unlock()

	g.commit(ctx, group)

	g.mu.Lock()
	if len(g.waiting) > 0 {
		g.waiting[0].wake <- true
	} else {
		g.led = false
	}
	g.mu.Unlock()
	for _, w := range group {
		w.wake <- false // the leader's own channel has room and nobody reads it
	}
}

// commit applies a group in one DBTx and leaves each write's answer in it.
func (g *Group) commit(ctx context.Context, group []*write) {
	if len(group) == 1 {
		w := group[0]
		w.err = g.db.InTx(ctx, func(tx *sql.Tx) error { return w.fn(ctx, tx) })
		return
	}
	err := g.db.InTx(ctx, func(tx *sql.Tx) error {
		for _, w := range group {
			if err := apply(ctx, tx, w); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, w := range group {
		if w.err == nil {
			w.err = err // applied, but undone with the whole
		}
	}
}

// apply runs one write behind a savepoint. It returns an error only if the group cannot go on.
func apply(ctx context.Context, tx *sql.Tx, w *write) error {
	if _, err := tx.ExecContext(ctx, `SAVEPOINT one`); err != nil {
		return sqldb.Wrap("savepoint", err)
	}
	if w.err = w.fn(ctx, tx); w.err != nil {
		if _, err := tx.ExecContext(ctx, `ROLLBACK TO one`); err != nil {
			return sqldb.Wrap("roll back to savepoint", err)
		}
	}
	_, err := tx.ExecContext(ctx, `RELEASE one`)
	return sqldb.Wrap("release savepoint", err)
}
