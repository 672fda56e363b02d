package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/stream"
)

// BenchmarkCommitBatch is the canonical ledger workload: durable stakes of random players with
// records of 300 bytes and time-ordered keys, in calls of 1,000 from 4 callers, 2 shards.
func BenchmarkCommitBatch(b *testing.B) {
	for _, players := range []int{20_000, 200_000} {
		b.Run(fmt.Sprintf("players=%d", players), func(b *testing.B) { benchCommitBatch(b, players, nil) })
	}
}

// BenchmarkCommitBatchMariaDB is the same over two databases of one durable server, the binlog on.
// The processor time is this process's, without the server's.
func BenchmarkCommitBatchMariaDB(b *testing.B) {
	server := mariadb.New(b, mariadb.Options{Args: []string{"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M"}})
	b.Cleanup(func() { _ = server.Stop() })
	benchCommitBatch(b, 20_000, onServer(server, "bench", "0-1"))
}

func benchCommitBatch(b *testing.B, players int, clusters []Cluster) {
	w := setup(b, func(c *Config) { c.CachedAccounts, c.Clusters = 0, clusters })
	data := json.RawMessage(`{"pad":"` + strings.Repeat("x", 290) + `"}`)
	var list []Transfer
	names := make([]id.Player, players)
	for i := range names {
		names[i] = id.Player(fmt.Sprintf("plr_01jb2m7k3v9q8w5x4y6z%06d", i))
		list = append(list, deposit(fmt.Sprintf("d-%07d", i), names[i], 1_000_000_000))
		if len(list) == 1000 || i == players-1 {
			mustBatch(b, w.Service, list)
			list = nil
		}
	}
	const callers, size = 4, 1000
	var seq atomic.Int64
	b.ReportAllocs()
	cpu := telemetrytest.ProcessorTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			random := uint64(c + 1)
			for {
				list := make([]Transfer, size)
				for i := range list {
					n := seq.Add(1)
					if n > int64(b.N) {
						list = list[:i]
						break
					}
					random = random*6364136223846793005 + 1442695040888963407
					p := names[(random>>33)%uint64(players)]
					key := fmt.Sprintf("stake/bet_01jb2m7k3v9q8w5x%010d", n)
					list[i] = stake(key, p, 1)
					list[i].Record = &stream.Draft{Type: stream.TypeBetPlaced, Subject: key[6:], Data: data}
				}
				if len(list) == 0 {
					return
				}
				mustBatch(b, w.Service, list)
			}
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()*60, "transfers/min")
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-cpu).Microseconds())/float64(b.N), "cpu_us/transfer")
}

// BenchmarkDebitUnderPayouts measures single durable debits while payouts fill the bulk lane.
func BenchmarkDebitUnderPayouts(b *testing.B) {
	w := setup(b, func(c *Config) { c.CachedAccounts = 0 })
	const players = 5000
	var list []Transfer
	for i := range players {
		p := id.Player(fmt.Sprintf("plr_%06d", i))
		list = append(list, deposit("d-"+string(p), p, 1_000_000_000))
	}
	mustBatch(b, w.Service, list)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var paid atomic.Int64
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				list := make([]Transfer, 1000)
				for i := range list {
					n := paid.Add(1)
					p := id.Player(fmt.Sprintf("plr_%06d", n%players))
					list[i] = stake(fmt.Sprintf("bulk-%09d", n), p, 1)
				}
				mustBatch(b, w.Service, list)
			}
		})
	}
	took := make([]time.Duration, 0, b.N)
	var mu sync.Mutex
	b.ResetTimer()
	b.SetParallelism(8)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			p := id.Player(fmt.Sprintf("plr_%06d", i*7%players))
			began := time.Now()
			if _, err := w.Commit(context.Background(), LaneInteractive, stake(fmt.Sprintf("live-%09d", i), p, 1)); err != nil {
				b.Error(err)
			}
			mu.Lock()
			took = append(took, time.Since(began))
			mu.Unlock()
		}
	})
	b.StopTimer()
	close(stop)
	wg.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99_ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50_ms")
	b.ReportMetric(float64(paid.Load())/b.Elapsed().Seconds(), "payouts/s")
}

// BenchmarkBalance measures reads of a player's committed balance.
func BenchmarkBalance(b *testing.B) {
	w := setup(b)
	for i := range 100 {
		p := id.Player(fmt.Sprintf("plr_%06d", i))
		w.must(deposit("d-"+string(p), p, 100))
	}
	i := 0
	for b.Loop() {
		i++
		a := PlayerCash(id.Player(fmt.Sprintf("plr_%06d", i%100)), nj)
		if _, err := w.Balance(context.Background(), a); err != nil {
			b.Fatal(err)
		}
	}
}

func mustBatch(b testing.TB, s *Service, list []Transfer) {
	results, err := s.CommitBatch(context.Background(), LaneBulk, list)
	if err != nil {
		b.Error(err)
	}
	for i := range results {
		if results[i].Err != nil {
			b.Errorf("%s: %v", list[i].Key, results[i].Err)
			return
		}
	}
}
