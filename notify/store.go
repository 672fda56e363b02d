package notify

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
	"matchday/stream"
)

//go:embed migrations/*.sql
var migrations embed.FS

// store is the room's database.
type store struct{ db *sqldb.DB }

func openStore(ctx context.Context, dir string, now time.Time) (*store, error) {
	db, err := sqldb.Open(filepath.Join(dir, "notify.db"), sqldb.Options{Readers: 2})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, migrations, now); err != nil {
		_ = db.Close()
		return nil, err
	}
	return &store{db: db}, nil
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

// subscriptions returns all of them, the oldest first, with what waits for them.
func (s *store) subscriptions(ctx context.Context) ([]Subscription, error) {
	const q = `
		SELECT s.id, s.url, s.types, s.jurisdiction, s.secret, s.old_secret, s.old_until_us, s.state, s.reason,
			s.failing_since_us, s.created_by, s.created_us, (
				SELECT COUNT(*)
				FROM delivery d
				WHERE d.subscription_id = s.id AND d.state = 1), (
				SELECT COUNT(*)
				FROM delivery d
				WHERE d.subscription_id = s.id AND d.state = 3)
		FROM subscription s
		ORDER BY s.created_us, s.id`
	rows, err := s.db.Read.QueryContext(ctx, q)
	if err != nil {
		return nil, sqldb.Wrap("read subscriptions", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Subscription
	for rows.Next() {
		var one Subscription
		var types string
		var oldUntil, failing, created int64
		err := rows.Scan(&one.ID, &one.URL, &types, &one.Jurisdiction, &one.secret, &one.oldSecret, &oldUntil, &one.State,
			&one.Reason, &failing, &one.CreatedBy, &created, &one.Queued, &one.Dead)
		if err != nil {
			return nil, sqldb.Wrap("read subscription", err)
		}
		one.Types, one.oldUntil = strings.Fields(types), fromMicros(oldUntil)
		one.FailingSince, one.CreatedAt = fromMicros(failing), fromMicros(created)
		out = append(out, one)
	}
	return out, sqldb.Wrap("read subscriptions", rows.Err())
}

// insert adds a subscription. heads are, by the name of each sink that does not run yet, where it
// begins.
func (s *store) insert(ctx context.Context, one *Subscription, begin func(tx *sql.Tx) error) error {
	const q = `
		INSERT INTO subscription (id, url, types, jurisdiction, secret, state, created_by, created_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	const count = `
		SELECT COUNT(*)
		FROM subscription`
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		var n int
		if err := tx.QueryRowContext(ctx, count).Scan(&n); err != nil {
			return sqldb.Wrap("count subscriptions", err)
		}
		if n >= maxSubscriptions {
			return errs.New(errs.CodeLimitReached, "there are %d subscriptions already", n)
		}
		_, err := tx.ExecContext(ctx, q, one.ID, one.URL, strings.Join(one.Types, " "), string(one.Jurisdiction), one.secret,
			int64(one.State), one.CreatedBy, micros(one.CreatedAt))
		if err != nil {
			return sqldb.Wrap("insert subscription", err)
		}
		return begin(tx)
	})
}

// change runs an UPDATE or DELETE of one row; no row is errs.CodeNotFound.
func (s *store) change(ctx context.Context, op, what, q string, args ...any) error {
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, q, args...)
		if err != nil {
			return sqldb.Wrap(op, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errs.New(errs.CodeNotFound, "there is no such %s", what)
		}
		return nil
	})
}

func (s *store) rotate(ctx context.Context, id, secret string, until time.Time) error {
	const q = `
		UPDATE subscription
		SET old_secret = secret, old_until_us = ?, secret = ?
		WHERE id = ?`
	return s.change(ctx, "rotate secret", "subscription", q, micros(until), secret, id)
}

// setState also forgets the failures: whoever resumes a subscription gives it a fresh start.
func (s *store) setState(ctx context.Context, id string, state State, reason string) error {
	const q = `
		UPDATE subscription
		SET state = ?, reason = ?, failing_since_us = 0
		WHERE id = ?`
	return s.change(ctx, "set state", "subscription", q, int64(state), reason, id)
}

func (s *store) remove(ctx context.Context, id string) error {
	const q = `
		DELETE FROM subscription
		WHERE id = ?`
	return s.change(ctx, "delete subscription", "subscription", q, id)
}

// queue adds deliveries inside the DBTx of a sink, or of a ping. One that is there already stays as
// it is.
func queue(ctx context.Context, tx *sql.Tx, subscription string, list []stream.Record, now time.Time) error {
	const q = `
		INSERT INTO delivery (subscription_id, event_id, type, player, body, state, queued_us, next_us)
		VALUES (?, ?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT (subscription_id, event_id) DO NOTHING`
	for i := range list {
		r := &list[i]
		body, err := eventBody(r)
		if err != nil {
			return fmt.Errorf("event %s: %w", r.Position, err)
		}
		if _, err := tx.ExecContext(ctx, q, subscription, r.Position.String(), r.Type, string(r.Player), body, micros(now), micros(now)); err != nil {
			return sqldb.Wrap("queue delivery", err)
		}
	}
	return nil
}

// waiting counts a subscription's queued deliveries inside a DBTx.
func waiting(ctx context.Context, tx *sql.Tx, subscription string) (n int, err error) {
	const q = `
		SELECT COUNT(*)
		FROM delivery
		WHERE subscription_id = ? AND state = 1`
	err = tx.QueryRowContext(ctx, q, subscription).Scan(&n)
	return n, sqldb.Wrap("count deliveries", err)
}

// disable ends a subscription inside a DBTx.
func disable(ctx context.Context, tx *sql.Tx, subscription, reason string) error {
	const q = `
		UPDATE subscription
		SET state = 3, reason = ?
		WHERE id = ? AND state <> 3`
	_, err := tx.ExecContext(ctx, q, reason, subscription)
	return sqldb.Wrap("disable subscription", err)
}

// parcel is a delivery with what is sent.
type parcel struct {
	id       int64
	event    string
	attempts int
	queued   time.Time
	body     []byte
}

// due returns what may be sent now: of each player the oldest delivery only.
func (s *store) due(ctx context.Context, subscription string, now time.Time, limit int) ([]parcel, error) {
	const q = `
		SELECT d.id, d.event_id, d.attempts, d.queued_us, d.body
		FROM delivery d
		WHERE d.subscription_id = ? AND d.state = 1 AND d.next_us <= ? AND NOT EXISTS (
			SELECT 1
			FROM delivery e
			WHERE e.subscription_id = d.subscription_id AND e.state = 1 AND e.player = d.player AND e.id < d.id)
		ORDER BY d.id
		LIMIT ?`
	rows, err := s.db.Read.QueryContext(ctx, q, subscription, micros(now), limit)
	if err != nil {
		return nil, sqldb.Wrap("read due deliveries", err)
	}
	defer func() { _ = rows.Close() }()
	var out []parcel
	for rows.Next() {
		var p parcel
		var queued int64
		if err := rows.Scan(&p.id, &p.event, &p.attempts, &queued, &p.body); err != nil {
			return nil, sqldb.Wrap("read due delivery", err)
		}
		p.queued = fromMicros(queued)
		out = append(out, p)
	}
	return out, sqldb.Wrap("read due deliveries", rows.Err())
}

// outcome is what became of an attempt.
type outcome struct {
	id     int64
	state  int       // deliveryQueued: it is tried again at next
	next   time.Time // of a queued one
	done   time.Time
	status int
	detail string
}

// file keeps the outcomes of a round and whether the subscription fails: since is zero after a success.
func (s *store) file(ctx context.Context, subscription string, list []outcome, since time.Time) error {
	const one = `
		UPDATE delivery
		SET state = ?, attempts = attempts + 1, next_us = ?, done_us = ?, status = ?, detail = ?
		WHERE id = ? AND state = 1`
	const failing = `
		UPDATE subscription
		SET failing_since_us = ?
		WHERE id = ?`
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		for _, o := range list {
			if _, err := tx.ExecContext(ctx, one, o.state, micros(o.next), micros(o.done), o.status, o.detail, o.id); err != nil {
				return sqldb.Wrap("file outcome", err)
			}
		}
		_, err := tx.ExecContext(ctx, failing, micros(since), subscription)
		return sqldb.Wrap("note failures", err)
	})
}

// deliveries returns a page of a subscription's deliveries, newest first.
func (s *store) deliveries(ctx context.Context, subscription string, before int64, limit int) ([]Delivery, error) {
	const q = `
		SELECT id, subscription_id, event_id, type, state, attempts, queued_us, next_us, done_us, status, detail
		FROM delivery
		WHERE subscription_id = ? AND id < ?
		ORDER BY id DESC
		LIMIT ?`
	rows, err := s.db.Read.QueryContext(ctx, q, subscription, before, limit)
	if err != nil {
		return nil, sqldb.Wrap("read deliveries", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Delivery
	for rows.Next() {
		var d Delivery
		var state int
		var queued, next, done int64
		err := rows.Scan(&d.ID, &d.Subscription, &d.EventID, &d.Type, &state, &d.Attempts, &queued, &next, &done, &d.Status, &d.Detail)
		if err != nil {
			return nil, sqldb.Wrap("read delivery", err)
		}
		d.State, d.QueuedAt, d.DoneAt = deliveryStates[state], fromMicros(queued), fromMicros(done)
		if state == deliveryQueued {
			d.NextAt = fromMicros(next)
		}
		out = append(out, d)
	}
	return out, sqldb.Wrap("read deliveries", rows.Err())
}

// redeliver queues a delivery again, as if it were new.
func (s *store) redeliver(ctx context.Context, subscription string, delivery int64, now time.Time) error {
	const q = `
		UPDATE delivery
		SET state = 1, attempts = 0, queued_us = ?, next_us = ?, done_us = 0
		WHERE subscription_id = ? AND id = ?`
	return s.change(ctx, "redeliver", "delivery", q, micros(now), micros(now), subscription, delivery)
}

// Rows that staff can still look at.
const (
	keptDelivered = 1_000
	keptDead      = 10_000
)

// purge drops the oldest delivered and dead rows of a subscription.
func (s *store) purge(ctx context.Context, subscription string) error {
	const q = `
		DELETE FROM delivery
		WHERE subscription_id = ? AND state = ? AND id <= (
			SELECT id
			FROM delivery
			WHERE subscription_id = ? AND state = ?
			ORDER BY id DESC
			LIMIT 1 OFFSET ?)`
	return s.db.InTx(ctx, func(tx *sql.Tx) error {
		for state, keep := range map[int]int{deliveryDelivered: keptDelivered, deliveryDead: keptDead} {
			if _, err := tx.ExecContext(ctx, q, subscription, state, subscription, state, keep); err != nil {
				return sqldb.Wrap("purge deliveries", err)
			}
		}
		return nil
	})
}
