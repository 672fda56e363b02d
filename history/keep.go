package history

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// keeper knows which bets of a shard are over: placed before the first month that their jurisdiction keeps,
// and settled. They are not shown from that moment on, and go from the database afterwards. A nil keeper keeps
// everything.
type keeper struct {
	floors atomic.Pointer[map[id.Jurisdiction]id.Bet] // the first id that is kept
	round  sync.Mutex                                 // held while months and bets are dropped

	// gate is held for reading by each commit on a cluster, and for writing while a month is dropped.
	gate    sync.RWMutex
	watched id.Bet      // under gate: nothing may come to bets below it, "" if nobody watches
	touched atomic.Bool // something came
}

// floor returns the first id that is kept of a jurisdiction, "" if all are.
func (k *keeper) floor(j id.Jurisdiction) id.Bet {
	if k == nil {
		return ""
	}
	if list := k.floors.Load(); list != nil {
		return (*list)[j]
	}
	return ""
}

// lift raises floors that are lower than these, and returns all.
func (k *keeper) lift(floors map[id.Jurisdiction]id.Bet) map[id.Jurisdiction]id.Bet {
	for {
		have := k.floors.Load()
		next := maps.Clone(floors)
		if have != nil {
			for j, bet := range *have {
				next[j] = max(next[j], bet)
			}
		}
		if k.floors.CompareAndSwap(have, &next) {
			return next
		}
	}
}

// all returns every floor, and the highest.
func (k *keeper) all() (list map[id.Jurisdiction]id.Bet, top id.Bet) {
	if p := k.floors.Load(); p != nil {
		list = *p
	}
	for _, bet := range list {
		top = max(top, bet)
	}
	return list, top
}

// mark marks changes of bets that may have been dropped, and tells who watches.
func (k *keeper) mark(list []*change) {
	if k == nil {
		return
	}
	for _, c := range list {
		c.late = c.bet < k.floor(c.jurisdiction)
		if c.bet < k.watched {
			k.touched.Store(true)
		}
	}
}

// watch begins to watch the bets below an id.
func (k *keeper) watch(below id.Bet) {
	k.gate.Lock()
	defer k.gate.Unlock()
	k.watched = below
	k.touched.Store(false)
}

// untouched runs fn while no commit runs, if nothing has come to the watched bets, and says whether it did.
func (k *keeper) untouched(fn func() error) (bool, error) {
	k.gate.Lock()
	defer k.gate.Unlock()
	if k.touched.Load() {
		return false, nil
	}
	return true, fn()
}

// overBet is a bet that is over.
type overBet struct {
	betKey
	jurisdiction id.Jurisdiction
	slip         int64
}

// raise makes the floors what the years ask for at the moment, never lower than they were. What the database
// says counts first: a file that was kept by a rule that has changed since lacks what it lacks.
func (h *shard) raise(ctx context.Context, years map[id.Jurisdiction]int, now time.Time) error {
	const (
		forget = `
			DELETE FROM kept_from
			WHERE jurisdiction = ?`
		insert = `
			INSERT INTO kept_from (jurisdiction, bet_id)
			VALUES (?, ?)`
	)
	floors, err := readFloors(ctx, h.store)
	if err != nil {
		return err
	}
	had := maps.Clone(floors)
	for j, n := range years {
		if n > 0 {
			floors[j] = max(floors[j], monthOf(now.AddDate(-n, 0, 0)).first())
		}
	}
	if !maps.Equal(had, floors) {
		err := h.store.inOwnDBTx(ctx, func(on stream.Conn) error {
			for j, bet := range floors {
				if _, err := on.ExecContext(ctx, forget, string(j)); err != nil {
					return sqldb.Wrap("raise floor", err)
				}
				if _, err := on.ExecContext(ctx, insert, string(j), string(bet)); err != nil {
					return sqldb.Wrap("raise floor", err)
				}
			}
			return forgetDigests(ctx, on)
		})
		if err != nil {
			return err
		}
	}
	h.kept.floors.Store(&floors)
	if !maps.Equal(had, floors) { // once more: one may have been made by the floors of before
		return h.store.inOwnDBTx(ctx, func(on stream.Conn) error { return forgetDigests(ctx, on) })
	}
	return nil
}

// readFloors reads the table of floors.
func readFloors(ctx context.Context, from reader) (map[id.Jurisdiction]id.Bet, error) {
	const q = `
		SELECT jurisdiction, bet_id
		FROM kept_from`
	rows, err := from.QueryContext(ctx, q)
	if err != nil {
		return nil, sqldb.Wrap("read floors", err)
	}
	defer rows.Close()
	out := map[id.Jurisdiction]id.Bet{}
	for rows.Next() {
		var j id.Jurisdiction
		var bet id.Bet
		if err := rows.Scan(&j, &bet); err != nil {
			return nil, sqldb.Wrap("read floors", err)
		}
		out[j] = bet
	}
	return out, sqldb.Wrap("read floors", rows.Err())
}

// gone returns the error of a settled bet that is no longer kept, nil for any other.
func (h *shard) gone(j id.Jurisdiction, bet id.Bet) error {
	floor := h.kept.floor(j)
	if bet >= floor {
		return nil
	}
	from, _ := id.MadeAt(string(floor))
	return errs.New(errs.CodeGone, "bets placed before %s are no longer kept", from.Format(time.DateOnly))
}

// sweepChunk is how many bets are deleted in one DBTx, and sweepPause the time between two: a settlement that
// comes meanwhile waits for a few milliseconds at most.
const (
	sweepChunk = 200
	sweepPause = 20 * time.Millisecond
	sweepLag   = time.Second // a history that is further behind has something better to do
)

// sweep deletes the bets that are over, some at a time, and returns how many.
func (h *shard) sweep(ctx context.Context) (dropped int64, err error) {
	floors, top := h.kept.all()
	for at, more := (betKey{}), top != ""; more; {
		if err := h.rest(ctx); err != nil {
			return dropped, err
		}
		var list, over []overBet
		if list, at, more, err = h.store.oldBets(ctx, at, top, sweepChunk); err != nil {
			return dropped, err
		}
		for _, b := range list {
			if b.bet < floors[b.jurisdiction] {
				over = append(over, b)
			}
		}
		n, err := h.forget(ctx, over)
		dropped += n
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// rest waits between two chunks, and for as long as the history is behind.
func (h *shard) rest(ctx context.Context) error {
	for wait := true; wait; wait = h.sink != nil && h.sink.Lag() > sweepLag {
		pause := time.NewTimer(sweepPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// forget deletes bets that are still settled, and returns how many.
func (h *shard) forget(ctx context.Context, list []overBet) (n int64, err error) {
	const (
		bets = `
			DELETE FROM bet
			WHERE player_id = ?
			  AND bet_id = ?
			  AND jurisdiction = ?
			  AND status > 1`
		changes = `
			DELETE FROM bet_change
			WHERE player_id = ?
			  AND bet_id = ?`
	)
	if len(list) == 0 {
		return 0, nil
	}
	err = h.store.inOwnDBTx(ctx, func(on stream.Conn) error {
		n = 0
		for _, b := range list {
			done, err := on.ExecContext(ctx, bets, string(b.player), string(b.bet), string(b.jurisdiction))
			if err != nil {
				return sqldb.Wrap("delete bets that are over", err)
			}
			gone, err := done.RowsAffected()
			if err != nil {
				return sqldb.Wrap("delete bets that are over", err)
			}
			if gone == 0 { // open again
				continue
			}
			if _, err := on.ExecContext(ctx, changes, string(b.player), string(b.bet)); err != nil {
				return sqldb.Wrap("delete settlements that are over", err)
			}
			q, args := h.store.slipOf(b)
			if _, err := on.ExecContext(ctx, q, args...); err != nil {
				return sqldb.Wrap("delete slips that are over", err)
			}
			n++
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("delete %d bets that are over: %w", len(list), err)
	}
	return n, nil
}
