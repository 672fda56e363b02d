package sim

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSunday plays a small fictional day on a whole platform and reads the tables back as somebody
// else would: every bet in bets.csv graded once more from its row.
func TestSunday(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: a game day takes half a minute")
	}
	t.Parallel()
	out := t.TempDir()
	o := SundayOptions{Week: 3, Players: 60, Bets: 600, Minutes: 0.35, Out: out, Seed: 11, Workers: 16}
	if err := Sunday(t.Context(), o, io.Discard); err != nil {
		t.Fatal(err)
	}
	slate, err := fictionSlate(3)
	if err != nil {
		t.Fatal(err)
	}
	if rows := checkTable(t, filepath.Join(out, "bets.csv"), newGrader(slate.Games)); rows != o.Bets {
		t.Errorf("%d rows in bets.csv, want %d", rows, o.Bets)
	}
	var report SundayReport
	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err == nil {
		err = json.Unmarshal(text, &report)
	}
	if err != nil || len(report.Checks) < 10 {
		t.Errorf("report.json: %d checks, %v", len(report.Checks), err)
	}
	for _, name := range []string{"report.html", "transfers.csv"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() < 1_000 {
			t.Errorf("%s is missing or empty: %v", name, err)
		}
	}
}

// checkTable grades every row of a bets.csv and returns how many there are.
func checkTable(t *testing.T, path string, grade *grader) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("bets.csv: %d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		var legs []tableLeg
		if err := json.Unmarshal([]byte(row[6]), &legs); err != nil {
			t.Fatalf("legs of %s: %v", row[0], err)
		}
		bet := make([]gradedLeg, len(legs))
		for i, leg := range legs {
			price, err := strconv.Atoi(leg.Price)
			if err != nil {
				t.Fatalf("price of %s: %v", row[0], err)
			}
			bet[i] = gradedLeg{Game: leg.GameID, Market: leg.Market, Selection: leg.Selection, Price: price}
			if leg.Line != nil {
				bet[i].Line = *leg.Line
			}
		}
		stake, err := strconv.ParseInt(row[5], 10, 64)
		if err != nil {
			t.Fatalf("stake of %s: %v", row[0], err)
		}
		outcome, payout, err := grade.bet(stake, bet)
		if err != nil || row[7] != outcome || row[8] != strconv.FormatInt(payout, 10) {
			t.Errorf("bet %s is %s %s, want %s %d (%v)", row[0], row[7], row[8], outcome, payout, err)
		}
	}
	return len(rows) - 1
}

func TestQuotesBecomeMoves(t *testing.T) {
	t.Parallel()
	games, _, err := season(t).Day(5)
	if err != nil {
		t.Fatal(err)
	}
	moves, err := openMoves(quotesBeside("../../shared/data/nfl/season_2019.csv"), games)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range games {
		if len(moves[g.ID]) < 20 {
			t.Errorf("%s has %d moves, want many", g.ID, len(moves[g.ID]))
		}
		for _, m := range moves[g.ID] {
			if !followable(m.price) || (m.market == "moneyline") != (m.line == "") {
				t.Errorf("%s: odd move %+v", g.ID, m)
			}
		}
	}
}

func TestDrawsRepeatWithTheSeed(t *testing.T) {
	t.Parallel()
	a, b := &sunday{seed: 9}, &sunday{seed: 9}
	for n := range 100 {
		if got, want := a.draws(drawsOfBets, n).Uint64(), b.draws(drawsOfBets, n).Uint64(); got != want {
			t.Fatalf("arrival %d draws %d and %d from one seed", n, got, want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 1))
	singles := 0
	for range 10_000 {
		if drawLegs(rng, 70) == 1 {
			singles++
		}
	}
	if singles < 6_800 || singles > 7_200 {
		t.Errorf("%d singles of 10,000, want 7,000", singles)
	}
}

func FuzzReadMoves(f *testing.F) {
	f.Add("game_id,market,selection,book,open_line,open_price,close_line,close_price\ng,money_line,A,x,0,-190,,-178\n")
	f.Add("h\ng,spread,H,x,-3.5,-110,-3,\n")
	f.Fuzz(func(t *testing.T, text string) {
		moves, err := readMoves(strings.NewReader(text), []Game{{ID: "g", Home: "H", Away: "A"}})
		if err != nil {
			return
		}
		for _, m := range moves["g"] {
			if !followable(m.price) {
				t.Errorf("move to %d", m.price)
			}
		}
	})
}
