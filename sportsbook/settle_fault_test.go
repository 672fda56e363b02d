package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/odds"
	"matchday/stream"
)

// removeFiles removes what the pattern matches in a folder.
func removeFiles(t testing.TB, dir, pattern string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s in %s (%v)", pattern, dir, err)
	}
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

// bet returns a bet as the projection has it.
func (b *book) bet(betID id.Bet) bet {
	b.t.Helper()
	for _, w := range b.settler.shards {
		bets, err := w.bets.byID(context.Background(), []id.Bet{betID})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(bets) == 1 {
			return bets[0]
		}
	}
	b.t.Fatalf("bet %s is not in the projection", betID)
	return bet{}
}

// command returns the command that settles a bet to an outcome.
func (b *book) command(betID id.Bet, outcome string, payout int64) payoutCommand {
	b.t.Helper()
	x := b.bet(betID)
	c, needed := x.settles(target{outcome: outcome, payoutMinor: payout, legOutcomes: []string{outcome}})
	if !needed {
		b.t.Fatalf("bet %s is %s already", betID, outcome)
	}
	return c
}

func (b *book) pay(commands ...payoutCommand) {
	b.t.Helper()
	if err := b.settler.payer.handle(context.Background(), appendPayouts(nil, commands)); err != nil {
		b.t.Fatal(err)
	}
}

func TestACommandThatComesTwicePaysOnce(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.becomes(betID, "open v0")
	c := b.command(betID, stream.OutcomeWon, 20_00)
	b.pay(c)
	b.pay(c, c)
	b.becomes(betID, "won 2000 v1")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 20_00)
}

func TestOfTwoCommandsForOneVersionOnlyOneHappens(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.becomes(betID, "open v0")
	won, void := b.command(betID, stream.OutcomeWon, 20_00), b.command(betID, stream.OutcomeVoid, 10_00)
	b.pay(won, void)
	b.becomes(betID, "won 2000 v1")
	b.wantBalance(ledger.PlayerCash(p, testNJ), 20_00)
}

func TestAMessageThatIsNotReadableIsPassedOver(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	if err := b.settler.payer.handle(context.Background(), []byte(`{"commands":[]}`)); err != nil {
		t.Errorf("got %v, want nil: the message would come again for ever", err)
	}
}

// stumbling is a ledger that stops answering after a number of calls.
type stumbling struct {
	Ledger
	calls int
}

func (s *stumbling) CommitBatch(ctx context.Context, lane ledger.Lane, ts []ledger.Transfer) ([]ledger.Result, error) {
	if s.calls--; s.calls < 0 {
		return nil, errs.New(errs.CodeUnavailable, "stopped")
	}
	return s.Ledger.CommitBatch(ctx, lane, ts)
}

func TestADebtIsBookedAlthoughThePayerStoppedHalfWay(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]struct {
		outcome string
		payout  int64
		state   string
		owed    int64
	}{
		"the same command comes again":                 {stream.OutcomeLost, 0, "lost 0 v2", -20_00},
		"another command takes the version over":       {stream.OutcomePush, 10_00, "push 1000 v2", -10_00},
		"another command pays more instead of less":    {stream.OutcomeWon, 25_00, "won 2500 v2", 0},
		"another command changes nothing but the word": {stream.OutcomeVoid, 20_00, "void 2000 v2", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := openBook(t)
			p := b.player(10_00)
			betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
			b.becomes(betID, "open v0")
			b.pay(b.command(betID, stream.OutcomeWon, 20_00))
			b.becomes(betID, "won 2000 v1")
			b.place(p, 20_00, "g2_x:moneyline:home") // the money is spent

			half := *b.settler.payer
			half.ledger = &stumbling{Ledger: b.ledger, calls: 1}
			first := appendPayouts(nil, []payoutCommand{b.command(betID, stream.OutcomeLost, 0)})
			if err := half.handle(context.Background(), first); !errs.Is(err, errs.CodeUnavailable) {
				t.Fatalf("got %v, want unavailable", err)
			}
			b.pay(b.command(betID, second.outcome, second.payout))
			b.becomes(betID, second.state)
			b.wantBalance(ledger.PlayerCash(p, testNJ), max(second.payout-20_00, 0))
			owed, err := b.ledger.Balance(context.Background(), ledger.PlayerOwed(p, testNJ))
			if err != nil && !errs.Is(err, errs.CodeNotFound) {
				t.Fatal(err)
			}
			if owed.PostedMinor != second.owed {
				t.Errorf("owed %d, want %d", owed.PostedMinor, second.owed)
			}
		})
	}
}

func TestABetThatCannotBeGradedStaysOpenAndIsNamedByTheAudit(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	strange := b.placeBehind(p, 10_00, "moneyline", "draw", "g1_x")
	fine := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.result("g1_x", 24, 17)
	b.wantState(fine, "won 2000 v1")
	b.wantState(strange, "open v0")
	report, err := b.Audit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Key != string(strange) {
		t.Errorf("got findings %+v, want the strange bet", report.Findings)
	}
}

// TestCommandsThatAreLostAreSentAgain stops the process in the middle of a settlement, again and
// again, and deletes all streams each time.
func TestCommandsThatAreLostAreSentAgain(t *testing.T) {
	t.Parallel()
	b := openBook(t, func(c *SettlementConfig) { c.ChunkBets, c.MessageBets, c.WindowBets = 20, 5, 40 })
	p := b.player(1000_00)
	for range 200 {
		b.place(p, 1_00, "g1_x:moneyline:home")
	}
	d, err := b.EnterResult(context.Background(), Result{EventID: "g1_x", HomeScore: 3, AwayScore: 0, EnteredBy: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		b.stop()
		removeFiles(t, b.dir, "streams")
		b.start()
	}
	b.settled(d)
	b.wantBalance(ledger.PlayerCash(p, testNJ), 1200_00)
	b.wantExposure("", 0)
	b.wantSound()
}

func TestAuditNamesWhatWasTamperedWith(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, tamper, invariant string }{
		{"a stake", `UPDATE bet SET stake_minor = stake_minor - 1`, "open bets equal the log"},
		{"a leg", `UPDATE bet SET legs = replace(legs, 'home', 'away')`, "open bets equal the log"},
		{"a payout", `UPDATE bet_settled SET payout_minor = payout_minor + 1`, "open bets equal the log"},
		{"a settlement taken away", `DELETE FROM bet_settled`, "open bets equal the log"},
		{"a settlement from nowhere", `UPDATE bet_settled SET version = 2, payout_minor = 5`, "bets are settled as their results grade"},
		{"a bet taken away", `DELETE FROM bet`, "open bets equal the log"},
	}
	b := openBook(t)
	p := b.player(100_00)
	b.place(p, 10_00, "g1_x:moneyline:home")
	b.result("g1_x", 24, 17)
	shard := b.ledger.ShardOf(p)
	b.stop()
	files := b.dir
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(files)); err != nil {
				t.Fatal(err)
			}
			o, err := openOpenBets(context.Background(), filepath.Join(dir, "book"), shard, clock.System{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.db.Write.Exec(tt.tamper); err != nil {
				t.Fatal(err)
			}
			if err := o.close(); err != nil {
				t.Fatal(err)
			}
			report := auditFiles(t, dir)
			if len(report.Findings) == 0 || report.Findings[0].Invariant != tt.invariant {
				t.Errorf("got findings %+v, want %q", report.Findings, tt.invariant)
			}
		})
	}
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(files)); err != nil {
			t.Fatal(err)
		}
		report := auditFiles(t, dir)
		if len(report.Findings) != 0 || report.Bets != 1 || report.Records != 2 || !report.EscrowCompared {
			t.Errorf("got %+v, want one bet with two records and no findings", report)
		}
	})
}

// auditFiles audits the files of a stopped sportsbook.
func auditFiles(t *testing.T, dir string) AuditReport {
	t.Helper()
	books, err := ledger.OpenReader(context.Background(), filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = books.Close() }()
	report, err := Audit(context.Background(), AuditOptions{
		Dir: filepath.Join(dir, "book"), Clock: clock.System{}, Log: books, Balance: books.Balance, Patience: 20 * time.Millisecond,
		Jurisdictions: []id.Jurisdiction{nj, on},
	})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// modelBet is a bet of the random test, graded by a naive model.
type modelBet struct {
	id    id.Bet
	stake int64
	legs  []stream.BetLeg
}

// model knows the decisions: scores by event, voided markets.
type model struct {
	scores map[string][2]int
	void   map[string]bool
}

// want grades a bet by rational numbers and the rules as a player would read them.
func (m *model) want(t *testing.T, b modelBet) string {
	t.Helper()
	payout := new(big.Rat).SetInt64(b.stake)
	open, lost, won, pushed := false, false, false, false
	for _, l := range b.legs {
		score, decided := m.scores[l.EventID]
		switch {
		case m.void[l.MarketID]:
		case !decided:
			open = true
		default:
			margin := modelMargin(t, l, score)
			lost = lost || margin < 0
			pushed = pushed || margin == 0
			if margin > 0 {
				won = true
				price, err := odds.ParsePrice(l.Price)
				if err != nil {
					t.Fatal(err)
				}
				num, den := price.Fraction()
				payout.Mul(payout, big.NewRat(num, den))
			}
		}
	}
	switch {
	case lost:
		return "lost 0"
	case open:
		return "open"
	case won:
		return fmt.Sprint("won ", new(big.Int).Quo(payout.Num(), payout.Denom()))
	case pushed:
		return fmt.Sprint("push ", b.stake)
	}
	return fmt.Sprint("void ", b.stake)
}

// modelMargin is above zero when the leg wins.
func modelMargin(t *testing.T, l stream.BetLeg, score [2]int) int {
	t.Helper()
	line := new(big.Rat)
	if l.Line != nil {
		if _, ok := line.SetString(*l.Line); !ok {
			t.Fatalf("line %s", *l.Line)
		}
	}
	home, away := new(big.Rat).SetInt64(int64(score[0])), new(big.Rat).SetInt64(int64(score[1]))
	var diff *big.Rat
	switch l.Selection {
	case CodeHome:
		diff = new(big.Rat).Sub(new(big.Rat).Add(home, line), away)
	case CodeAway:
		diff = new(big.Rat).Sub(new(big.Rat).Add(away, line), home)
	case CodeOver:
		diff = new(big.Rat).Sub(new(big.Rat).Add(home, away), line)
	default:
		diff = new(big.Rat).Sub(line, new(big.Rat).Add(home, away))
	}
	return diff.Sign()
}

// TestRandomDaysEndAsAModelSays plays days of random bets, results, corrections, voided markets and
// restarts, and compares every bet with a naive model after each decision.
func TestRandomDaysEndAsAModelSays(t *testing.T) {
	t.Parallel()
	for range 2 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			playRandomDay(t, rand.New(rand.NewPCG(seed, 0)))
		})
	}
}

func playRandomDay(t *testing.T, r *rand.Rand) {
	b := openBook(t, func(c *SettlementConfig) { c.ChunkBets, c.MessageBets, c.WindowBets = 7, 3, 10 })
	m := &model{scores: map[string][2]int{}, void: map[string]bool{}}
	players := []id.Player{b.player(50_00), b.player(1000_00), b.player(1000_00)}
	events := []string{"g1_x", "g2_x", "g3_x", "g4_x"}
	markets := map[string][]string{"moneyline": {"home", "away"}, "spread": {"home", "away"}, "total": {"over", "under"}}
	types := []string{"moneyline", "spread", "total"}
	var bets []modelBet
	for range 60 {
		var selections []string
		for _, n := range r.Perm(4)[:1+r.IntN(3)] {
			marketType := types[r.IntN(3)]
			selections = append(selections, strings.Join([]string{events[n], marketType, markets[marketType][r.IntN(2)]}, ":"))
		}
		receipt, err := b.tryPlace(players[r.IntN(3)], int64(1+r.IntN(30_00)), selections...)
		if errs.Is(err, errs.CodeInsufficientFunds) || errs.Is(err, errs.CodeLimitReached) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		bets = append(bets, modelBet{receipt.BetID, receipt.Stake.Minor(), receipt.Legs})
	}
	for range 10 {
		switch event := events[r.IntN(4)]; r.IntN(8) {
		case 0:
			market := event + ":" + types[r.IntN(3)]
			b.void(market)
			m.void[market] = true
		case 1:
			b.restart()
		default:
			m.scores[event] = [2]int{20 + r.IntN(6), 20 + r.IntN(6)} // close games: pushes and lines matter
			b.result(event, m.scores[event][0], m.scores[event][1])
		}
		for _, x := range bets {
			got, _, _ := strings.Cut(b.state(x.id), " v")
			if want := m.want(t, x); got != want {
				t.Fatalf("bet %s of %d on %+v is %q, want %q by %+v", x.id, x.stake, x.legs, got, want, m)
			}
		}
	}
	b.wantSound()
}

func TestAConfigOutOfRangeIsRefused(t *testing.T) {
	t.Parallel()
	bad := SettlementConfig{ChunkBets: -1, MessageBets: maxPayoutCommands + 1, WindowBets: -1, Retention: -time.Second}
	var e *errs.Error
	if err := bad.Validate(); !errors.As(err, &e) || len(e.Fields) != 4 {
		t.Errorf("got %v, want four fields", err)
	}
	if err := (SettlementConfig{}).Validate(); err != nil {
		t.Errorf("got %v for the zero value, want nil", err)
	}
}

func TestLegsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	line := "-3.5"
	legs := []stream.BetLeg{
		{EventID: "e", MarketID: "e:spread", Market: "spread", SelectionID: "e:spread:home", Selection: "home", Line: &line, Price: "-110"},
		{EventID: "f", MarketID: "f:moneyline", Market: "moneyline", SelectionID: "f:moneyline:away", Selection: "away", Price: "+154"},
	}
	text, err := legsText(legs)
	if err != nil {
		t.Fatal(err)
	}
	var p legParser
	parsed, err := p.parse(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := legsText((&bet{}).record(parsed).Legs)
	if err != nil || again != text {
		t.Errorf("got %q (%v), want %q", again, err, text)
	}
	legs[0].MarketID = "a\tb"
	if _, err := legsText(legs); err == nil {
		t.Error("got no error for a tab in an id, want one")
	}
}

func FuzzParseLegs(f *testing.F) {
	f.Add("e\te:spread\tspread\te:spread:home\thome\t-3.5\t-110")
	f.Add("e\te:moneyline\tmoneyline\te:moneyline:home\thome\t\t+100\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		var p legParser
		legs, err := p.parse(text)
		if err != nil {
			return
		}
		written, err := legsText((&bet{}).record(legs).Legs)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.parse(written); err != nil {
			t.Errorf("%q is read, %q is not: %v", text, written, err)
		}
	})
}
