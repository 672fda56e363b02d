package notify

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/internal/telemetry/telemetrytest"
)

// TestNobodyHasMoreRightsThanTheirRole: that the rights suffice is shown by every test on a server.
func TestNobodyHasMoreRightsThanTheirRole(t *testing.T) {
	t.Parallel()
	e := engineOf{server: mariadb.Shared(t)}
	w := setup(t, e)
	c := w.config.Cluster
	opened, err := mysqldb.Open(t.Context(), c, mysqldb.Deps{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	own := "USE " + databaseOf(c) + ";"
	for _, q := range []string{
		"DELETE FROM sink_position", "DELETE FROM tenure", "UPDATE schema_migration SET version = 9", "DROP TABLE delivery", "TRUNCATE TABLE delivery",
		"ALTER TABLE delivery ADD COLUMN extra INT", "CREATE TABLE another (id INT)", "CREATE DATABASE " + c.Database + "_9", "CREATE USER x",
	} {
		if _, err := opened.Writes().ExecContext(t.Context(), own+q); !mysqldb.IsDenied(err) {
			t.Errorf("the writer may %s: %v", q, err)
		}
	}
	for _, q := range []string{"UPDATE subscription SET state = 1", "DELETE FROM delivery", "INSERT INTO tenure (shard, epoch) VALUES (9, 9)"} {
		if _, err := opened.Reads().ExecContext(t.Context(), own+q); !mysqldb.IsDenied(err) {
			t.Errorf("the reader may %s: %v", q, err)
		}
	}
	ledgers := c.Database + "_0" // of the same prefix, as the ledger's own
	if _, err := e.server.Admin().ExecContext(t.Context(), "CREATE DATABASE "+ledgers+"; CREATE TABLE "+ledgers+".posting (id INT)"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"SELECT id FROM " + ledgers + ".posting", "INSERT INTO " + ledgers + ".posting (id) VALUES (1)"} {
		if _, err := opened.Writes().ExecContext(t.Context(), q); !mysqldb.IsDenied(err) {
			t.Errorf("the writer may %s: %v", q, err)
		}
	}
}

func TestGrantsOfAFileAreNone(t *testing.T) {
	t.Parallel()
	if script := Grants(Config{Dir: "d"}, "%"); script != "" {
		t.Errorf("got %q", script)
	}
	script := Grants(Config{Cluster: mysqldb.Config{Database: "shop", User: "w", Reader: "r"}}, "10.1.%")
	for _, want := range []string{"GRANT SELECT ON `shop\\_webhooks`.* TO 'r'@'10.1.%';", "GRANT CREATE, UPDATE ON `shop_webhooks`.`delivery` TO 'w'@'10.1.%';"} {
		if !strings.Contains(script, want) {
			t.Errorf("the script lacks %q:\n%s", want, script)
		}
	}
}

// TestAlertsNameMetricsThatExist keeps the rules file true: an alert on a metric that nobody writes is silent.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	w, r := setup(t, engineOf{}), newReceiver(t)
	w.subscribe(r.URL, "*") // its sinks have metrics from then on
	telemetrytest.RulesNameMetrics(t, w.deps.Metrics.(*prometheus.Registry), "../docs/alerts/webhooks.rules.yml", `matchday_[a-z_]+`, 5)
}
