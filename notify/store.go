package notify

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"matchday/errs"
	"matchday/stream"
)

// store is the room's tables, in what every engine understands.
type store struct {
	engine
	changes atomic.Int64         // of subscriptions that this process has begun to write
	kept    atomic.Pointer[kept] // what the last DBTx that asked for them has read
}

// kept is all subscriptions as they are after so many changes.
type kept struct {
	changes int64
	list    []Subscription
}

func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// selectSubscriptions goes before what chooses and orders them.
const selectSubscriptions = `
	SELECT id, url, types, jurisdiction, secret, old_secret, old_until_us, state, reason, failing_since_us, created_by, created_us
	FROM subscription`

// subscriptions returns all of them, the oldest first, with what waits for them.
func (s *store) subscriptions(ctx context.Context) ([]Subscription, error) {
	out, err := s.read(ctx, s.engine, selectSubscriptions+" ORDER BY created_us, id")
	if err != nil {
		return nil, err
	}
	return out, s.count(ctx, out)
}

// holdSubscriptions returns all of them inside a DBTx, before whose end nobody else changes one. Where no other process does they are read
// after changes only: to read a hundred costs as much as the rest of a small DBTx. It belongs before what the DBTx writes, which may
// be rolled back. The list is shared.
func (s *store) holdSubscriptions(ctx context.Context, on conn) ([]Subscription, error) {
	if s.hold() != "" {
		return s.read(ctx, on, selectSubscriptions+" ORDER BY created_us, id"+s.hold())
	}
	changes := s.changes.Load() // before they are read: a DBTx that is cut off reads on beside the next one
	if k := s.kept.Load(); k != nil && k.changes == changes {
		return k.list, nil
	}
	list, err := s.read(ctx, on, selectSubscriptions+" ORDER BY created_us, id")
	if err == nil {
		s.kept.Store(&kept{changes, list})
	}
	return list, err
}

// changed belongs before every write of a subscription, inside its DBTx: nobody reads them between it and the DBTx's end.
func (s *store) changed() { s.changes.Add(1) }

// subscription returns one as it is now; none is errs.CodeNotFound.
func (s *store) subscription(ctx context.Context, on reader, id, hold string) (Subscription, error) {
	list, err := s.read(ctx, on, selectSubscriptions+" WHERE id = ?"+hold, id)
	if err == nil && len(list) == 0 {
		err = errs.New(errs.CodeNotFound, "there is no such subscription")
	}
	if err != nil {
		return Subscription{}, err
	}
	return list[0], nil
}

// read returns what a query of selectSubscriptions finds.
func (s *store) read(ctx context.Context, on reader, q string, args ...any) ([]Subscription, error) {
	rows, err := on.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, s.wrap("read subscriptions", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Subscription
	for rows.Next() {
		var one Subscription
		var types string
		var oldUntil, failing, created int64
		err := rows.Scan(&one.ID, &one.URL, &types, &one.Jurisdiction, &one.secret, &one.oldSecret, &oldUntil, &one.State,
			&one.Reason, &failing, &one.CreatedBy, &created)
		if err != nil {
			return nil, s.wrap("read subscription", err)
		}
		one.Types, one.oldUntil = strings.Fields(types), fromMicros(oldUntil)
		one.FailingSince, one.CreatedAt = fromMicros(failing), fromMicros(created)
		out = append(out, one)
	}
	return out, s.wrap("read subscriptions", rows.Err())
}

// count notes what waits for each subscription, and what was given up.
func (s *store) count(ctx context.Context, list []Subscription) error {
	const q = `
		SELECT subscription_id, state, COUNT(*)
		FROM delivery
		WHERE state <> 2
		GROUP BY subscription_id, state`
	rows, err := s.QueryContext(ctx, q)
	if err != nil {
		return s.wrap("count deliveries", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		var state, n int
		if err := rows.Scan(&id, &state, &n); err != nil {
			return s.wrap("count deliveries", err)
		}
		for i := range list {
			switch {
			case list[i].ID != id:
			case state == deliveryQueued:
				list[i].Queued = n
			default:
				list[i].Dead = n
			}
		}
	}
	return s.wrap("count deliveries", rows.Err())
}

// insert adds a subscription. Begin runs in its DBTx. Several processes that add some at once may have a few
// more than the bound.
func (s *store) insert(ctx context.Context, one *Subscription, begin func(on conn) error) error {
	const q = `
		INSERT INTO subscription (id, url, types, jurisdiction, secret, state, created_by, created_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	const count = `
		SELECT COUNT(*)
		FROM subscription`
	return s.inDBTx(ctx, func(on conn) error {
		var n int
		if err := on.QueryRowContext(ctx, count).Scan(&n); err != nil {
			return s.wrap("count subscriptions", err)
		}
		if n >= maxSubscriptions {
			return errs.New(errs.CodeLimitReached, "there are %d subscriptions already", n)
		}
		s.changed()
		_, err := on.ExecContext(ctx, q, one.ID, one.URL, strings.Join(one.Types, " "), string(one.Jurisdiction), one.secret,
			int64(one.State), one.CreatedBy, micros(one.CreatedAt))
		if err != nil {
			return s.wrap("insert subscription", err)
		}
		return begin(on)
	})
}

// must returns errs.CodeNotFound if the query counts nothing. What is changed is looked for first: engines differ
// in whether a row that has its new values already counts as changed.
func (s *store) must(ctx context.Context, on conn, what, q string, key ...any) error {
	var n int
	if err := on.QueryRowContext(ctx, q, key...).Scan(&n); err != nil {
		return s.wrap("look for "+what, err)
	}
	if n == 0 {
		return errs.New(errs.CodeNotFound, "there is no such %s", what)
	}
	return nil
}

// change runs statements on a subscription, each with its own parameters.
func (s *store) change(ctx context.Context, op, id string, list ...statement) error {
	const there = `
		SELECT COUNT(*)
		FROM subscription
		WHERE id = ?`
	return s.inDBTx(ctx, func(on conn) error {
		if err := s.must(ctx, on, "subscription", there, id); err != nil {
			return err
		}
		s.changed()
		for _, one := range list {
			if _, err := on.ExecContext(ctx, one.q, one.args...); err != nil {
				return s.wrap(op, err)
			}
		}
		return nil
	})
}

// statement is one with its parameters.
type statement struct {
	q    string
	args []any
}

func (s *store) rotate(ctx context.Context, id, secret string, until time.Time) error {
	const q = `
		UPDATE subscription
		SET old_secret = secret, old_until_us = ?, secret = ?
		WHERE id = ?`
	return s.change(ctx, "rotate secret", id, statement{q, []any{micros(until), secret, id}})
}

// setState also forgets the failures: whoever resumes a subscription gives it a fresh start.
func (s *store) setState(ctx context.Context, id string, state State, reason string) error {
	const q = `
		UPDATE subscription
		SET state = ?, reason = ?, failing_since_us = 0
		WHERE id = ?`
	return s.change(ctx, "set state", id, statement{q, []any{int64(state), reason, id}})
}

// remove deletes a subscription and its deliveries. The subscription goes first: from then on nothing can be
// queued for it.
func (s *store) remove(ctx context.Context, id string) error {
	const (
		q = `
			DELETE FROM subscription
			WHERE id = ?`
		deliveries = `
			DELETE FROM delivery
			WHERE subscription_id = ?`
	)
	return s.change(ctx, "delete subscription", id, statement{q, []any{id}}, statement{deliveries, []any{id}})
}

// Bounds of one INSERT of deliveries.
const (
	queuedAtOnce = 64
	queuedBytes  = 1 << 20
)

// queue adds deliveries inside a DBTx that holds the subscription.
func (s *store) queue(ctx context.Context, on conn, subscription string, list []stream.Record, now time.Time) error {
	const (
		insert = `INSERT INTO delivery (subscription_id, event_id, shard, type, player, body, state, queued_us, next_us) VALUES `
		row    = `(?, ?, ?, ?, ?, ?, 1, ?, ?)`
	)
	for len(list) > 0 {
		var args []any
		rows, size := 0, 0
		for ; rows < len(list) && rows < queuedAtOnce && size < queuedBytes; rows++ {
			r := &list[rows]
			body, err := eventBody(r)
			if err != nil {
				return fmt.Errorf("event %s: %w", r.Position, err)
			}
			size += len(body)
			args = append(args, subscription, r.Position.String(), r.Position.Shard, r.Type, string(r.Player), body, micros(now), micros(now))
		}
		q := insert + strings.Repeat(row+", ", rows-1) + row + s.keepFirst()
		if _, err := on.ExecContext(ctx, q, args...); err != nil {
			return s.wrap("queue deliveries", err)
		}
		list = list[rows:]
	}
	return nil
}

// waiting counts a subscription's queued deliveries inside a DBTx.
func (s *store) waiting(ctx context.Context, on conn, subscription string) (n int, err error) {
	const q = `
		SELECT COUNT(*)
		FROM delivery
		WHERE subscription_id = ? AND state = 1`
	err = on.QueryRowContext(ctx, q, subscription).Scan(&n)
	return n, s.wrap("count deliveries", err)
}

// disable ends a subscription inside a DBTx.
func (s *store) disable(ctx context.Context, on conn, subscription, reason string) error {
	const q = `
		UPDATE subscription
		SET state = 3, reason = ?
		WHERE id = ? AND state <> 3`
	s.changed()
	_, err := on.ExecContext(ctx, q, reason, subscription)
	return s.wrap("disable subscription", err)
}
