package payments

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/groupcommit"
	"matchday/internal/sqldb"
	"matchday/money"
)

// store is the SQL of the room. Writes of single payments share their commits: many are on their
// way at a time, and each would wait for the disk three times.
type store struct {
	db    *sqldb.DB
	group *groupcommit.Group
}

// columns is what scan reads, in its order.
const columns = `id, jurisdiction, player_id, key, direction, amount_minor, currency, method, provider,
       status, step, reason, attempts, created_us, updated_us, shard, seq`

func scan(row interface{ Scan(...any) error }) (Payment, error) {
	var (
		p                       Payment
		minor, created, updated int64
		currency                money.Currency
		direction, status, at   int
	)
	err := row.Scan(&p.ID, &p.Jurisdiction, &p.Player, &p.Key, &direction, &minor, &currency, &p.Method, &p.Provider,
		&status, &at, &p.Reason, &p.attempts, &created, &updated, &p.Position.Shard, &p.Position.Seq)
	p.Direction, p.Status, p.step = Direction(direction), Status(status), step(at)
	p.Amount = money.New(minor, currency)
	p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return p, err
}

func scanAll(rows *sql.Rows, err error) ([]Payment, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var page []Payment
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, err
		}
		page = append(page, p)
	}
	return page, rows.Err()
}

// insert stores a new payment and reports whether it did: a key that is in use leaves all as it is.
func (s store) insert(ctx context.Context, p Payment, due time.Time) (bool, error) {
	const q = `
		INSERT INTO payment (id, jurisdiction, player_id, key, direction, amount_minor, currency, method,
		                     provider, status, step, due_us, created_us, updated_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (jurisdiction, player_id, key) DO NOTHING`
	return s.write(ctx, "insert payment", q, p.ID, p.Jurisdiction, p.Player, p.Key, int(p.Direction),
		p.Amount.Minor(), p.Amount.Currency(), p.Method, p.Provider, int(p.Status), int(p.step),
		due.UnixMicro(), p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro())
}

// write runs a statement in a shared commit and reports whether it changed its one row.
func (s store) write(ctx context.Context, op, q string, args ...any) (changed bool, err error) {
	err = s.group.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, q, args...)
		changed, err = oneRow(op, result, err)
		return err
	})
	return changed, err
}

func oneRow(op string, result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, sqldb.Wrap(op, err)
	}
	n, err := result.RowsAffected()
	return n == 1, sqldb.Wrap(op, err)
}

// save moves a pending payment from one step to the next and reports whether it did: a payment that
// is no longer at the first step stays.
func (s store) save(ctx context.Context, from, to Payment, due time.Time) (bool, error) {
	const q = `
		UPDATE payment
		SET status = ?, step = ?, reason = ?, attempts = ?, due_us = ?, updated_us = ?, shard = ?, seq = ?
		WHERE id = ? AND step = ? AND status = ?`
	return s.write(ctx, "save payment", q, int(to.Status), int(to.step), to.Reason, to.attempts, due.UnixMicro(),
		to.UpdatedAt.UnixMicro(), to.Position.Shard, to.Position.Seq, from.ID, int(from.step), int(StatusPending))
}

// postpone stores the tries so far and when the next is due.
func (s store) postpone(ctx context.Context, p Payment, due time.Time) error {
	const q = `
		UPDATE payment
		SET attempts = ?, due_us = ?
		WHERE id = ? AND step = ? AND status = ?`
	_, err := s.write(ctx, "postpone payment", q, p.attempts, due.UnixMicro(), p.ID, int(p.step), int(StatusPending))
	return err
}

// hurry makes every pending payment due: whoever held it is gone.
func (s store) hurry(ctx context.Context, now time.Time) error {
	const q = `
		UPDATE payment
		SET due_us = ?
		WHERE status = ? AND due_us > ?`
	_, err := s.db.Write.ExecContext(ctx, q, now.UnixMicro(), int(StatusPending), now.UnixMicro())
	return sqldb.Wrap("hurry payments", err)
}

// countDue returns how many payments are due, at most limit.
func (s store) countDue(ctx context.Context, now time.Time, limit int) (int, error) {
	const q = `
		SELECT COUNT(*)
		FROM (
			SELECT 1
			FROM payment
			WHERE status = 1 AND due_us <= ?
			LIMIT ?
		)`
	var n int
	err := s.db.Read.QueryRowContext(ctx, q, now.UnixMicro(), limit).Scan(&n)
	return n, sqldb.Wrap("count due payments", err)
}

// takeDue returns payments that are due, the longest due first, and leases them until then.
func (s store) takeDue(ctx context.Context, now, until time.Time, limit int) ([]Payment, error) {
	const q = `
		UPDATE payment
		SET due_us = ?
		WHERE id IN (
			SELECT id
			FROM payment
			WHERE status = 1 AND due_us <= ?
			ORDER BY due_us
			LIMIT ?
		)
		RETURNING ` + columns
	page, err := scanAll(s.db.Write.QueryContext(ctx, q, until.UnixMicro(), now.UnixMicro(), limit))
	return page, sqldb.Wrap("take due payments", err)
}

// findByKey returns the payment made under a request's key, if there is one.
func (s store) findByKey(ctx context.Context, r Request) (Payment, bool, error) {
	const q = `
		SELECT ` + columns + `
		FROM payment
		WHERE jurisdiction = ? AND player_id = ? AND key = ?`
	p, err := scan(s.db.Read.QueryRowContext(ctx, q, r.Jurisdiction, r.Player, r.Key))
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, false, nil
	}
	return p, err == nil, sqldb.Wrap("find payment by key", err)
}

func (s store) find(ctx context.Context, player id.Player, j id.Jurisdiction, payment string) (Payment, error) {
	const q = `
		SELECT ` + columns + `
		FROM payment
		WHERE id = ? AND jurisdiction = ? AND player_id = ?`
	p, err := scan(s.db.Read.QueryRowContext(ctx, q, payment, j, player))
	if errors.Is(err, sql.ErrNoRows) {
		return Payment{}, errs.New(errs.CodeNotFound, "no such payment")
	}
	return p, sqldb.Wrap("read payment", err)
}

// list returns payments older than before, all if it is empty, of the directions first to last.
func (s store) list(ctx context.Context, player id.Player, j id.Jurisdiction, before string, limit int, first, last Direction) ([]Payment, error) {
	const q = `
		SELECT ` + columns + `
		FROM payment
		WHERE jurisdiction = ? AND player_id = ? AND (? = '' OR id < ?) AND direction BETWEEN ? AND ?
		ORDER BY id DESC
		LIMIT ?`
	page, err := scanAll(s.db.Read.QueryContext(ctx, q, j, player, before, before, int(first), int(last), limit))
	return page, sqldb.Wrap("list payments", err)
}
