package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
)

// Migrate applies the files NNNN_name.sql of the folder migrations in files that the database has
// not seen, in order, each in its own transaction. Numbers start at 1 and have no gap. A database
// that is newer than the program is refused: an old program must not write to it.
func (d *DB) Migrate(ctx context.Context, files fs.FS, now time.Time) error {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return fmt.Errorf("list migrations: %w", err)
	}
	const create = `
		CREATE TABLE IF NOT EXISTS schema_migration (
			version    INTEGER PRIMARY KEY,
			name       TEXT NOT NULL,
			applied_us INTEGER NOT NULL
		) STRICT`
	if _, err := d.Write.ExecContext(ctx, create); err != nil {
		return Wrap("create schema_migration", err)
	}
	var done int
	const last = `SELECT COALESCE(MAX(version), 0) FROM schema_migration`
	if err := d.Write.QueryRowContext(ctx, last).Scan(&done); err != nil {
		return Wrap("read schema version", err)
	}
	if done > len(names) {
		return fmt.Errorf("database %s has schema version %d, this program knows %d: run a newer matchday", d.path, done, len(names))
	}
	for i, name := range names[done:] {
		if err := d.apply(ctx, files, name, done+i+1, now); err != nil {
			return err
		}
	}
	return nil
}

// apply runs one migration and notes it.
func (d *DB) apply(ctx context.Context, files fs.FS, name string, version int, now time.Time) error {
	base := strings.TrimPrefix(name, "migrations/")
	number, _, _ := strings.Cut(base, "_")
	if n, err := strconv.Atoi(number); err != nil || n != version {
		return fmt.Errorf("migration %s should have number %04d", base, version)
	}
	script, err := fs.ReadFile(files, name)
	if err != nil {
		return fmt.Errorf("read migration %s: %w", base, err)
	}
	return d.InTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, string(script)); err != nil {
			return Wrap("migration "+base, err)
		}
		const note = `INSERT INTO schema_migration (version, name, applied_us) VALUES (?, ?, ?)`
		_, err := tx.ExecContext(ctx, note, version, base, now.UnixMicro())
		return Wrap("note migration "+base, err)
	})
}
