package sportsbook

import (
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"matchday/id"
	"matchday/ledger"
	"matchday/stream"
)

func genCommand(t *rapid.T) payoutCommand {
	text := rapid.StringN(0, 20, 40)
	return payoutCommand{
		BetSettled: stream.BetSettled{
			BetID: id.Bet(text.Draw(t, "bet")), PlayerID: id.Player(text.Draw(t, "player")),
			Jurisdiction: id.Jurisdiction(text.Draw(t, "jurisdiction")), Version: rapid.IntRange(0, 1<<30).Draw(t, "version"),
			Outcome: text.Draw(t, "outcome"), PayoutMinor: rapid.Int64().Draw(t, "payout"), Currency: text.Draw(t, "currency"),
			LegOutcomes: rapid.SliceOfN(text, 0, 12).Draw(t, "legs"), Reason: text.Draw(t, "reason"),
		},
		StakeMinor: rapid.Int64().Draw(t, "stake"), WasOpen: rapid.Bool().Draw(t, "open"), PaidMinor: rapid.Int64().Draw(t, "paid"),
	}
}

func TestPayoutMessagesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(genCommand), 0, 5).Draw(t, "commands")
		got, err := parsePayouts(appendPayouts(nil, want))
		if err != nil {
			t.Fatal(err)
		}
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

func TestSettledRecordsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := genCommand(t)
		want, err := json.Marshal(c.BetSettled)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendSettled(nil, &c.BetSettled); string(got) != string(want) {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func FuzzParsePayouts(f *testing.F) {
	f.Add(appendPayouts(nil, []payoutCommand{{BetSettled: stream.BetSettled{BetID: "bet_1", LegOutcomes: []string{"won"}}, StakeMinor: -5}}))
	f.Add([]byte{})
	f.Add([]byte{payoutFormat, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		commands, err := parsePayouts(payload)
		if err != nil {
			return
		}
		again, err := parsePayouts(appendPayouts(nil, commands))
		if err != nil || len(again) != len(commands) {
			t.Errorf("got %d commands back (%v), want %d", len(again), err, len(commands))
		}
	})
}

// TestTransferOfEveryStep checks what each step from one settlement to the next moves: escrow, the
// player's cash and revenue.
func TestTransferOfEveryStep(t *testing.T) {
	t.Parallel()
	const stake = 1000
	tests := []struct {
		name          string
		wasOpen       bool
		paid          int64
		outcome       string
		payout        int64
		kind          ledger.Kind
		bets, cash, r int64
	}{
		{"a won bet takes its profit from revenue", true, 0, stream.OutcomeWon, 1909, ledger.KindSettlement, -1000, 1909, -909},
		{"a lost bet is revenue", true, 0, stream.OutcomeLost, 0, ledger.KindSettlement, -1000, 0, 1000},
		{"a push gives the stake back", true, 0, stream.OutcomePush, 1000, ledger.KindVoid, -1000, 1000, 0},
		{"a void bet gives the stake back", true, 0, stream.OutcomeVoid, 1000, ledger.KindVoid, -1000, 1000, 0},
		{"a won bet that becomes lost pays back", false, 1909, stream.OutcomeLost, 0, ledger.KindResettlement, 0, -1909, 1909},
		{"a lost bet that becomes won is paid", false, 0, stream.OutcomeWon, 1909, ledger.KindResettlement, 0, 1909, -1909},
		{"a won bet that becomes void pays the profit back", false, 1909, stream.OutcomeVoid, 1000, ledger.KindResettlement, 0, -909, 909},
		{"a lost bet that opens again is in escrow again", false, 0, outcomeOpen, 0, ledger.KindResettlement, 1000, 0, -1000},
		{"a won bet that opened again would give its payout back", false, 1909, outcomeOpen, 0, ledger.KindResettlement, 1000, -1909, 909},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := payoutCommand{
				BetSettled: stream.BetSettled{BetID: "bet_x", PlayerID: "plr_x", Jurisdiction: testNJ, Version: 2,
					Outcome: tt.outcome, PayoutMinor: tt.payout, Currency: "USD", LegOutcomes: []string{tt.outcome}},
				StakeMinor: stake, WasOpen: tt.wasOpen, PaidMinor: tt.paid,
			}
			got := c.transfer()
			want := map[ledger.Address]int64{
				ledger.Bets(testNJ, Product): tt.bets, ledger.PlayerCash("plr_x", testNJ): tt.cash, ledger.Revenue(testNJ, Product): tt.r,
			}
			var sum int64
			for _, p := range got.Postings {
				if want[p.Account] != p.AmountMinor || p.AmountMinor == 0 {
					t.Errorf("%s moves %d, want %d", p.Account, p.AmountMinor, want[p.Account])
				}
				delete(want, p.Account)
				sum += p.AmountMinor
			}
			for account, amount := range want {
				if amount != 0 {
					t.Errorf("%s is not moved, want %d", account, amount)
				}
			}
			if sum != 0 || got.Kind != tt.kind || got.Key != "settle/bet_x/2" {
				t.Errorf("sum %d, kind %s, key %s, want 0, %s, settle/bet_x/2", sum, got.Kind, got.Key, tt.kind)
			}
		})
	}
}
