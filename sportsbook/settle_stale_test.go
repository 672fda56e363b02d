package sportsbook

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/stream"
)

// stalled is the payer's way to the ledger, which a test can block for a while.
type stalled struct {
	Ledger
	waiting chan struct{} // capacity 1: a message waits
	release chan struct{}
}

func (s *stalled) CommitBatch(ctx context.Context, lane ledger.Lane, ts []ledger.Transfer) ([]ledger.Result, error) {
	signal(s.waiting)
	select {
	case <-s.release:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Ledger.CommitBatch(ctx, lane, ts)
}

// stallPayer lets the payer commit nothing until the release is closed. No command may be under way.
func (b *book) stallPayer() *stalled {
	s := &stalled{Ledger: b.ledger, waiting: make(chan struct{}, 1), release: make(chan struct{})}
	b.settler.payer.ledger = s
	return s
}

// enter enters or corrects a result without waiting for its settlement.
func (b *book) enter(eventID string, home, away int) Decision {
	b.t.Helper()
	e, err := b.FindEvent(context.Background(), Everywhere, eventID)
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := b.EnterResult(context.Background(), Result{
		EventID: eventID, HomeScore: home, AwayScore: away, EnteredBy: "test", ExpectedResultVersion: &e.ResultVersion,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func TestAPayoutThatComesAfterItsDecisionWasTakenBackIsTakenBackToo(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.result("g1_x", 3, 0)
	b.wantState(betID, "won 2000 v1")

	payer := b.stallPayer()
	wrong := b.enter("g1_x", 0, 3)
	<-payer.waiting // "lost, version 2" is in the payer's hands
	right := b.enter("g1_x", 3, 0)
	b.settled(wrong)
	b.settled(right)
	b.wantState(betID, "won 2000 v1")
	close(payer.release)

	b.becomes(betID, "won 2000 v3")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 20_00)
	b.wantExposure("", 0)
	b.wantSound()
}

func TestAParlayThatIsLostByAnErrorTakenBackBeforeThePayoutOpensAgain(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home", "g2_x:moneyline:home").BetID
	b.wantExposure("", 2)

	payer := b.stallPayer()
	wrong := b.enter("g1_x", 0, 3)
	<-payer.waiting
	right := b.enter("g1_x", 3, 0)
	b.settled(wrong)
	b.settled(right)
	b.wantState(betID, "open v0")
	close(payer.release)

	b.becomes(betID, "open v2")
	b.wantBalance(ledger.Bets(testNJ, Product), 10_00)
	b.wantExposure("", 2)
	b.wantSound()
	b.result("g2_x", 3, 0)
	b.becomes(betID, "won 4000 v3")
	b.wantExposure("", 0)
	b.wantSound()
}

// TestAPayoutJustBeforeTheEndIsJudgedAtTheStart commits an old command as a payer would whose process
// stops before the settlement hears of it.
func TestAPayoutJustBeforeTheEndIsJudgedAtTheStart(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.result("g1_x", 3, 0)
	old := b.command(betID, stream.OutcomeLost, 0)
	b.stop()
	commitAlone(t, filepath.Join(b.dir, "ledger"), old.transfer())
	b.start()
	b.becomes(betID, "won 2000 v3")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 20_00)
	b.wantSound()
}

// commitAlone commits a transfer to a ledger that nobody runs.
func commitAlone(t *testing.T, dir string, transfer ledger.Transfer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	books, err := ledger.Open(ctx, ledger.Config{Dir: dir},
		ledger.Deps{Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- books.Run(ctx) }()
	if r, err := books.Commit(ctx, ledger.LaneBulk, transfer); err != nil || r.Err != nil {
		t.Errorf("got %v, %v", r.Err, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := books.Close(); err != nil {
		t.Error(err)
	}
}
