package ledgertest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"matchday/id"
	"matchday/ledger"
)

// sameStatements reads every player's statement in pages by time and by kind, and compares it with
// the lines of the whole statement that belong to the selection.
func sameStatements(t *rapid.T, s *ledger.Service, until time.Time) {
	for _, p := range players {
		cash := ledger.PlayerCash(id.Player(p), NJ)
		all, err := s.Statement(t.Context(), cash, ledger.StatementQuery{Limit: 500})
		if err != nil {
			t.Fatalf("statement of %s: %v", p, err)
		}
		var balance int64
		for _, l := range slices.Backward(all) {
			if balance += l.AmountMinor; l.BalanceMinor != balance {
				t.Fatalf("statement of %s: got balance %d at %s, want %d", p, l.BalanceMinor, l.Position, balance)
			}
		}
		q := drawSelection(t, until)
		want := slices.DeleteFunc(slices.Clone(all), func(l ledger.StatementLine) bool {
			return !q.From.IsZero() && l.At.Before(q.From) || !q.To.IsZero() && !l.At.Before(q.To) ||
				len(q.Kinds) > 0 && !slices.Contains(q.Kinds, l.Kind)
		})
		var got []ledger.StatementLine
		for more := true; more; {
			page, err := s.Statement(t.Context(), cash, q)
			if err != nil {
				t.Fatalf("statement of %s, %+v: %v", p, q, err)
			}
			got = append(got, page...)
			if more = len(page) == q.Limit; more {
				q.Before = page[len(page)-1].Position
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("statement of %s, %+v: got %+v, want %+v", p, q, got, want)
		}
	}
}

// drawSelection draws a query whose bounds are often the very time of a line.
func drawSelection(t *rapid.T, until time.Time) ledger.StatementQuery {
	q := ledger.StatementQuery{Limit: rapid.IntRange(1, 4).Draw(t, "page")}
	minutes := int(until.Sub(Start) / time.Minute)
	if rapid.Bool().Draw(t, "has from") {
		q.From = Start.Add(time.Duration(rapid.IntRange(-1, minutes).Draw(t, "from")) * time.Minute)
	}
	if rapid.Bool().Draw(t, "has to") {
		first := -1
		if !q.From.IsZero() {
			first = int(q.From.Sub(Start)/time.Minute) + 1
		}
		q.To = Start.Add(time.Duration(rapid.IntRange(first, minutes+1).Draw(t, "to")) * time.Minute)
	}
	for _, k := range []ledger.Kind{ledger.KindDeposit, ledger.KindStake, ledger.KindPost} {
		if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
			q.Kinds = append(q.Kinds, k)
		}
	}
	return q
}
