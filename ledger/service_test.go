package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/money"
	"matchday/stream"
)

const nj id.Jurisdiction = "US-NJ"

// start is where the clock of every test stands first.
var start = time.Date(2026, 9, 13, 17, 0, 0, 0, time.UTC)

// world is a running ledger of one test.
type world struct {
	*Service
	t      testing.TB
	config Config
	clock  *clock.Manual
	timed  bool           // by the machine's clock instead: benchmarks
	hook   func(*Service) // called between Open and Run; may be nil
	stop   func() error   // ends Run and closes; may be called twice

	batches int // of inOneBatch
}

// setup starts a ledger in a fresh folder.
func setup(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	c := Config{Dir: t.TempDir(), SweepEvery: 5 * time.Millisecond, CachedAccounts: 100}
	for _, f := range change {
		f(&c)
	}
	_, timed := t.(*testing.B)
	w := &world{t: t, config: c, clock: clock.NewManual(start), timed: timed}
	w.open()
	t.Cleanup(func() { _ = w.stop() })
	return w
}

func (w *world) open() {
	w.t.Helper()
	var now clock.Clock = w.clock
	if w.timed {
		now = clock.System{}
	}
	s, err := Open(context.Background(), w.config, Deps{
		Clock: now, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.hook != nil {
		w.hook(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	w.Service = s
	stopped := false
	w.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		if closed := s.Close(); err == nil {
			err = closed
		}
		return err
	}
}

// restart stops the ledger and opens it again.
func (w *world) restart() {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

func deposit(key string, p id.Player, minor int64) Transfer {
	return Transfer{
		Key: key, Kind: KindDeposit, Player: p, Jurisdiction: nj, Currency: money.USD,
		Postings: []Posting{{PSP("sandbox", nj), -minor}, {PlayerCash(p, nj), minor}},
	}
}

func stake(key string, p id.Player, minor int64) Transfer {
	return Transfer{
		Key: key, Kind: KindStake, Player: p, Jurisdiction: nj, Currency: money.USD,
		Postings: []Posting{{PlayerCash(p, nj), -minor}, {Bets(nj, "sportsbook"), minor}},
		Record: &stream.Draft{
			Type: stream.TypeBetPlaced, Subject: key, Data: json.RawMessage(fmt.Sprintf(`{"bet_id":%q}`, key)),
		},
	}
}

// must commits and fails the test on any error.
func (w *world) must(t Transfer) Result {
	w.t.Helper()
	r, err := w.Commit(context.Background(), LaneInteractive, t)
	if err != nil {
		w.t.Fatalf("commit %s: %v", t.Key, err)
	}
	return r
}

// wantCode commits and expects the code.
func (w *world) wantCode(t Transfer, want errs.Code) Result {
	w.t.Helper()
	r, err := w.Commit(context.Background(), LaneInteractive, t)
	if got := errs.CodeOf(err); got != want {
		w.t.Fatalf("commit %s: got %q (%v), want %q", t.Key, got, err, want)
	}
	return r
}

func (w *world) wantBalance(a Address, posted, held int64) {
	w.t.Helper()
	got, err := w.Balance(context.Background(), a)
	if err != nil {
		w.t.Fatal(err)
	}
	if got.PostedMinor != posted || got.HeldMinor != held || got.AvailableMinor != posted-held {
		w.t.Errorf("balance of %s: got %+v, want posted %d, held %d", a, got, posted, held)
	}
}

func TestDepositAndStake(t *testing.T) {
	t.Parallel()
	w := setup(t)
	cash := PlayerCash("p1", nj)
	first := w.must(deposit("d1", "p1", 1000))
	if first.Position.Seq != 1 || first.Replayed || first.Balances[1] != 1000 {
		t.Errorf("got %+v", first)
	}
	second := w.must(stake("s1", "p1", 300))
	if second.Balances[0] != 700 || string(second.Data) != `{"bet_id":"s1"}` {
		t.Errorf("got %+v", second)
	}
	w.wantBalance(cash, 700, 0)
	w.wantCode(stake("s2", "p1", 701), errs.CodeInsufficientFunds)
	w.must(deposit("d2", "p1", 1000))
	refused := w.wantCode(stake("s2", "p1", 701), errs.CodeInsufficientFunds)
	if !refused.Replayed {
		t.Error("a refusal must be replayed under its key")
	}
	w.wantCode(stake("s2", "p1", 700), errs.CodeConflict)
	w.restart()
	again := w.must(stake("s1", "p1", 300))
	if !again.Replayed || again.Position != second.Position || again.Balances[0] != 700 || string(again.Data) != `{"bet_id":"s1"}` || !again.At.Equal(second.At) {
		t.Errorf("replay: got %+v, want %+v", again, second)
	}
	w.wantBalance(cash, 1700, 0)
}
