package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/sim/workload"
)

// monthRSSMiB is the memory that a ledger of a million players may take while it writes a month, load
// generator included. More is a failed run.
const monthRSSMiB = 1_536

// monthBatch is how many transfers of the month are under way at a time: what follows may depend on them.
const monthBatch = ledger.MaxBatch

// BenchMonth writes a month of a ledger's life and measures what it leaves: the most memory taken, bytes
// a transfer on disk, how long a restart takes to serve, and how long the audit does. Progress gets a
// line a day.
func BenchMonth(ctx context.Context, o BenchOptions, out io.Writer) error {
	o, err := o.monthDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("month", o.Commit, map[string]any{
		"engine": o.Engine, "shards": o.Shards, "accounts": o.Accounts, "transfers": o.Transfers, "runs": o.Runs,
		"durability": durability(o.Engine), "memory_bound_mib": monthRSSMiB, "seed": o.Seed,
	})
	r.Data = "workload.Month: 30 days with weekends, evening surges of settlements, holds, withdrawals and refusals; log, records and seals on"
	r.Excluded = "relays and projections; the restart is that of the ledger in this process, the audit reads what the system has cached; on mysql bytes on disk include the binlog"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, _ int) error {
		return onEngine(ctx, o, dir, func(b bed) error { return measureMonth(ctx, o, r, b) })
	})
}

func (o BenchOptions) monthDefaults() (BenchOptions, error) {
	o.Runs = orDefault(o.Runs, 1)
	o.Transfers = orDefault(o.Transfers, 10_000_000)
	o.Accounts = orDefault(o.Accounts, min(1_000_000, o.Transfers/10))
	if o.Transfers < 2*o.Accounts {
		return o, errs.New(errs.CodeInvalid, "%d transfers are too few for %d accounts: two for each at least", o.Transfers, o.Accounts)
	}
	return o.withDefaults()
}

// measureMonth writes one month and measures it.
func measureMonth(ctx context.Context, o BenchOptions, r *BenchReport, b bed) error {
	resetPeak()
	b.config.SweepEvery = 50 * time.Millisecond // an hour of the month is half a second
	now := &hourClock{at: workload.MonthStart, set: time.Now()}
	life := &life{month: workload.NewMonth(o.Accounts, o.Transfers, o.Seed), clock: now, progress: progressOf(o)}
	start, used := time.Now(), b.cpu()
	err := withBooks(ctx, b.config, now, func(books *ledger.Service) error {
		return r.measured(o, func() error { return life.live(ctx, books) })
	})
	if err != nil {
		return err
	}
	took, cpu := time.Since(start), b.cpu()-used
	peak, err := peakMiB()
	if err != nil {
		return err
	}
	r.add("transfers_per_min", float64(life.made)/took.Minutes())
	r.add("cpu_us_per_transfer", float64(cpu.Microseconds())/float64(life.made))
	r.add("refused", float64(life.refused))
	r.add("peak_rss_mib", peak)
	if o.Engine == engineSQLite && peak > monthRSSMiB {
		return fmt.Errorf("the ledger took %.0f MiB of memory, its bound is %d", peak, monthRSSMiB)
	}
	if err := measureRestart(ctx, r, b, now); err != nil {
		return err
	}
	return measureBooks(ctx, r, b, life)
}

// hourClock is a clock that is moved from hour to hour and runs on between.
type hourClock struct {
	mu      sync.Mutex
	at, set time.Time
}

// Now implements clock.Clock.
func (c *hourClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at.Add(time.Since(c.set)).UTC().Truncate(time.Microsecond)
}

func (c *hourClock) goTo(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.set = at, time.Now()
}

// life writes a month.
type life struct {
	month         *workload.Month
	clock         *hourClock
	progress      func(format string, args ...any)
	made, refused int
}

// live funds the players and lives the month.
func (l *life) live(ctx context.Context, books *ledger.Service) error {
	for from := 0; from < l.month.Players(); from += monthBatch {
		if err := l.commit(ctx, books, ledger.LaneInteractive, l.month.Fund(from, from+monthBatch)); err != nil {
			return err
		}
	}
	l.progress("%s players have paid in", thousands(int64(l.made)))
	batch := make([]ledger.Transfer, monthBatch)
	return l.month.Hours(func(at time.Time, n int) error {
		l.clock.goTo(at)
		for n > 0 {
			part := batch[:min(n, len(batch))]
			l.month.Fill(part, at)
			lane := ledger.LaneInteractive
			if at.Hour() >= 21 {
				lane = ledger.LaneBulk
			}
			if err := l.commit(ctx, books, lane, part); err != nil {
				return err
			}
			n -= len(part)
		}
		if at.Hour() == 23 {
			l.progress("%s: %s transfers", at.Format(time.DateOnly), thousands(int64(l.made)))
		}
		return nil
	})
}

// commit commits a batch; only a lack of funds may be refused.
func (l *life) commit(ctx context.Context, books *ledger.Service, lane ledger.Lane, list []ledger.Transfer) error {
	results, err := books.CommitBatch(ctx, lane, list)
	if err != nil {
		return err
	}
	for i := range results {
		switch errs.CodeOf(results[i].Err) {
		case "":
		case errs.CodeInsufficientFunds:
			l.refused++
		default:
			return fmt.Errorf("transfer %s: %w", list[i].Key, results[i].Err)
		}
	}
	l.made += len(list)
	return nil
}

// measureRestart opens the books and commits one transfer.
func measureRestart(ctx context.Context, r *BenchReport, b bed, now clock.Clock) error {
	start := time.Now()
	return withBooks(ctx, b.config, now, func(books *ledger.Service) error {
		t := workload.Deposit("after the restart", workload.Player(0), workload.TerritoryOf(0), 1)
		if _, err := books.Commit(ctx, ledger.LaneInteractive, t); err != nil {
			return err
		}
		r.add("restart_s", time.Since(start).Seconds())
		return nil
	})
}

// measureBooks sizes and audits what the month left.
func measureBooks(ctx context.Context, r *BenchReport, b bed, l *life) error {
	bytes, err := sizeOf(b.folder)
	if err != nil {
		return err
	}
	bytes -= b.empty
	r.add("disk_mib", float64(bytes)/(1<<20))
	r.add("disk_bytes_per_transfer", float64(bytes)/float64(l.made))
	debug.FreeOSMemory()
	resetPeak()
	start := time.Now()
	report, err := auditBooks(ctx, b.config)
	if err != nil {
		return err
	}
	took := time.Since(start)
	peak, err := peakMiB()
	if err != nil {
		return err
	}
	if len(report.Findings) > 0 {
		return fmt.Errorf("the audit found: %s", report.Findings[0])
	}
	if report.Transfers < int64(l.made) {
		return fmt.Errorf("the audit saw %d transfers of %d", report.Transfers, l.made)
	}
	l.progress("audited: %s transfers, %s postings, %s accounts", thousands(report.Transfers), thousands(report.Postings), thousands(report.Accounts))
	r.add("audit_s", took.Seconds())
	r.add("audit_peak_rss_mib", peak)
	return nil
}

// auditBooks audits the books of a configuration.
func auditBooks(ctx context.Context, c ledger.Config) (ledger.AuditReport, error) {
	return ledger.Audit(ctx, ledger.AuditOptions{Dir: c.Dir, Clusters: c.Clusters})
}

// progressOf prints to standard error, unless one JSON object is asked for.
func progressOf(o BenchOptions) func(format string, args ...any) {
	start := time.Now()
	return func(format string, args ...any) {
		if !o.JSON {
			fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
		}
	}
}

// sizeOf adds up the files below a folder.
func sizeOf(folder string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary file of a running server
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// resetPeak forgets the most memory taken so far; where the kernel does not, the figure is the process's.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakMiB returns the most memory that this process has had resident.
func peakMiB() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		var kB float64
		if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kB); err == nil {
			return kB / 1024, nil
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
