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
	"matchday/ledger"
	"matchday/ledger/ledgertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		_ = flag.Set("rapid.checks", "25") // each opens files; more with -rapid.checks
		_ = flag.Set("rapid.shrinktime", "5s")
	}
	os.Exit(m.Run())
}

// TestSQLite runs the conformance suite, and audits the books of every ledger that it closed.
func TestSQLite(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	var next atomic.Int64
	fresh := func() string { return filepath.Join(root, fmt.Sprint(next.Add(1))) }
	ledgertest.Run(t, openSQLite, fresh)
}

func openSQLite(t ledgertest.T, dir string, c clock.Clock) (*ledger.Service, func()) {
	t.Helper()
	s, err := ledger.Open(context.Background(), ledger.Config{Dir: dir, SweepEvery: time.Hour, CachedAccounts: 3}, ledger.Deps{
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
		report, err := ledger.Audit(context.Background(), ledger.AuditOptions{Dir: dir})
		if err != nil || len(report.Findings) > 0 {
			t.Fatalf("audit: %v %v", report.Findings, err)
		}
	}
}
