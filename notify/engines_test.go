package notify

import (
	"context"
	"os"
	"testing"

	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
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

// holdFunc is Deps.Hold.
type holdFunc = func(ctx context.Context, shard int, fn func(ctx context.Context, epoch int64) error) error

// engineOf is where a test's webhooks are: in a file, or on a server; there alone or, with a hold, as one process of
// several.
type engineOf struct {
	server *mariadb.Server
	hold   holdFunc
}

// always holds every shard under epoch 1.
func always(ctx context.Context, _ int, fn func(ctx context.Context, epoch int64) error) error {
	return fn(ctx, 1)
}

// cluster returns a database of the test's own, for accounts with the least rights: every test of this room on a server
// shows that they suffice.
func (e engineOf) cluster(t *testing.T) mysqldb.Config {
	t.Helper()
	if e.server == nil {
		return mysqldb.Config{}
	}
	prefix := e.server.Database(t)
	c := mysqldb.Config{
		Nodes: []string{e.server.Addr()}, Database: prefix, User: prefix + "_w", PasswordEnv: passwordEnv,
		Reader: prefix + "_r", ReaderPasswordEnv: passwordEnv, Migrator: prefix + "_m", MigratorPasswordEnv: passwordEnv,
	}
	script := Grants(Config{Cluster: c}, "127.0.0.1")
	for _, user := range []string{c.User, c.Reader, c.Migrator} {
		script = "CREATE USER IF NOT EXISTS '" + user + "'@'127.0.0.1' IDENTIFIED BY '" + mariadb.Password + "';\n" + script
	}
	if _, err := e.server.Admin().ExecContext(t.Context(), script); err != nil { // as printed, before there is a table
		t.Fatalf("%s: %v", script, err)
	}
	return c
}

// suite is what every engine must do.
var suite = map[string]func(t *testing.T, e engineOf){
	"MatchingRecordsAreDeliveredSignedFromTheSubscriptionOn": testMatchingRecordsAreDeliveredSignedFromTheSubscriptionOn,
	"AFailedDeliveryHoldsUpItsPlayerAndNobodyElse":           testAFailedDeliveryHoldsUpItsPlayerAndNobodyElse,
	"ARequestThatHangsHoldsUpItsPlayerAndNobodyElse":         testARequestThatHangsHoldsUpItsPlayerAndNobodyElse,
	"ManyThatHangKeepNothingFromBeingFiled":                  testManyThatHangKeepNothingFromBeingFiled,
	"ADeliveryThatIsTooOldIsDeadAndCanBeSentAgain":           testADeliveryThatIsTooOldIsDeadAndCanBeSentAgain,
	"ASubscriptionThatOnlyFailsIsDisabledUntilItIsResumed":   testASubscriptionThatOnlyFailsIsDisabledUntilItIsResumed,
	"AFullQueueDisablesItsSubscriptionOnly":                  testAFullQueueDisablesItsSubscriptionOnly,
	"StaffChangeASubscription":                               testStaffChangeASubscription,
}

// TestEngines runs the conformance suite on each.
func TestEngines(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) { runSuite(t, engineOf{}) })
	t.Run("MariaDB", func(t *testing.T) { runSuite(t, engineOf{server: mariadb.Shared(t)}) })
	t.Run("MariaDBShared", func(t *testing.T) { runSuite(t, engineOf{mariadb.Shared(t), always}) })
}

func runSuite(t *testing.T, e engineOf) {
	for name, test := range suite {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}
