package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"strings"
	"testing"
)

// TestInserterWritesEveryRow: more rows than one execution takes, fewer, and none; then after an error
// nothing of the broken list is left over.
func TestInserterWritesEveryRow(t *testing.T) {
	t.Parallel()
	ctx, want := context.Background(), 0
	onDriver(t, func(c driver.Conn) error {
		p := NewPreparer(ctx, c)
		lines, count := p.Inserter(`INSERT INTO line (id, text) VALUES `, 2), p.Statement(`UPDATE line SET text = ? WHERE id <= ?`)
		if err := p.Err(); err != nil {
			return err
		}
		for _, n := range []int{0, 1, rowsPerInsert - 1, rowsPerInsert, 2*rowsPerInsert + 5} {
			lines.Begin()
			for range n {
				want++
				lines.Add(int64(want))
				lines.Add("a text")
				if err := lines.Next(ctx); err != nil {
					return err
				}
			}
			if err := lines.Flush(ctx); err != nil {
				return err
			}
			if got, err := count.Run(ctx, "seen", int64(1_000)); err != nil || got != int64(want) {
				t.Errorf("after %d more rows: %d, %v, want %d", n, got, err, want)
			}
		}
		lines.Add(int64(1)) // there already
		lines.Add("again")
		if err := lines.Flush(ctx); err == nil {
			t.Error("a key was inserted twice")
		}
		lines.Add(int64(1_000)) // an error elsewhere leaves it
		lines.Begin()
		if err := lines.Flush(ctx); err != nil {
			return err
		}
		if err := lines.Close(); err != nil {
			return err
		}
		return count.Close()
	})
}

func TestPreparerKeepsTheFirstError(t *testing.T) {
	t.Parallel()
	onDriver(t, func(c driver.Conn) error {
		p := NewPreparer(context.Background(), c)
		broken, fine := p.Inserter(`INSERT INTO nowhere (id) VALUES `, 1), p.Statement(`SELECT id FROM line`)
		if err := p.Err(); err == nil || !strings.Contains(err.Error(), "nowhere") {
			t.Errorf("an insert into no table: %v", err)
		}
		return errors.Join(broken.Close(), fine.Close())
	})
}

// onDriver runs f on a connection of the driver, in a file with an empty table line.
func onDriver(t *testing.T, f func(c driver.Conn) error) {
	t.Helper()
	db, err := Open(t.TempDir()+"/rows.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	if _, err := db.Write.ExecContext(ctx, `CREATE TABLE line (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT`); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Write.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Raw(func(c any) error { return f(c.(driver.Conn)) }), conn.Close()); err != nil {
		t.Fatal(err)
	}
}
