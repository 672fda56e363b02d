package sportsbook

import (
	"context"
	"encoding/json"
	"strconv"
	"testing"

	"matchday/ledger"
	"matchday/stream"
)

// instantLedger answers at once, so that only placement is measured.
type instantLedger struct{ *ledger.Service }

func (instantLedger) Commit(context.Context, ledger.Lane, ledger.Transfer) (ledger.Result, error) {
	return ledger.Result{Position: stream.Position{Seq: 1}, At: kickoff, Balances: []int64{1, 2}}, nil
}

// BenchmarkPlace measures everything of a placement but the ledger: checks, prices, payout, exposure,
// encoding and metrics.
func BenchmarkPlace(b *testing.B) {
	for _, legs := range []int{1, 3, 8} {
		b.Run("legs="+strconv.Itoa(legs), func(b *testing.B) {
			d := setupDesk(b)
			d.deps.Ledger = instantLedger{d.ledger}
			req := single("plr_1", "k1", "gm0")
			req.Legs = nil
			for i := range legs {
				eventID := "gm" + strconv.Itoa(i)
				d.game(eventID + "x")
				req.Legs = append(req.Legs, LegRequest{SelectionID: eventID + "x:spread:home", Price: american(-110), Line: lineOf(-350)})
			}
			d.exposure.limits = ExposureConfig{SelectionPayoutMinor: 1 << 60, MarketPayoutMinor: 1 << 61}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Place(context.Background(), req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncodeBet measures the record's payload alone.
func BenchmarkEncodeBet(b *testing.B) {
	d := setupDesk(b)
	d.game("gm1")
	rules, err := d.deps.Jurisdictions.Find(nj)
	if err != nil {
		b.Fatal(err)
	}
	req := single("plr_1", "k1", "gm1")
	bet, err := d.accept(&req, rules, d.clock.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(bet); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSetPrices measures one durable price change of a market.
func BenchmarkSetPrices(b *testing.B) {
	d := setupDesk(b)
	d.game("gm1")
	line := 0
	b.ReportAllocs()
	for b.Loop() {
		line += lineStep
		err := d.SetPrices(context.Background(), MarketPrices{MarketID: "gm1:spread", Line: lineOf(line % 5000), By: staff})
		if err != nil {
			b.Fatal(err)
		}
	}
}
