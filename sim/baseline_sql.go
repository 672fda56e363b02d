package sim

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"

	"matchday/internal/mysqldb"
)

func isDuplicate(err error) bool { return mysqldb.IsDuplicate(err) }
func isDeadlock(err error) bool  { return mysqldb.IsDeadlock(err) }

// rowLocks makes a transfer with statements from the client: six round trips with the commit.
type rowLocks struct {
	conn    *sql.Conn
	rng     *rand.Rand
	lock    *sql.Stmt
	insert  *sql.Stmt
	post    *sql.Stmt
	balance *sql.Stmt
}

// openRowLocks takes a connection and prepares its statements.
func openRowLocks(ctx context.Context, db *sql.DB) (accountOps, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	r := &rowLocks{conn: conn, rng: rand.New(rand.NewPCG(1, 2))} // #nosec: only for pauses
	for _, s := range []struct {
		into **sql.Stmt
		q    string
	}{
		{&r.lock, `SELECT balance_minor FROM account WHERE id = ? FOR UPDATE`},
		{&r.insert, `INSERT INTO transfer (transfer_key, refused, balance_minor, record, at_us) VALUES (?, ?, ?, ?, ?)`},
		{&r.post, `INSERT INTO posting (account_id, transfer_id, amount_minor, balance_minor) VALUES (?, ?, ?, ?), (?, ?, ?, 0)`},
		{&r.balance, `UPDATE account SET balance_minor = ? WHERE id = ?`},
	} {
		if *s.into, err = conn.PrepareContext(ctx, s.q); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return r, nil
}

func (r *rowLocks) close() error { return r.conn.Close() }

func (r *rowLocks) transfer(ctx context.Context, t *baselineTransfer) (bool, error) {
	return retryDeadlock(ctx, r.rng, func() (bool, error) { return r.once(ctx, t) })
}

// once is one DBTx. The unique key finds a request that was answered before.
func (r *rowLocks) once(ctx context.Context, t *baselineTransfer) (done bool, err error) {
	tx, err := r.conn.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback() // the error that led here is the one to know
		}
	}()
	var balance int64
	if err := tx.StmtContext(ctx, r.lock).QueryRowContext(ctx, t.account).Scan(&balance); err != nil {
		return false, err
	}
	refused := balance+t.minor < 0
	if !refused {
		balance += t.minor
	}
	inserted, err := tx.StmtContext(ctx, r.insert).ExecContext(ctx, t.key, refused, balance, t.record, t.at)
	if isDuplicate(err) {
		return r.firstAnswer(ctx, tx, t.key)
	}
	if err != nil {
		return false, err
	}
	if !refused {
		id, err := inserted.LastInsertId()
		if err != nil {
			return false, err
		}
		if _, err := tx.StmtContext(ctx, r.post).ExecContext(ctx, t.account, id, t.minor, balance, t.house, id, -t.minor); err != nil {
			return false, err
		}
		if _, err := tx.StmtContext(ctx, r.balance).ExecContext(ctx, balance, t.account); err != nil {
			return false, err
		}
	}
	return !refused, tx.Commit()
}

// firstAnswer ends the DBTx and returns what the key was answered with.
func (r *rowLocks) firstAnswer(ctx context.Context, tx *sql.Tx, key string) (bool, error) {
	var refused bool
	err := tx.QueryRowContext(ctx, `SELECT refused FROM transfer WHERE transfer_key = ?`, key).Scan(&refused)
	return !refused, errors.Join(err, tx.Rollback())
}

// baselineProcedure makes a transfer inside the server.
const baselineProcedure = `
CREATE PROCEDURE make_transfer(
	IN p_key VARBINARY(200), IN p_account BIGINT, IN p_house BIGINT, IN p_minor BIGINT, IN p_record BLOB, IN p_at_us BIGINT,
	OUT p_refused TINYINT, OUT p_balance BIGINT, OUT p_id BIGINT)
BEGIN
	DECLARE EXIT HANDLER FOR 1062
	BEGIN
		ROLLBACK;
		SELECT refused, balance_minor, id INTO p_refused, p_balance, p_id FROM transfer WHERE transfer_key = p_key;
	END;
	DECLARE EXIT HANDLER FOR SQLEXCEPTION
	BEGIN
		ROLLBACK;
		RESIGNAL;
	END;
	START TRANSACTION;
	SELECT balance_minor INTO p_balance FROM account WHERE id = p_account FOR UPDATE;
	SET p_refused = p_balance + p_minor < 0;
	IF NOT p_refused THEN
		SET p_balance = p_balance + p_minor;
	END IF;
	INSERT INTO transfer (transfer_key, refused, balance_minor, record, at_us)
		VALUES (p_key, p_refused, p_balance, p_record, p_at_us);
	SET p_id = LAST_INSERT_ID();
	IF NOT p_refused THEN
		INSERT INTO posting (account_id, transfer_id, amount_minor, balance_minor)
			VALUES (p_account, p_id, p_minor, p_balance), (p_house, p_id, -p_minor, 0);
		UPDATE account SET balance_minor = p_balance WHERE id = p_account;
	END IF;
	COMMIT;
END`

// procedure makes a transfer with one call, and its answer in the same round trip.
type procedure struct {
	conn *sql.Conn
	rng  *rand.Rand
}

// openProcedure takes a connection.
func openProcedure(ctx context.Context, db *sql.DB) (accountOps, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &procedure{conn: conn, rng: rand.New(rand.NewPCG(3, 4))}, nil // #nosec: only for pauses
}

func (p *procedure) close() error { return p.conn.Close() }

func (p *procedure) transfer(ctx context.Context, t *baselineTransfer) (bool, error) {
	return retryDeadlock(ctx, p.rng, func() (bool, error) { return p.once(ctx, t) })
}

func (p *procedure) once(ctx context.Context, t *baselineTransfer) (bool, error) {
	const q = `
		CALL make_transfer(?, ?, ?, ?, ?, ?, @refused, @balance, @id);
		SELECT @refused, @balance, @id`
	rows, err := p.conn.QueryContext(ctx, q, t.key, t.account, t.house, t.minor, t.record, t.at)
	if err != nil {
		return false, err
	}
	defer rows.Close() //nolint:errcheck // read to its end below
	for {
		for rows.Next() {
			var refused bool
			var balance, id int64
			if err := rows.Scan(&refused, &balance, &id); err != nil {
				return false, err
			}
			return !refused, nil
		}
		if !rows.NextResultSet() {
			return false, errors.Join(rows.Err(), errors.New("the procedure gave no answer"))
		}
	}
}
