package history

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"matchday/internal/mariadb"
	"matchday/internal/telemetry/telemetrytest"
)

// queryBets is how many bets the player of BenchmarkQueries has: one every quarter of an hour for three years.
const queryBets = 100_000

// BenchmarkQueries measures one answer of each kind of query for a player with 100,000 bets, digest made, and its
// processor time, the database server's included. "rare" finds at most one bet.
func BenchmarkQueries(b *testing.B) {
	open := map[string]func() *Service{
		"SQLite":  func() *Service { return newFile(b, b.TempDir()) },
		"MariaDB": func() *Service { return newOnServer(b) },
	}
	for name, on := range open {
		b.Run(name, func(b *testing.B) {
			s, used := on(), func() time.Duration { return telemetrytest.ProcessorTime(b) }
			if name == "SQLite" {
				b.Cleanup(func() { _ = s.Close() })
			} else {
				server := mariadb.Shared(b)
				used = func() time.Duration { return telemetrytest.ProcessorTime(b) + cpuOf(b, server.PID()) }
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
					before := used()
					for b.Loop() {
						l := lister{on: s.shards[0], zone: newDigests(nil, nil).zone, q: q, limit: DefaultLimit, before: lastBet, budget: listRows}
						if q.Before != "" {
							l.before = q.Before
						}
						if err := l.read(b.Context()); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu_us/op")
				})
			}
			for _, by := range []Grain{GrainDay, GrainYear} {
				b.Run("summary/"+string(by), func(b *testing.B) {
					before := used()
					for b.Loop() {
						a := adder{on: s.shards[0], zone: newDigests(nil, nil).zone, q: SummaryQuery{Player: "plr_1", Jurisdiction: "CA-ON", By: by}}
						if err := a.read(b.Context()); err != nil {
							b.Fatal(err)
						}
						a.lines()
					}
					b.ReportMetric(float64((used()-before).Microseconds())/float64(b.N), "cpu_us/op")
				})
			}
		})
	}
}

// cpuOf returns the processor time that another process has used, in steps of 10 ms.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // in user and in system mode
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
