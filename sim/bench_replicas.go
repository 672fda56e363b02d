package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/internal/mysqldb"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

const (
	benchReplicas = 2
	benchReaders  = 8
	benchWritten  = 500 // deposits a second while reads run
)

// BenchReplicas measures balance reads from the replicas of a MariaDB primary while it is written:
// how many a second, and how old the answers are.
func BenchReplicas(ctx context.Context, o BenchOptions, out io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	o.Engine = engineMySQL
	r := newBenchReport("replicas", o.Commit, map[string]any{
		"engine": o.Engine, "shards": 1, "replicas": benchReplicas, "readers": benchReaders, "players": benchPlayers(o),
		"deposits_per_s": benchWritten, "seconds": o.Seconds, "runs": o.Runs, "seed": o.Seed,
	})
	r.Data = "balance reads without a position, players evenly, in process; all servers on this machine; an answer's age is 0 with everything acknowledged, otherwise the time since the first acknowledgement it lacks"
	r.Excluded = "HTTP; the deposits' own time"
	return bench(ctx, o, r, out, func(ctx context.Context, dir string, _ int) error {
		return onReplicas(ctx, dir, func(c ledger.Config) error {
			return withBooks(ctx, c, clock.System{}, func(books *ledger.Service) error { return measureReplicas(ctx, o, r, books) })
		})
	})
}

// onReplicas calls f with the configuration of a shard on a primary with replicas.
func onReplicas(ctx context.Context, dir string, f func(c ledger.Config) error) (err error) {
	var servers []*mariadb.Server
	defer func() {
		for _, s := range servers {
			err = errors.Join(err, s.Stop())
		}
		err = errors.Join(err, mariadb.Cleanup())
	}()
	cluster := mysqldb.Config{Database: "ledger", User: mariadb.User, PasswordFile: filepath.Join(dir, "password")}
	if err := os.WriteFile(cluster.PasswordFile, []byte(mariadb.Password), 0o600); err != nil {
		return err
	}
	for range 1 + benchReplicas {
		s, err := mariadb.Start(ctx, mariadb.Options{})
		if err != nil {
			return err
		}
		servers, cluster.Nodes = append(servers, s), append(cluster.Nodes, s.Addr())
		if len(servers) > 1 {
			if err := s.Replicate(ctx, servers[0], false); err != nil {
				return err
			}
		}
	}
	return f(ledger.Config{Dir: filepath.Join(dir, "ledger"), Shards: 1, Clusters: []ledger.Cluster{{Name: "bench", Shards: "0", Config: cluster}}})
}

// benchPlace is where the players of this benchmark live.
const benchPlace = id.Jurisdiction("US-NJ")

func benchDeposit(key string, p id.Player) ledger.Transfer {
	return ledger.Transfer{Key: key, Kind: ledger.KindDeposit, Player: p, Jurisdiction: benchPlace, Currency: money.USD,
		Postings: []ledger.Posting{
			{Account: ledger.PSP("sandbox", benchPlace), AmountMinor: -100}, {Account: ledger.PlayerCash(p, benchPlace), AmountMinor: 100},
		}}
}

// acknowledged notes when each sequence was acknowledged.
type acknowledged struct {
	head atomic.Int64
	at   []atomic.Int64 // microseconds, by sequence
}

// age returns how old an answer is that shows everything up to seq.
func (a *acknowledged) age(seq, head int64) time.Duration {
	for seq++; seq <= head && seq < int64(len(a.at)); seq++ {
		if at := a.at[seq].Load(); at > 0 {
			return time.Since(time.UnixMicro(at))
		}
	}
	return 0
}

func measureReplicas(ctx context.Context, o BenchOptions, r *BenchReport, books *ledger.Service) error {
	players := benchPlayers(o)
	player := func(n int) id.Player { return id.Player(fmt.Sprintf("plr_%d", n)) }
	known := &acknowledged{at: make([]atomic.Int64, players+2*benchWritten*(o.Seconds+120))}
	deposit := func(key string, n int) error {
		got, err := books.Commit(ctx, ledger.LaneInteractive, benchDeposit(key, player(n)))
		if err != nil {
			return err
		}
		if got.Position.Seq < int64(len(known.at)) {
			known.at[got.Position.Seq].Store(time.Now().UnixMicro())
			for old := known.head.Load(); old < got.Position.Seq && !known.head.CompareAndSwap(old, got.Position.Seq); old = known.head.Load() {
			}
		}
		return nil
	}
	var funding errgroup.Group
	funding.SetLimit(64)
	for n := range players {
		funding.Go(func() error { return deposit(fmt.Sprint("first", n), n) })
	}
	if err := funding.Wait(); err != nil {
		return err
	}
	select { // the ledger looks for replicas each second
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	ages := make([][]time.Duration, benchReaders)
	var elapsed time.Duration
	err := r.measured(o, func() error {
		begun := time.Now()
		running, stop := context.WithTimeout(ctx, o.length())
		defer stop()
		var g errgroup.Group
		g.Go(func() error { return depositEvenly(running, players, deposit) })
		for reader := range benchReaders {
			g.Go(func() error {
				draw := rand.New(rand.NewPCG(uint64(o.Seed), uint64(reader))) // #nosec: which player is read
				for running.Err() == nil {
					head := known.head.Load()
					got, err := books.BalanceFrom(ctx, ledger.PlayerCash(player(draw.IntN(players)), benchPlace), stream.Position{})
					if err != nil {
						return err
					}
					ages[reader] = append(ages[reader], known.age(got.Position.Seq, head))
				}
				return nil
			})
		}
		err := g.Wait()
		elapsed = time.Since(begun)
		return err
	})
	if err != nil {
		return err
	}
	all := slices.Concat(ages...)
	slices.Sort(all)
	r.add("reads_per_s", float64(len(all))/elapsed.Seconds())
	r.add("freshness_p50_ms", all[len(all)/2].Seconds()*1000)
	r.add("freshness_p99_ms", all[len(all)*99/100].Seconds()*1000)
	return nil
}

// depositEvenly deposits at a steady rate until ctx ends.
func depositEvenly(ctx context.Context, players int, deposit func(key string, n int) error) error {
	tick := time.NewTicker(time.Second / benchWritten)
	defer tick.Stop()
	var g errgroup.Group
	g.SetLimit(64)
	for n := 0; ; n++ {
		select {
		case <-tick.C:
			g.Go(func() error { return deposit(fmt.Sprint("more", n), n%players) })
		case <-ctx.Done():
			return g.Wait()
		}
	}
}
