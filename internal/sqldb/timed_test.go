package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"

	"matchday/internal/sqltime"
)

// TestStatementsAreTimed runs what rooms run, in a file whose name is this test's own.
func TestStatementsAreTimed(t *testing.T) {
	t.Parallel()
	db, err := Open(t.TempDir()+"/timed-007.db", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := context.Background()
	if _, err := db.Write.ExecContext(ctx, `CREATE TABLE line (id INTEGER PRIMARY KEY, text TEXT) STRICT`); err != nil {
		t.Fatal(err)
	}
	err = db.InTx(ctx, func(tx *sql.Tx) error {
		insert, err := tx.PrepareContext(ctx, `INSERT INTO line (id, text) VALUES (?, ?)`)
		if err != nil {
			return err
		}
		for i := range 3 {
			if _, err := insert.ExecContext(ctx, i, "a text"); err != nil {
				return err
			}
		}
		return insert.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.Read.QueryContext(ctx, `SELECT id FROM line WHERE id < ?`, 2)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close(), rows.Close()); err != nil || n != 2 {
		t.Fatalf("%d rows, %v; want 2", n, err)
	}
	conn, err := db.Read.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = conn.Raw(func(c any) error {
		dc, _ := c.(driver.Conn)
		if bare := sqltime.Unwrap(dc); bare == dc || sqltime.Unwrap(bare) != bare {
			t.Error("Unwrap does not return the driver's own connection")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, s := range sqltime.Process().Slowest(1 << 20) {
		if s.DB == "timed" {
			got[s.Name] = s.Count
		}
	}
	for name, want := range map[string]int64{"create table": 1, "begin": 1, "insert line": 3, "commit": 1, "select line": 1} {
		if got[name] != want {
			t.Errorf("%s ran %d times, want %d (all: %v)", name, got[name], want, got)
		}
	}
}
