package player

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/groupcommit"
	"matchday/internal/sqldb"
)

// Bounds of the housekeeping that rides along with other writes.
const (
	sweepSessions = 16
	sweepFailures = 16
)

// store is the SQL of the room. Sign-ups, sign-ins and failures share their commits, because they
// come in crowds.
type store struct {
	db    *sqldb.DB
	group *groupcommit.Group
}

func micros(us sql.NullInt64) time.Time {
	if !us.Valid {
		return time.Time{}
	}
	return time.UnixMicro(us.Int64).UTC()
}

func nullMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func nullText(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }

func (s store) emailTaken(ctx context.Context, j id.Jurisdiction, email string) (bool, error) {
	const q = `
		SELECT EXISTS (
			SELECT 1
			FROM player
			WHERE jurisdiction = ? AND email = ?
		)`
	var taken bool
	err := s.db.Read.QueryRowContext(ctx, q, j, email).Scan(&taken)
	return taken, sqldb.Wrap("look for e-mail address", err)
}

func (s store) insertPlayer(ctx context.Context, p Player, birth time.Time, hash string) error {
	const q = `
		INSERT INTO player (id, jurisdiction, email, display_name, birth_date, password_hash, status, created_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	err := s.group.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, q, p.ID, p.Jurisdiction, p.Email, p.DisplayName,
			birth.Format(time.DateOnly), hash, int(p.Status), p.CreatedAt.UnixMicro())
		return err
	})
	if sqldb.IsUnique(err) {
		return errEmailTaken // ids are random: only the address can clash
	}
	return sqldb.Wrap("insert player", err)
}

func (s store) findPlayer(ctx context.Context, p id.Player, j id.Jurisdiction) (Player, error) {
	const q = `
		SELECT id, jurisdiction, email, display_name, created_us, status
		FROM player
		WHERE jurisdiction = ? AND id = ?`
	found, err := scanPlayer(s.db.Read.QueryRowContext(ctx, q, j, p))
	if errors.Is(err, sql.ErrNoRows) {
		return Player{}, errs.New(errs.CodeNotFound, "no such player")
	}
	return found, sqldb.Wrap("read player", err)
}

// listPlayers returns players older than before, all if it is empty.
func (s store) listPlayers(ctx context.Context, j id.Jurisdiction, before id.Player, limit int) ([]Player, error) {
	const q = `
		SELECT id, jurisdiction, email, display_name, created_us, status
		FROM player
		WHERE jurisdiction = ? AND (? = '' OR id < ?)
		ORDER BY id DESC
		LIMIT ?`
	rows, err := s.db.Read.QueryContext(ctx, q, j, before, before, limit)
	if err != nil {
		return nil, sqldb.Wrap("list players", err)
	}
	defer func() { _ = rows.Close() }()
	page := make([]Player, 0, limit)
	for rows.Next() {
		p, err := scanPlayer(rows)
		if err != nil {
			return nil, sqldb.Wrap("read player", err)
		}
		page = append(page, p)
	}
	return page, sqldb.Wrap("list players", rows.Err())
}

func scanPlayer(row interface{ Scan(...any) error }) (Player, error) {
	var (
		p       Player
		created int64
		status  int
	)
	err := row.Scan(&p.ID, &p.Jurisdiction, &p.Email, &p.DisplayName, &created, &status)
	p.CreatedAt, p.Status = time.UnixMicro(created).UTC(), Status(status)
	return p, err
}

// setStatus returns the player's sessions, which it deletes if revoke is set.
func (s store) setStatus(ctx context.Context, p id.Player, j id.Jurisdiction, status Status, revoke bool) ([]tokenHash, error) {
	const q = `
		UPDATE player
		SET status = ?
		WHERE jurisdiction = ? AND id = ? AND (status <> ? OR status = ?)`
	var sessions []tokenHash
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, q, int(status), j, p, int(StatusClosed), int(status))
		if err != nil {
			return sqldb.Wrap("update status", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return s.whyNoUpdate(ctx, tx, p, j, err)
		}
		sessions, err = s.sessionsOf(ctx, tx, p)
		if err != nil || !revoke {
			return err
		}
		return s.deleteByPlayer(ctx, tx, p)
	})
	return sessions, err
}

// whyNoUpdate says whether the player is missing or closed.
func (s store) whyNoUpdate(ctx context.Context, tx *sql.Tx, p id.Player, j id.Jurisdiction, err error) error {
	if err != nil {
		return sqldb.Wrap("update status", err)
	}
	const q = `SELECT COUNT(*) FROM player WHERE jurisdiction = ? AND id = ?`
	var n int
	if err := tx.QueryRowContext(ctx, q, j, p).Scan(&n); err != nil {
		return sqldb.Wrap("look for player", err)
	}
	if n == 0 {
		return errs.New(errs.CodeNotFound, "no such player")
	}
	return errs.New(errs.CodeConflict, "the player is closed, which is final")
}

// account is what signing in needs of a player; the zero value stands for nobody.
type account struct {
	player     id.Player
	hash       string
	status     Status
	lastSignIn time.Time
}

func (s store) findAccount(ctx context.Context, j id.Jurisdiction, email string) (account, error) {
	const q = `
		SELECT id, password_hash, status, last_sign_in_us
		FROM player
		WHERE jurisdiction = ? AND email = ?`
	var (
		a      account
		status int
		last   sql.NullInt64
	)
	err := s.db.Read.QueryRowContext(ctx, q, j, email).Scan(&a.player, &a.hash, &status, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return account{}, nil
	}
	a.status, a.lastSignIn = Status(status), micros(last)
	return a, sqldb.Wrap("read account", err)
}

// staffAccount is what signing in needs of a member of staff; the zero value stands for nobody.
type staffAccount struct {
	hash          string
	role          Role
	lastSignIn    time.Time
	jurisdictions []id.Jurisdiction
}

func (s store) findStaff(ctx context.Context, name string) (staffAccount, error) {
	const q = `
		SELECT password_hash, role, last_sign_in_us
		FROM staff
		WHERE name = ?`
	var (
		a    staffAccount
		role int
		last sql.NullInt64
	)
	err := s.db.Read.QueryRowContext(ctx, q, name).Scan(&a.hash, &role, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return staffAccount{}, nil
	}
	if err != nil {
		return staffAccount{}, sqldb.Wrap("read staff", err)
	}
	a.role, a.lastSignIn = Role(role), micros(last)
	a.jurisdictions, err = s.staffJurisdictions(ctx, name)
	return a, err
}

func (s store) staffJurisdictions(ctx context.Context, name string) ([]id.Jurisdiction, error) {
	const q = `
		SELECT jurisdiction
		FROM staff_jurisdiction
		WHERE staff_name = ?
		ORDER BY jurisdiction`
	rows, err := s.db.Read.QueryContext(ctx, q, name)
	if err != nil {
		return nil, sqldb.Wrap("read staff jurisdictions", err)
	}
	defer func() { _ = rows.Close() }()
	var list []id.Jurisdiction
	for rows.Next() {
		var j id.Jurisdiction
		if err := rows.Scan(&j); err != nil {
			return nil, sqldb.Wrap("read staff jurisdictions", err)
		}
		list = append(list, j)
	}
	return list, sqldb.Wrap("read staff jurisdictions", rows.Err())
}

// putStaff makes or replaces a staff account and deletes its sessions, which it returns.
func (s store) putStaff(ctx context.Context, a StaffAccount, hash string, now time.Time) ([]tokenHash, error) {
	const (
		put = `
			INSERT INTO staff (name, role, password_hash, created_us, updated_us)
			VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (name) DO UPDATE
			SET role = excluded.role,
			    password_hash = excluded.password_hash,
			    updated_us = MAX(created_us, excluded.updated_us)`
		clear = `DELETE FROM staff_jurisdiction WHERE staff_name = ?`
		grant = `
			INSERT INTO staff_jurisdiction (staff_name, jurisdiction)
			VALUES (?, ?)
			ON CONFLICT DO NOTHING`
		open   = `SELECT token_hash FROM session WHERE staff_name = ?`
		revoke = `DELETE FROM session WHERE staff_name = ?`
	)
	var sessions []tokenHash
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		us := now.UnixMicro()
		if _, err := tx.ExecContext(ctx, put, a.Name, int(a.Role), hash, us, us); err != nil {
			return sqldb.Wrap("put staff", err)
		}
		if _, err := tx.ExecContext(ctx, clear, a.Name); err != nil {
			return sqldb.Wrap("clear staff jurisdictions", err)
		}
		for _, j := range a.Jurisdictions {
			if _, err := tx.ExecContext(ctx, grant, a.Name, j); err != nil {
				return sqldb.Wrap("grant staff jurisdiction", err)
			}
		}
		var err error
		if sessions, err = scanHashes(tx.QueryContext(ctx, open, a.Name)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, revoke, a.Name)
		return sqldb.Wrap("revoke staff sessions", err)
	})
	return sessions, err
}

// lockedUntil returns the end of a subject's lock, a past or zero time if it has none.
func (s store) lockedUntil(ctx context.Context, subject [sha256.Size]byte) (time.Time, error) {
	const q = `
		SELECT locked_until_us
		FROM sign_in_failure
		WHERE subject = ?`
	var us int64
	err := s.db.Read.QueryRowContext(ctx, q, subject[:]).Scan(&us)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return time.UnixMicro(us).UTC(), sqldb.Wrap("read lock", err)
}

// addFailure counts one more failure in a row, locks the subject for as long as lock says, and
// sweeps a few rows that are older than forgetBefore. It returns the failures in a row.
func (s store) addFailure(ctx context.Context, subject [sha256.Size]byte, now, forgetBefore time.Time, lock func(failures int) time.Duration) (int, error) {
	const (
		count = `
			INSERT INTO sign_in_failure (subject, failures, last_us, locked_until_us)
			VALUES (?, 1, ?, 0)
			ON CONFLICT (subject) DO UPDATE
			SET failures = CASE WHEN last_us < ? THEN 1 ELSE failures + 1 END,
			    last_us = excluded.last_us
			RETURNING failures`
		setLock = `UPDATE sign_in_failure SET locked_until_us = ? WHERE subject = ?`
		sweep   = `
			DELETE FROM sign_in_failure
			WHERE subject IN (
				SELECT subject
				FROM sign_in_failure
				WHERE last_us < ?
				LIMIT ?
			)`
	)
	var failures int
	err := s.group.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		forget := forgetBefore.UnixMicro()
		if err := tx.QueryRowContext(ctx, count, subject[:], now.UnixMicro(), forget).Scan(&failures); err != nil {
			return sqldb.Wrap("count failure", err)
		}
		if d := lock(failures); d > 0 {
			if _, err := tx.ExecContext(ctx, setLock, now.Add(d).UnixMicro(), subject[:]); err != nil {
				return sqldb.Wrap("lock", err)
			}
		}
		_, err := tx.ExecContext(ctx, sweep, forget, sweepFailures)
		return sqldb.Wrap("sweep failures", err)
	})
	return failures, err
}
