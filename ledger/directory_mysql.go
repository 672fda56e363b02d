package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"time"

	"matchday/internal/mysqldb"
)

//go:embed migrations_directory_mysql/*.sql
var directoryMySQLMigrations embed.FS

// mysqlDirectory is a directory in a database of a cluster, for processes of several machines. It
// follows the cluster's primary.
type mysqlDirectory struct {
	cluster *mysqldb.Cluster
	use     string
	reads   inDatabase
}

// openMySQLDirectory makes the database if it is missing and brings its schema up to date.
func openMySQLDirectory(ctx context.Context, cluster *mysqldb.Cluster, now time.Time) (*mysqlDirectory, error) {
	database := directoryDatabase(cluster.Config().Database)
	if err := cluster.Migrate(ctx, database, directoryMySQLMigrations, "migrations_directory_mysql", now); err != nil {
		return nil, err
	}
	return &mysqlDirectory{
		cluster: cluster, use: "USE " + mysqldb.Quote(database), reads: newInDatabase(cluster.Reads(), database),
	}, nil
}

// directoryDatabase names the directory's database.
func directoryDatabase(prefix string) string { return prefix + "_directory" }

// directoryTries bounds how often a DBTx that met another one is begun again.
const directoryTries = 5

// inTx implements directoryDB. Two processes that change the same rows may meet: the database rolls one
// of them back, and that one begins again.
func (d *mysqlDirectory) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	for try := 1; ; try++ {
		err := d.once(ctx, fn)
		if !mysqldb.IsDeadlock(err) || try == directoryTries {
			return err
		}
	}
}

func (d *mysqlDirectory) once(ctx context.Context, fn func(tx *sql.Tx) error) (err error) {
	conn, node, err := d.cluster.Primary(ctx)
	if err != nil {
		return err
	}
	defer func() {
		mysqldb.Release(ctx, conn, err) // also after a COMMIT that was interrupted
		if mysqldb.IsLost(err) || mysqldb.IsReadOnly(err) {
			d.cluster.Forget(node)
		}
	}()
	if _, err := conn.ExecContext(ctx, d.use); err != nil {
		return mysqldb.Wrap("use directory", err)
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return mysqldb.Wrap("begin", err)
	}
	if err := fn(tx); err != nil {
		if undone := tx.Rollback(); undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			return errors.Join(err, mysqldb.Wrap("roll back", undone))
		}
		return err
	}
	return mysqldb.Wrap("commit", tx.Commit())
}

// read implements directoryDB.
func (d *mysqlDirectory) read(ctx context.Context, q string, args []any, scan func(*sql.Rows) error) error {
	return eachRow(d.reads.QueryContext(ctx, q, args...))(scan)
}

// close implements directoryDB: the cluster is closed by who opened it.
func (d *mysqlDirectory) close() error { return nil }
