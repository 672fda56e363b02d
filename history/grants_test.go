package history_test

import (
	"log/slog"
	"strings"
	"testing"

	"matchday/history"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
)

// TestNobodyHasMoreRightsThanTheirRole: that the rights suffice is shown by every test on a server.
func TestNobodyHasMoreRightsThanTheirRole(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	w := setup(t, engine{mariadb.Shared(t)}, 1)
	w.place(0, 20)
	w.shows(20)
	c := w.config.Clusters[0]
	opened, err := mysqldb.Open(t.Context(), c.Config, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Rebuildable: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	own := "USE " + c.DatabaseOf(0) + ";"
	for _, q := range []string{
		"UPDATE slip SET stake_minor = 1", "UPDATE bet_change SET payout_minor = 1", "UPDATE kept_from SET bet_id = 'x'",
		"UPDATE schema_migration SET version = 9", "DELETE FROM schema_migration", "DROP TABLE bet", "TRUNCATE TABLE bet",
		"ALTER TABLE bet ADD COLUMN extra INT", "ALTER TABLE bet DROP PARTITION plast", "CREATE TABLE another (id INT)",
		"CREATE DATABASE " + c.Database + "_9", "CREATE USER x", "SELECT * FROM mysql.global_priv",
	} {
		if _, err := opened.Writes().ExecContext(t.Context(), own+q); !mysqldb.IsDenied(err) {
			t.Errorf("the writer may %s: %v", q, err)
		}
	}
	for _, q := range []string{
		"INSERT INTO left_bucket (part, bucket) VALUES (0, 0)", "UPDATE sink_position SET seq = 0", "DELETE FROM bet", "DROP TABLE bet",
	} {
		if _, err := opened.Reads().ExecContext(t.Context(), own+q); !mysqldb.IsDenied(err) {
			t.Errorf("the reader may %s: %v", q, err)
		}
	}
	alike := strings.Replace(c.DatabaseOf(0), "_", "x", 1) // alike, but for wildcards
	w.admin("CREATE DATABASE " + alike + "; CREATE TABLE " + alike + ".bet (id INT)")
	t.Cleanup(func() { _, _ = w.engine.server.Admin().Exec("DROP DATABASE " + alike) })
	if _, err := opened.Writes().ExecContext(t.Context(), "SELECT id FROM "+alike+".bet"); !mysqldb.IsDenied(err) {
		t.Errorf("the writer sees another's database: %v", err)
	}
}

// TestGrantsOfBothHistories: a second history has accounts too, and files need none.
func TestGrantsOfBothHistories(t *testing.T) {
	t.Parallel()
	on := func(name string) []ledger.Cluster {
		return []ledger.Cluster{{Name: name, Shards: "0-1", Config: mysqldb.Config{Database: name, User: name + "_writer", Reader: name + "_reader"}}}
	}
	script, err := history.Grants(history.Config{Clusters: on("one"), Next: history.NextConfig{Dir: "e", Clusters: on("two")}}, "10.1.%")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(script, "one_desk`.`bet") || !strings.Contains(script, "GRANT CREATE, DELETE ON `one_desk`.`look` TO 'one_writer'@'10.1.%';") ||
		!strings.Contains(script, "GRANT CREATE, UPDATE ON `one_desk`.`choice` TO 'one_writer'@'10.1.%';") || strings.Contains(script, "two_desk") {
		t.Errorf("the desk is beside the first history, and takes what it needs:\n%s", script)
	}
	for _, want := range []string{
		"-- Cluster one (history).", "-- Cluster two (history).", "GRANT SELECT ON `one\\_%`.* TO 'one_reader'@'10.1.%';",
		"GRANT CREATE, UPDATE ON `two_1`.`bet` TO 'two_writer'@'10.1.%';", "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE ON `two\\_%`.* TO 'two_writer'",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("the script lacks %q:\n%s", want, script)
		}
	}
	if strings.Contains(script, "REPLICATION") {
		t.Error("an account of a history may read the binlog")
	}
	if script, err := history.Grants(history.Config{}, "%"); err != nil || script != "" {
		t.Errorf("without clusters: %q, %v", script, err)
	}
}
