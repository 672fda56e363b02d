package player

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// insertSession opens a session if the proof still holds: it notes the sign-in, forgets the
// failures before it, and revokes the person's oldest sessions over the bound, which it returns.
func (s store) insertSession(ctx context.Context, hash tokenHash, session Session, p proof, most int) ([]tokenHash, error) {
	const (
		forgive = `DELETE FROM sign_in_failure WHERE subject = ?`
		insert  = `
			INSERT INTO session (token_hash, id, player_id, jurisdiction, staff_name, created_us, expires_us, previous_us)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
		sweep = `
			DELETE FROM session
			WHERE token_hash IN (
				SELECT token_hash
				FROM session
				WHERE expires_us <= ?
				LIMIT ?
			)`
	)
	var dropped []tokenHash
	now := session.CreatedAt.UnixMicro()
	err := s.group.Do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := s.noteSignIn(ctx, tx, session, p); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, forgive, p.subject[:]); err != nil {
			return sqldb.Wrap("forgive failures", err)
		}
		if _, err := tx.ExecContext(ctx, sweep, now, sweepSessions); err != nil {
			return sqldb.Wrap("sweep sessions", err)
		}
		var err error
		if dropped, err = s.makeRoom(ctx, tx, session, most); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, insert, hash[:], session.ID, nullText(string(session.Player)), nullText(string(session.Jurisdiction)),
			nullText(session.Staff), now, session.ExpiresAt.UnixMicro(), nullMicros(session.PreviousSignIn))
		return sqldb.Wrap("insert session", err)
	})
	return dropped, err
}

// noteSignIn stores the time of the sign-in and a hash of new cost. A password or status that has
// changed since it was checked makes the proof void.
func (s store) noteSignIn(ctx context.Context, tx *sql.Tx, session Session, p proof) error {
	const (
		player = `
			UPDATE player
			SET last_sign_in_us = ?, password_hash = ?
			WHERE jurisdiction = ? AND id = ? AND password_hash = ? AND status = ?`
		staff = `
			UPDATE staff
			SET last_sign_in_us = ?, password_hash = ?
			WHERE name = ? AND password_hash = ?`
	)
	var (
		result sql.Result
		err    error
	)
	at := session.CreatedAt.UnixMicro()
	if session.IsStaff() {
		result, err = tx.ExecContext(ctx, staff, at, p.newHash, session.Staff, p.oldHash)
	} else {
		result, err = tx.ExecContext(ctx, player, at, p.newHash, session.Jurisdiction, session.Player, p.oldHash, int(session.Status))
	}
	if err != nil {
		return sqldb.Wrap("note sign-in", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(errWrongCredentials, err)
	}
	return nil
}

// makeRoom deletes the person's oldest sessions so that one more keeps the bound.
func (s store) makeRoom(ctx context.Context, tx *sql.Tx, session Session, most int) ([]tokenHash, error) {
	const (
		ofPlayer = `
			SELECT token_hash
			FROM session
			WHERE player_id = ?
			ORDER BY created_us DESC
			LIMIT -1 OFFSET ?`
		ofStaff = `
			SELECT token_hash
			FROM session
			WHERE staff_name = ?
			ORDER BY created_us DESC
			LIMIT -1 OFFSET ?`
	)
	q, person := ofPlayer, string(session.Player)
	if session.IsStaff() {
		q, person = ofStaff, session.Staff
	}
	old, err := scanHashes(tx.QueryContext(ctx, q, person, most-1))
	if err != nil {
		return nil, err
	}
	for _, h := range old {
		if err := deleteHash(ctx, tx, h); err != nil {
			return nil, err
		}
	}
	return old, nil
}

func deleteHash(ctx context.Context, tx *sql.Tx, h tokenHash) error {
	const q = `DELETE FROM session WHERE token_hash = ?`
	_, err := tx.ExecContext(ctx, q, h[:])
	return sqldb.Wrap("delete session", err)
}

func (s store) deleteSession(ctx context.Context, h tokenHash) error {
	return s.group.Do(ctx, func(ctx context.Context, tx *sql.Tx) error { return deleteHash(ctx, tx, h) })
}

// deleteSessions deletes and returns all sessions of a player.
func (s store) deleteSessions(ctx context.Context, p id.Player) ([]tokenHash, error) {
	var hashes []tokenHash
	err := s.db.InTx(ctx, func(tx *sql.Tx) error {
		var err error
		if hashes, err = s.sessionsOf(ctx, tx, p); err != nil {
			return err
		}
		return s.deleteByPlayer(ctx, tx, p)
	})
	return hashes, err
}

func (s store) sessionsOf(ctx context.Context, tx *sql.Tx, p id.Player) ([]tokenHash, error) {
	const q = `SELECT token_hash FROM session WHERE player_id = ?`
	return scanHashes(tx.QueryContext(ctx, q, p))
}

func (s store) deleteByPlayer(ctx context.Context, tx *sql.Tx, p id.Player) error {
	const q = `DELETE FROM session WHERE player_id = ?`
	_, err := tx.ExecContext(ctx, q, p)
	return sqldb.Wrap("delete sessions", err)
}

// scanHashes reads the hashes of a query; a person has a bounded number of sessions.
func scanHashes(rows *sql.Rows, err error) ([]tokenHash, error) {
	if err != nil {
		return nil, sqldb.Wrap("read sessions", err)
	}
	defer func() { _ = rows.Close() }()
	var hashes []tokenHash
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, sqldb.Wrap("read sessions", err)
		}
		hashes = append(hashes, tokenHash(raw)) // 32 bytes by a CHECK of the table
	}
	return hashes, sqldb.Wrap("read sessions", rows.Err())
}

// findSession returns the session with the hash, expired or not, with the player's present status
// or the member of staff's present rights.
func (s store) findSession(ctx context.Context, h tokenHash) (Session, bool, error) {
	const q = `
		SELECT s.id, COALESCE(s.player_id, ''), COALESCE(s.jurisdiction, ''), COALESCE(s.staff_name, ''),
		       s.created_us, s.expires_us, s.previous_us, COALESCE(p.status, 0), COALESCE(st.role, 0)
		FROM session AS s
		LEFT JOIN player AS p ON p.jurisdiction = s.jurisdiction AND p.id = s.player_id
		LEFT JOIN staff AS st ON st.name = s.staff_name
		WHERE s.token_hash = ?`
	var (
		found            Session
		created, expires int64
		previous         sql.NullInt64
		status, role     int
	)
	err := s.db.Read.QueryRowContext(ctx, q, h[:]).Scan(&found.ID, &found.Player, &found.Jurisdiction, &found.Staff,
		&created, &expires, &previous, &status, &role)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, false, nil
	}
	if err != nil {
		return Session{}, false, sqldb.Wrap("read session", err)
	}
	found.Status, found.Role = Status(status), Role(role)
	found.CreatedAt, found.ExpiresAt = time.UnixMicro(created).UTC(), time.UnixMicro(expires).UTC()
	found.PreviousSignIn = micros(previous)
	if found.IsStaff() {
		found.Jurisdictions, err = s.staffJurisdictions(ctx, found.Staff)
	}
	return found, true, err
}
