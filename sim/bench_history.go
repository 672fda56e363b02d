package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/history"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/sim/workload"
	"matchday/stream"
)

// historyWriters is how many connections write a shard on a server.
const historyWriters = 2

// historyLimit bounds each wait for the history.
const historyLimit = time.Hour

// BenchHistory measures how fast the history takes what the log has: through log, stream and sink, the
// sink alone from a stream that is ready, and, as the yardstick, raw multi-row upserts of the same rows
// into the same tables.
func BenchHistory(ctx context.Context, o BenchOptions, out io.Writer) error {
	o.Bets = orDefault(o.Bets, 400_000)
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	settings := map[string]any{
		"engine": o.Engine, "shards": o.Shards, "players": o.Accounts, "bets": o.Bets, "runs": o.Runs, "seed": o.Seed,
		"durability": "rebuildable: synchronous=NORMAL", "ledger": engineSQLite,
	}
	if o.Engine == engineMySQL {
		settings["durability"], settings["writers"] = durability(engineMySQL), historyWriters
	}
	r := newBenchReport("history", o.Commit, settings)
	r.Data = "workload.History: singles and parlays of two legs, placed and then settled game after game; an update is a placement or a settlement"
	r.Excluded = "committing to the log; raw upserts begin with rows that are ready in memory, and one DBTx holds as many as a full one of the sink"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, run int) error {
		return measureHistory(ctx, o, r, dir)
	})
}

// historyBench is one run of BenchHistory.
type historyBench struct {
	o       BenchOptions
	r       *BenchReport
	dir     string
	books   *ledger.Service
	streams *stream.Embedded
	source  *workload.History
	server  *mariadb.Server // nil: files
	cpu     cpuClock
}

func measureHistory(ctx context.Context, o BenchOptions, r *BenchReport, dir string) (err error) {
	c := ledger.Config{Dir: filepath.Join(dir, "ledger"), Shards: o.Shards}
	streams, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams"), MaxBytes: 1 << 40}, quietLog())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, streams.Close()) }()
	return withBooks(ctx, c, clock.System{}, func(books *ledger.Service) error {
		b := &historyBench{o: o, r: r, dir: dir, books: books, streams: streams, cpu: cpuTime,
			source: workload.NewHistory(o.Accounts, o.Bets, o.Seed)}
		if err := b.commit(ctx); err != nil {
			return err
		}
		if o.Engine == engineSQLite {
			return r.measured(o, func() error { return b.measure(ctx) })
		}
		return onMariaDB(ctx, func(s *mariadb.Server, cpu cpuClock) error {
			b.server, b.cpu = s, cpu
			return r.measured(o, func() error { return b.measure(ctx) })
		})
	})
}

// measure runs the parts one after the other.
func (b *historyBench) measure(ctx context.Context) error {
	updates := float64(2 * b.source.Bets())
	note := func(name string, spent, cpu time.Duration) {
		b.r.add(name+"_per_min", updates/spent.Minutes())
		b.r.add(name+"_cpu_us", float64(cpu.Microseconds())/updates)
	}
	spent, cpu, err := b.fill(ctx, "first", true)
	if err != nil {
		return fmt.Errorf("through log, stream and sink: %w", err)
	}
	note("updates", spent, cpu)
	sink, sinkCPU, err := b.fill(ctx, "second", false)
	if err != nil {
		return fmt.Errorf("from a ready stream: %w", err)
	}
	note("sink_updates", sink, sinkCPU)
	raw, rawCPU, err := b.raw(ctx)
	if err != nil {
		return fmt.Errorf("raw upserts: %w", err)
	}
	note("raw_upserts", raw, rawCPU)
	b.r.add("raw_upsert_ratio", raw.Seconds()/sink.Seconds())
	b.r.add("raw_upsert_cpu_ratio", rawCPU.Seconds()/sinkCPU.Seconds())
	return nil
}

// commit puts every bet and then every settlement into the log.
func (b *historyBench) commit(ctx context.Context) error {
	if err := fund(ctx, b.books, workload.NewLedger("fund-", b.o.Accounts, b.o.Seed)); err != nil {
		return err
	}
	for _, part := range []struct {
		lane ledger.Lane
		make func(from, upTo int) ([]ledger.Transfer, error)
	}{{ledger.LaneInteractive, b.source.Placed}, {ledger.LaneBulk, b.source.Settled}} {
		g, ctx := errgroup.WithContext(ctx)
		for n := range funders {
			g.Go(func() error {
				for from := n * ledgerBatch; from < b.source.Bets(); from += funders * ledgerBatch {
					list, err := part.make(from, from+ledgerBatch)
					if err != nil {
						return err
					}
					results, err := b.books.CommitBatch(ctx, part.lane, list)
					if err != nil {
						return fmt.Errorf("commit bets: %w", err)
					}
					for i := range results {
						if results[i].Err != nil {
							return fmt.Errorf("commit bets: %w", results[i].Err)
						}
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// fill builds a fresh history and returns how long it took to show the whole log, and the processor time.
// With relays the stream is filled meanwhile; without, it is ready.
func (b *historyBench) fill(ctx context.Context, name string, relays bool) (spent, cpu time.Duration, err error) {
	h, err := b.open(ctx, name)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	load, stop := context.WithCancel(ctx)
	g, load := errgroup.WithContext(load)
	if relays {
		for n := range b.books.Shards() {
			relay, err := stream.NewRelay(b.books, n, b.streams.Transport(), b.deps())
			if err != nil {
				stop()
				return 0, 0, err
			}
			g.Go(func() error { return relay.Run(load) })
		}
	}
	start, used := time.Now(), b.cpu()
	g.Go(func() error { return h.Run(load) })
	err = b.shown(load, h)
	spent, cpu = time.Since(start), b.cpu()-used
	stop()
	if err := errors.Join(err, g.Wait()); err != nil {
		return 0, 0, err
	}
	return spent, cpu, b.count(ctx, h)
}

func (b *historyBench) deps() stream.Deps {
	return stream.Deps{Clock: clock.System{}, Log: quietLog(), Metrics: prometheus.NewRegistry()}
}

// open opens the history of that name.
func (b *historyBench) open(ctx context.Context, name string) (*history.Service, error) {
	c, err := b.config(name)
	if err != nil {
		return nil, err
	}
	return b.openWith(ctx, c)
}

// config places the history of that name.
func (b *historyBench) config(name string) (history.Config, error) {
	c := history.Config{Dir: b.folder(name), Writers: historyWriters}
	if b.server == nil {
		return c, nil
	}
	secret := filepath.Join(b.dir, "password")
	if err := os.WriteFile(secret, []byte(mariadb.Password), 0o600); err != nil {
		return c, fmt.Errorf("bench: %w", err)
	}
	c.Clusters = []ledger.Cluster{{Name: "bench", Shards: ledger.ShardSet(fmt.Sprintf("0-%d", b.o.Shards-1)), Config: mysqldb.Config{
		Nodes: []string{b.server.Addr()}, Database: historyDatabase(name), User: mariadb.User, PasswordFile: secret}}}
	return c, nil
}

func (b *historyBench) openWith(ctx context.Context, c history.Config) (*history.Service, error) {
	return history.Open(ctx, c, history.Deps{
		Clock: clock.System{}, Log: quietLog(), Metrics: prometheus.NewRegistry(),
		Transport: b.streams.Transport(), Source: b.books, ShardOf: b.books.ShardOf, Since: b.books.Since,
	})
}

// historyDatabase is the prefix of the databases of the history of that name.
func historyDatabase(name string) string { return "history_" + name }

func (b *historyBench) folder(name string) string { return filepath.Join(b.dir, "history-"+name) }

// shown waits until the history shows the log of every shard.
func (b *historyBench) shown(ctx context.Context, h *history.Service) error {
	ctx, cancel := context.WithTimeout(ctx, historyLimit)
	defer cancel()
	for n := range b.books.Shards() {
		if err := h.WaitFor(ctx, stream.Position{Shard: n, Seq: b.books.Head(n)}); err != nil {
			return err
		}
	}
	return nil
}

// count proves that every bet is there and settled: a history that loses bets would be a quick one.
func (b *historyBench) count(ctx context.Context, h *history.Service) error {
	settled := 0
	err := h.ForEach(ctx, func(bet history.Bet) error {
		if bet.Status == history.StatusPush {
			settled++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if settled != b.source.Bets() {
		return fmt.Errorf("the history shows %d settled bets of %d: %w", settled, b.source.Bets(), ErrBroken)
	}
	return nil
}

// raw writes the rows of every shard's history into a fresh one, all shards at a time.
func (b *historyBench) raw(ctx context.Context) (spent, cpu time.Duration, err error) {
	h, err := b.open(ctx, "raw")
	if err == nil {
		err = h.Close() // now its tables are there
	}
	if err != nil {
		return 0, 0, err
	}
	var list []*rawHistory
	for n := range b.books.Shards() {
		of, err := openRawHistory(ctx, b, n)
		if err != nil {
			return 0, 0, err
		}
		list = append(list, of...)
		defer func() { err = errors.Join(err, of[0].close()) }()
	}
	start, used := time.Now(), b.cpu()
	var wg sync.WaitGroup
	var failed firstError
	for _, one := range list {
		wg.Go(func() { failed.note(one.write(ctx)) })
	}
	wg.Wait()
	return time.Since(start), b.cpu() - used, failed.err()
}
