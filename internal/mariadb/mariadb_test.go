package mariadb_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"matchday/internal/mariadb"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// count returns the rows of the test's table, -1 if the server does not answer.
func count(t *testing.T, on *sql.DB) int {
	t.Helper()
	var n int
	if err := on.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM d.line`).Scan(&n); err != nil {
		return -1
	}
	return n
}

func exec(t *testing.T, s *mariadb.Server, q string) {
	t.Helper()
	if _, err := s.Admin().ExecContext(t.Context(), q); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 15_000 {
		if is() {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
	t.Fatalf("never: %s", what)
}

func TestAKilledServerKeepsWhatItCommitted(t *testing.T) {
	t.Parallel()
	s := mariadb.New(t, mariadb.Options{})
	t.Cleanup(func() { _ = s.Stop() })
	exec(t, s, `CREATE DATABASE d; CREATE TABLE d.line (id INT PRIMARY KEY); INSERT INTO d.line VALUES (1)`)
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if got := count(t, s.Admin()); got != -1 {
		t.Fatalf("a killed server answered %d", got)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	over, err := sql.Open("mysql", s.DSN("d"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = over.Close() }()
	if got := count(t, over); got != 1 {
		t.Errorf("got %d rows after the restart, want 1", got)
	}
}

func TestAReplicaIsPromotedAndTheOldPrimaryFollows(t *testing.T) {
	t.Parallel()
	a, b := mariadb.New(t, mariadb.Options{}), mariadb.New(t, mariadb.Options{})
	t.Cleanup(func() { _, _ = a.Stop(), b.Stop() })
	exec(t, a, `CREATE DATABASE d; CREATE TABLE d.line (id INT PRIMARY KEY)`)
	if err := b.Replicate(t.Context(), a, true); err != nil {
		t.Fatal(err)
	}
	exec(t, a, `INSERT INTO d.line VALUES (1)`)
	if err := a.Kill(); err != nil { // the replica has the row: the commit waited for it
		t.Fatal(err)
	}
	if err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := count(t, b.Admin()); got != 1 {
		t.Fatalf("got %d rows on the promoted replica, want 1", got)
	}
	exec(t, b, `INSERT INTO d.line VALUES (2)`)
	if err := a.Restart(t.Context(), "--init-rpl-role=SLAVE", "--rpl-semi-sync-slave-enabled=ON"); err != nil {
		t.Fatal(err)
	}
	if err := a.Replicate(t.Context(), b, true); err != nil {
		t.Fatal(err)
	}
	exec(t, b, `INSERT INTO d.line VALUES (3)`)
	eventually(t, "the old primary has all rows", func() bool { return count(t, a.Admin()) == 3 })
}

func TestAPausedServerAnswersWhenResumed(t *testing.T) {
	t.Parallel()
	s := mariadb.Shared(t)
	name := s.Database(t)
	exec(t, s, `CREATE DATABASE `+name+`_0`)
	own := mariadb.New(t, mariadb.Options{Unsafe: true})
	t.Cleanup(func() { _ = own.Stop() })
	if err := own.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := own.Admin().ExecContext(ctx, `SELECT 1`); err == nil {
		t.Error("a paused server answered")
	}
	if err := own.Resume(); err != nil {
		t.Fatal(err)
	}
	exec(t, own, `SELECT 1`)
}
