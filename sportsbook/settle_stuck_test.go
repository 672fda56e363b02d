package sportsbook

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/stream"
)

// placeInCAD commits a bet on the home team whose record says another currency than the player's
// account has: the ledger refuses to pay it.
func (b *book) placeInCAD(p id.Player, stakeMinor int64, eventID string) id.Bet {
	b.t.Helper()
	market := eventID + ":moneyline"
	bet := stream.BetPlaced{
		BetID: b.ids.NewBet(), PlayerID: p, Jurisdiction: testNJ, Product: Product, Currency: string(money.CAD),
		StakeMinor: stakeMinor, PotentialPayoutMinor: 2 * stakeMinor,
		Legs: []stream.BetLeg{{EventID: eventID, MarketID: market, Market: string(Moneyline),
			SelectionID: market + ":home", Selection: "home", Price: "+100"}},
	}
	data, err := json.Marshal(bet)
	if err != nil {
		b.t.Fatal(err)
	}
	_, err = b.ledger.Commit(context.Background(), ledger.LaneInteractive, ledger.Transfer{
		Key: "cad/" + string(bet.BetID), Kind: ledger.KindStake, Player: p, Jurisdiction: testNJ, Currency: money.USD,
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

func TestAPayoutThatCannotBeMadeHoldsNothingUp(t *testing.T) {
	t.Parallel()
	b := openBook(t, func(c *SettlementConfig) { c.RedriveAfter = time.Hour }) // nothing ends by giving up
	p := b.player(30_00)
	stuck := b.placeInCAD(p, 10_00, "g1_x")
	first := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	second := b.place(p, 10_00, "g2_x:moneyline:home").BetID
	b.becomes(second, "open v0") // and so are the bets before it: one that came after the result would be tried as late too

	b.result("g1_x", 3, 0)
	b.wantState(stuck, "open v0")
	b.wantState(first, "won 2000 v1")

	w := b.settler.shards[b.ledger.ShardOf(p)]
	tries := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		if s := w.stuck[stuck]; s != nil {
			return s.tries
		}
		return 0
	}
	if got := tries(); got != 1 {
		t.Fatalf("the bet was tried %d times, want once and again in a while", got)
	}
	w.mu.Lock()
	w.stuck[stuck].due = time.Time{}
	w.mu.Unlock()
	signal(w.wake)
	b.eventually("another try", func() bool { return tries() == 2 })

	b.result("g2_x", 3, 0)
	b.wantState(second, "won 2000 v1")
	report, err := b.Audit(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) != 1 || report.Findings[0].Key != string(stuck) {
		t.Errorf("got findings %+v, want the bet that cannot be paid", report.Findings)
	}
}

func TestACommandForAVersionThatWasRefusedForGoodIsRefusedToo(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(10_00)
	betID := b.place(p, 10_00, "g1_x:moneyline:home").BetID
	b.becomes(betID, "open v0")
	r, err := b.ledger.Commit(context.Background(), ledger.LaneBulk, ledger.Transfer{
		Key: settleKey(betID, 1), Kind: ledger.KindResettlement, Player: p, Jurisdiction: testNJ, Currency: money.USD,
		Postings: []ledger.Posting{
			{Account: ledger.Revenue(testNJ, Product), AmountMinor: -1}, {Account: ledger.PlayerOwed(p, testNJ), AmountMinor: 1},
		},
	})
	if !errs.Is(errors.Join(err, r.Err), errs.CodeLimitReached) {
		t.Fatalf("got %v, %v, want a refusal that is final: nothing is owed", r.Err, err)
	}
	var refused []string
	payer := *b.settler.payer
	payer.refused = func(c *payoutCommand) { refused = append(refused, c.Outcome) }
	payload := appendPayouts(nil, []payoutCommand{b.command(betID, stream.OutcomeWon, 20_00)})
	if err := payer.handle(context.Background(), payload); err != nil {
		t.Fatal(err)
	}
	if len(refused) != 1 {
		t.Errorf("refused %v, want the command: no other one has settled the version", refused)
	}
}

func TestLateBetsThatDoNotShowLeavePassesTheirTurn(t *testing.T) {
	t.Parallel()
	b := openBook(t, func(c *SettlementConfig) { c.RedriveAfter = 20 * time.Millisecond })
	p := b.player(20_00)
	b.result("g1_x", 3, 0)
	payer := b.stallPayer()
	late := b.placeBehind(p, 10_00, Moneyline, "home", "g1_x")
	<-payer.waiting
	b.result("g2_x", 3, 0) // has no bets, so it needs no payer
	b.wantState(late, "open v0")
	close(payer.release)
	b.becomes(late, "void 1000 v1")
	b.wantSound()
}
