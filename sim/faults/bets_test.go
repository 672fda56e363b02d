package faults

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"matchday/id"
)

// onServerToo are the faults, beside those of the server itself, that the test makes with the history on a server.
var onServerToo = []string{"bets process killed", "large DBTx", "stream leader killed"}

// TestBetsFaults makes every fault of the history once, small: on a server those of the server and a few others. The
// rest `matchday faults` makes there.
func TestBetsFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts and breaks processes: left out with -short")
	}
	for _, f := range betsFaults {
		for _, engine := range []string{engineSQLite, engineMySQL} {
			if f.only != "" && f.only != engine || engine == engineMySQL && f.only == "" && !slices.Contains(onServerToo, f.name) {
				continue
			}
			t.Run(engine+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				o := Options{Only: []string{f.name}, Engine: engine, Players: 10, Clients: 4, Seconds: 1, Burst: 2_000, Dir: t.TempDir(), Writer: writer}
				rows, err := RunBets(t.Context(), o, nil)
				if err != nil {
					t.Fatal(err)
				}
				row := rows[0]
				if row.Skipped != "" {
					if os.Getenv("CI") == "true" {
						t.Fatal(row.Skipped)
					}
					t.Skip(row.Skipped)
				}
				t.Log(row.Line(), row.Note)
			})
		}
	}
}

// TestWrongHistoriesAreNoticed proves that the comparison can fail.
func TestWrongHistoriesAreNoticed(t *testing.T) {
	t.Parallel()
	want := map[id.Bet]betFacts{"bet_1": factsOf("plr_1", 2), "bet_2": factsOf("plr_1", 0)}
	right := func() map[id.Bet][]betFacts {
		return map[id.Bet][]betFacts{"bet_1": {factsOf("plr_1", 2)}, "bet_2": {factsOf("plr_1", 0)}}
	}
	tests := []struct {
		name                  string
		harm                  func(map[id.Bet][]betFacts)
		lost, doubled, differ int
	}{
		{"nothing", func(map[id.Bet][]betFacts) {}, 0, 0, 0},
		{"a bet is missing", func(m map[id.Bet][]betFacts) { delete(m, "bet_2") }, 1, 0, 0},
		{"a settlement is missing", func(m map[id.Bet][]betFacts) { m["bet_1"][0] = factsOf("plr_1", 1) }, 1, 0, 0},
		{"a bet is there twice", func(m map[id.Bet][]betFacts) { m["bet_1"] = append(m["bet_1"], m["bet_1"]...) }, 0, 1, 0},
		{"a bet that nobody placed", func(m map[id.Bet][]betFacts) { m["bet_3"] = m["bet_2"] }, 0, 1, 0},
		{"another payout", func(m map[id.Bet][]betFacts) { m["bet_1"][0].Payout++ }, 0, 0, 1},
	}
	for _, tt := range tests {
		shown := right()
		tt.harm(shown)
		p := betsProof{Bets: 2, Settlements: 2, Reads: 1}
		p.compare(want, shown)
		if p.Lost != tt.lost || p.Doubled != tt.doubled || p.Differ != tt.differ {
			t.Errorf("%s: %d lost, %d doubled, %d differ", tt.name, p.Lost, p.Doubled, p.Differ)
		}
		if (p.problem() == "") != (tt.lost+tt.doubled+tt.differ == 0) {
			t.Errorf("%s: problem %q", tt.name, p.problem())
		}
	}
	for _, p := range []betsProof{{}, {Bets: 1, Settlements: 1, Reads: 1, Backwards: 1}, {Bets: 1, Settlements: 1, Reads: 1, Audit: "x"}} {
		if p.problem() == "" {
			t.Errorf("%+v passes", p)
		}
	}
}

func TestReportHasATableOfTheHistory(t *testing.T) {
	t.Parallel()
	r := Report{Bets: []BetsRow{
		{Outcome: Outcome{Fault: "stream deleted", Engine: "sqlite"}, CatchUpS: 1.25, betsProof: betsProof{Bets: 77}},
		{Outcome: Outcome{Fault: "relay stopped", Engine: "mysql", Problem: "3 bets are doubled"}},
		{Outcome: Outcome{Fault: "history cut off", Engine: "mysql", Skipped: "no mariadbd"}},
	}}
	var out bytes.Buffer
	if err := r.Write(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The bet history", "1.25", "77", "PROBLEM: 3 bets are doubled", "skipped: no mariadbd"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "serialisable") {
		t.Error("there is a table of the ledger without rows")
	}
}
