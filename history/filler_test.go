package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
	"matchday/stream/streamtest"
)

// TestTheEstimateOfACopyProvesRight copies while bets are placed: what is said to be left, from a fifth on and until ten
// chunks are left, is what it takes then, within a quarter: there are no more than fifty chunks. A chunk takes 80 to 120 ms; time is the test's.
func TestTheEstimateOfACopyProvesRight(t *testing.T) {
	t.Parallel()
	for name, placed := range map[string]int{"quiet": 0, "busy": 4, "half as many as are copied": 10} { // beside each chunk of 20
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const chunk = 20
			random, now := rand.New(rand.NewPCG(4, 20)), clock.NewManual(time.UnixMicro(1_600_000_000_000_000).UTC())
			source, target := pairs["SQLite to SQLite"](t)()
			ctx, m, seq := t.Context(), model{}, int64(0)
			place := func(n int, on ...stream.Store) {
				t.Helper()
				if n == 0 {
					return
				}
				b := stream.Batch{First: seq + 1, At: now.Now()}
				for range n {
					seq++
					k := betKey{id.Player(fmt.Sprintf("plr_%03d", random.IntN(100))), id.Bet(fmt.Sprintf("bet_%06d", seq))}
					b.Records = append(b.Records, m.place(seq, now.Now(), k, 1+seq%7))
				}
				b.Last = seq
				for _, s := range on {
					if err := s.Commit(ctx, b.First-1, []stream.Batch{b}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, _, err := source.Load(ctx); err != nil {
				t.Fatal(err)
			}
			place(1_000, source)
			if err := startFill(ctx, target, seq, now.Now()); err != nil {
				t.Fatal(err)
			}
			f := &filler{from: &shard{store: source}, store: target, clock: now}
			said := map[time.Time]time.Duration{}
			for !target.state().done {
				if err := f.expect(ctx, target.state()); err != nil {
					t.Fatal(err)
				}
				now.Advance(time.Duration(80+random.IntN(41)) * time.Millisecond)
				expected, _, _ := f.outlook(target.state().bets)
				target.mu.Lock()
				n, err := target.copy(ctx, source, chunk, expected, now.Now())
				target.mu.Unlock()
				if err != nil {
					t.Fatal(err)
				}
				f.went(n)
				place(placed, source, target)
				if state := target.state(); state.bets > 200 && !state.done {
					if expected, _, left := f.outlook(state.bets); expected-state.bets > 10*chunk { // of fewer, one more or less is much of it
						said[now.Now()] = left
					}
				}
			}
			for at, left := range said {
				if took := now.Now().Sub(at); left < took*3/4 || left > took*5/4 {
					t.Errorf("%s were said to be left, it took %s", left, took)
				}
			}
			if len(said) < 25 {
				t.Errorf("%d estimates", len(said))
			}
			if state := target.state(); state.bets != state.expected && placed == 0 {
				t.Errorf("%d bets copied of %d", state.bets, state.expected)
			}
		})
	}
}

// TestACopyRestsWhileAHistoryIsBehind: of two histories one is a second behind its log.
func TestACopyRestsWhileAHistoryIsBehind(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.UnixMicro(1_600_000_000_000_000).UTC())
	at := func(log *streamtest.Log) *shard {
		t.Helper()
		s, err := stream.NewSink(stream.SinkConfig{Name: sinkName, Store: newFileStore(t).sqliteStore}, struct{ stream.Transport }{}, log,
			stream.Deps{Clock: now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		s.Lag() // nothing is there, all is shown
		return &shard{sink: s}
	}
	level, ahead := streamtest.NewLog(1), streamtest.NewLog(1)
	tests := []struct {
		name, want string
		from, to   *shard
	}{
		{"neither", "", at(level), at(level)},
		{"the first", "the first history is behind", at(ahead), at(level)},
		{"the second", "the second history is behind", at(level), at(ahead)},
	}
	ahead.Append(0, now.Now(), 1)
	now.Advance(time.Second)
	for _, tt := range tests {
		f := &filler{from: tt.from, to: tt.to, config: NextConfig{Lag: 500 * time.Millisecond}, clock: now}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.calm(ctx) }()
		if tt.want == "" {
			if err := <-ended; err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			cancel()
			continue
		}
		for {
			f.mu.Lock()
			waiting := f.waiting
			f.mu.Unlock()
			if waiting == tt.want {
				break
			}
			select {
			case err := <-ended:
				t.Fatalf("%s: copying goes on: %v", tt.name, err)
			case <-time.After(time.Millisecond):
			}
		}
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("%s: copying goes on", tt.name)
		}
	}
}

// TestAChunkWaitsForWhatTheSecondHistoryHasCommitted: a sink tells of a commit a moment after its database has it, and the first
// history may be behind that.
func TestAChunkWaitsForWhatTheSecondHistoryHasCommitted(t *testing.T) {
	t.Parallel()
	ctx, now, log, m := t.Context(), clock.System{}, streamtest.NewLog(1), model{}
	source, target := pairs["SQLite to SQLite"](t)()
	place := func(n int) stream.Batch {
		var list []stream.Record
		for range n {
			seq := log.Head(0) + int64(len(list)) + 1
			list = append(list, m.place(seq, now.Now(), betKey{id.Player(fmt.Sprintf("plr_%d", seq%3)), id.Bet(fmt.Sprintf("bet_%04d", seq))}, seq))
		}
		return log.Append(0, now.Now(), 0, list...)
	}
	sink := func(s stream.Store) *shard {
		t.Helper()
		out, err := stream.NewSink(stream.SinkConfig{Name: sinkName, Store: s}, streamtest.Silent{}, log,
			stream.Deps{Clock: now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
		if err == nil {
			err = out.Load(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		return &shard{sink: out}
	}
	if _, _, err := source.Load(ctx); err != nil {
		t.Fatal(err)
	}
	if err := source.Commit(ctx, 0, []stream.Batch{place(10)}); err != nil {
		t.Fatal(err)
	}
	if err := startFill(ctx, target, 10, now.Now()); err != nil {
		t.Fatal(err)
	}
	f := &filler{from: sink(source), to: sink(target), store: target, config: NextConfig{Chunk: 4}, clock: now}
	f.from.store = source
	if err := target.Commit(ctx, 10, []stream.Batch{place(5)}); err != nil { // and its sink does not tell yet
		t.Fatal(err)
	}
	if err := f.expect(ctx, target.state()); err != nil {
		t.Fatal(err)
	}
	for patience := 50 * time.Millisecond; ; patience *= 2 {
		short, cancel := context.WithTimeout(ctx, patience)
		n, err := f.copy(short)
		cancel()
		if errors.Is(err, errWaits) {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) && short.Err() == nil || patience > time.Minute {
			t.Fatalf("%d bets copied, %v; want it to wait for the first history", n, err)
		}
	}
	f.to = sink(target)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- f.from.sink.Run(run) }()
	for !target.state().isWhole() {
		if _, err := f.copy(ctx); err != nil && !errors.Is(err, errWaits) {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got, want := rowsOf(t, target), rowsOf(t, source); got != want || len(m) != 15 {
		t.Errorf("the second history has\n%s\nthe first\n%s", got, want)
	}
}

// rowsOf prints every row of a history.
func rowsOf(t *testing.T, s store) (out string) {
	t.Helper()
	c, err := readChunk(t.Context(), s, betKey{}, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.bets {
		out += fmt.Sprintf("%+v\n", *b)
	}
	return out
}
