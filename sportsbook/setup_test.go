package sportsbook

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

const (
	nj = id.Jurisdiction("US-NJ")
	on = id.Jurisdiction("CA-ON")
)

// kickoff is when the events of tests start; their clock stands an hour before it.
var kickoff = time.Date(2026, 9, 13, 17, 0, 0, 0, time.UTC)

// desk is a sportsbook on a running ledger, without its background work: bets are taken, nothing is
// settled, and no market closes by itself.
type desk struct {
	*Service
	t      testing.TB
	dir    string
	clock  *clock.Manual
	ledger *ledger.Service
	keys   int
}

// noStreams stands where the streams would be: a book whose Run is not called never uses them.
type noStreams struct{ stream.Transport }

// setupDesk opens a sportsbook in a fresh folder.
func setupDesk(t testing.TB, change ...func(*Config)) *desk {
	t.Helper()
	b := &desk{t: t, dir: t.TempDir(), clock: clock.NewManual(kickoff.Add(-time.Hour))}
	b.ledger = runLedger(t, filepath.Join(b.dir, "ledger"), b.clock)
	b.open(change...)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// runLedger starts a ledger that stops with the test.
func runLedger(t testing.TB, dir string, clk clock.Clock) *ledger.Service {
	t.Helper()
	l, err := ledger.Open(context.Background(), ledger.Config{Dir: dir, Shards: 1}, ledger.Deps{
		Clock: clk, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = l.Close()
	})
	return l
}

// open opens the sportsbook; a test closes and opens it for a restart.
func (b *desk) open(change ...func(*Config)) {
	b.t.Helper()
	cfg := Config{Dir: filepath.Join(b.dir, "sportsbook")}
	for _, f := range change {
		f(&cfg)
	}
	rules, err := jurisdiction.New(jurisdiction.Default())
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := Open(context.Background(), cfg, Deps{
		Clock: b.clock, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
		Ledger: b.ledger, Jurisdictions: rules, Transport: noStreams{},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	s.markReady()
	b.Service = s
}

// game adds an event with all three markets: moneyline +154 (away) and -170 (home), home -3.5 and
// total 46.5 at -110.
func (b *desk) game(eventID string, jurisdictions ...id.Jurisdiction) Event {
	b.t.Helper()
	e, err := b.CreateEvent(context.Background(), newGame(eventID, jurisdictions...), staff)
	if err != nil {
		b.t.Fatal(err)
	}
	return e
}

var staff = By{Actor: "trader"}

func newGame(eventID string, jurisdictions ...id.Jurisdiction) NewEvent {
	spread, total := odds.Line(-350), odds.Line(4650)
	return NewEvent{
		ID: eventID, Sport: "American football", Competition: "Test League", Home: "Home of " + eventID, Away: "Away of " + eventID,
		HomeCode: "HOM", AwayCode: "AWY", StartsAt: kickoff, Jurisdictions: jurisdictions,
		Markets: []NewMarket{
			{Type: Moneyline, Prices: map[string]odds.Price{CodeHome: american(-170), CodeAway: american(154)}},
			{Type: Spread, Line: &spread, Prices: map[string]odds.Price{CodeHome: american(-110), CodeAway: american(-110)}},
			{Type: Total, Line: &total, Prices: map[string]odds.Price{CodeOver: american(-110), CodeUnder: american(-110)}},
		},
	}
}

// american returns a price known to be one.
func american(n int64) odds.Price {
	p, err := odds.American(n)
	if err != nil {
		return odds.Price{}
	}
	return p
}

func lineOf(hundredths int) *odds.Line {
	l := odds.Line(hundredths)
	return &l
}

// fund puts money into a player's cash.
func (b *desk) fund(p id.Player, j id.Jurisdiction, minor int64) {
	b.t.Helper()
	b.keys++
	currency := money.USD
	if j == on {
		currency = money.CAD
	}
	_, err := b.ledger.Commit(context.Background(), ledger.LaneInteractive, ledger.Transfer{
		Key: "fund/" + strconv.Itoa(b.keys), Kind: ledger.KindDeposit, Player: p, Jurisdiction: j, Currency: currency,
		Postings: []ledger.Posting{
			{Account: ledger.PSP("sandbox", j), AmountMinor: -minor},
			{Account: ledger.PlayerCash(p, j), AmountMinor: minor},
		},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// cash returns a player's balance.
func (b *desk) cash(p id.Player, j id.Jurisdiction) int64 {
	b.t.Helper()
	balance, err := b.ledger.Balance(context.Background(), ledger.PlayerCash(p, j))
	if err != nil && !errs.Is(err, errs.CodeNotFound) {
		b.t.Fatal(err)
	}
	return balance.PostedMinor
}

// single is a request for 10 dollars on the away team at the price on offer.
func single(p id.Player, key, eventID string) PlaceRequest {
	return PlaceRequest{
		Player: p, Jurisdiction: nj, Key: key, Stake: money.New(1000, money.USD),
		Legs: []LegRequest{{SelectionID: eventID + ":moneyline:away", Price: american(154)}},
	}
}

// reserved returns the sum of payouts reserved, over all selections.
func (b *desk) reserved() (bets, payout int64) {
	for _, row := range b.exposure.rows("") {
		bets += row.Bets
		payout += row.PayoutMinor
	}
	return bets, payout
}

// dataFile opens a file of the shared test data, or skips saying that it is not there.
func dataFile(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "nfl", name))
	if err != nil {
		t.Skipf("the shared data is not beside the repository: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
