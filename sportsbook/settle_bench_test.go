package sportsbook

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// fillBets commits n winning singles of many players on one market, in batches, and waits until the
// projections show them.
func (b *book) fillBets(n int) {
	b.t.Helper()
	ctx := context.Background()
	const perPlayer, batch = 20, 1000
	stake := int64(10_00)
	line := "-3"
	var transfers []ledger.Transfer
	for i := range n {
		if i%perPlayer == 0 {
			p := b.ids.NewPlayer()
			transfers = append(transfers, ledger.Transfer{
				Key: "deposit/" + string(p), Kind: ledger.KindDeposit, Player: p, Jurisdiction: testNJ, Currency: money.USD,
				Postings: []ledger.Posting{
					{Account: ledger.PSP("test", testNJ), AmountMinor: -perPlayer * stake},
					{Account: ledger.PlayerCash(p, testNJ), AmountMinor: perPlayer * stake},
				},
			})
		}
		p := transfers[len(transfers)-1].Player
		bet := stream.BetPlaced{
			BetID: b.ids.NewBet(), PlayerID: p, Jurisdiction: testNJ, Product: Product, Currency: "USD",
			StakeMinor: stake, PotentialPayoutMinor: 1909,
			Legs: []stream.BetLeg{{EventID: "g1_x", EventName: "Summit at Harbor", StartsAtMS: 1_790_000_000_000,
				MarketID: "g1_x:spread", Market: "spread", SelectionID: "g1_x:spread:home", Selection: "home",
				SelectionName: "Harbor", Line: &line, Price: "-110"}},
		}
		data, err := json.Marshal(bet)
		if err != nil {
			b.t.Fatal(err)
		}
		transfers = append(transfers, ledger.Transfer{
			Key: "bet/" + string(bet.BetID), Kind: ledger.KindStake, Player: p, Jurisdiction: testNJ, Currency: money.USD,
			Postings: []ledger.Posting{
				{Account: ledger.PlayerCash(p, testNJ), AmountMinor: -stake},
				{Account: ledger.Bets(testNJ, Product), AmountMinor: stake},
			},
			Record: &stream.Draft{Type: stream.TypeBetPlaced, Subject: string(bet.BetID), Data: data},
		})
	}
	for chunk := range slices.Chunk(transfers, batch) {
		results, err := b.ledger.CommitBatch(ctx, ledger.LaneBulk, chunk)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				b.t.Fatal(r.Err)
			}
		}
	}
	for _, w := range b.settler.shards {
		if err := w.sink.WaitFor(ctx, b.ledger.Head(w.shard)); err != nil {
			b.t.Fatal(err)
		}
	}
}

// BenchmarkSettle measures a final whistle: from the result to the last of n winning singles paid
// and shown by the projection, with real ledger, streams and databases. Placing the bets is not
// measured.
func BenchmarkSettle(b *testing.B) {
	for _, n := range []int{20_000, 200_000} {
		b.Run(fmt.Sprintf("bets=%d", n), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				k := openBook(b, func(c *SettlementConfig) { c.RedriveAfter = 0 })
				k.patience = 5 * time.Minute
				filled := time.Now()
				k.fillBets(n)
				b.ReportMetric(time.Since(filled).Seconds(), "fill_s")
				cpu := telemetrytest.ProcessorTime(b)
				b.StartTimer()
				k.result("g1_x", 24, 20)
				b.StopTimer()
				b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-cpu).Microseconds())/float64(n), "cpu-us/bet")
				k.stop()
				b.StartTimer()
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "bets/s")
		})
	}
}

// BenchmarkChunk measures reading and grading open bets.
func BenchmarkChunk(b *testing.B) {
	k := openBook(b)
	k.fillBets(20_000)
	w := k.settler.shards[0]
	j := judge{fact: func(string) (marketFact, bool) {
		return marketFact{Decided: true, HomeScore: 24, AwayScore: 20}, true
	}}
	var chunk []bet
	var after int64
	read := 0
	cpu := telemetrytest.ProcessorTime(b)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if chunk, err = w.bets.inMarket(context.Background(), "g1_x:spread", after, 1000, chunk[:0]); err != nil {
			b.Fatal(err)
		}
		after = 0
		if len(chunk) == 1000 {
			after = chunk[999].seq
		}
		for i := range chunk {
			t, err := j.target(&chunk[i])
			if err != nil {
				b.Fatal(err)
			}
			if _, needed := chunk[i].settles(t); !needed {
				b.Fatal("nothing to do")
			}
		}
		read += len(chunk)
	}
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-cpu).Nanoseconds())/float64(read), "cpu-ns/bet")
}

// BenchmarkPayer measures decoding a message of 500 payouts and building its transfers.
func BenchmarkPayer(b *testing.B) {
	ids := id.NewSource(time.Now)
	var commands []payoutCommand
	for range 500 {
		commands = append(commands, payoutCommand{
			BetSettled: stream.BetSettled{BetID: ids.NewBet(), PlayerID: ids.NewPlayer(), Jurisdiction: testNJ, Version: 1,
				Outcome: stream.OutcomeWon, PayoutMinor: 1909, Currency: "USD", LegOutcomes: []string{stream.OutcomeWon}},
			StakeMinor: 1000, WasOpen: true,
		})
	}
	payload := appendPayouts(nil, commands)
	b.ReportAllocs()
	for b.Loop() {
		commands, err := parsePayouts(payload)
		if err != nil {
			b.Fatal(err)
		}
		for i := range commands {
			if got := commands[i].transfer(); len(got.Postings) != 3 {
				b.Fatal("want three postings")
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/payout")
}

// BenchmarkApply measures the projection: batches of placed bets, and their settlements.
func BenchmarkApply(b *testing.B) {
	const records, perBatch = 4096, 256
	ids := id.NewSource(time.Now)
	o, err := openOpenBets(context.Background(), b.TempDir(), 0, clock.System{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = o.close() }()
	o.decided = func(string) bool { return false }
	o.onApply = func([]betChange, []int64) {}
	apply := func(batches []stream.Batch) time.Duration {
		began := telemetrytest.ProcessorTime(b)
		err := o.db.InTx(context.Background(), func(tx *sql.Tx) error { return o.apply(context.Background(), tx, batches) })
		if err != nil {
			b.Fatal(err)
		}
		o.committed(batches[0])
		return telemetrytest.ProcessorTime(b) - began
	}
	var placing, settling time.Duration
	var seq int64
	line := "-3"
	for b.Loop() {
		var placed, settled []stream.Batch
		for range records / perBatch {
			var p, s stream.Batch
			for range perBatch {
				seq++
				bet := stream.BetPlaced{BetID: ids.NewBet(), PlayerID: ids.NewPlayer(), Jurisdiction: testNJ, Product: Product,
					Currency: "USD", StakeMinor: 1000, PotentialPayoutMinor: 1909, Legs: []stream.BetLeg{{EventID: "g1_x",
						EventName: "Summit at Harbor", StartsAtMS: 1_790_000_000_000, MarketID: "g1_x:spread", Market: "spread",
						SelectionID: "g1_x:spread:home", Selection: "home", SelectionName: "Harbor", Line: &line, Price: "-110"}}}
				data, err := json.Marshal(bet)
				if err != nil {
					b.Fatal(err)
				}
				p.Records = append(p.Records, stream.Record{Position: stream.Position{Seq: seq}, Type: stream.TypeBetPlaced,
					Subject: string(bet.BetID), Jurisdiction: testNJ, Time: time.Now(), Data: data})
				done := stream.BetSettled{BetID: bet.BetID, PlayerID: bet.PlayerID, Jurisdiction: testNJ, Version: 1,
					Outcome: stream.OutcomeWon, PayoutMinor: 1909, Currency: "USD", LegOutcomes: []string{stream.OutcomeWon}}
				s.Records = append(s.Records, stream.Record{Position: stream.Position{Seq: seq + records}, Type: stream.TypeBetSettled,
					Subject: string(bet.BetID), Jurisdiction: testNJ, Time: time.Now(), Data: appendSettled(nil, &done)})
			}
			placed, settled = append(placed, p), append(settled, s)
		}
		placing += apply(placed)
		settling += apply(settled)
	}
	b.ReportMetric(float64(placing.Nanoseconds())/float64(b.N*records), "cpu-ns/placed")
	b.ReportMetric(float64(settling.Nanoseconds())/float64(b.N*records), "cpu-ns/settled")
}
