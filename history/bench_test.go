package history

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/stream"
)

const (
	benchBets    = 200_000 // in the file before anything is measured
	benchPlayers = 20_000
	benchBatch   = 4096
)

// benchWorld is a shard's file with open bets of random players.
type benchWorld struct {
	s      *Service
	random *rand.Rand
	ids    *id.Source
	seq    int64
	at     time.Time
	bets   []betKey
}

func newBenchWorld(b *testing.B) *benchWorld {
	b.Helper()
	at := time.Date(2026, 9, 6, 17, 0, 0, 0, time.UTC)
	w := &benchWorld{random: rand.New(rand.NewPCG(1, 2)), ids: id.NewSource(func() time.Time { return at }), at: at}
	w.s = newFile(b, b.TempDir())
	b.Cleanup(func() { _ = w.s.Close() })
	for range benchBets / benchBatch {
		w.apply(b, w.placements())
	}
	return w
}

func (w *benchWorld) apply(b *testing.B, batch stream.Batch) {
	b.Helper()
	if err := w.s.applyForTest(batch); err != nil {
		b.Fatal(err)
	}
}

func (w *benchWorld) batch(record func() (string, betKey, any)) stream.Batch {
	batch := stream.Batch{First: w.seq + 1, Last: w.seq + benchBatch, At: w.at}
	for range benchBatch {
		w.seq++
		kind, key, payload := record()
		data, _ := json.Marshal(payload)
		batch.Records = append(batch.Records, stream.Record{Position: stream.Position{Seq: w.seq}, Type: kind, Subject: string(key.bet),
			Player: key.player, Jurisdiction: "US-NJ", Time: w.at, Data: data})
	}
	return batch
}

func (w *benchWorld) placements() stream.Batch {
	return w.batch(func() (string, betKey, any) {
		key := betKey{id.Player(fmt.Sprintf("plr_01jb2m7k3v9q8w5x4y6z%06d", w.random.IntN(benchPlayers))), w.ids.NewBet()}
		w.bets = append(w.bets, key)
		return stream.TypeBetPlaced, key, stream.BetPlaced{BetID: key.bet, PlayerID: key.player, Jurisdiction: "US-NJ", Product: "sportsbook",
			Currency: "USD", StakeMinor: 2500, PotentialPayoutMinor: 4772, Legs: []stream.BetLeg{{EventID: "2019_05_BUF_TEN",
				EventName: "Buffalo at Tennessee", StartsAtMS: 1570381200000, MarketID: "mkt_01jb2m7k3v9q8w5x4y6z7a0b1c", Market: "moneyline",
				SelectionID: "mkt_01jb2m7k3v9q8w5x4y6z7a0b1c:home", Selection: "home", SelectionName: "Tennessee", Price: "-110"}}}
	})
}

// settlements settles random open bets, as one game's bets lie scattered over the players.
func (w *benchWorld) settlements() stream.Batch {
	return w.batch(func() (string, betKey, any) {
		n := w.random.IntN(len(w.bets))
		key := w.bets[n]
		w.bets[n] = w.bets[len(w.bets)-1]
		w.bets = w.bets[:len(w.bets)-1]
		return stream.TypeBetSettled, key, stream.BetSettled{BetID: key.bet, PlayerID: key.player, Jurisdiction: "US-NJ", Version: 1,
			Outcome: stream.OutcomeWon, PayoutMinor: 4772, Currency: "USD", LegOutcomes: []string{stream.OutcomeWon}}
	})
}

// BenchmarkApply measures the projection of one shard, decoding of payloads and commits included,
// the stream excluded: 20,000 players, 200,000 bets of one leg in the file, 4,096 records a commit.
func BenchmarkApply(b *testing.B) {
	kinds := []struct {
		name string
		make func(*benchWorld) stream.Batch
	}{{"placed", (*benchWorld).placements}, {"settled", (*benchWorld).settlements}}
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			w := newBenchWorld(b)
			var used time.Duration
			for b.Loop() {
				b.StopTimer()
				if len(w.bets) < benchBatch {
					w.apply(b, w.placements())
				}
				batch := kind.make(w)
				before := telemetrytest.ProcessorTime(b)
				b.StartTimer()
				w.apply(b, batch)
				used += telemetrytest.ProcessorTime(b) - before
			}
			b.ReportMetric(float64(used.Microseconds())/float64(b.N*benchBatch), "cpu_us/record")
			b.ReportMetric(float64(b.N*benchBatch)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
