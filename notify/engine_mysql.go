package notify

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"log/slog"
	"time"

	"matchday/internal/mysqldb"
	"matchday/stream"
)

//go:embed migrations_mysql/*.sql
var mysqlMigrations embed.FS

// onCluster is a database on a MySQL-protocol cluster, which several processes may share.
type onCluster struct {
	cluster  *mysqldb.Cluster
	database string
	tenures  []*stream.Tenure // by shard
}

// databaseOf returns the room's database.
func databaseOf(c mysqldb.Config) string { return c.Database + "_webhooks" }

// openCluster opens the database. Shared says that other processes may write it too.
func openCluster(ctx context.Context, c mysqldb.Config, shards int, shared bool, log *slog.Logger, now time.Time) (*onCluster, error) {
	cluster, err := mysqldb.Open(ctx, c, mysqldb.Deps{Log: log})
	if err != nil {
		return nil, fmt.Errorf("open cluster of webhooks: %w", err)
	}
	e := &onCluster{cluster: cluster, database: databaseOf(c), tenures: make([]*stream.Tenure, shards)}
	for shard := range e.tenures {
		e.tenures[shard] = stream.NewTenure(fmt.Sprintf("shard = %d", shard))
		if shared {
			e.tenures[shard].Share()
		}
	}
	if err := cluster.Migrate(ctx, e.database, mysqlMigrations, "migrations_mysql", now); err != nil {
		_ = cluster.Close()
		return nil, err
	}
	return e, nil
}

// QueryContext implements reader.
func (e *onCluster) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return e.cluster.Reads().QueryContext(ctx, "USE "+mysqldb.Quote(e.database)+";"+q, args...)
}

// on runs fn on a connection to the primary that uses the database.
func (e *onCluster) on(ctx context.Context, fn func(conn *sql.Conn) error) error {
	return e.cluster.On(ctx, e.database, fn)
}

// deadlocks is how many deadlocks of one DBTx are borne.
const deadlocks = 5

// again runs fn on a connection, after a deadlock again.
func (e *onCluster) again(ctx context.Context, fn func(conn *sql.Conn) error) error {
	for attempt := 1; ; attempt++ {
		err := e.on(ctx, fn)
		if attempt == deadlocks || ctx.Err() != nil || !mysqldb.IsDeadlock(err) {
			return err
		}
	}
}

// inDBTx implements engine.
func (e *onCluster) inDBTx(ctx context.Context, fn func(on conn) error) error {
	return e.again(ctx, func(conn *sql.Conn) error {
		return mysqldb.InDBTx(ctx, conn, func() error { return fn(conn) })
	})
}

// inTenure implements engine.
func (e *onCluster) inTenure(ctx context.Context, shard int, fn func(on conn) error) error {
	return e.again(ctx, func(conn *sql.Conn) error {
		return e.tenures[shard].InDBTx(ctx, conn, func() error { return fn(conn) })
	})
}

// look implements engine.
func (e *onCluster) look(ctx context.Context, shard int) error {
	const q = `
		SELECT epoch
		FROM tenure
		WHERE shard = ?`
	mine := e.tenures[shard].Epoch()
	if mine == stream.EpochAlone {
		return nil
	}
	rows, err := e.QueryContext(ctx, q, shard)
	if err != nil {
		return mysqldb.Wrap("read tenure", err)
	}
	defer func() { _ = rows.Close() }()
	now := stream.EpochNone
	if rows.Next() {
		if err := rows.Scan(&now); err != nil {
			return mysqldb.Wrap("read tenure", err)
		}
	}
	if err := rows.Err(); err != nil {
		return mysqldb.Wrap("read tenure", err)
	}
	if now != mine || mine == stream.EpochNone {
		return fmt.Errorf("shard %d is delivered under epoch %d, not %d: %w", shard, now, mine, stream.ErrFenced)
	}
	return nil
}

// wrap implements engine.
func (e *onCluster) wrap(op string, err error) error { return mysqldb.Wrap(op, err) }

// keepFirst implements engine.
func (e *onCluster) keepFirst() string { return " ON DUPLICATE KEY UPDATE id = id" }

// hold implements engine.
func (e *onCluster) hold() string { return " LOCK IN SHARE MODE" }

// close implements engine.
func (e *onCluster) close() error { return e.cluster.Close() }

// outbox is what the sink of one shard writes on a cluster: the shard's deliveries, its position, its epoch.
type outbox struct {
	*onCluster
	shard int
	row   stream.PositionRow
	head  func() int64 // where the shard's log ends
	apply func(ctx context.Context, on conn, batches []stream.Batch) error
}

// Claim implements stream.SharedStore.
func (o *outbox) Claim(ctx context.Context, epoch int64) error {
	const q = `
		INSERT INTO tenure (shard, epoch)
		VALUES (?, 0)
		ON DUPLICATE KEY UPDATE shard = shard`
	return o.on(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, q, o.shard); err != nil {
			return mysqldb.Wrap("begin tenure", err)
		}
		return o.tenures[o.shard].Claim(ctx, conn, epoch)
	})
}

// Load implements stream.Store. A log that nobody subscribed to yet begins at its end; one of a shard that came
// later than a subscription begins at its beginning. The end is looked for before the subscriptions: what
// commits after one was made lies behind it.
func (o *outbox) Load(ctx context.Context) (seq int64, at time.Time, err error) {
	const count = `
		SELECT COUNT(*)
		FROM subscription`
	const begin = `
		INSERT INTO sink_position (name, shard, seq, at_us)
		VALUES (?, ?, ?, 0)
		ON DUPLICATE KEY UPDATE name = name`
	head := o.head()
	err = o.on(ctx, func(conn *sql.Conn) error {
		err := o.tenures[o.shard].InDBTx(ctx, conn, func() error {
			var subscriptions int
			if err := conn.QueryRowContext(ctx, count).Scan(&subscriptions); err != nil {
				return mysqldb.Wrap("count subscriptions", err)
			}
			if subscriptions > 0 {
				head = 0
			}
			_, err := conn.ExecContext(ctx, begin, o.row.Name, o.shard, head)
			return mysqldb.Wrap("begin position", err)
		})
		if err != nil {
			return err
		}
		seq, at, err = o.row.Read(ctx, conn)
		return err
	})
	return seq, at, err
}

// Commit implements stream.Store.
func (o *outbox) Commit(ctx context.Context, from int64, batches []stream.Batch) error {
	last := &batches[len(batches)-1]
	return o.tenures[o.shard].Commit(ctx, o.on, &o.row, from, last, func(conn *sql.Conn) error { return o.apply(ctx, conn, batches) })
}

// Follow implements stream.SharedStore.
func (o *outbox) Follow(ctx context.Context) (seq int64, at time.Time, err error) {
	const q = `
		SELECT seq, at_us
		FROM sink_position
		WHERE name = ?`
	rows, err := o.QueryContext(ctx, q, o.row.Name)
	if err != nil {
		return 0, time.Time{}, mysqldb.Wrap("read position", err)
	}
	defer func() { _ = rows.Close() }()
	var us int64
	if rows.Next() {
		if err := rows.Scan(&seq, &us); err != nil {
			return 0, time.Time{}, mysqldb.Wrap("read position", err)
		}
	}
	return seq, fromMicros(us), mysqldb.Wrap("read position", rows.Err())
}
