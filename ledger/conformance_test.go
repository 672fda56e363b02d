package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		checks := "12" // each opens files or databases; more with -rapid.checks
		if testing.Short() {
			checks = "6"
		}
		_ = flag.Set("rapid.checks", checks)
		_ = flag.Set("rapid.shrinktime", "5s")
	}
	if err := os.Setenv(passwordEnv, mariadb.Password); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := mariadb.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// engines are what the conformance suite runs on: the shards of two that live on a cluster.
var engines = map[string]ledger.ShardSet{"SQLite": "", "MariaDB": "0-1", "a mixed fleet": "1"}

// passwordEnv names the variable with the password of the test servers.
const passwordEnv = "MATCHDAY_TEST_PASSWORD"

// onMariaDB returns a cluster on the server that the tests share.
func onMariaDB(server *mariadb.Server, database string, shards ledger.ShardSet) []ledger.Cluster {
	return []ledger.Cluster{{Name: "test", Shards: shards, Config: mysqldb.Config{
		Nodes: []string{server.Addr()}, Database: database, User: mariadb.User, PasswordEnv: passwordEnv,
	}}}
}

// TestEngines runs the conformance suite on each, and audits the books of every ledger that it closed.
func TestEngines(t *testing.T) {
	for name, shards := range engines {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			clusters := func(string) []ledger.Cluster { return nil }
			if shards != "" {
				server := mariadb.Shared(t)
				prefix := server.Database(t)
				clusters = func(dir string) []ledger.Cluster {
					return onMariaDB(server, prefix+"_"+filepath.Base(dir), shards)
				}
			}
			var next atomic.Int64
			fresh := func() string { return filepath.Join(root, fmt.Sprint(next.Add(1))) }
			open := func(t ledgertest.T, dir string, c clock.Clock) (*ledger.Service, func()) {
				t.Helper()
				return openEngine(t, ledger.Config{Dir: dir, Clusters: clusters(dir), SweepEvery: time.Hour, CachedAccounts: 3}, c)
			}
			ledgertest.Run(t, open, fresh)
			ledgertest.RunMoves(t, open, fresh)
		})
	}
}

func openEngine(t ledgertest.T, config ledger.Config, c clock.Clock) (*ledger.Service, func()) {
	t.Helper()
	s, err := ledger.Open(context.Background(), config, ledger.Deps{
		Clock: c, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	return s, func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		report, err := ledger.Audit(context.Background(), ledger.AuditOptions{Dir: config.Dir, Clusters: config.Clusters})
		if err != nil || len(report.Findings) > 0 {
			t.Fatalf("audit: %v %v", report.Findings, err)
		}
	}
}

// openSQLite opens books whose shards are all files.
func openSQLite(t ledgertest.T, dir string, c clock.Clock) (*ledger.Service, func()) {
	t.Helper()
	return openEngine(t, ledger.Config{Dir: dir, SweepEvery: time.Hour, CachedAccounts: 3}, c)
}
