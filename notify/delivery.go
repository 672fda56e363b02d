package notify

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"
)

// parcel is a delivery with what is sent.
type parcel struct {
	id       int64
	shard    int
	player   string
	event    string
	attempts int
	queued   time.Time
	body     []byte
}

// due returns what may be sent now, of these shards, all if there are none: of each player the oldest delivery
// only.
func (s *store) due(ctx context.Context, subscription string, shards []int, now time.Time, limit int) ([]parcel, error) {
	const (
		from = `
			SELECT d.id, d.shard, d.player, d.event_id, d.attempts, d.queued_us, d.body
			FROM delivery d
			WHERE d.subscription_id = ? AND d.state = 1 AND d.next_us <= ? AND NOT EXISTS (
				SELECT 1
				FROM delivery e
				WHERE e.subscription_id = d.subscription_id AND e.state = 1 AND e.player = d.player AND e.id < d.id)`
		order = `
			ORDER BY d.id
			LIMIT ?`
	)
	q, args := from, []any{subscription, micros(now)}
	if len(shards) > 0 {
		q += " AND d.shard IN (?" + strings.Repeat(", ?", len(shards)-1) + ")"
		for _, shard := range shards {
			args = append(args, shard)
		}
	}
	rows, err := s.QueryContext(ctx, q+order, append(args, limit)...)
	if err != nil {
		return nil, s.wrap("read due deliveries", err)
	}
	defer func() { _ = rows.Close() }()
	var out []parcel
	for rows.Next() {
		var p parcel
		var queued int64
		if err := rows.Scan(&p.id, &p.shard, &p.player, &p.event, &p.attempts, &queued, &p.body); err != nil {
			return nil, s.wrap("read due delivery", err)
		}
		p.queued = fromMicros(queued)
		out = append(out, p)
	}
	return out, s.wrap("read due deliveries", rows.Err())
}

// outcome is what became of an attempt.
type outcome struct {
	id     int64
	player string
	shard  int
	state  int       // deliveryQueued: it is tried again at next; 0: it was not made, for err, or cut off
	next   time.Time // of a queued one
	done   time.Time
	status int
	detail string
	err    error
}

// failing is what a round says about its subscription.
type failing struct {
	since    time.Time // of nothing but failures; zero: something was delivered
	disabled bool      // by this round
}

// file keeps the outcomes of a round for deliveries of one shard, if they are for this process to write, and whether the
// subscription fails: after so long it is disabled.
func (s *store) file(ctx context.Context, subscription string, shard int, list []outcome, now time.Time, after time.Duration) (f failing, err error) {
	const one = `
		UPDATE delivery
		SET state = ?, attempts = attempts + 1, next_us = ?, done_us = ?, status = ?, detail = ?
		WHERE id = ? AND state = 1`
	err = s.inTenure(ctx, shard, func(on conn) error {
		delivered := false
		for _, o := range list {
			delivered = delivered || o.state == deliveryDelivered
			if _, err := on.ExecContext(ctx, one, o.state, micros(o.next), micros(o.done), o.status, o.detail, o.id); err != nil {
				return s.wrap("file outcome", err)
			}
		}
		f, err = s.note(ctx, on, subscription, delivered, now, after)
		return err
	})
	return f, err
}

// note keeps since when a subscription has only failed, inside a DBTx. Other processes note the same row: any
// success ends the failures of all.
func (s *store) note(ctx context.Context, on conn, subscription string, delivered bool, now time.Time, after time.Duration) (failing, error) {
	const (
		read = `
			SELECT state, failing_since_us
			FROM subscription
			WHERE id = ?`
		write = `
			UPDATE subscription
			SET failing_since_us = ?
			WHERE id = ?`
	)
	var state State
	var us int64
	err := on.QueryRowContext(ctx, read, subscription).Scan(&state, &us)
	if errors.Is(err, sql.ErrNoRows) { // deleted meanwhile
		return failing{}, nil
	}
	if err != nil {
		return failing{}, s.wrap("read failures", err)
	}
	f := failing{since: fromMicros(us)}
	switch {
	case delivered:
		f.since = time.Time{}
	case us == 0:
		f.since = now
	}
	if micros(f.since) != us {
		s.changed()
		if _, err := on.ExecContext(ctx, write, micros(f.since), subscription); err != nil {
			return failing{}, s.wrap("note failures", err)
		}
	}
	if f.since.IsZero() || now.Sub(f.since) <= after || state == StateDisabled {
		return f, nil
	}
	f.disabled = true
	return f, s.disable(ctx, on, subscription, "nothing but failures since "+f.since.Format(time.RFC3339))
}

// deliveries returns a page of a subscription's deliveries, newest first.
func (s *store) deliveries(ctx context.Context, subscription string, before int64, limit int) ([]Delivery, error) {
	const q = `
		SELECT id, subscription_id, event_id, type, state, attempts, queued_us, next_us, done_us, status, detail
		FROM delivery
		WHERE subscription_id = ? AND id < ?
		ORDER BY id DESC
		LIMIT ?`
	rows, err := s.QueryContext(ctx, q, subscription, before, limit)
	if err != nil {
		return nil, s.wrap("read deliveries", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Delivery
	for rows.Next() {
		var d Delivery
		var state int
		var queued, next, done int64
		err := rows.Scan(&d.ID, &d.Subscription, &d.EventID, &d.Type, &state, &d.Attempts, &queued, &next, &done, &d.Status, &d.Detail)
		if err != nil {
			return nil, s.wrap("read delivery", err)
		}
		d.State, d.QueuedAt, d.DoneAt = deliveryStates[state], fromMicros(queued), fromMicros(done)
		if state == deliveryQueued {
			d.NextAt = fromMicros(next)
		}
		out = append(out, d)
	}
	return out, s.wrap("read deliveries", rows.Err())
}

// redeliver queues a delivery again, as if it were new.
func (s *store) redeliver(ctx context.Context, subscription string, delivery int64, now time.Time) error {
	const there = `
		SELECT COUNT(*)
		FROM delivery
		WHERE subscription_id = ? AND id = ?`
	const q = `
		UPDATE delivery
		SET state = 1, attempts = 0, queued_us = ?, next_us = ?, done_us = 0
		WHERE subscription_id = ? AND id = ?`
	return s.inDBTx(ctx, func(on conn) error {
		if err := s.must(ctx, on, "delivery", there, subscription, delivery); err != nil {
			return err
		}
		_, err := on.ExecContext(ctx, q, micros(now), micros(now), subscription, delivery)
		return s.wrap("redeliver", err)
	})
}

// Rows that staff can still look at.
const (
	keptDelivered = 1_000
	keptDead      = 10_000
)

// purge drops the oldest delivered and dead rows of a subscription. It is for any process that delivers for it: the
// shard is one that this process writes.
func (s *store) purge(ctx context.Context, subscription string, shard int) error {
	const (
		last = `
			SELECT COALESCE(MAX(id), 0)
			FROM (
				SELECT id
				FROM delivery
				WHERE subscription_id = ? AND state = ?
				ORDER BY id DESC
				LIMIT 1 OFFSET ?) AS oldest`
		drop = `
			DELETE FROM delivery
			WHERE subscription_id = ? AND state = ? AND id <= ?`
	)
	return s.inTenure(ctx, shard, func(on conn) error {
		for _, of := range []struct{ state, keep int }{{deliveryDelivered, keptDelivered}, {deliveryDead, keptDead}} {
			var id int64
			if err := on.QueryRowContext(ctx, last, subscription, of.state, of.keep).Scan(&id); err != nil {
				return s.wrap("purge deliveries", err)
			}
			if id == 0 {
				continue
			}
			if _, err := on.ExecContext(ctx, drop, subscription, of.state, id); err != nil {
				return s.wrap("purge deliveries", err)
			}
		}
		return nil
	})
}
