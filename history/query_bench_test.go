package history

import (
	"testing"
	"time"
)

// queryBets is how many bets the player of BenchmarkQueries has: one every quarter of an hour for three years.
const queryBets = 100_000

// BenchmarkQueries measures one answer of each kind of query for a player with 100,000 bets, digest made. "rare" finds at most one bet.
func BenchmarkQueries(b *testing.B) {
	open := map[string]func() *Service{
		"SQLite":  func() *Service { return newFile(b, b.TempDir()) },
		"MariaDB": func() *Service { return newOnServer(b) },
	}
	for name, on := range open {
		b.Run(name, func(b *testing.B) {
			s := on()
			if name == "SQLite" {
				b.Cleanup(func() { _ = s.Close() })
			}
			all := variedBets(b, s, queryBets)
			for more := true; more; {
				var err error
				if more, err = s.shards[0].store.extendDigest(b.Context(), "plr_1"); err != nil {
					b.Fatal(err)
				}
			}
			old := all[100].PlacedAt
			for kind, q := range map[string]Query{
				"all":         {},
				"open":        {Status: StatusOpen},
				"push/rare":   {Status: StatusPush},
				"product":     {Product: "pools"},
				"casino/rare": {Product: "casino"},
				"sport":       {Sport: "Chess"},
				"sport/rare":  {Sport: "Curling"},
				"event":       {Event: "game_3"},
				"event/rare":  {Event: "game_77"},
				"a day":       {From: old, To: old.Add(24 * time.Hour)},
				"amount":      {Currency: "CAD", Least: 500, Most: 600},
				"amount/rare": {Currency: "CAD", Least: 5000, Most: 6000},
				"combination": {Status: StatusWon, Product: "pools", Sport: "Chess", Event: "game_3", From: old, To: old.AddDate(2, 0, 0), Currency: "USD", Most: 300},
				"bet":         {Bet: all[50].ID},
				"before":      {Before: all[50_000].ID, Status: StatusLost},
			} {
				q.Player, q.Jurisdiction = "plr_1", "CA-ON"
				b.Run("list/"+kind, func(b *testing.B) {
					for b.Loop() {
						l := lister{on: s.shards[0], zone: newDigests(nil, nil).zone, q: q, limit: DefaultLimit, before: lastBet, budget: listRows}
						if q.Before != "" {
							l.before = q.Before
						}
						if err := l.read(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			for _, by := range []Grain{GrainDay, GrainYear} {
				b.Run("summary/"+string(by), func(b *testing.B) {
					for b.Loop() {
						a := adder{on: s.shards[0], zone: newDigests(nil, nil).zone, q: SummaryQuery{Player: "plr_1", Jurisdiction: "CA-ON", By: by}}
						if err := a.read(b.Context()); err != nil {
							b.Fatal(err)
						}
						a.lines()
					}
				})
			}
		})
	}
}
