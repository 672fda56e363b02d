package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/history"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/ledger"
	"matchday/sim/workload"
	"matchday/stream"
)

// liveTick is how often a rebuild's bets flow.
const liveTick = 50 * time.Millisecond

// BenchRebuild fills a second history from the first while bets flow: at what rate, what that does to the lag
// of the first, how right the estimate was, and whether both are equal at the end, by comparison and by the log.
func BenchRebuild(ctx context.Context, o BenchOptions, out io.Writer) error {
	o.Bets, o.Runs = orDefault(o.Bets, 5_000_000), orDefault(o.Runs, 1)
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	r := newBenchReport("rebuild", o.Commit, map[string]any{
		"second": o.Engine, "first": engineSQLite, "shards": o.Shards, "players": o.Accounts, "bets": o.Bets, "runs": o.Runs,
		"live_updates_per_s": o.Rate, "seed": o.Seed, "parallel": o.Shards,
	})
	r.Data = "workload.History: half of the bets are settled before; the others, and new placements, flow meanwhile"
	r.Excluded = "placing the bets that are copied and filling the first history"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, _ int) error {
		if o.Engine == engineSQLite {
			return measureRebuild(ctx, o, r, dir, nil, cpuTime)
		}
		return onMariaDB(ctx, func(s *mariadb.Server, cpu cpuClock) error { return measureRebuild(ctx, o, r, dir, s, cpu) })
	})
}

// rebuildBench is one run of BenchRebuild.
type rebuildBench struct {
	historyBench
	old int // bets placed before
}

func measureRebuild(ctx context.Context, o BenchOptions, r *BenchReport, dir string, server *mariadb.Server, cpu cpuClock) (err error) {
	streams, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(dir, "streams"), MaxBytes: 1 << 40}, quietLog())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, streams.Close()) }()
	c := ledger.Config{Dir: filepath.Join(dir, "ledger"), Shards: o.Shards}
	return withBooks(ctx, c, clock.System{}, func(books *ledger.Service) error {
		old := (o.Bets + workload.HistoryGames - 1) / workload.HistoryGames * workload.HistoryGames
		b := &rebuildBench{old: old, historyBench: historyBench{o: o, r: r, dir: dir, books: books, streams: streams, server: server,
			cpu: cpu, source: workload.NewHistory(o.Accounts, 2*old, o.Seed)}}
		if err := b.commitOld(ctx); err != nil {
			return err
		}
		return b.measure(ctx)
	})
}

// settled returns settlements of bets that were placed before, a game after the other.
func (b *rebuildBench) settled(from, upTo int) ([]ledger.Transfer, error) {
	ofGame, placed := b.source.Bets()/workload.HistoryGames, b.old/workload.HistoryGames
	game := from / placed
	if game >= workload.HistoryGames {
		return nil, nil
	}
	upTo = min(upTo, (game+1)*placed)
	return b.source.Settled(game*ofGame+from%placed, game*ofGame+upTo-game*placed)
}

// commitOld places the bets that are to be copied, and settles half of them.
func (b *rebuildBench) commitOld(ctx context.Context) error {
	if err := fund(ctx, b.books, workload.NewLedger("fund-", b.o.Accounts, b.o.Seed)); err != nil {
		return err
	}
	for from := 0; from < b.old; from += ledgerBatch {
		list, err := b.source.Placed(from, min(from+ledgerBatch, b.old))
		if err != nil {
			return err
		}
		if err := b.commitAll(ctx, ledger.LaneInteractive, list); err != nil {
			return err
		}
	}
	for from := 0; from < b.old/2; {
		list, err := b.settled(from, min(from+ledgerBatch, b.old/2))
		if err != nil {
			return err
		}
		if err := b.commitAll(ctx, ledger.LaneBulk, list); err != nil {
			return err
		}
		from += len(list)
	}
	return nil
}

// commitAll commits transfers that none may refuse.
func (b *rebuildBench) commitAll(ctx context.Context, lane ledger.Lane, list []ledger.Transfer) error {
	if len(list) == 0 {
		return nil
	}
	results, err := b.books.CommitBatch(ctx, lane, list)
	if err != nil {
		return fmt.Errorf("commit bets: %w", err)
	}
	for i := range results {
		if results[i].Err != nil {
			return fmt.Errorf("commit bets: %w", results[i].Err)
		}
	}
	return nil
}

// flow places and settles bets until ctx is done.
func (b *rebuildBench) flow(ctx context.Context) error {
	n := max(1, b.o.Rate*int(liveTick/time.Millisecond)/2000)
	for placed, settled := b.old, b.old/2; ctx.Err() == nil; placed += n {
		list, err := b.source.Placed(placed, placed+n)
		if err == nil {
			err = b.commitAll(ctx, ledger.LaneInteractive, list)
		}
		if err == nil {
			if list, err = b.settled(settled, settled+n); err == nil {
				settled += len(list)
				err = b.commitAll(ctx, ledger.LaneBulk, list)
			}
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, liveTick)
	}
	return nil
}

// measure measures the first history alone, and then with a second one beside it.
func (b *rebuildBench) measure(ctx context.Context) error {
	load, stop := context.WithCancel(ctx)
	defer stop()
	g, load := errgroup.WithContext(load)
	for n := range b.books.Shards() {
		relay, err := stream.NewRelay(b.books, n, b.streams.Transport(), b.deps())
		if err != nil {
			return err
		}
		g.Go(func() error { return relay.Run(load) })
	}
	c := history.Config{Dir: b.folder("first")}
	err := b.with(load, c, func(ctx context.Context, h *history.Service) error { return b.shown(ctx, h) })
	flow, ebb := context.WithCancel(load)
	defer ebb()
	g.Go(func() error { return b.flow(flow) })
	if err == nil {
		err = b.with(load, c, func(ctx context.Context, h *history.Service) error {
			if err := b.shown(ctx, h); err != nil {
				return err
			}
			b.note(h, "lag_before", func() { pause(ctx, time.Duration(b.o.Seconds)*time.Second) })
			return nil
		})
	}
	second, failed := b.config("second")
	c.Next = history.NextConfig{Dir: second.Dir, Clusters: second.Clusters, Writers: second.Writers, Rate: 10_000_000, Parallel: b.o.Shards}
	if err = errors.Join(err, failed); err == nil {
		err = b.with(load, c, func(ctx context.Context, h *history.Service) error {
			return b.r.measured(b.o, func() error { return b.rebuild(ctx, h, ebb) })
		})
	}
	stop()
	if err := errors.Join(err, g.Wait()); err != nil {
		return err
	}
	_, err = history.Audit(ctx, history.AuditOptions{Dir: second.Dir, Clusters: second.Clusters, Log: b.books})
	return err
}

// with opens a history, runs it while f does, and closes it.
func (b *rebuildBench) with(ctx context.Context, c history.Config, f func(ctx context.Context, h *history.Service) error) error {
	h, err := b.openWith(ctx, c)
	if err != nil {
		return err
	}
	run, stop := context.WithCancel(ctx)
	g, run := errgroup.WithContext(run)
	g.Go(func() error { return h.Run(run) })
	err = f(run, h)
	stop()
	return errors.Join(err, g.Wait(), h.Close())
}

// note measures the time from commit to visible while f runs.
func (b *rebuildBench) note(h *history.Service, name string, f func()) {
	lag := newLatency()
	stop := h.Subscribe(func(batch stream.Batch) { lag.visible(batch) })
	f()
	stop()
	b.r.add(name+"_p99_ms", lag.percentiles().P99)
	b.r.add(name+"_p50_ms", lag.percentiles().P50)
}

// rebuild waits until the second history is complete and equal, while bets flow; then they ebb.
func (b *rebuildBench) rebuild(ctx context.Context, h *history.Service, ebb func()) error {
	if err := b.shown(ctx, h); err != nil { // what came while no history ran
		return err
	}
	var err error
	b.note(h, "lag_during", func() {
		if err = b.copied(ctx, h); err == nil {
			err = b.equal(ctx, h)
		}
	})
	ebb()
	if err != nil {
		return err
	}
	return poll(ctx, "second history", historyLimit, func() (bool, error) {
		for _, p := range h.NextStatus().Copy {
			if p.Position < b.books.Head(p.Shard) {
				return false, nil
			}
		}
		return true, nil
	})
}

// copied waits until every bet is copied.
func (b *rebuildBench) copied(ctx context.Context, h *history.Service) error {
	var copied int64
	start, used := time.Now(), b.cpu()
	var said []guess
	err := poll(ctx, "copy", historyLimit, func() (bool, error) {
		var bets, expected int64
		var left time.Duration
		done := 0
		for _, p := range h.NextStatus().Copy {
			bets, expected, left = bets+p.Bets, expected+p.Expected, max(left, p.Left)
			if p.Done {
				done++
			}
		}
		if n := int64(len(said) + 1); left > 0 && n < 4 && bets > expected*n/4 {
			said = append(said, guess{left: left, at: time.Since(start), bets: bets})
		}
		copied = bets
		return done == b.o.Shards, nil
	})
	if err != nil {
		return err
	}
	spent := time.Since(start)
	b.r.add("copied_bets", float64(copied))
	b.r.add("copied_bets_per_s", float64(copied)/spent.Seconds())
	b.r.add("cpu_us_per_bet", float64((b.cpu()-used).Microseconds())/float64(copied))
	for i, name := range []string{"a_quarter", "a_half", "three_quarters"}[:len(said)] {
		g := said[i]
		b.r.add("estimate_at_"+name+"_ratio", g.left.Seconds()/(spent-g.at).Seconds())
		b.r.add("copied_bets_per_s_until_"+name, float64(g.bets)/g.at.Seconds())
	}
	return nil
}

// guess is how long a copy was said to take still, when that was said and how many bets it had copied by then.
type guess struct {
	left, at time.Duration
	bets     int64
}

// equal waits until a comparison of every shard has found nothing.
func (b *rebuildBench) equal(ctx context.Context, h *history.Service) error {
	start := time.Now()
	err := poll(ctx, "comparison", historyLimit, func() (bool, error) {
		equal := 0
		for _, c := range h.NextStatus().Equal {
			if c.Different > 0 {
				return false, fmt.Errorf("shard %d differs in %d bets, first %+v: %w", c.Shard, c.Different, c.Named[0], ErrBroken)
			}
			if c.Passes > 0 && c.Suspected == 0 {
				equal++
			}
		}
		return equal == b.o.Shards, nil
	})
	b.r.add("compared_after_s", time.Since(start).Seconds())
	return err
}
