package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"matchday/errs"
)

func setup(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(filepath.Join(t.TempDir(), "test.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Write.Exec(`CREATE TABLE line (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE CHECK (text <> '')) STRICT`); err != nil {
		t.Fatal(err)
	}
	return db
}

func TestDurableDatabasesSyncEveryCommit(t *testing.T) {
	t.Parallel()
	for durability, want := range map[Durability]int{Durable: 2, Rebuildable: 1} {
		db := setup(t, Options{Durability: durability})
		var mode string
		var synchronous int
		if err := db.Write.QueryRow(`PRAGMA journal_mode`).Scan(&mode); err != nil || mode != "wal" {
			t.Errorf("journal mode %q, %v; want wal", mode, err)
		}
		if err := db.Write.QueryRow(`PRAGMA synchronous`).Scan(&synchronous); err != nil || synchronous != want {
			t.Errorf("synchronous %d, %v; want %d", synchronous, err, want)
		}
	}
}

func noRest(time.Duration) {}

func TestFlushAndReadAheadChangeNothingAndEndWithTheFile(t *testing.T) {
	t.Parallel()
	db := setup(t, Options{})
	for i := range 3 {
		if _, err := db.Write.Exec(`INSERT INTO line (text) VALUES (?)`, i); err != nil {
			t.Fatal(err)
		}
		if _, copied, err := Checkpoint(t.Context(), db.Read); err != nil || copied == 0 {
			t.Fatalf("%d pages copied, %v", copied, err)
		}
		if err := errors.Join(db.Flush(noRest), db.Flush(nil), db.ReadAhead(0, 1<<20), db.ReadAhead(1<<30, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := db.Read.QueryRow(`SELECT COUNT(*) FROM line`).Scan(&n); err != nil || n != 3 {
		t.Errorf("%d rows, %v, want 3", n, err)
	}
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if flush, ahead := db.Flush(noRest), db.ReadAhead(0, 1<<20); !errors.Is(flush, os.ErrClosed) || !errors.Is(ahead, os.ErrClosed) {
		t.Errorf("after close: flush %v, read ahead %v", flush, ahead)
	}
}

func TestInTxCommitsAllOrNothing(t *testing.T) {
	t.Parallel()
	db := setup(t, Options{})
	insert := func(text string, fail error) error {
		return db.InTx(context.Background(), func(tx *sql.Tx) error {
			if _, err := tx.Exec(`INSERT INTO line (text) VALUES (?)`, text); err != nil {
				return err
			}
			return fail
		})
	}
	if err := insert("kept", nil); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := insert("dropped", stop); !errors.Is(err, stop) {
		t.Errorf("got %v, want the function's error", err)
	}
	var count int
	if err := db.Read.QueryRow(`SELECT COUNT(*) FROM line`).Scan(&count); err != nil || count != 1 {
		t.Errorf("got %d rows, %v; want 1", count, err)
	}
}

func TestDriverErrorsBecomeCodesByNumber(t *testing.T) {
	t.Parallel()
	db := setup(t, Options{})
	exec := func(q string) error {
		_, err := db.Write.Exec(q)
		return Wrap("write line", err)
	}
	if err := exec(`INSERT INTO line (text) VALUES ('a')`); err != nil {
		t.Fatal(err)
	}
	err := exec(`INSERT INTO line (text) VALUES ('a')`)
	if !errs.Is(err, errs.CodeConflict) || !IsUnique(err) {
		t.Errorf("duplicate: got %v, want a unique conflict", err)
	}
	if err := exec(`INSERT INTO line (text) VALUES ('')`); !errs.Is(err, errs.CodeConflict) || IsUnique(err) {
		t.Errorf("check: got %v, want a conflict that is not unique", err)
	}
	if err := exec(`INSERT INTO nowhere VALUES (1)`); !errs.Is(err, errs.CodeInternal) {
		t.Errorf("no such table: got %v, want internal", err)
	}
	_, err = db.Read.Exec(`INSERT INTO line (text) VALUES ('b')`)
	if err := Wrap("write through a reader", err); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("write through a reader: got %v, want unavailable", err)
	}
}

func TestMigrationsRunOnceInOrder(t *testing.T) {
	t.Parallel()
	db := setup(t, Options{})
	now := time.UnixMicro(1)
	files := fstest.MapFS{
		"migrations/0001_init.sql": {Data: []byte(`CREATE TABLE a (x INTEGER) STRICT; CREATE TABLE b (x INTEGER) STRICT;`)},
		"migrations/0002_more.sql": {Data: []byte(`ALTER TABLE a ADD COLUMN y INTEGER`)},
	}
	for range 2 {
		if err := db.Migrate(context.Background(), files, now); err != nil {
			t.Fatal(err)
		}
	}
	delete(files, "migrations/0002_more.sql")
	if err := db.Migrate(context.Background(), files, now); err == nil {
		t.Error("an older program opened a newer database")
	}
	gap := fstest.MapFS{"migrations/0002_init.sql": {Data: []byte(`SELECT 1`)}}
	if err := setup(t, Options{}).Migrate(context.Background(), gap, now); err == nil {
		t.Error("a gap in the numbers was accepted")
	}
}

func TestAFullDiskIsUnavailableAndChangesNothing(t *testing.T) {
	t.Parallel()
	db := setup(t, Options{MaxPages: 16})
	fill := func() error {
		return db.InTx(context.Background(), func(tx *sql.Tx) error {
			for range 100 {
				if _, err := tx.Exec(`INSERT INTO line (text) VALUES (hex(randomblob(1000)))`); err != nil {
					return Wrap("fill", err)
				}
			}
			return nil
		})
	}
	if err := fill(); !errs.Is(err, errs.CodeUnavailable) {
		t.Fatalf("got %v, want unavailable", err)
	}
	var count int
	if err := db.Read.QueryRow(`SELECT COUNT(*) FROM line`).Scan(&count); err != nil || count != 0 {
		t.Errorf("got %d rows, %v; want none", count, err)
	}
}
