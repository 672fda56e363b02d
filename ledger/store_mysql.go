package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/internal/mysqldb"
)

//go:embed migrations_mysql/*.sql
var mysqlMigrations embed.FS

// mysqlStore keeps a shard in one database of a cluster. It keeps no connection: each batch and each
// read takes one of the cluster's, which all its shards share, and names its database in the same
// packet. So it follows the primary wherever that goes.
type mysqlStore struct {
	lookups // over writing connections to the primary
	tableReads
	cluster  *mysqldb.Cluster
	database string
	packet   packet // of the batch being written; the writer's
}

// inDatabase names the database in front of each statement.
type inDatabase struct {
	on  querier
	use string
}

func newInDatabase(on querier, database string) inDatabase {
	return inDatabase{on: on, use: "USE " + mysqldb.Quote(database) + ";"}
}

// QueryContext implements querier.
func (d inDatabase) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return d.on.QueryContext(ctx, d.use+q, args...)
}

// newMySQLReads returns the reading side of a shard over any pool that allows several statements in
// a packet: the primary's, or one replica's.
func newMySQLReads(on querier, database string) tableReads {
	return tableReads{on: newInDatabase(on, database), sql: &mysqlSQL}
}

// openMySQL makes the shard's database if it is missing and brings its schema up to date.
func openMySQL(ctx context.Context, cluster *mysqldb.Cluster, shard int, now time.Time) (*mysqlStore, error) {
	database := cluster.Config().DatabaseOf(shard)
	if err := cluster.Migrate(ctx, database, mysqlMigrations, "migrations_mysql", now); err != nil {
		return nil, err
	}
	return &mysqlStore{
		lookups:    lookups{on: newInDatabase(cluster.Writes(), database), sql: &mysqlSQL},
		tableReads: newMySQLReads(cluster.Reads(), database),
		cluster:    cluster, database: database,
	}, nil
}

// mysqlSQL is what MySQL and MariaDB answer with look-ups: a join on the newest posting would be
// evaluated once for every posting of the account.
var mysqlSQL = dialect{
	accounts: `
		SELECT a.id, a.address, a.currency, (
				SELECT p.balance_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1), (
				SELECT p.held_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1), (
				SELECT p.rule
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1)
		FROM account a
		WHERE a.address IN `,
	balance: `
		SELECT s.seq, a.currency, (
				SELECT p.balance_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1), (
				SELECT p.held_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1)
		FROM shard s
		LEFT JOIN account a ON a.address = ?
		WHERE s.id = 1`,
	balances: `
		SELECT s.seq, COALESCE(a.address, ''), COALESCE(a.currency, ''), COALESCE((
				SELECT p.balance_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1), 0), COALESCE((
				SELECT p.held_minor
				FROM posting p
				WHERE p.account_id = a.id
				ORDER BY p.seq DESC
				LIMIT 1), 0)
		FROM shard s
		LEFT JOIN account a ON a.address IN %s
		WHERE s.id = 1`,
	balanceAt: `
		WITH moment AS (
			SELECT COALESCE((
				SELECT last_seq
				FROM batch
				WHERE at_us <= ?
				ORDER BY at_us DESC, last_seq DESC
				LIMIT 1), 0) AS seq),
		owner AS (
			SELECT m.seq, a.id, a.currency
			FROM moment m
			LEFT JOIN account a ON a.address = ?
			LIMIT 1),
		newest AS (
			SELECT o.seq, o.id, o.currency, GREATEST(
				COALESCE((
					SELECT MAX(p.seq)
					FROM posting p
					WHERE p.account_id = o.id AND p.seq <= o.seq), 0),
				COALESCE((
					SELECT MAX(p.seq)
					FROM posting p
					JOIN transfer t ON t.seq = p.seq
					WHERE ? AND p.account_id = o.id AND t.origin_at_us <= ?), 0)) AS posting_seq
			FROM owner o
			LIMIT 1)
		SELECT n.seq, n.currency, p.balance_minor, p.held_minor
		FROM newest n
		LEFT JOIN posting p ON p.account_id = n.id AND p.seq = n.posting_seq`,
}

// close implements store. The cluster is the process's to close.
func (s *mysqlStore) close() error { return nil }

// exec runs statements on the primary, in the shard's database, and returns how many rows the last
// one changed.
func (s *mysqlStore) exec(ctx context.Context, op, q string, args ...any) (int64, error) {
	done, err := s.cluster.Writes().ExecContext(ctx, "USE "+mysqldb.Quote(s.database)+";"+q, args...)
	if err != nil {
		return 0, mysqldb.Wrap(op, err)
	}
	changed, err := done.RowsAffected()
	return changed, mysqldb.Wrap(op, err)
}

// takeOver implements writerStore.
func (s *mysqlStore) takeOver(ctx context.Context, t takeover) (state shardState, err error) {
	const begin = `
		INSERT INTO shard (id, shard, shards, epoch, seq, accounts, at_us)
		VALUES (1, ?, ?, 0, 0, 0, 0)
		ON DUPLICATE KEY UPDATE epoch = epoch`
	err = s.inTx(ctx, "take-over", func(l lookups, exec func(op, q string, args ...any) error) error {
		state, err = t.run(ctx, l, begin, exec)
		return err
	})
	return state, err
}

// inTx runs fn in one DBTx on the primary, in the shard's database. After an error of the commit the
// outcome is unknown.
func (s *mysqlStore) inTx(ctx context.Context, what string, fn func(l lookups, exec func(op, q string, args ...any) error) error) error {
	conn, node, err := s.cluster.Primary(ctx)
	if err != nil {
		return err
	}
	err = func() error {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return mysqldb.Wrap("begin "+what, err)
		}
		on := newInDatabase(tx, s.database)
		err = fn(lookups{on: on, sql: &mysqlSQL}, func(op, q string, args ...any) error {
			_, err := tx.ExecContext(ctx, on.use+q, args...)
			return mysqldb.Wrap(op, err)
		})
		if err != nil {
			return errors.Join(err, mysqldb.Wrap("roll back "+what, tx.Rollback()))
		}
		return mysqldb.Wrap("commit "+what, tx.Commit())
	}()
	mysqldb.Release(ctx, conn, err)
	s.notice(node, err)
	return err
}

// raiseEpoch implements writerStore.
func (s *mysqlStore) raiseEpoch(ctx context.Context, from, to int64) error {
	const q = `
		UPDATE shard
		SET epoch = ?
		WHERE id = 1 AND epoch = ?`
	changed, err := s.exec(ctx, "raise epoch", q, to, from)
	if err != nil {
		return err
	}
	if changed != 1 {
		return errFenced
	}
	return nil
}

// claim implements moverStore.
func (s *mysqlStore) claim(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	p := packet{}
	p.text("INSERT INTO bucket (bucket, state, move_id, seq) VALUES ")
	for i, b := range list {
		p.row(i)
		p.ints(int64(b), int64(bucketLive))
		p.text("'',0)")
	}
	p.text(" ON DUPLICATE KEY UPDATE bucket=VALUES(bucket)")
	_, err := s.exec(ctx, "claim buckets", string(p.buf))
	return err
}

// settled implements writerStore. The row lock waits for a commit of a lost connection that the
// server works on. One that the server has not read yet, because it was stopped or the network holds it,
// would find the log as it expects: so it gets another epoch. Whose a raised epoch is, when the answer to
// the raising was lost too, is told by the writer's name beside it.
func (s *mysqlStore) settled(ctx context.Context, left shardState) (shardState, error) {
	const lock = `
		SELECT epoch
		FROM shard
		WHERE id = 1
		FOR UPDATE`
	const raise = `
		UPDATE shard
		SET epoch = ?
		WHERE id = 1`
	var state shardState
	err := s.inTx(ctx, "settling", func(l lookups, exec func(op, q string, args ...any) error) error {
		var epoch int64
		if err := oneRow(l.on.QueryContext(ctx, lock))(&epoch); err != nil {
			return mysqldb.Wrap("lock shard", err)
		}
		var err error
		if state, err = l.state(ctx); err != nil {
			return err
		}
		if state.writer != left.writer || state.epoch < left.epoch || state.seq != left.seq || state.seal != left.seal {
			return nil
		}
		state.epoch++
		return exec("raise epoch", raise, state.epoch)
	})
	return state, err
}

// passing implements writerStore.
func (s *mysqlStore) passing(err error) bool {
	return mysqldb.IsLost(err) || mysqldb.IsInterrupted(err) || mysqldb.IsDeadlock(err) || mysqldb.IsReadOnly(err) ||
		errs.Is(err, errs.CodeUnavailable) && !mysqldb.IsFull(err)
}

// notice makes the next connection look for the primary if this one's node has failed us.
func (s *mysqlStore) notice(node string, err error) {
	if mysqldb.IsLost(err) || mysqldb.IsReadOnly(err) {
		s.cluster.Forget(node)
	}
}

// commit implements writerStore.
func (s *mysqlStore) commit(ctx context.Context, b *batch) error {
	conn, node, err := s.cluster.Primary(ctx)
	if err != nil {
		return err
	}
	err = s.write(ctx, conn, b)
	mysqldb.Release(ctx, conn, err) // rolls back, whatever the error
	s.notice(node, err)
	switch {
	case mysqldb.IsDuplicate(err):
		return errDuplicate
	case mysqldb.IsViolation(err):
		return s.whyViolated(ctx, b, err)
	}
	return mysqldb.Wrap("commit batch", err)
}

// write runs the whole DBTx of a batch: as a rule one packet, so that nothing stays open at the
// server when this process stops in the middle. After an error the DBTx may be open.
func (s *mysqlStore) write(ctx context.Context, conn *sql.Conn, b *batch) error {
	p := &s.packet
	p.reset(s.cluster.MaxPacket()/2, func(q string) error {
		_, err := conn.ExecContext(ctx, q)
		return err
	})
	err := p.batch(s.database, b)
	if err == nil {
		b.statementsDone()
		p.text("COMMIT")
		err = p.send()
	}
	return err
}

// whyViolated tells a batch that another writer has overtaken, whose position or epoch is not what
// it expects, from one that breaks a rule of the tables.
func (s *mysqlStore) whyViolated(ctx context.Context, b *batch, cause error) error {
	now, err := s.state(ctx)
	if err != nil {
		return errors.Join(err, mysqldb.Wrap("commit batch", cause))
	}
	if now.epoch > b.epoch {
		return errFenced
	}
	if now.epoch < b.epoch || now.seq != b.first-1 { // it may have gone back: settling tells
		return errs.Wrap(errMoved, errs.CodeUnavailable, "commit batch %d", b.first)
	}
	return fmt.Errorf("commit batch %d: %w", b.first, cause)
}
