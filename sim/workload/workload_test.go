package workload

import (
	"encoding/json"
	"testing"

	"matchday/id"
	"matchday/ledger"
)

func TestLedgerWorkloadIsAsDescribed(t *testing.T) {
	t.Parallel()
	const n = 20_000
	w := NewLedger("t-", 1_000, 7)
	batch := make([]ledger.Transfer, n)
	w.Next(batch)
	deposits, busy, last := 0, 0, ""
	for _, tr := range batch {
		if !json.Valid(tr.Record.Data) || len(tr.Record.Data) != RecordBytes {
			t.Fatalf("record %s: %d bytes, want valid JSON of %d", tr.Record.Data, len(tr.Record.Data), RecordBytes)
		}
		if tr.Postings[0].AmountMinor+tr.Postings[1].AmountMinor != 0 {
			t.Fatalf("transfer %s does not balance", tr.Key)
		}
		if tr.Key <= last {
			t.Fatalf("key %s follows %s: keys must rise", tr.Key, last)
		}
		last = tr.Key
		if tr.Kind == ledger.KindDeposit {
			deposits++
		}
		if tr.Player < Player(100) {
			busy++
		}
	}
	if share := float64(deposits) / n; share < 0.18 || share > 0.22 {
		t.Errorf("deposits are %.3f of the mix, want 0.2", share)
	}
	if share := float64(busy) / n; share < 0.61 || share > 0.67 {
		t.Errorf("the first tenth makes %.3f of the transfers, want 0.64", share) // 0.6 and its part of the rest
	}
}

func TestPlayersAreNumbered(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]id.Player{0: "plr_00000000000000000000000000", 7: "plr_00000000000000000000000007", 4_999_999: "plr_00000000000000000004999999"} {
		if got := Player(n); got != want {
			t.Errorf("Player(%d) = %s, want %s", n, got, want)
		}
	}
}

func BenchmarkLedgerNext(b *testing.B) {
	w := NewLedger("t-", 10_000, 7)
	batch := make([]ledger.Transfer, 1_000)
	for b.Loop() {
		w.Next(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1_000, "ns/transfer")
}
