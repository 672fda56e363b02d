package sim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
)

// The storage engines of the shards.
const (
	engineSQLite = "sqlite"
	engineMySQL  = "mysql"
)

// durability says what makes a commit of the engine durable.
func durability(engine string) string {
	if engine == engineMySQL {
		return "innodb_flush_log_at_trx_commit=1, sync_binlog=1, binlog ROW/FULL"
	}
	return "synchronous=FULL"
}

// cpuClock returns the processor time used so far by this process and by the database servers it runs.
type cpuClock func() time.Duration

// bed is what books are opened on.
type bed struct {
	config ledger.Config
	cpu    cpuClock
	folder string // where everything that they store is
	empty  int64  // bytes in there before the books: a server's own files
}

// onBooks runs f on fresh running books of the options' engine and closes them.
func onBooks(ctx context.Context, o BenchOptions, dir string, f func(books *ledger.Service, cpu cpuClock) error) error {
	return onEngine(ctx, o, dir, func(b bed) error {
		return withBooks(ctx, b.config, clock.System{}, func(books *ledger.Service) error { return f(books, b.cpu) })
	})
}

// withBooks opens the books, runs them while f does, and closes them.
func withBooks(ctx context.Context, c ledger.Config, at clock.Clock, f func(books *ledger.Service) error) error {
	books, err := ledger.Open(ctx, c, ledger.Deps{Clock: at, Log: quietLog(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- books.Run(run) }()
	err = f(books)
	stop()
	return errors.Join(err, <-ended, books.Close())
}

// onEngine calls f with a place for fresh books in dir; for mysql all shards are on a throw-away server
// that runs meanwhile.
func onEngine(ctx context.Context, o BenchOptions, dir string, f func(b bed) error) error {
	c := ledger.Config{Dir: filepath.Join(dir, "ledger"), Shards: o.Shards}
	if o.Engine != engineMySQL {
		return f(bed{config: c, cpu: cpuTime, folder: c.Dir})
	}
	secret := filepath.Join(dir, "password")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = os.WriteFile(secret, []byte(mariadb.Password), 0o600)
	}
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return onMariaDB(ctx, func(s *mariadb.Server, cpu cpuClock) error {
		c.Clusters = []ledger.Cluster{{
			Name: "bench", Shards: ledger.ShardSet(fmt.Sprintf("0-%d", o.Shards-1)),
			Config: mysqldb.Config{Nodes: []string{s.Addr()}, Database: "ledger", User: mariadb.User, PasswordFile: secret},
		}}
		empty, err := sizeOf(s.Dir())
		if err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		return f(bed{config: c, cpu: cpu, folder: s.Dir(), empty: empty})
	})
}

// onMariaDB runs f with a throw-away server that has the settings of production, and a buffer pool for
// books of a benchmark's size.
func onMariaDB(ctx context.Context, f func(s *mariadb.Server, cpu cpuClock) error) error {
	s, err := mariadb.Start(ctx, mariadb.Options{Args: []string{"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=1G", "--max-connections=500"}})
	if err != nil {
		return err
	}
	cpu := func() time.Duration { return cpuTime() + cpuOf(s) }
	return errors.Join(f(s, cpu), s.Stop(), mariadb.Cleanup())
}

// ticks of a second in /proc/PID/stat: fixed by the kernel's interface.
const procTicks = 100

// cpuOf returns the processor time of a server; zero if it cannot be read.
func cpuOf(s *mariadb.Server) time.Duration {
	text, err := os.ReadFile(s.Dir() + "/pid")
	if err != nil {
		return 0
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", strings.TrimSpace(string(text))))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	used := int64(0)
	for _, field := range fields[11:13] { // time in its own code and in the kernel
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0
		}
		used += n
	}
	return time.Duration(used) * time.Second / procTicks
}
