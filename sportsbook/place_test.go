package sportsbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/odds"
)

// Legs of the refusals below.
var (
	onAway   = LegRequest{SelectionID: "gm1:moneyline:away", Price: american(154)}
	onSpread = LegRequest{SelectionID: "gm2:spread:home", Price: american(-110), Line: lineOf(-350)}
)

func legs(l ...LegRequest) []LegRequest { return l }

// placeRefusals are requests that are refused, and what was done to the offer before.
var placeRefusals = []struct {
	name  string
	given func(*testing.T, *desk)
	ask   func(*PlaceRequest)
	want  errs.Code
	field string
}{
	{"no player", nil, func(r *PlaceRequest) { r.Player = "" }, errs.CodeInvalid, "player"},
	{"no key", nil, func(r *PlaceRequest) { r.Key = "" }, errs.CodeInvalid, "key"},
	{"a key with a space", nil, func(r *PlaceRequest) { r.Key = "a b" }, errs.CodeInvalid, "key"},
	{"an unknown policy", nil, func(r *PlaceRequest) { r.PriceChange = "maybe" }, errs.CodeInvalid, "price_change"},
	{"an unknown jurisdiction", nil, func(r *PlaceRequest) { r.Jurisdiction = "US-XX" }, errs.CodeInvalid, "jurisdiction"},
	{"another currency", nil, func(r *PlaceRequest) { r.Stake = money.New(1000, money.CAD) }, errs.CodeInvalid, "stake.currency"},
	{"no stake", nil, func(r *PlaceRequest) { r.Stake = money.New(0, money.USD) }, errs.CodeInvalid, "stake.amount"},
	{"a negative stake", nil, func(r *PlaceRequest) { r.Stake = money.New(-5, money.USD) }, errs.CodeInvalid, "stake.amount"},
	{"a stake beyond reason", nil, func(r *PlaceRequest) { r.Stake = money.New(1<<62, money.USD) }, errs.CodeInvalid, "stake.amount"},
	{"no legs", nil, func(r *PlaceRequest) { r.Legs = nil }, errs.CodeInvalid, "legs"},
	{"too many legs", nil, func(r *PlaceRequest) { r.Legs = slices.Repeat(legs(onAway), 21) }, errs.CodeInvalid, "legs"},
	{"no price", nil, func(r *PlaceRequest) { r.Legs[0].Price = odds.Price{} }, errs.CodeInvalid, "legs[0].price"},
	{"an unknown selection", nil, func(r *PlaceRequest) { r.Legs[0].SelectionID = "gm9:moneyline:home" }, errs.CodeInvalid, "legs[0].selection_id"},
	{"an event of another jurisdiction", nil, func(r *PlaceRequest) { r.Legs[0].SelectionID = "canada:moneyline:away" }, errs.CodeInvalid, "legs[0].selection_id"},
	{"the same selection twice", nil, func(r *PlaceRequest) { r.Legs = legs(onAway, onAway) }, errs.CodeInvalid, "legs[1].selection_id"},
	{"two legs of one event", nil, func(r *PlaceRequest) {
		r.Legs = legs(onAway, onSpread, LegRequest{SelectionID: "gm1:total:over", Price: american(-110), Line: lineOf(4650)})
	}, errs.CodeInvalid, "legs[2].selection_id"},
	{"a stake below the least", nil, func(r *PlaceRequest) { r.Stake = money.New(9, money.USD) }, errs.CodeLimitReached, "stake.amount"},
	{"a stake above the most", nil, func(r *PlaceRequest) { r.Stake = money.New(1_000_001, money.USD) }, errs.CodeLimitReached, "stake.amount"},
	{"a payout above the most", func(t *testing.T, b *desk) {
		mustSetPrice(t, b, "gm1:moneyline:away", "", 100_000)
	}, func(r *PlaceRequest) { r.Legs[0].Price, r.Stake = american(100_000), money.New(1_000_000, money.USD) }, errs.CodeLimitReached, "stake.amount"},
	{"a suspended market", func(t *testing.T, b *desk) {
		must(t, b.SetMarketStatus(context.Background(), "gm1:moneyline", MarketSuspended, staff))
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"a closed market", func(t *testing.T, b *desk) {
		must(t, b.SetMarketStatus(context.Background(), "gm1:moneyline", MarketClosed, staff))
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"a suspended event", func(t *testing.T, b *desk) {
		must(t, b.SuspendEvent(context.Background(), "gm1", true, staff))
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"a void market", func(t *testing.T, b *desk) {
		_, err := b.VoidMarket(context.Background(), "gm1:moneyline", "wrong price", staff)
		must(t, err)
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"an event that starts this moment", func(_ *testing.T, b *desk) { b.clock.Advance(time.Hour) }, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"an event in play", func(t *testing.T, b *desk) {
		must(t, b.UpdateScore(context.Background(), "gm1", 0, 3, staff))
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"a decided event", func(t *testing.T, b *desk) {
		_, err := b.EnterResult(context.Background(), Result{EventID: "gm1", HomeScore: 1, EnteredBy: "trader"})
		must(t, err)
	}, nil, errs.CodeSuspended, "legs[0].selection_id"},
	{"a parlay with one suspended leg", func(t *testing.T, b *desk) {
		must(t, b.SuspendEvent(context.Background(), "gm2", true, staff))
	}, func(r *PlaceRequest) { r.Legs = legs(onAway, onSpread) }, errs.CodeSuspended, "legs[1].selection_id"},
	{"a worse price", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 150) }, nil, errs.CodePriceChanged, ""},
	{"a better price under the policy none", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 160) }, nil, errs.CodePriceChanged, ""},
	{"a worse price under the policy better", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 150) },
		func(r *PlaceRequest) { r.PriceChange = PriceChangeBetter }, errs.CodePriceChanged, ""},
	{"a moved line under the policy better", nil, func(r *PlaceRequest) {
		r.PriceChange, r.Legs = PriceChangeBetter, legs(LegRequest{SelectionID: "gm2:spread:home", Price: american(-120), Line: lineOf(-450)})
	}, errs.CodePriceChanged, ""},
	{"a spread without its line", nil, func(r *PlaceRequest) {
		r.Legs = legs(LegRequest{SelectionID: "gm2:spread:home", Price: american(-110)})
	}, errs.CodePriceChanged, ""},
	{"too little money", nil, func(r *PlaceRequest) { r.Stake = money.New(5001, money.USD) }, errs.CodeInsufficientFunds, ""},
	{"too much exposure", func(_ *testing.T, b *desk) { b.exposure.limits.SelectionPayoutMinor = 2539 }, nil, errs.CodeLimitReached, ""},
	{"too much exposure on the market", func(_ *testing.T, b *desk) { b.exposure.limits.MarketPayoutMinor = 2539 }, nil, errs.CodeLimitReached, ""},
	{"not ready yet", func(_ *testing.T, b *desk) { b.ready.Store(false) }, nil, errs.CodeUnavailable, ""},
}

func TestPlaceRefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range placeRefusals {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setupDesk(t)
			b.game("gm1")
			b.game("gm2")
			b.game("canada", on)
			b.fund("plr_1", nj, 5000)
			if tt.given != nil {
				tt.given(t, b)
			}
			req := single("plr_1", "k1", "gm1")
			if tt.ask != nil {
				tt.ask(&req)
			}
			_, err := b.Place(context.Background(), req)
			if got := errs.CodeOf(err); got != tt.want {
				t.Fatalf("Place: %v, want code %s", err, tt.want)
			}
			if tt.field != "" && !hasField(err, tt.field) {
				t.Errorf("Place: %v, want field %s", err, tt.field)
			}
			if got := b.cash("plr_1", nj); got != 5000 {
				t.Errorf("cash = %d after a refusal, want 5000", got)
			}
			if bets, payout := b.reserved(); bets != 0 || payout != 0 {
				t.Errorf("%d bets and %d reserved after a refusal, want nothing", bets, payout)
			}
		})
	}
}

func hasField(err error, location string) bool {
	e, ok := errors.AsType[*errs.Error](err)
	return ok && slices.ContainsFunc(e.Fields, func(f errs.Field) bool { return f.Location == location })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustSetPrice(t testing.TB, b *desk, selection string, j id.Jurisdiction, price int64) {
	t.Helper()
	must(t, b.SetPrice(context.Background(), PriceChange{SelectionID: selection, Jurisdiction: j, Price: american(price), By: staff}))
}

func TestPlaceAcceptsAtTheRightPrice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		given      func(*testing.T, *desk)
		ask        func(*PlaceRequest)
		wantPrice  string
		wantPayout int64
	}{
		{"a single as quoted", nil, nil, "+154", 2540},
		{"a better price under the policy better", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 160) },
			func(r *PlaceRequest) { r.PriceChange = PriceChangeBetter }, "+160", 2600},
		{"a worse price under the policy any", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 150) },
			func(r *PlaceRequest) { r.PriceChange = PriceChangeAny }, "+150", 2500},
		{"the jurisdiction's own price", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", nj, 120) },
			func(r *PlaceRequest) { r.Legs[0].Price = american(120) }, "+120", 2200},
		{"not another jurisdiction's price", func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", on, 120) },
			nil, "+154", 2540},
		{"a market opened again", func(t *testing.T, b *desk) {
			must(t, b.SuspendEvent(context.Background(), "gm1", true, staff))
			must(t, b.SuspendEvent(context.Background(), "gm1", false, staff))
		}, nil, "+154", 2540},
		{"a parlay, rounded once", nil, func(r *PlaceRequest) {
			r.Legs = append(r.Legs, LegRequest{SelectionID: "gm2:spread:away", Price: american(-110), Line: lineOf(350)})
		}, "+154", 4849}, // 10.00 x 2.54 x 21/11 = 48.4909
		{"a moved line under the policy any", func(t *testing.T, b *desk) {
			must(t, b.SetPrice(context.Background(), PriceChange{SelectionID: "gm1:spread:away", Price: american(-105), Line: lineOf(400), By: staff}))
		}, func(r *PlaceRequest) {
			r.PriceChange = PriceChangeAny
			r.Legs = []LegRequest{{SelectionID: "gm1:spread:home", Price: american(-110), Line: lineOf(-350)}}
		}, "-110", 1909},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setupDesk(t)
			b.game("gm1")
			b.game("gm2")
			b.fund("plr_1", nj, 5000)
			if tt.given != nil {
				tt.given(t, b)
			}
			req := single("plr_1", "k1", "gm1")
			if tt.ask != nil {
				tt.ask(&req)
			}
			got, err := b.Place(context.Background(), req)
			must(t, err)
			if got.Legs[0].Price != tt.wantPrice || got.PotentialPayout.Minor() != tt.wantPayout {
				t.Errorf("accepted at %s for %s, want %s for %d", got.Legs[0].Price, got.PotentialPayout, tt.wantPrice, tt.wantPayout)
			}
			if got.BalanceMinor != 4000 || b.cash("plr_1", nj) != 4000 {
				t.Errorf("balance = %d, in the ledger %d, want 4000", got.BalanceMinor, b.cash("plr_1", nj))
			}
			if bets, payout := b.reserved(); bets != int64(len(req.Legs)) || payout != tt.wantPayout*bets {
				t.Errorf("reserved %d for %d legs, want %d each", payout, bets, tt.wantPayout)
			}
			if err := id.Check(id.KindBet, string(got.BetID)); err != nil || got.Replayed || got.Position.Seq == 0 {
				t.Errorf("receipt = %+v, want a fresh bet with its position (%v)", got, err)
			}
		})
	}
}

func TestPriceChangedErrorNamesEveryLegThatMoved(t *testing.T) {
	t.Parallel()
	b := setupDesk(t)
	b.game("gm1")
	b.game("gm2")
	b.game("gm3")
	b.fund("plr_1", nj, 5000)
	mustSetPrice(t, b, "gm1:moneyline:away", "", 150)
	must(t, b.SetPrices(context.Background(), MarketPrices{MarketID: "gm3:spread", Line: lineOf(-450), By: staff}))
	req := single("plr_1", "k1", "gm1")
	req.Legs = append(req.Legs, LegRequest{SelectionID: "gm2:moneyline:home", Price: american(-170)},
		LegRequest{SelectionID: "gm3:spread:away", Price: american(-110), Line: lineOf(350)})
	_, err := b.Place(context.Background(), req)
	changed, ok := errors.AsType[*PriceChangedError](err)
	if !ok || len(changed.Legs) != 2 {
		t.Fatalf("Place: %v, want a PriceChangedError with 2 legs", err)
	}
	if l := changed.Legs[0]; l.Asked != american(154) || l.Now != american(150) {
		t.Errorf("leg 0 changed from %s to %s, want +154 to +150", l.Asked, l.Now)
	}
	if l := changed.Legs[1]; *l.AskedLine != 350 || *l.NowLine != 450 {
		t.Errorf("leg 2 moved from %s to %s, want 3.5 to 4.5", l.AskedLine, l.NowLine)
	}
}

func TestRetryAnswersWithTheFirstOutcome(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	moves := map[string]func(*testing.T, *desk){
		"at once":                   func(*testing.T, *desk) {},
		"after the price moved":     func(t *testing.T, b *desk) { mustSetPrice(t, b, "gm1:moneyline:away", "", 120) },
		"after the market closed":   func(t *testing.T, b *desk) { must(t, b.SetMarketStatus(ctx, "gm1:moneyline", MarketClosed, staff)) },
		"after the event started":   func(_ *testing.T, b *desk) { b.clock.Advance(2 * time.Hour) },
		"after exposure ran out":    func(_ *testing.T, b *desk) { b.exposure.limits.SelectionPayoutMinor = 1 },
		"after a restart, not warm": func(_ *testing.T, b *desk) { must(b.t, b.Close()); b.open(); b.ready.Store(false) },
	}
	for name, move := range moves {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupDesk(t)
			b.game("gm1")
			b.fund("plr_1", nj, 5000)
			first, err := b.Place(ctx, single("plr_1", "k1", "gm1"))
			must(t, err)
			_, before := b.reserved()
			move(t, b)
			again, err := b.Place(ctx, single("plr_1", "k1", "gm1"))
			must(t, err)
			if !again.Replayed || again.BetID != first.BetID || again.Position != first.Position ||
				again.PotentialPayout != first.PotentialPayout || again.BalanceMinor != first.BalanceMinor {
				t.Errorf("retry = %+v, want the first receipt %+v as a replay", again, first)
			}
			if _, after := b.reserved(); after != before && name != "after a restart, not warm" {
				t.Errorf("reserved %d after the retry, want %d", after, before)
			}
			other := single("plr_1", "k1", "gm1")
			other.Stake = money.New(2000, money.USD)
			if _, err := b.Place(ctx, other); !errs.Is(err, errs.CodeConflict) {
				t.Errorf("another bet under the key: %v, want conflict", err)
			}
			if got := b.cash("plr_1", nj); got != 4000 {
				t.Errorf("cash = %d, want 4000: one stake", got)
			}
		})
	}
}

func TestRefusalForFundsIsFinalUnderItsKey(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setupDesk(t)
	b.game("gm1")
	b.fund("plr_1", nj, 500)
	for range 2 {
		if _, err := b.Place(ctx, single("plr_1", "k1", "gm1")); !errs.Is(err, errs.CodeInsufficientFunds) {
			t.Fatalf("Place: %v, want insufficient_funds", err)
		}
		b.fund("plr_1", nj, 5000)
	}
	must(t, b.SuspendEvent(ctx, "gm1", true, staff))
	if _, err := b.Place(ctx, single("plr_1", "k1", "gm1")); !errs.Is(err, errs.CodeInsufficientFunds) {
		t.Errorf("retry on a suspended market: %v, want the first answer", err)
	}
	if _, err := b.Place(ctx, single("plr_1", "k2", "gm1")); !errs.Is(err, errs.CodeSuspended) {
		t.Errorf("new key: %v, want suspended", err)
	}
	must(t, b.SuspendEvent(ctx, "gm1", false, staff))
	if _, err := b.Place(ctx, single("plr_1", "k2", "gm1")); err != nil {
		t.Errorf("a refusal by the offer stuck to its key: %v", err)
	}
}

func TestPlayersOfOtherJurisdictionsShareNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setupDesk(t)
	b.game("gm1")
	b.fund("plr_1", nj, 5000)
	b.fund("plr_2", on, 5000)
	_, err := b.Place(ctx, single("plr_1", "k1", "gm1"))
	must(t, err)
	req := single("plr_2", "k1", "gm1")
	req.Jurisdiction, req.Stake = on, money.New(1000, money.CAD)
	_, err = b.Place(ctx, req)
	must(t, err)
	rows, err := b.Exposure(ctx, "gm1")
	must(t, err)
	if len(rows) != 2 || rows[0].Currency != money.CAD || rows[1].Currency != money.USD || rows[0].Bets != 1 {
		t.Errorf("exposure = %+v, want one row for each jurisdiction", rows)
	}
}

func TestConcurrentRetriesMakeOneBet(t *testing.T) {
	t.Parallel()
	b := setupDesk(t)
	b.game("gm1")
	b.fund("plr_1", nj, 100_000)
	var wg sync.WaitGroup
	ids := make([]id.Bet, 40)
	for i := range ids {
		wg.Go(func() {
			r, err := b.Place(context.Background(), single("plr_1", fmt.Sprintf("k%d", i%4), "gm1"))
			if err != nil {
				t.Error(err)
			}
			ids[i] = r.BetID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if got := len(slices.Compact(ids)); got != 4 {
		t.Errorf("%d bets, want 4: one a key", got)
	}
	if bets, payout := b.reserved(); bets != 4 || payout != 4*2540 {
		t.Errorf("reserved %d for %d bets, want 4 times 2540", payout, bets)
	}
	if got := b.cash("plr_1", nj); got != 96_000 {
		t.Errorf("cash = %d, want 96000", got)
	}
}

func TestQuotePricesTheSlip(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setupDesk(t)
	b.game("gm1")
	q, err := b.Quote(ctx, QuoteRequest{
		Jurisdiction: nj, Stake: money.New(1000, money.USD),
		Legs: []LegRequest{{SelectionID: "gm1:moneyline:away", Price: american(150)}},
	})
	must(t, err)
	if q.PotentialPayout.Minor() != 2540 || len(q.Changes) != 1 || q.Changes[0].Now != american(154) {
		t.Errorf("quote = %+v, want 25.40 and one change to +154", q)
	}
	if bets, _ := b.reserved(); bets != 0 {
		t.Errorf("a quote reserved exposure")
	}
	if _, err := b.Quote(ctx, QuoteRequest{Jurisdiction: nj, Stake: money.New(1000, money.USD)}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a quote of nothing: %v, want invalid", err)
	}
}
