package mysqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"matchday/errs"
)

// migrationWait is how many seconds a process waits for another that migrates the same database.
const migrationWait = 120

// Migrate makes the database if it is missing and applies the files NNNN_name.sql of folder that it
// has not seen, in order, under a lock that other processes respect. Numbers start at 1 and have no
// gap. A database that is newer than the program is refused.
//
// MySQL commits each CREATE and ALTER by itself, so a migration may stop in the middle and run
// again: every statement of one must bear that (CREATE TABLE IF NOT EXISTS). An ALTER that adds
// columns is the last statement of its migration: a second run that finds them is done.
//
// It runs as the migrator; when nothing is to be done reading is enough.
func (c *Cluster) Migrate(ctx context.Context, database string, files fs.FS, folder string, now time.Time) (err error) {
	names, err := fs.Glob(files, folder+"/*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	n, err := c.forWrites(ctx)
	if err != nil {
		return err
	}
	conn, err := n.migrate.Conn(ctx)
	if err != nil {
		return Wrap("connect to "+n.addr, err)
	}
	defer func() {
		if err != nil { // it may hold the lock still: not for the pool
			_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		}
		_ = conn.Close()
	}()
	if done, err := version(ctx, conn, database); err == nil && done == len(names) {
		return nil
	}
	m := migration{conn: conn, database: database, files: files, names: names, now: now}
	return m.run(ctx)
}

// migration is one run of Migrate.
type migration struct {
	conn     *sql.Conn
	database string
	files    fs.FS
	names    []string
	now      time.Time
}

// version returns how many migrations the database has seen.
func version(ctx context.Context, on *sql.Conn, database string) (int, error) {
	const q = "SELECT COALESCE(MAX(version), 0) FROM "
	var done int
	err := on.QueryRowContext(ctx, q+Quote(database)+".schema_migration").Scan(&done)
	return done, Wrap("read schema version", err)
}

// Quote returns a name as an identifier.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func (m *migration) run(ctx context.Context) (err error) {
	lock := "matchday migrate " + m.database
	if len(lock) > 64 { // the longest name MySQL takes
		lock = lock[:64]
	}
	var got sql.NullInt64
	if err := m.conn.QueryRowContext(ctx, `SELECT GET_LOCK(?, ?)`, lock, migrationWait).Scan(&got); err != nil {
		return Wrap("lock migrations", err)
	}
	if got.Int64 != 1 {
		return errs.New(errs.CodeUnavailable, "another process migrates %s", m.database)
	}
	defer func() {
		_, unlock := m.conn.ExecContext(ctx, `DO RELEASE_LOCK(?)`, lock)
		err = errors.Join(err, Wrap("unlock migrations", unlock))
	}()
	const create = `
		CREATE DATABASE IF NOT EXISTS %[1]s;
		CREATE TABLE IF NOT EXISTS %[1]s.schema_migration (
			version    INT NOT NULL PRIMARY KEY,
			name       VARBINARY(100) NOT NULL,
			applied_us BIGINT NOT NULL
		) ENGINE = InnoDB;
		USE %[1]s`
	if _, err := m.conn.ExecContext(ctx, fmt.Sprintf(create, Quote(m.database))); err != nil {
		return Wrap("create database "+m.database, err)
	}
	done, err := version(ctx, m.conn, m.database)
	if err != nil {
		return err
	}
	if done > len(m.names) {
		return errs.New(errs.CodeInvalid, "database %s has schema version %d, this program knows %d: run a newer matchday",
			m.database, done, len(m.names))
	}
	for i, name := range m.names[done:] {
		if err := m.apply(ctx, name, done+i+1); err != nil {
			return err
		}
	}
	return nil
}

// apply runs one migration and notes it.
func (m *migration) apply(ctx context.Context, name string, version int) error {
	base := path.Base(name)
	number, _, _ := strings.Cut(base, "_")
	if n, err := strconv.Atoi(number); err != nil || n != version {
		return fmt.Errorf("migration %s should have number %04d", base, version)
	}
	script, err := fs.ReadFile(m.files, name)
	if err != nil {
		return fmt.Errorf("read migration %s: %w", base, err)
	}
	if _, err := m.conn.ExecContext(ctx, string(script)); err != nil && !isNumber(err, there) {
		return Wrap("migration "+base, err)
	}
	const note = `INSERT INTO schema_migration (version, name, applied_us) VALUES (?, ?, ?)`
	_, err = m.conn.ExecContext(ctx, note, version, base, m.now.UnixMicro())
	return Wrap("note migration "+base, err)
}
