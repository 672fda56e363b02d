package workload

import (
	"testing"
	"time"

	"matchday/ledger"
)

func TestMonthIsAsDescribed(t *testing.T) {
	t.Parallel()
	const players, transfers = 500, 120_000
	m := NewMonth(players, transfers, 5)
	if got := len(m.Fund(0, players+10)); got != players {
		t.Errorf("%d first deposits, want %d", got, players)
	}
	kinds := map[ledger.Kind]int{}
	keys := map[string]bool{}
	holds := map[string]time.Time{}
	made, sunday, monday, eveningSettled, refused, ended := players, 0, 0, 0, 0, 0
	err := m.Hours(func(at time.Time, n int) error {
		for n > 0 {
			batch := make([]ledger.Transfer, min(n, 700))
			m.Fill(batch, at)
			for _, tr := range batch {
				checkMonthTransfer(t, &tr, at, keys, holds)
				kinds[tr.Kind]++
				switch {
				case tr.Kind == ledger.KindStake && tr.Postings[1].AmountMinor > MonthFund:
					refused++
				case tr.Kind == ledger.KindSettlement && at.Hour() >= 21:
					eveningSettled++
				case tr.HoldKey != "":
					ended++
				}
			}
			made, n = made+len(batch), n-len(batch)
			switch at.Weekday() {
			case time.Sunday:
				sunday += len(batch)
			case time.Monday:
				monday += len(batch)
			}
		}
		return nil
	})
	if err != nil || made != transfers {
		t.Fatalf("%d transfers (%v), want %d", made, err, transfers)
	}
	if sunday < 5*monday/2 || refused < made/100 || refused > made/25 || eveningSettled < kinds[ledger.KindSettlement]/4 {
		t.Errorf("sundays %d, mondays %d, refused %d, settled in the evening %d of %d", sunday, monday, refused, eveningSettled, kinds[ledger.KindSettlement])
	}
	if open := kinds[ledger.KindHold] - ended; open < kinds[ledger.KindHold]/10 || open > kinds[ledger.KindHold]/2 {
		t.Errorf("%d of %d holds are left to run out", open, kinds[ledger.KindHold])
	}
	if len(m.bets) > transfers/4 || len(m.withdrawn) > transfers/20 {
		t.Errorf("%d bets and %d withdrawals are open at the end: memory would grow", len(m.bets), len(m.withdrawn))
	}
}

// checkMonthTransfer checks that a transfer balances, is new, and ends only a hold that is open.
func checkMonthTransfer(t *testing.T, tr *ledger.Transfer, at time.Time, keys map[string]bool, holds map[string]time.Time) {
	t.Helper()
	sum := int64(0)
	for _, p := range tr.Postings {
		sum += p.AmountMinor
	}
	if sum != 0 || keys[tr.Key] {
		t.Fatalf("%s %s: postings sum to %d, key used %t", tr.Kind, tr.Key, sum, keys[tr.Key])
	}
	keys[tr.Key] = true
	if tr.Hold != nil {
		holds[tr.Key] = tr.Hold.ExpiresAt
	}
	if tr.HoldKey != "" {
		until, open := holds[tr.HoldKey]
		if !open || !until.After(at) {
			t.Fatalf("%s %s ends hold %s of %s at %s", tr.Kind, tr.Key, tr.HoldKey, until, at)
		}
		delete(holds, tr.HoldKey)
	}
}
