package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"matchday/id"
	"matchday/stream"
)

// BenchmarkCommitBatch is the canonical ledger workload: durable stakes of random players with
// records of 300 bytes and time-ordered keys, in calls of 1,000 from 4 callers, 2 shards.
func BenchmarkCommitBatch(b *testing.B) {
	for _, players := range []int{20_000, 200_000} {
		b.Run(fmt.Sprintf("players=%d", players), func(b *testing.B) { benchCommitBatch(b, players) })
	}
}

func benchCommitBatch(b *testing.B, players int) {
	w := setup(b, func(c *Config) { c.CachedAccounts = 0 })
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
}

func mustBatch(b *testing.B, s *Service, list []Transfer) {
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
