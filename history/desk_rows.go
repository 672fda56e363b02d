package history

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
	"matchday/stream"
)

//go:embed desk/migrations/*.sql desk/migrations_mysql/*.sql
var deskMigrations embed.FS

// deskRows is the database of a desk: a file in the first history's folder, or, where shard 0 of the first history is on
// a cluster, a database there, which every process reaches that shares the history.
type deskRows interface {
	reader
	inDBTx(ctx context.Context, fn func(on deskTx) error) error
	// hold is what a SELECT in a DBTx ends with, so that nobody else changes what it read until the DBTx ends.
	hold() string
	close() error
}

// deskTx is what a desk reads and writes with in one DBTx.
type deskTx interface {
	stream.Conn
	reader
}

// deskFile is where the desk is, unless it is on a cluster.
func (c Config) deskFile() string { return filepath.Join(c.Dir, "second.db") }

// deskCluster returns the cluster that keeps the desk: that of the first history's shard 0.
func (c Config) deskCluster() (ledger.Cluster, bool) {
	for _, one := range c.Clusters {
		if numbers, err := one.Shards.Numbers(); err == nil && slices.Contains(numbers, 0) {
			return one, true
		}
	}
	return ledger.Cluster{}, false
}

// deskDatabase is the desk's database on its cluster.
func deskDatabase(c mysqldb.Config) string { return c.Database + "_desk" }

// nextPlace names where the second history is: a choice about one place is none about another. Processes that share it
// name it alike, wherever their folders are.
func (c Config) nextPlace() string {
	_, onCluster := c.deskCluster()
	var parts []string
	if !onCluster || firstFile(c.Next.Clusters, c.Shards) >= 0 {
		parts = append(parts, "folder "+c.Next.Dir)
	}
	for _, one := range c.Next.Clusters {
		nodes := slices.Clone(one.Nodes)
		if onCluster {
			slices.Sort(nodes)
		}
		parts = append(parts, fmt.Sprintf("shards %s in %s on %s", one.Shards, one.Database, strings.Join(nodes, ", ")))
	}
	return strings.Join(parts, "; ")
}

// openDeskRows opens or creates the desk's database.
func openDeskRows(ctx context.Context, c Config, now time.Time) (deskRows, error) {
	one, ok := c.deskCluster()
	if ok {
		return openDeskCluster(ctx, one.Config, now)
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	files, err := fs.Sub(deskMigrations, "desk")
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	db, err := sqldb.Open(c.deskFile(), sqldb.Options{CacheKiB: 256, Readers: 1})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, files, now); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return deskInFile{db}, nil
}

// readDeskRows opens the desk's database for reading; nil if there is none.
func readDeskRows(ctx context.Context, c Config) (deskRows, error) {
	if one, ok := c.deskCluster(); ok {
		cluster, err := mysqldb.Open(ctx, one.Config, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Reading: true})
		if err != nil {
			return nil, fmt.Errorf("open desk: %w", err)
		}
		rows := deskOnCluster{cluster, deskDatabase(one.Config)}
		if there, err := hasTable(ctx, cluster, rows.database, "choice"); err != nil || !there {
			return nil, errors.Join(err, cluster.Close())
		}
		return rows, nil
	}
	if _, err := os.Stat(c.deskFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // said above
	}
	db, err := sqldb.Open(c.deskFile(), sqldb.Options{ReadOnly: true, CacheKiB: 256, Readers: 1})
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	return deskInFile{db}, nil
}

// deskInFile is a desk of one machine, which several programs there may have open.
type deskInFile struct{ db *sqldb.DB }

// QueryContext implements reader.
func (f deskInFile) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return f.db.Read.QueryContext(ctx, q, args...)
}

// inDBTx implements deskRows.
func (f deskInFile) inDBTx(ctx context.Context, fn func(on deskTx) error) error {
	return f.db.InTx(ctx, func(tx *sql.Tx) error { return fn(tx) })
}

// hold implements deskRows: a file has one writer.
func (f deskInFile) hold() string { return "" }

// close implements deskRows.
func (f deskInFile) close() error { return f.db.Close() }

// deskOnCluster is a desk that several machines reach.
type deskOnCluster struct {
	cluster  *mysqldb.Cluster
	database string
}

func openDeskCluster(ctx context.Context, c mysqldb.Config, now time.Time) (deskRows, error) {
	cluster, err := mysqldb.Open(ctx, c, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Rebuildable: true}) // as the history there
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	rows := deskOnCluster{cluster, deskDatabase(c)}
	if err := cluster.Migrate(ctx, rows.database, deskMigrations, "desk/migrations_mysql", now); err != nil {
		return nil, errors.Join(err, cluster.Close())
	}
	return rows, nil
}

// QueryContext implements reader.
func (d deskOnCluster) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return d.cluster.Reads().QueryContext(ctx, "USE "+mysqldb.Quote(d.database)+";"+q, args...)
}

// deskDeadlocks is how many deadlocks of one DBTx are borne: processes note their looks at the same moments.
const deskDeadlocks = 5

// inDBTx implements deskRows.
func (d deskOnCluster) inDBTx(ctx context.Context, fn func(on deskTx) error) error {
	for attempt := 1; ; attempt++ {
		err := d.cluster.On(ctx, d.database, func(conn *sql.Conn) error {
			return mysqldb.InDBTx(ctx, conn, func() error { return fn(conn) })
		})
		if attempt == deskDeadlocks || ctx.Err() != nil || !mysqldb.IsDeadlock(err) {
			return err
		}
	}
}

// hold implements deskRows.
func (d deskOnCluster) hold() string { return " FOR UPDATE" }

// close implements deskRows.
func (d deskOnCluster) close() error { return d.cluster.Close() }
