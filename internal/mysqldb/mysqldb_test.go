package mysqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"matchday/errs"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil && code == 0 {
		println(err.Error())
		code = 1
	}
	os.Exit(code)
}

// config returns a cluster of the servers, with a fresh prefix on the first.
func config(t *testing.T, list ...*mariadb.Server) mysqldb.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(mariadb.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := mysqldb.Config{Database: list[0].Database(t), User: mariadb.User, PasswordFile: file, MaxConns: 3}
	for _, s := range list {
		c.Nodes = append(c.Nodes, s.Addr())
	}
	return c
}

func open(t *testing.T, c mysqldb.Config) *mysqldb.Cluster {
	t.Helper()
	cluster, err := mysqldb.Open(t.Context(), c, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	return cluster
}

var deps = mysqldb.Deps{Log: slog.New(slog.DiscardHandler)}

// server starts one for a test alone.
func server(t *testing.T, o mariadb.Options) *mariadb.Server {
	t.Helper()
	s := mariadb.New(t, o)
	t.Cleanup(func() { _ = s.Stop() })
	return s
}

func primary(t *testing.T, c *mysqldb.Cluster) (*sql.Conn, string) {
	t.Helper()
	conn, node, err := c.Primary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn, node
}

var files = fstest.MapFS{
	"m/0001_init.sql": {Data: []byte("-- a line\nCREATE TABLE IF NOT EXISTS line (id BIGINT PRIMARY KEY, text VARBINARY(10) NOT NULL, CHECK (id > 0)) ENGINE = InnoDB;\n")},
	"m/0002_more.sql": {Data: []byte("CREATE TABLE IF NOT EXISTS a (x INT);\nCREATE TABLE IF NOT EXISTS b (x INT)")},
}

func TestUnsafeSettingsAreRefusedWithAllReasons(t *testing.T) {
	t.Parallel()
	s := server(t, mariadb.Options{Unsafe: true, Args: []string{"--innodb-flush-log-at-trx-commit=2"}})
	c := config(t, s)
	c.Replication = mysqldb.ReplicationSemiSync
	_, err := mysqldb.Open(t.Context(), c, deps)
	if !errs.Is(err, errs.CodeInvalid) {
		t.Fatalf("got %v, want invalid", err)
	}
	for _, want := range []string{
		"innodb_flush_log_at_trx_commit is 2, must be 1", "sync_binlog is 0", "log_bin is OFF", "binlog_format is MIXED",
		"binlog_row_metadata is NO_LOG", "gtid_strict_mode is OFF", "log_slave_updates is OFF",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal does not say %q: %v", want, err)
		}
	}
}

// mysql8 is what a safe MySQL 8.4 answers; MariaDB's names are tested on a real server.
func mysql8() map[string]string {
	return map[string]string{
		"version": "8.4.3", "innodb_flush_log_at_trx_commit": "1", "innodb_doublewrite": "ON", "innodb_force_recovery": "0",
		"sync_binlog": "1", "log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL",
		"log_replica_updates": "ON", "gtid_mode": "ON", "enforce_gtid_consistency": "ON", "server_id": "1",
		"max_allowed_packet": "67108864", "rpl_semi_sync_source_enabled": "ON", "rpl_semi_sync_source_wait_point": "AFTER_SYNC",
		"rpl_semi_sync_source_timeout": "4294967295", "rpl_semi_sync_source_wait_no_replica": "ON",
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		change      map[string]string // "-" takes the variable away
		replication string
		want        string // the settings refused
	}{
		{"MySQL 8 with semi-sync is safe", nil, mysqldb.ReplicationSemiSync, ""},
		{"MySQL 8 without GTIDs is not", map[string]string{"gtid_mode": "OFF_PERMISSIVE"}, "", "gtid_mode"},
		{"a wait that ends is no wait", map[string]string{"rpl_semi_sync_source_timeout": "10000"}, "semi_sync", "rpl_semi_sync_source_timeout"},
		{"it does not matter without semi-sync", map[string]string{"rpl_semi_sync_source_timeout": "10000"}, "", ""},
		{"a missing plugin is named", map[string]string{"rpl_semi_sync_source_enabled": "-"}, "semi_sync", "rpl_semi_sync_master_enabled"},
		{"Aurora's storage needs no doublewrite and no sync_binlog", map[string]string{
			"aurora_version": "3.08.0", "innodb_doublewrite": "OFF", "sync_binlog": "0", "rpl_semi_sync_source_enabled": "-",
		}, "semi_sync", ""},
		{"Aurora may still be told to answer early", map[string]string{
			"aurora_version": "3.08.0", "innodb_flush_log_at_trx_commit": "0",
		}, "", "innodb_flush_log_at_trx_commit"},
		{"torn pages", map[string]string{"innodb_doublewrite": "DETECT_ONLY"}, "", "innodb_doublewrite"},
		{"two at once", map[string]string{"sync_binlog": "1000", "binlog_row_image": "MINIMAL"}, "", "sync_binlog binlog_row_image"},
	}
	for _, tt := range tests {
		have := mysql8()
		for name, value := range tt.change {
			have[name] = value
			if value == "-" {
				delete(have, name)
			}
		}
		var got []string
		for _, r := range mysqldb.Refusals(have, tt.replication) {
			got = append(got, r.Setting)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: refused %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestProjectionsNeedWholePagesAndNoMore(t *testing.T) {
	t.Parallel()
	have := mysql8()
	for name, value := range map[string]string{"innodb_flush_log_at_trx_commit": "2", "sync_binlog": "0", "log_bin": "OFF", "innodb_doublewrite": "OFF"} {
		have[name] = value
	}
	if got := mysqldb.RebuildableRefusals(have); len(got) != 1 || got[0].Setting != "innodb_doublewrite" {
		t.Errorf("refused %v, want innodb_doublewrite alone", got)
	}
}

func TestThePrimaryIsFoundAndFollowed(t *testing.T) {
	t.Parallel()
	a, b := server(t, mariadb.Options{}), server(t, mariadb.Options{})
	c := config(t, b, a) // the replica first: the order says nothing
	c.Replication = mysqldb.ReplicationSemiSync
	limited := "CREATE USER 'w'@'127.0.0.1' IDENTIFIED BY '" + mariadb.Password + "'; GRANT ALL PRIVILEGES ON `" + c.Database + "\\_%`.* TO 'w'@'127.0.0.1'"
	if _, err := a.Admin().ExecContext(t.Context(), limited); err != nil {
		t.Fatal(err)
	}
	c.User = "w"
	if err := b.Replicate(t.Context(), a, true); err != nil {
		t.Fatal(err)
	}
	cluster := open(t, c)
	conn, node := primary(t, cluster)
	if node != a.Addr() {
		t.Fatalf("the primary is %s, want %s", node, a.Addr())
	}
	if err := cluster.Migrate(t.Context(), c.DatabaseOf(0), files, "m", time.UnixMicro(1)); err != nil {
		t.Fatal(err)
	}
	if err := a.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := conn.ExecContext(t.Context(), "INSERT INTO "+c.DatabaseOf(0)+".line VALUES (1, 'x')")
	if !mysqldb.IsLost(err) || !errs.Is(mysqldb.Wrap("insert", err), errs.CodeUnavailable) {
		t.Fatalf("got %v, want a lost connection", err)
	}
	_ = conn.Close()
	cluster.Forget(node)
	if _, _, err := cluster.Primary(t.Context()); !errs.Is(err, errs.CodeUnavailable) {
		t.Fatalf("a replica was taken for the primary: %v", err)
	}
	if err := b.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, node = primary(t, cluster)
	defer func() { _ = conn.Close() }()
	if node != b.Addr() {
		t.Fatalf("the primary is %s, want %s", node, b.Addr())
	}
	if err := a.Restart(t.Context(), "--read-only=OFF"); err != nil {
		t.Fatal(err)
	}
	cluster.Forget(node)
	if _, _, err := cluster.Primary(t.Context()); err == nil || !strings.Contains(err.Error(), "both take writes") {
		t.Fatalf("two primaries: got %v, want a refusal", err)
	}
	if _, err := b.Admin().ExecContext(t.Context(), `SET GLOBAL read_only = ON`); err != nil {
		t.Fatal(err)
	}
	_, err = conn.ExecContext(t.Context(), "INSERT INTO "+c.DatabaseOf(0)+".line VALUES (1, 'x')")
	if !mysqldb.IsReadOnly(err) {
		t.Errorf("a write to a demoted node: got %v, want read-only", err)
	}
}

func TestMigrationsRunOnceWhoeverStarts(t *testing.T) {
	t.Parallel()
	c := config(t, mariadb.Shared(t))
	errors := make(chan error, 3)
	for range cap(errors) {
		cluster := open(t, c)
		go func() {
			errors <- cluster.Migrate(context.WithoutCancel(t.Context()), c.DatabaseOf(1), files, "m", time.UnixMicro(7))
		}()
	}
	for range cap(errors) {
		if err := <-errors; err != nil {
			t.Error(err)
		}
	}
	cluster := open(t, c)
	older := fstest.MapFS{"m/0001_init.sql": files["m/0001_init.sql"]}
	if err := cluster.Migrate(t.Context(), c.DatabaseOf(1), older, "m", time.UnixMicro(7)); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("an older program opened a newer database: %v", err)
	}
	var count int
	const q = "SELECT COUNT(*) FROM `%s`.schema_migration"
	conn, _ := primary(t, cluster)
	defer func() { _ = conn.Close() }()
	if err := conn.QueryRowContext(t.Context(), fmt.Sprintf(q, c.DatabaseOf(1))).Scan(&count); err != nil || count != 2 {
		t.Errorf("got %d migrations noted, %v; want 2", count, err)
	}
}

func TestServerErrorsAreClassifiedByNumber(t *testing.T) {
	t.Parallel()
	c := config(t, mariadb.Shared(t))
	cluster := open(t, c)
	if err := cluster.Migrate(t.Context(), c.DatabaseOf(0), files, "m", time.UnixMicro(1)); err != nil {
		t.Fatal(err)
	}
	conn, _ := primary(t, cluster)
	defer func() { _ = conn.Close() }()
	exec := func(on *sql.Conn, q string) error {
		_, err := on.ExecContext(t.Context(), "USE `"+c.DatabaseOf(0)+"`; "+q)
		return err
	}
	if err := exec(conn, "INSERT INTO line VALUES (1, 'a')"); err != nil {
		t.Fatal(err)
	}
	if err := exec(conn, "INSERT INTO line VALUES (2, 'b'), (1, 'a')"); !mysqldb.IsDuplicate(err) || !mysqldb.Refused(err) {
		t.Errorf("duplicate: got %v", err)
	}
	if err := exec(conn, "INSERT INTO line VALUES (-1, 'a')"); !mysqldb.IsViolation(err) || mysqldb.IsDuplicate(err) {
		t.Errorf("check: got %v", err)
	}
	if err := exec(conn, "INSERT INTO line VALUES (3, 'much too long for it')"); !mysqldb.IsViolation(err) {
		t.Errorf("length: got %v, want a violation: the session is strict", err)
	}
	if err := exec(conn, "BEGIN; UPDATE line SET text = 'c' WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	other, _ := primary(t, cluster)
	defer func() { _ = other.Close() }()
	if err := exec(other, "UPDATE line SET text = 'd' WHERE id = 1"); !mysqldb.IsDeadlock(err) {
		t.Errorf("a lock that is held: got %v, want deadlock", err)
	}
	if err := exec(conn, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := mysqldb.Wrap("read", conn.QueryRowContext(t.Context(), "SELECT id FROM line WHERE id = 9").Scan(&n)); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("no row: got %v", err)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	var check errs.Check
	mysqldb.Config{
		Nodes: []string{"a", "b:1", "b:1"}, Database: "Ledger", PasswordFile: "x", PasswordEnv: "y", Replication: "maybe", MaxConns: -1,
		TLS: "perhaps", Timeout: time.Millisecond,
	}.Validate(&check, "clusters[0]")
	err := check.Err()
	for _, want := range []string{"nodes[0]", "nodes[2]", "database", "user", "password_file", "replication", "max_conns", "tls", "timeout"} {
		if !strings.Contains(fmt.Sprint(err), "clusters[0]."+want+":") {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

// TestReleaseLeavesNothingOpen gives connections back in the middle of a DBTx, after every way in which
// it can end. What the next user of the pool commits must be its own.
func TestReleaseLeavesNothingOpen(t *testing.T) {
	t.Parallel()
	s := mariadb.Shared(t)
	c := config(t, s)
	c.MaxConns = 1
	cluster := open(t, c)
	if err := cluster.Migrate(t.Context(), c.DatabaseOf(0), files, "m", time.UnixMicro(1)); err != nil {
		t.Fatal(err)
	}
	exec := func(conn *sql.Conn, q string) error {
		_, err := conn.ExecContext(t.Context(), q)
		return err
	}
	table := c.DatabaseOf(0) + ".line"
	row := 0
	for name, end := range map[string]func(conn *sql.Conn) error{
		"a refused statement": func(conn *sql.Conn) error { return exec(conn, "INSERT INTO "+table+" VALUES (0, 'x')") },
		"a time limit": func(conn *sql.Conn) error {
			err := exec(conn, "SET STATEMENT max_statement_time = 0.05 FOR UPDATE "+table+" SET text = SLEEP(60)")
			if !mysqldb.IsInterrupted(err) || mysqldb.IsLost(err) || !errs.Is(mysqldb.Wrap("wait", err), errs.CodeUnavailable) {
				t.Errorf("a statement over its time: got %v, want interrupted", err)
			}
			return err
		},
		"the caller gives up": func(conn *sql.Conn) error {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := conn.ExecContext(ctx, "UPDATE "+table+" SET text = SLEEP(3)") // the server sleeps on
			return err
		},
		"an error of the caller": func(*sql.Conn) error { return errors.New("ours") },
	} {
		row++ // each has its own: what ended late may hold its lock
		conn, _ := primary(t, cluster)
		if err := exec(conn, fmt.Sprintf("BEGIN;INSERT INTO %s VALUES (%d, 'half')", table, row)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err := end(conn)
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		mysqldb.Release(t.Context(), conn, err)
		next, _ := primary(t, cluster)
		if err := exec(next, "BEGIN;COMMIT"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mysqldb.Release(t.Context(), next, nil)
		var rows int
		if err := s.Admin().QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%s: %d rows were committed, %v", name, rows, err)
		}
	}
}
