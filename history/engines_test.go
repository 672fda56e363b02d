package history_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"matchday/history"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
	"matchday/ledger"
)

// passwordEnv names the variable with the password of the test servers.
const passwordEnv = "MATCHDAY_TEST_PASSWORD"

func TestMain(m *testing.M) {
	if err := os.Setenv(passwordEnv, mariadb.Password); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// engine is what the shards are kept on: files, or one server.
type engine struct{ server *mariadb.Server }

// clusters puts so many shards on the server, for accounts of their own with the least rights: every test of
// this room that writes to a server shows that they suffice.
func (e engine) clusters(t testing.TB, prefix string, shards int) []ledger.Cluster {
	t.Helper()
	c := ledger.Cluster{Name: "test", Shards: ledger.ShardSet(fmt.Sprintf("0-%d", shards-1)), Config: mysqldb.Config{
		Nodes: []string{e.server.Addr()}, Database: prefix, User: prefix + "_w", PasswordEnv: passwordEnv,
		Reader: prefix + "_r", ReaderPasswordEnv: passwordEnv, Migrator: prefix + "_m", MigratorPasswordEnv: passwordEnv,
	}}
	for _, user := range []string{c.User, c.Reader, c.Migrator} {
		if _, err := e.server.Admin().ExecContext(t.Context(), "CREATE USER IF NOT EXISTS '"+user+"'@'127.0.0.1' IDENTIFIED BY '"+mariadb.Password+"'"); err != nil {
			t.Fatal(err)
		}
	}
	e.grant(t, history.Config{Clusters: []ledger.Cluster{c}})
	return []ledger.Cluster{c}
}

// fresh puts so many shards into databases of their own on the server; none for files.
func (e engine) fresh(t testing.TB, shards int) []ledger.Cluster {
	t.Helper()
	if e.server == nil {
		return nil
	}
	return e.clusters(t, e.server.Database(t), shards)
}

// grant gives the accounts of a configuration their rights, as printed, before there is a table. A second history adds some
// beside the first, if that is on a server.
func (e engine) grant(t testing.TB, c history.Config) {
	t.Helper()
	if e.server == nil {
		return
	}
	script, err := history.Grants(c, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.server.Admin().ExecContext(t.Context(), script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// suite is what every engine must do.
var suite = map[string]func(t *testing.T, e engine){
	"BetIsReadAtThePositionOfItsStake":            testBetIsReadAtThePositionOfItsStake,
	"BetIsShownAsPlacedAndThenAsSettled":          testBetIsShownAsPlacedAndThenAsSettled,
	"ListPagesNewestFirstAndFilters":              testListPagesNewestFirstAndFilters,
	"NothingOfAnotherPlayerOrJurisdictionIsFound": testNothingOfAnotherPlayerOrJurisdictionIsFound,
	"ReadAtAPosition":                             testReadAtAPosition,
	"HistoryIsRebuiltFromTheLog":                  testHistoryIsRebuiltFromTheLog,
	"LagIsZeroWhenAllIsShown":                     testLagIsZeroWhenAllIsShown,
	"SubscribersHearOfEachBatchUntilTheyCancel":   testSubscribersHearOfEachBatchUntilTheyCancel,
	"AuditFindsTheFirstDifference":                testAuditFindsTheFirstDifference,
	"WhatIsOverGoesAndNothingElse":                testWhatIsOverGoesAndNothingElse,
	"AnOpenBetStaysUntilItIsSettled":              testAnOpenBetStaysUntilItIsSettled,
	"DroppingGoesOnWhereItWasStopped":             testDroppingGoesOnWhereItWasStopped,
}

// TestEngines runs the conformance suite on each.
func TestEngines(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { runSuite(t, engine{}) })
	t.Run("MariaDB", func(t *testing.T) {
		if testing.Short() {
			t.Skip("short mode: starts a database server")
		}
		runSuite(t, engine{mariadb.Shared(t)})
	})
}

func runSuite(t *testing.T, e engine) {
	for name, test := range suite {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// wipe deletes the history's databases.
func (w *world) wipe() {
	w.t.Helper()
	if w.engine.server == nil {
		if err := os.RemoveAll(w.config.Dir); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	for n := range w.log.Shards() {
		w.admin("DROP DATABASE " + w.config.Clusters[0].DatabaseOf(n))
	}
}

// exec runs a statement on shard 0.
func (w *world) exec(q string) {
	w.t.Helper()
	if w.engine.server != nil {
		w.admin("USE " + w.config.Clusters[0].DatabaseOf(0) + ";" + q)
		return
	}
	db, err := sqldb.Open(filepath.Join(w.config.Dir, "history-000.db"), sqldb.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := db.Write.Exec(q); err != nil {
		w.t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// admin runs statements on the server as its administrator.
func (w *world) admin(q string) {
	w.t.Helper()
	if _, err := w.engine.server.Admin().ExecContext(w.t.Context(), q); err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
}

// count returns the rows of a table of shard 0.
func (w *world) count(table string) (n int) {
	w.t.Helper()
	q := "SELECT COUNT(*) FROM "
	if w.engine.server != nil {
		if err := w.engine.server.Admin().QueryRow(q + w.config.Clusters[0].DatabaseOf(0) + "." + table).Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		return n
	}
	db, err := sqldb.Open(filepath.Join(w.config.Dir, "history-000.db"), sqldb.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	if err := db.Read.QueryRow(q + table).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}
