package sportsbook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/jurisdiction"
	"matchday/ledger"
	"matchday/money"
	"matchday/odds"
	"matchday/stream"
)

const testNJ id.Jurisdiction = "US-NJ"

// book is a whole sportsbook of one test: real ledger, real streams, real databases.
type book struct {
	*Service
	t        testing.TB
	dir      string
	config   SettlementConfig
	ids      *id.Source
	ledger   *ledger.Service
	streams  *stream.Embedded
	keys     int
	patience time.Duration
	stop     func() // ends it, as a shutdown does; may be called twice
}

// openBook starts a sportsbook in a fresh folder with games g1 to g4: moneyline +100/-110,
// spread home -3 at -110, total 44.5 at -110.
func openBook(t testing.TB, change ...func(*SettlementConfig)) *book {
	t.Helper()
	b := &book{t: t, dir: t.TempDir(), patience: 5 * time.Minute, ids: id.NewSource(time.Now), config: SettlementConfig{RedriveAfter: 300 * time.Millisecond}}
	for _, f := range change {
		f(&b.config)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	for n := 1; n <= 4; n++ {
		b.createEvent(fmt.Sprintf("g%d_x", n))
	}
	return b
}

// start opens and runs everything, and waits until bets are taken.
func (b *book) start() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	metrics := prometheus.NewRegistry()
	must := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	var err error
	b.ledger, err = ledger.Open(ctx, ledger.Config{Dir: filepath.Join(b.dir, "ledger")},
		ledger.Deps{Clock: clock.System{}, Log: log, Metrics: metrics})
	must(err)
	b.streams, err = stream.StartEmbedded(stream.EmbeddedConfig{Dir: filepath.Join(b.dir, "streams")}, log)
	must(err)
	jurisdictions, err := jurisdiction.New(jurisdiction.Default())
	must(err)
	b.Service, err = Open(ctx, Config{Dir: filepath.Join(b.dir, "book"), Settlement: b.config}, Deps{
		Clock: clock.System{}, Log: log, Metrics: metrics, Ledger: b.ledger, Jurisdictions: jurisdictions,
		Transport: b.streams.Transport(),
	})
	must(err)
	ledgerCtx, stopLedger := context.WithCancel(context.Background())
	ledgerDone := make(chan error, 1)
	go func() { ledgerDone <- b.ledger.Run(ledgerCtx) }()
	g, ctx := errgroup.WithContext(ctx)
	for shard := range b.ledger.Shards() {
		relay, err := stream.NewRelay(b.ledger, shard, b.streams.Transport(), stream.Deps{Clock: clock.System{}, Log: log, Metrics: metrics})
		must(err)
		g.Go(func() error { return relay.Run(ctx) })
	}
	g.Go(func() error { return b.Service.Run(ctx) })
	stopped := false
	b.stop = func() {
		b.t.Helper()
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := g.Wait(); err != nil {
			b.t.Error(err)
		}
		stopLedger()
		if err := <-ledgerDone; err != nil {
			b.t.Error(err)
		}
		for _, c := range []func() error{b.Service.Close, b.streams.Close, b.ledger.Close} {
			if err := c(); err != nil {
				b.t.Error(err)
			}
		}
	}
	select {
	case <-b.Ready():
	case <-time.After(b.patience):
		b.t.Fatal("the sportsbook does not get ready")
	}
}

// restart stops everything and starts it in the same folder.
func (b *book) restart() {
	b.t.Helper()
	b.stop()
	b.start()
}

func (b *book) createEvent(eventID string) {
	b.t.Helper()
	price := func(n int64) odds.Price {
		p, err := odds.American(n)
		if err != nil {
			b.t.Fatal(err)
		}
		return p
	}
	spread, total := odds.Line(-300), odds.Line(4450)
	_, err := b.CreateEvent(context.Background(), NewEvent{
		ID: eventID, Sport: "Football", Competition: "Cup", Home: "Harbor", Away: "Summit", StartsAt: time.Now().Add(time.Hour),
		Markets: []NewMarket{
			{Type: Moneyline, Prices: map[string]odds.Price{CodeHome: price(100), CodeAway: price(-110)}},
			{Type: Spread, Line: &spread, Prices: map[string]odds.Price{CodeHome: price(-110), CodeAway: price(-110)}},
			{Type: Total, Line: &total, Prices: map[string]odds.Price{CodeOver: price(-110), CodeUnder: price(-110)}},
		},
	}, By{Actor: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
}

// player returns a new player with money in the account.
func (b *book) player(minor int64) id.Player {
	b.t.Helper()
	p := b.ids.NewPlayer()
	b.move(ledger.KindDeposit, p, "deposit/"+string(p), minor, ledger.PSP("test", testNJ), ledger.PlayerCash(p, testNJ))
	return p
}

// move commits a transfer of two postings without a record.
func (b *book) move(kind ledger.Kind, p id.Player, key string, minor int64, from, to ledger.Address) {
	b.t.Helper()
	_, err := b.ledger.Commit(context.Background(), ledger.LaneInteractive, ledger.Transfer{
		Key: key, Kind: kind, Player: p, Jurisdiction: testNJ, Currency: money.USD,
		Postings: []ledger.Posting{{Account: from, AmountMinor: -minor}, {Account: to, AmountMinor: minor}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// place places a bet on the selections at any price.
func (b *book) place(p id.Player, stakeMinor int64, selections ...string) Receipt {
	b.t.Helper()
	r, err := b.tryPlace(p, stakeMinor, selections...)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *book) tryPlace(p id.Player, stakeMinor int64, selections ...string) (Receipt, error) {
	b.keys++
	req := PlaceRequest{
		Player: p, Jurisdiction: testNJ, Key: fmt.Sprintf("k%d", b.keys), Stake: money.New(stakeMinor, money.USD), PriceChange: PriceChangeAny,
	}
	for _, s := range selections {
		req.Legs = append(req.Legs, LegRequest{SelectionID: s})
	}
	return b.Place(context.Background(), req)
}

// placeBehind commits a bet as a process would that has not heard that its market closed.
func (b *book) placeBehind(p id.Player, stakeMinor int64, marketType MarketType, selection, eventID string) id.Bet {
	b.t.Helper()
	market := eventID + ":" + string(marketType)
	bet := stream.BetPlaced{
		BetID: b.ids.NewBet(), PlayerID: p, Jurisdiction: testNJ, Product: Product, Currency: "USD",
		StakeMinor: stakeMinor, PotentialPayoutMinor: 2 * stakeMinor,
		Legs: []stream.BetLeg{{EventID: eventID, MarketID: market, Market: string(marketType),
			SelectionID: market + ":" + selection, Selection: selection, Price: "+100"}},
	}
	data, err := json.Marshal(bet)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.ledger.Commit(context.Background(), ledger.LaneInteractive, ledger.Transfer{
		Key: "behind/" + string(bet.BetID), Kind: ledger.KindStake, Player: p, Jurisdiction: testNJ, Currency: money.USD,
		Postings: []ledger.Posting{
			{Account: ledger.PlayerCash(p, testNJ), AmountMinor: -stakeMinor},
			{Account: ledger.Bets(testNJ, Product), AmountMinor: stakeMinor},
		},
		Record: &stream.Draft{Type: stream.TypeBetPlaced, Subject: string(bet.BetID), Data: data},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return bet.BetID
}

// result enters or corrects a result and waits until it is settled.
func (b *book) result(eventID string, home, away int) {
	b.t.Helper()
	b.settled(b.enter(eventID, home, away))
}

// void voids a market and waits until it is settled.
func (b *book) void(marketID string) {
	b.t.Helper()
	d, err := b.VoidMarket(context.Background(), marketID, "test", By{Actor: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.settled(d)
}

// settled waits until the decision is settled.
func (b *book) settled(d Decision) {
	b.t.Helper()
	b.eventually("settlement of "+d.EventID, func() bool {
		all, err := b.Settlements(context.Background())
		if err != nil {
			b.t.Fatal(err)
		}
		for _, p := range all {
			if p.SettlementID == d.SettlementID {
				return !p.DoneAt.IsZero()
			}
		}
		return false
	})
}

// eventually polls a condition for a bounded time.
func (b *book) eventually(what string, holds func() bool) {
	b.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(b.patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			b.t.Fatalf("%s did not happen in time", what)
		}
	}
}

// state returns "outcome payout vN" of a bet as the projection has it.
func (b *book) state(betID id.Bet) string {
	b.t.Helper()
	for _, w := range b.settler.shards {
		bets, err := w.bets.byID(context.Background(), []id.Bet{betID})
		if err != nil {
			b.t.Fatal(err)
		}
		for _, x := range bets {
			if x.isOpen() {
				return fmt.Sprintf("open v%d", x.version)
			}
			return fmt.Sprintf("%s %d v%d", x.outcome, x.payoutMinor, x.version)
		}
	}
	return "unknown"
}

func (b *book) wantState(betID id.Bet, want string) {
	b.t.Helper()
	if got := b.state(betID); got != want {
		b.t.Errorf("bet is %q, want %q", got, want)
	}
}

func (b *book) becomes(betID id.Bet, want string) {
	b.t.Helper()
	b.eventually("bet "+want, func() bool { return b.state(betID) == want })
}

// wantBalance compares the posted balance of an account.
func (b *book) wantBalance(a ledger.Address, want int64) {
	b.t.Helper()
	got, err := b.ledger.Balance(context.Background(), a)
	if err != nil {
		b.t.Fatal(err)
	}
	if got.PostedMinor != want {
		b.t.Errorf("%s has %d, want %d", a, got.PostedMinor, want)
	}
}

// wantSound runs the audit, which proves that escrow, bets, log and results agree, and compares the
// exposure with the open bets.
func (b *book) wantSound() {
	b.t.Helper()
	report, err := b.Audit(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range report.Findings {
		b.t.Errorf("audit: %+v", f)
	}
	if !report.EscrowCompared || report.Waiting != 0 {
		b.t.Errorf("audit compared the escrow: %v, bets waiting: %d, want true, 0", report.EscrowCompared, report.Waiting)
	}
}

func (b *book) wantExposure(eventID string, bets int64) {
	b.t.Helper()
	b.eventually("exposure", func() bool {
		rows, err := b.Exposure(context.Background(), eventID)
		if err != nil {
			b.t.Fatal(err)
		}
		var got int64
		for _, r := range rows {
			got += r.Bets
		}
		return got == bets
	})
}

func TestSinglesAreSettledByTheResult(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	won := b.place(p, 10_00, "g1_x:moneyline:home")
	lost := b.place(p, 10_00, "g1_x:moneyline:away")
	push := b.place(p, 10_00, "g1_x:spread:home")
	over := b.place(p, 10_00, "g1_x:total:over")
	other := b.place(p, 10_00, "g2_x:moneyline:home")
	b.wantExposure("g1_x", 4)

	b.result("g1_x", 24, 21)

	b.wantState(won.BetID, "won 2000 v1")
	b.wantState(lost.BetID, "lost 0 v1")
	b.wantState(push.BetID, "push 1000 v1")
	b.wantState(over.BetID, "won 1909 v1")
	b.wantState(other.BetID, "open v0")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 50_00+20_00+10_00+19_09)
	b.wantBalance(ledger.Bets(testNJ, Product), 10_00)
	b.wantBalance(ledger.Revenue(testNJ, Product), -9_09) // 10.00 lost, 10.00 and 9.09 won
	b.wantExposure("g1_x", 0)
	b.wantExposure("g2_x", 1)
	b.wantSound()
	b.eventually("the market shows as settled", func() bool {
		e, err := b.FindEvent(context.Background(), testNJ, "g1_x")
		return err == nil && e.Markets[0].Status == MarketSettled
	})
}

// Bets are read some at a time, put in the order of their players, and graded and sent fewer at a time.
func TestManyBetsOfFewPlayersAreAllSettled(t *testing.T) {
	t.Parallel()
	const each = 9
	b := openBook(t, func(c *SettlementConfig) { c.ReadBets, c.ChunkBets, c.MessageBets, c.WindowBets = 8, 3, 2, 4 })
	players := []id.Player{b.player(100_00), b.player(100_00), b.player(100_00), b.player(100_00), b.player(100_00)}
	var bets []id.Bet
	for range each { // in turn, as customers come
		for _, p := range players {
			bets = append(bets, b.place(p, 10_00, "g1_x:moneyline:home").BetID)
		}
	}
	b.wantExposure("g1_x", int64(len(bets)))

	b.result("g1_x", 24, 21)

	for _, bet := range bets {
		b.wantState(bet, "won 2000 v1")
	}
	for _, p := range players {
		b.wantBalance(ledger.PlayerCash(p, testNJ), 100_00+each*10_00)
	}
	b.wantExposure("g1_x", 0)
	b.wantSound()
}

func TestParlaysWaitForTheirLegsUnlessOneIsLost(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	waits := b.place(p, 10_00, "g1_x:moneyline:home", "g2_x:moneyline:home")
	lost := b.place(p, 10_00, "g1_x:moneyline:away", "g2_x:moneyline:home")
	drops := b.place(p, 10_00, "g1_x:spread:home", "g2_x:moneyline:home")

	b.result("g1_x", 24, 21)
	b.wantState(waits.BetID, "open v0")
	b.wantState(lost.BetID, "lost 0 v1")
	b.wantState(drops.BetID, "open v0")
	b.wantSound()

	b.result("g2_x", 10, 3)
	b.wantState(waits.BetID, "won 4000 v1")
	b.wantState(lost.BetID, "lost 0 v1")
	b.wantState(drops.BetID, "won 2000 v1")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 70_00+40_00+20_00)
	b.wantBalance(ledger.Bets(testNJ, Product), 0)
	b.wantExposure("", 0)
	b.wantSound()
}

func TestAVoidedMarketGivesStakesBackAndDropsLegs(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	single := b.place(p, 10_00, "g1_x:total:over")
	parlay := b.place(p, 10_00, "g1_x:total:over", "g2_x:moneyline:home")
	other := b.place(p, 10_00, "g1_x:moneyline:home")

	b.void("g1_x:total")
	b.wantState(single.BetID, "void 1000 v1")
	b.wantState(parlay.BetID, "open v0")
	b.wantState(other.BetID, "open v0")
	b.result("g2_x", 10, 3)
	b.wantState(parlay.BetID, "won 2000 v1")
	b.result("g1_x", 0, 0)
	b.wantState(single.BetID, "void 1000 v1")
	b.wantState(other.BetID, "push 1000 v1")
	b.wantSound()
}

func TestAMarketVoidedAfterItsResultSettlesAgain(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	won := b.place(p, 10_00, "g1_x:total:under")
	push := b.place(p, 10_00, "g1_x:spread:home")
	b.result("g1_x", 13, 10)
	b.wantState(won.BetID, "won 1909 v1")
	b.wantState(push.BetID, "push 1000 v1")

	b.void("g1_x:total")
	b.void("g1_x:spread")
	b.wantState(won.BetID, "void 1000 v2")
	b.wantState(push.BetID, "void 1000 v2") // the outcome changed, the money did not
	b.wantBalance(ledger.PlayerCash(p, testNJ), 100_00)
	b.wantBalance(ledger.Revenue(testNJ, Product), 0)
	b.wantSound()
}

func TestABetPlacedAfterTheCloseIsVoid(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	before := b.placeBehind(p, 10_00, Moneyline, "home", "g1_x")
	b.result("g1_x", 24, 21)
	b.wantState(before, "won 2000 v1")

	late := b.placeBehind(p, 10_00, Moneyline, "home", "g1_x")
	b.becomes(late, "void 1000 v1")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 110_00)
	b.wantSound()
}

func TestACorrectedResultMovesTheDifference(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	home := b.place(p, 10_00, "g1_x:moneyline:home")
	away := b.place(p, 11_00, "g1_x:moneyline:away")
	same := b.place(p, 11_00, "g1_x:total:under")

	b.result("g1_x", 24, 17)
	b.wantBalance(ledger.PlayerCash(p, testNJ), 68_00+20_00+21_00)
	b.result("g1_x", 17, 24)
	b.wantState(home.BetID, "lost 0 v2")
	b.wantState(away.BetID, "won 2100 v2")
	b.wantState(same.BetID, "won 2100 v1")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 68_00+21_00+21_00)
	b.wantSound()
	b.result("g1_x", 24, 17)
	b.wantState(home.BetID, "won 2000 v3")
	b.wantSound()
}

func TestACorrectionOfMoneyAlreadySpentBecomesADebt(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	won := b.place(p, 10_00, "g1_x:moneyline:home")
	b.result("g1_x", 24, 17)
	b.wantBalance(ledger.PlayerCash(p, testNJ), 20_00)
	spent := b.place(p, 15_00, "g2_x:moneyline:home")

	b.result("g1_x", 17, 24)
	b.wantState(won.BetID, "lost 0 v2")
	b.wantState(spent.BetID, "open v0")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 5_00)
	b.wantBalance(ledger.PlayerOwed(p, testNJ), -20_00)
	b.wantSound()

	b.result("g1_x", 24, 17)
	b.wantState(won.BetID, "won 2000 v3")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 25_00)
	b.wantSound()
}

func TestALostParlayIsOpenAgainWhenItsLosingLegIsCorrected(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	parlay := b.place(p, 10_00, "g1_x:moneyline:home", "g2_x:moneyline:home")
	b.result("g1_x", 17, 24)
	b.wantState(parlay.BetID, "lost 0 v1")
	b.wantExposure("", 0)

	b.result("g1_x", 24, 17)
	b.wantState(parlay.BetID, "open v2")
	b.wantBalance(ledger.Bets(testNJ, Product), 10_00)
	b.wantBalance(ledger.Revenue(testNJ, Product), 0)
	b.wantExposure("", 2)
	b.wantSound()

	b.result("g2_x", 24, 17)
	b.wantState(parlay.BetID, "won 4000 v3")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 40_00)
	b.wantExposure("", 0)
	b.wantSound()
}

func TestExposureIsRestoredFromOpenBets(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	b.place(p, 10_00, "g1_x:moneyline:home")
	b.place(p, 10_00, "g1_x:moneyline:home", "g2_x:total:over")
	before, err := b.Exposure(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	b.restart()
	after, err := b.Exposure(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(after), fmt.Sprint(before); got != want {
		t.Errorf("exposure after a restart is\n%s, want\n%s", got, want)
	}
	b.result("g1_x", 24, 17)
	b.result("g2_x", 24, 17)
	b.wantExposure("", 0)
}

func TestADecisionSurvivesAStopBeforeItsSettlement(t *testing.T) {
	t.Parallel()
	b := openBook(t, func(c *SettlementConfig) { c.ChunkBets, c.MessageBets, c.WindowBets = 20, 5, 40 })
	p := b.player(1000_00)
	var bets []id.Bet
	for range 300 {
		bets = append(bets, b.place(p, 1_00, "g1_x:moneyline:home").BetID)
	}
	d, err := b.EnterResult(context.Background(), Result{EventID: "g1_x", HomeScore: 3, AwayScore: 0, EnteredBy: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // in the middle of it, more or less
		b.restart()
	}
	b.settled(d)
	for _, betID := range bets {
		b.wantState(betID, "won 200 v1")
	}
	b.wantBalance(ledger.PlayerCash(p, testNJ), 1300_00)
	all, err := b.Settlements(context.Background())
	if err != nil || len(all) != 1 || all[0].Bets != 300 || all[0].Settled != 300 || all[0].Paid != 300 {
		t.Errorf("progress is %+v (%v), want 300 bets settled and paid", all, err)
	}
	b.wantExposure("", 0)
	b.wantSound()
}

func TestTheProjectionIsRebuiltFromTheLog(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	won := b.place(p, 10_00, "g1_x:moneyline:home")
	open := b.place(p, 10_00, "g2_x:moneyline:home")
	b.result("g1_x", 3, 0)
	b.stop()
	removeFiles(t, filepath.Join(b.dir, "book"), "openbets-*")
	removeFiles(t, b.dir, "streams")
	b.start()
	b.wantState(won.BetID, "won 2000 v1")
	b.wantState(open.BetID, "open v0")
	b.wantExposure("", 1)
	b.wantSound()
}

func TestSettledBetsRetire(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	won := b.place(p, 10_00, "g1_x:moneyline:home")
	open := b.place(p, 10_00, "g1_x:moneyline:home", "g2_x:moneyline:home")
	b.result("g1_x", 3, 0)
	retired := 0
	for _, w := range b.settler.shards {
		n, err := w.bets.retire(context.Background(), time.Now().Add(time.Hour), 1)
		if err != nil {
			t.Fatal(err)
		}
		retired += n
	}
	if retired != 1 {
		t.Errorf("retired %d bets, want 1", retired)
	}
	b.wantState(won.BetID, "unknown")
	b.wantState(open.BetID, "open v0")
}

func TestABetThatIsSettledAgainWhileOldOnesAreDeletedStays(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.result("g1_x", 3, 0)
	later := time.Now().Add(time.Hour).UnixMicro()
	bets := b.settler.shards[b.ledger.ShardOf(p)].bets
	listed, _, err := bets.oldBets(context.Background(), 0, later, 10)
	if err != nil || len(listed) != 1 || listed[0].id != betID {
		t.Fatalf("got %+v (%v), want the bet", listed, err)
	}
	const q = `
		UPDATE bet_settled
		SET settled_us = ?
		WHERE bet_id = ?`
	for _, step := range []struct {
		settledUS int64
		deleted   int
		state     string
	}{{later, 0, "won 2000 v1"}, {later - 1, 1, "unknown"}} {
		if _, err := bets.db.Write.Exec(q, step.settledUS, betID); err != nil {
			t.Fatal(err)
		}
		if n, err := bets.deleteBets(context.Background(), listed, later); err != nil || n != step.deleted {
			t.Errorf("deleted %d bets (%v), want %d", n, err, step.deleted)
		}
		b.wantState(betID, step.state)
	}
}

func TestTheEscrowOfAJurisdictionWithoutBetsIsAudited(t *testing.T) {
	t.Parallel()
	b := openBook(t, func(c *SettlementConfig) { c.Retention = time.Nanosecond }) // retired bets are none to the audit
	p := b.player(100_00)
	b.place(p, 10_00, "g1_x:moneyline:home")
	b.result("g1_x", 3, 0)
	for _, w := range b.settler.shards {
		if _, err := w.bets.retire(context.Background(), time.Now().Add(time.Hour), 100); err != nil {
			t.Fatal(err)
		}
	}
	b.wantSound()

	deposit := ledger.Transfer{
		Key: "ontario/deposit", Kind: ledger.KindDeposit, Player: p, Jurisdiction: on, Currency: money.CAD,
		Postings: []ledger.Posting{{Account: ledger.PSP("test", on), AmountMinor: -5_00}, {Account: ledger.PlayerCash(p, on), AmountMinor: 5_00}},
	}
	stray := ledger.Transfer{
		Key: "ontario/stray", Kind: ledger.KindStake, Player: p, Jurisdiction: on, Currency: money.CAD,
		Postings: []ledger.Posting{{Account: ledger.PlayerCash(p, on), AmountMinor: -5_00}, {Account: ledger.Bets(on, Product), AmountMinor: 5_00}},
	}
	for _, transfer := range []ledger.Transfer{deposit, stray} {
		if _, err := b.ledger.Commit(context.Background(), ledger.LaneInteractive, transfer); err != nil {
			t.Fatal(err)
		}
	}
	running, err := b.Audit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	want := Finding{Shard: -1, Invariant: "escrow is the sum of open stakes", Table: "bet", Key: string(ledger.Bets(on, Product)),
		Expected: "500", Found: "0"}
	for where, report := range map[string]AuditReport{"running": running, "files": auditFiles(t, b.dir)} {
		if !slices.Contains(report.Findings, want) {
			t.Errorf("%s: got findings %+v, want %+v", where, report.Findings, want)
		}
	}
}
