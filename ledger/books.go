package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"matchday/errs"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
)

// bookSet is the databases of a ledger, opened for reading only: beside a running Service or without
// one.
type bookSet struct {
	shards []bookShard
	fleet  *fleet
}

// bookShard is one shard's database: a file, or a database of a cluster.
type bookShard struct {
	store    readerStore
	on       querier
	file     *sqldb.DB
	cluster  *mysqldb.Cluster
	database string
}

// openBooks opens every shard in the folder and on the clusters; not_found if there is none, or one
// is missing.
func openBooks(ctx context.Context, dir string, clusters []Cluster, readers int) (*bookSet, error) {
	names, err := filepath.Glob(filepath.Join(dir, "shard-*.db"))
	if err != nil {
		return nil, fmt.Errorf("list shards: %w", err)
	}
	files := make(map[string]bool, len(names))
	for _, name := range names {
		files[name] = true
	}
	b := &bookSet{}
	if b.fleet, err = openFleet(ctx, clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Reading: true}); err != nil {
		return nil, err
	}
	want := len(files) + len(b.fleet.byShard)
	if want == 0 {
		return nil, errs.New(errs.CodeNotFound, "there are no books in %s", dir)
	}
	for n := range want {
		one := bookShard{}
		name := shardFile(dir, n)
		if cluster, ok := b.fleet.byShard[n]; ok {
			one.cluster, one.database = cluster, cluster.Config().DatabaseOf(n)
			one.on = newInDatabase(cluster.Reads(), one.database)
			one.store = newMySQLReads(cluster.Reads(), one.database)
		} else if !files[name] { // opening it would make an empty one
			err = errs.New(errs.CodeNotFound, "shard %d of %d is missing", n, want)
		} else {
			err = one.open(name, readers)
		}
		if err == nil {
			b.shards = append(b.shards, one)
			err = one.checkVersion(ctx, n)
		}
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// checkVersion refuses books whose tables are not those that this program reads. Only a writer may
// change them, so who only reads cannot help.
func (s *bookShard) checkVersion(ctx context.Context, shard int) error {
	const q = `
		SELECT COALESCE(MAX(version), 0)
		FROM schema_migration`
	scripts, folder := migrations, "migrations"
	if s.cluster != nil {
		scripts, folder = mysqlMigrations, "migrations_mysql"
	}
	known, err := scripts.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	var done int
	if err := oneRow(s.on.QueryContext(ctx, q))(&done); err != nil {
		return sqldb.Wrap(fmt.Sprintf("read schema version of shard %d", shard), err)
	}
	switch {
	case done < len(known):
		return errs.New(errs.CodeConflict, "the books of shard %d have schema version %d, this program reads version %d: "+
			"start it once on them (matchday up or matchday serve), which brings them up to date", shard, done, len(known))
	case done > len(known):
		return errs.New(errs.CodeConflict, "the books of shard %d have schema version %d, this program reads version %d: "+
			"run a newer matchday", shard, done, len(known))
	}
	return nil
}

// open opens a file.
func (s *bookShard) open(name string, readers int) error {
	db, err := sqldb.Open(name, sqldb.Options{ReadOnly: true, Readers: readers})
	if err != nil {
		return err
	}
	store, err := newSQLiteReads(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.file, s.on, s.store = db, db.Read, store
	return nil
}

// snapshot returns one committed state of the shard, and what ends it.
func (s *bookShard) snapshot(ctx context.Context) (querier, func(), error) {
	if s.file != nil {
		tx, err := s.file.Read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
		if err != nil {
			return nil, nil, sqldb.Wrap("begin snapshot", err)
		}
		return tx, func() { _ = tx.Rollback() }, nil
	}
	pool, _, err := s.cluster.PrimaryReads(ctx)
	if err != nil {
		return nil, nil, err
	}
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return nil, nil, mysqldb.Wrap("begin snapshot", err)
	}
	return newInDatabase(tx, s.database), func() { _ = tx.Rollback() }, nil
}

// close closes the files and clusters. It may be called twice.
func (b *bookSet) close() error {
	list := []error{b.fleet.close()}
	for i := range b.shards {
		if b.shards[i].file != nil {
			list = append(list, b.shards[i].file.Close())
		}
	}
	return errors.Join(list...)
}
