package stream_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/internal/telemetry/telemetrytest"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// BenchmarkRelay measures from the log, through the durable stream, to a sink that stores nothing
// but its position: records of 500 bytes, batches of a group commit at light and at full load.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{1, 20, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			log := streamtest.NewLog(1)
			deps := stream.Deps{Clock: clock.System{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Metrics: prometheus.NewRegistry()}
			emb, err := stream.StartEmbedded(stream.EmbeddedConfig{Dir: b.TempDir()}, deps.Log)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = emb.Close() }()
			relay, err := stream.NewRelay(log, 0, emb.Transport(), deps)
			if err != nil {
				b.Fatal(err)
			}
			sink, err := stream.NewSink(stream.SinkConfig{Name: "none", DB: openDB(b, b.TempDir()),
				Apply: func(context.Context, *sql.Tx, []stream.Batch) error { return nil }}, emb.Transport(), log, deps)
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 2)
			go func() { done <- relay.Run(ctx) }()
			go func() { done <- sink.Run(ctx) }()
			records := make([]stream.Record, size)
			for i := range records {
				records[i] = stream.Record{Type: stream.TypeBetSettled, Subject: "bet_01jb2m7k3v9q8w5x4y6z7a0b1c", Player: "plr_01jb2m7k3v9q8w5x4y6z7a0b1c",
					Jurisdiction: "US-NJ", Data: json.RawMessage(`{"text":"` + strings.Repeat("x", 500) + `"}`)}
			}
			before, start := telemetrytest.ProcessorTime(b), deps.Clock.Now()
			var n int
			for b.Loop() {
				log.Append(0, deps.Clock.Now(), 0, records...)
				if n += size; n%50_000 < size { // no more than that ahead
					if err := sink.WaitFor(ctx, log.Head(0)-20_000); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := sink.WaitFor(ctx, log.Head(0)); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/deps.Clock.Now().Sub(start).Seconds(), "records/s")
			b.ReportMetric(float64((telemetrytest.ProcessorTime(b)-before).Microseconds())/float64(n), "cpu_us/record")
			cancel()
			<-done
			<-done
		})
	}
}
