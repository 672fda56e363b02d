package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// BenchmarkProject measures one DBTx of the sink in a file: twenty records of 500 bytes, as a surge leaves them, that no subscription wants, or one
// does, and the position. What it costs to know the subscriptions is the difference between many and one.
func BenchmarkProject(b *testing.B) {
	for _, wanted := range []bool{false, true} {
		for _, subscriptions := range []int{1, 10, maxSubscriptions} {
			b.Run(fmt.Sprintf("wanted=%t/subscriptions=%d", wanted, subscriptions), func(b *testing.B) {
				benchmarkProject(b, subscriptions, wanted)
			})
		}
	}
}

func benchmarkProject(b *testing.B, subscriptions int, wanted bool) {
	log, clk := streamtest.NewLog(1), clock.NewManual(start)
	s, err := Open(b.Context(), Config{Dir: b.TempDir(), MaxQueued: 1_000_000}, Deps{Clock: clk, Log: quiet, Metrics: prometheus.NewRegistry(),
		Transport: streamtest.Silent{}, Source: log})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for n := range subscriptions {
		types := []string{"matchday.deposit.*", "matchday.withdrawal.*"}
		if wanted && n == 0 {
			types = []string{"matchday.bet.*"}
		}
		if _, _, err := s.Subscribe(b.Context(), NewSubscription{URL: "https://crm.example.com/matchday", Types: types, CreatedBy: "test"}); err != nil {
			b.Fatal(err)
		}
	}
	records := make([]stream.Record, 20)
	for i := range records {
		records[i] = stream.Record{Type: stream.TypeBetSettled, Subject: "bet_01jb2m7k3v9q8w5x4y6z7a0b1c", Player: "plr_01jb2m7k3v9q8w5x4y6z7a0b1c",
			Jurisdiction: "US-NJ", Data: json.RawMessage(`{"text":"` + strings.Repeat("x", 500) + `"}`)}
	}
	row, db := stream.PositionRow{Name: sinkName(0), Shard: 0}, s.store.engine.(*file).db
	before, n := telemetrytest.ProcessorTime(b), 0
	for b.Loop() {
		batch := log.Append(0, clk.Now(), 0, records...)
		err := db.InTx(b.Context(), func(tx *sql.Tx) error {
			if err := s.project(b.Context(), tx, []stream.Batch{batch}); err != nil {
				return err
			}
			return row.Move(b.Context(), tx, batch.First-1, &batch)
		})
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-before).Microseconds())/float64(n), "cpu_us/op")
}

// counting counts the DBTx of deliveries that were made.
type counting struct {
	engine
	filed atomic.Int64
}

// inTenure implements engine.
func (c *counting) inTenure(ctx context.Context, shard int, fn func(on conn) error) error {
	c.filed.Add(1)
	return c.engine.inTenure(ctx, shard, fn)
}

// BenchmarkDeliver measures how many DBTx file the outcome of a delivery, by how long a receiver takes to answer: of 512 deliveries about as
// many players that are due at once.
func BenchmarkDeliver(b *testing.B) {
	for _, answer := range []time.Duration{5 * time.Millisecond, 150 * time.Millisecond} {
		b.Run("answer="+answer.String(), func(b *testing.B) {
			receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-time.After(answer) }))
			defer receiver.Close()
			s, err := Open(b.Context(), Config{Dir: b.TempDir(), Allow: []string{"127.0.0.0/8"}}, Deps{Clock: clock.System{}, Log: quiet,
				Metrics: prometheus.NewRegistry(), Transport: streamtest.Silent{}, Source: streamtest.NewLog(1)})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			one, _, err := s.Subscribe(b.Context(), NewSubscription{URL: receiver.URL, Types: []string{"*"}, CreatedBy: "test"})
			if err != nil {
				b.Fatal(err)
			}
			count := &counting{engine: s.store.engine}
			s.store.engine = count
			w, n := newWorker(s, one.ID, func() {}), int64(0)
			for b.Loop() {
				const players = 512
				list := make([]stream.Record, players)
				for i := range list {
					n++
					list[i] = stream.Record{Type: stream.TypeBetSettled, Player: id.Player(fmt.Sprint("p", i)), Position: stream.Position{Seq: n}, Data: json.RawMessage(`{}`)}
				}
				err := s.store.inDBTx(b.Context(), func(on conn) error { return s.store.queue(b.Context(), on, one.ID, list, s.clock.Now()) })
				if err != nil {
					b.Fatal(err)
				}
				deliverAll(b, w)
			}
			b.ReportMetric(float64(count.filed.Load())/float64(n), "DBTx/delivery")
		})
	}
}

// deliverAll runs rounds as a worker does, until nothing waits.
func deliverAll(b *testing.B, w *worker) {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { w.run(ctx); close(ended) }()
	for {
		one, err := w.service.Find(b.Context(), w.id)
		if err != nil {
			b.Fatal(err)
		}
		if one.Queued == 0 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	stop()
	<-ended
}
