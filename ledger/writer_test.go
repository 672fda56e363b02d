package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

func TestAFullQueueAnswersUnavailable(t *testing.T) {
	t.Parallel()
	c := Config{Dir: t.TempDir(), Shards: 1, QueuedInteractive: 2, QueuedBulk: 150}
	s, err := Open(context.Background(), c, Deps{
		Clock: clock.NewManual(start), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nobody waits: Run has not begun, so jobs only queue
	for i := range 4 {
		_, err := s.Commit(ctx, LaneInteractive, deposit(fmt.Sprintf("d%d", i), "p1", 1))
		e, _ := err.(*errs.Error)
		if e == nil || e.Code != errs.CodeUnavailable || (e.RetryAfter > 0) != (i >= 2) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
	var list []Transfer
	for i := range 300 {
		list = append(list, deposit(fmt.Sprintf("b%03d", i), "p1", 1))
	}
	results, err := s.CommitBatch(ctx, LaneBulk, list)
	if err != nil {
		t.Fatal(err)
	}
	taken := 150 / chunkRows * chunkRows // whole chunks only
	for i := range results {
		e, _ := results[i].Err.(*errs.Error)
		if e == nil || (e.RetryAfter > 0) != (i >= taken) {
			t.Fatalf("transfer %d: got %v", i, results[i].Err)
		}
	}
	if got := s.Status()[0]; got.QueuedInteractive != 2 || got.QueuedBulk != taken {
		t.Errorf("got %+v", got)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestShutdownCommitsWhatItTookAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const callers = 200
	codes := make([]errs.Code, callers)
	var wg sync.WaitGroup
	begun := make(chan struct{}, callers)
	for i := range callers {
		wg.Go(func() {
			begun <- struct{}{}
			_, err := w.Commit(context.Background(), Lane(i%2), deposit(fmt.Sprintf("d%d", i), id.Player(fmt.Sprintf("p%d", i)), 1)) // #nosec: 0 or 1
			codes[i] = errs.CodeOf(err)
		})
	}
	for range callers / 2 {
		<-begun
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	w.open()
	for i, code := range codes {
		if code != "" && code != errs.CodeUnavailable {
			t.Errorf("call %d: got %s", i, code)
		}
		got, err := w.Balance(context.Background(), PlayerCash(id.Player(fmt.Sprintf("p%d", i)), nj))
		if err != nil || (code == "" && got.PostedMinor != 1) {
			t.Errorf("call %d was acknowledged, balance %+v, %v", i, got, err)
		}
	}
	w.wantSound()
}

func TestABatchWithOldKeysCommitsTheNewOnes(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	var list []Transfer
	for i := range 20 {
		list = append(list, deposit(fmt.Sprintf("d%02d", i), "p1", 1))
	}
	if _, err := w.CommitBatch(context.Background(), LaneBulk, list[:10]); err != nil {
		t.Fatal(err)
	}
	w.restart() // forgets which keys were seen: the unique key must tell
	results, err := w.CommitBatch(context.Background(), LaneBulk, list)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if results[i].Err != nil || results[i].Replayed != (i < 10) || results[i].Position.Seq != int64(i+1) {
			t.Errorf("transfer %d: got %+v", i, results[i])
		}
	}
	w.wantBalance(PlayerCash("p1", nj), 20, 0)
	w.wantSound()
}

func TestAFullDiskIsUnavailableAndThenOver(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1; c.maxPages = 150 })
	data := `{"pad":"` + strings.Repeat("x", 8000) + `"}`
	committed := int64(0)
	var failed Transfer
	for i := range 200 {
		one := deposit(fmt.Sprintf("d%03d", i), "p1", 1)
		one.Record = stake("s", "p1", 1).Record
		one.Record.Data = []byte(data)
		if _, err := w.Commit(context.Background(), LaneInteractive, one); err != nil {
			if !errs.Is(err, errs.CodeUnavailable) {
				t.Fatalf("got %v, want unavailable", err)
			}
			failed = one
			break
		}
		committed++
	}
	if failed.Key == "" {
		t.Fatal("the disk never filled")
	}
	w.wantBalance(PlayerCash("p1", nj), committed, 0)
	w.shards[0].allowPages(t, 1000)
	w.must(failed)
	w.wantBalance(PlayerCash("p1", nj), committed+1, 0)
	w.wantSound()
}

// allowPages raises the bound of the shard's file while it runs.
func (s *shard) allowPages(t *testing.T, pages int) {
	t.Helper()
	st, ok := s.store.(*sqliteStore)
	if !ok {
		t.Fatalf("store is a %T", s.store)
	}
	const q = `PRAGMA max_page_count = `
	if _, err := st.conn.ExecContext(context.Background(), q+fmt.Sprint(pages)); err != nil {
		t.Fatal(err)
	}
}

// lossyStore commits and then reports an error, as a connection lost at the wrong moment does.
type lossyStore struct {
	store
	lose bool
}

func (s *lossyStore) commit(ctx context.Context, b *batch) error {
	err := s.store.commit(ctx, b)
	if err == nil && s.lose {
		s.lose = false
		return errs.New(errs.CodeUnavailable, "the connection was lost")
	}
	return err
}

func TestACommitOfUnknownOutcomeIsDecidedByTheLog(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
	w.must(deposit("d1", "p1", 5))
	w.hook = func(s *Service) {
		lossy := &lossyStore{store: s.shards[0].store, lose: true}
		s.shards[0].store, s.shards[0].builder.store = lossy, lossy
	}
	w.restart()
	if first := w.must(deposit("d2", "p1", 5)); first.Replayed {
		t.Error("the lost commit was in the log: its caller must get the first answer")
	}
	if again := w.must(deposit("d2", "p1", 5)); !again.Replayed {
		t.Error("its retry must be a replay")
	}
	w.must(deposit("d3", "p1", 5))
	w.wantBalance(PlayerCash("p1", nj), 15, 0)
	w.wantSound()
}

func TestARaisedEpochEndsTheOldWritersRun(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
	w.must(deposit("d1", "p1", 5))
	old := w.Service
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	second, err := Open(ctx, w.config, Deps{
		Clock: w.clock, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	w.wantCode(deposit("d2", "p1", 5), errs.CodeUnavailable)
	w.wantCode(deposit("d3", "p1", 5), errs.CodeUnavailable)
	if err := w.stop(); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("Run returned %v, want unavailable", err)
	}
	if got := old.Head(0); got != 1 {
		t.Errorf("head moved to %d", got)
	}
}

func TestOpenRefusesFewerShardsAndMissingDependencies(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.config.Shards = 1
	_, err := Open(context.Background(), w.config, Deps{
		Clock: w.clock, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
	if _, err := Open(context.Background(), w.config, Deps{}); err == nil {
		t.Error("missing dependencies must be refused")
	}
}

func TestConfigNamesEveryFieldOutOfRange(t *testing.T) {
	t.Parallel()
	err := Config{Shards: -1, QueuedBulk: -1, SweepEvery: -1}.Validate()
	for _, field := range []string{"dir", "shards", "queued_bulk", "sweep_every"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("got %v, want %s in it", err, field)
		}
	}
	if err := (Config{Dir: "x"}).Validate(); err != nil {
		t.Errorf("the zero value must be valid: %v", err)
	}
}

func TestTooManyTransfersInOneCall(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if _, err := w.CommitBatch(context.Background(), LaneBulk, make([]Transfer, MaxBatch+1)); !errs.Is(err, errs.CodeTooLarge) {
		t.Errorf("got %v, want too_large", err)
	}
	if results, err := w.CommitBatch(context.Background(), LaneBulk, nil); err != nil || len(results) != 0 {
		t.Errorf("an empty call: got %v, %v", results, err)
	}
}

// openIdle opens a ledger whose writer has not begun: jobs only queue until the returned function
// runs it. It stops with the test.
func openIdle(t *testing.T) (*Service, func()) {
	t.Helper()
	s, err := Open(context.Background(), Config{Dir: t.TempDir(), Shards: 1}, Deps{
		Clock: clock.NewManual(start), Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = s.Close()
	})
	return s, func() {
		running.Go(func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACallerThatGivesUpInTheQueueWithdrawsItsTransfer(t *testing.T) {
	t.Parallel()
	s, run := openIdle(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Commit(gone, LaneInteractive, deposit("d1", "p1", 1)); !errs.Is(err, errs.CodeUnavailable) || !errors.Is(err, ErrNotTaken) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want unavailable and not taken", err)
	}
	results, err := s.CommitBatch(gone, LaneInteractive, deposits("b", 3*jobRows))
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if !errors.Is(results[i].Err, ErrNotTaken) {
			t.Fatalf("transfer %d: got %v, want not taken", i, results[i].Err)
		}
	}
	if err := s.Barrier(gone, 0); !errors.Is(err, ErrNotTaken) {
		t.Errorf("barrier: got %v, want not taken", err)
	}
	run()
	if err := s.Barrier(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if got := s.Head(0); got != 0 {
		t.Errorf("head is %d after all was withdrawn, want 0", got)
	}
	if r, err := s.Commit(context.Background(), LaneInteractive, deposit("d1", "p1", 1)); err != nil || r.Replayed {
		t.Errorf("asked again: got %+v, %v, want it committed now", r, err)
	}
}

// deposits are n deposits of 1 to one player.
func deposits(prefix string, n int) []Transfer {
	list := make([]Transfer, n)
	for i := range list {
		list[i] = deposit(fmt.Sprintf("%s%04d", prefix, i), "p1", 1)
	}
	return list
}

// slowStore holds every commit up until it is let go.
type slowStore struct {
	store
	begun, goOn chan struct{}
}

func (s *slowStore) commit(ctx context.Context, b *batch) error {
	s.begun <- struct{}{}
	<-s.goOn
	return s.store.commit(ctx, b)
}

func TestATransferTheWriterHasStaysOpenUntilTheBarrier(t *testing.T) {
	t.Parallel()
	s, run := openIdle(t)
	slow := &slowStore{store: s.shards[0].store, begun: make(chan struct{}), goOn: make(chan struct{})}
	s.shards[0].store, s.shards[0].builder.store = slow, slow
	run()
	ctx, giveUp := context.WithCancel(context.Background())
	answer := make(chan error, 1)
	go func() {
		_, err := s.Commit(ctx, LaneInteractive, deposit("d1", "p1", 1))
		answer <- err
	}()
	<-slow.begun
	giveUp()
	if err := <-answer; !errs.Is(err, errs.CodeUnavailable) || errors.Is(err, ErrNotTaken) {
		t.Errorf("got %v, want unavailable and an open outcome", err)
	}
	passed := make(chan error, 1)
	go func() { passed <- s.Barrier(context.Background(), 0) }()
	select {
	case err := <-passed:
		t.Fatalf("the barrier did not wait: %v", err)
	default:
	}
	slow.goOn <- struct{}{}
	if err := <-passed; err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Lookup(context.Background(), "p1", "d1", nil); err != nil || !found {
		t.Errorf("after the barrier: found %t, %v, want it committed", found, err)
	}
	if err := s.Barrier(context.Background(), 9); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("barrier of no shard: got %v, want invalid", err)
	}
}

func TestABatchThatIsGivenUpLeavesABeginning(t *testing.T) {
	t.Parallel()
	s, run := openIdle(t)
	slow := &slowStore{store: s.shards[0].store, begun: make(chan struct{}), goOn: make(chan struct{})}
	s.shards[0].store, s.shards[0].builder.store = slow, slow
	s.shards[0].config.BatchRows = jobRows
	ctx, giveUp := context.WithCancel(context.Background())
	answer := make(chan []Result, 1)
	go func() {
		results, err := s.CommitBatch(ctx, LaneInteractive, deposits("b", 4*jobRows))
		if err != nil {
			t.Error(err)
		}
		answer <- results
	}()
	run()
	<-slow.begun
	giveUp()
	results := <-answer
	slow.goOn <- struct{}{}
	for i := range results {
		if err := results[i].Err; err == nil || errors.Is(err, ErrNotTaken) != (i >= jobRows) {
			t.Fatalf("transfer %d: got %v, want only those of the first job open", i, err)
		}
	}
	if err := s.Barrier(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if got := s.Head(0); got != jobRows {
		t.Errorf("head is %d, want %d: the job in hand and none after it", got, jobRows)
	}
}
