package sim

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sampleReport is a small generated report with the shapes of a game day.
func sampleReport() *SundayReport {
	start := time.Date(2019, 10, 6, 13, 0, 0, 0, time.UTC)
	r := &SundayReport{
		Name: "sunday", Machine: machine(), Commit: "sample", Command: "matchday sunday", Seed: 1, Week: 5, Date: "2019-10-06",
		Minutes: 5, Compression: 174, StartedAt: start, Players: 20_000, Reads: 120_000, Payouts: 140_000,
		Bets:    BetTotals{Accepted: 300_000, Singles: 210_000, Parlays: 90_000},
		Peaks:   map[string]float64{"bets_per_s": 2_800, "payouts_per_s": 15_000},
		Latency: map[string]percentiles{"place_bet": {Count: 300_000, P50: 2.2, P90: 4, P99: 9.3, P999: 20, Max: 80}},
		Money:   map[string]MoneyTotals{"USD": {DepositedMinor: 1_234_567_00, StakedMinor: 1_000_000_00, PaidMinor: 900_000_00}},
		Series:  SeriesReport{BinSeconds: 0.5, Start: start, End: start.Add(14*time.Hour + 30*time.Minute)},
		Games: []GameReport{
			{ID: "g1", Away: "BUF", Home: "TEN", AwayScore: 14, HomeScore: 7, Kickoff: start.Add(4 * time.Hour), Whistle: start.Add(7*time.Hour + 8*time.Minute), BetsDecided: 20_000, SettledAfter: 1.2},
			{ID: "g2", Away: "IND", Home: "KC", AwayScore: 19, HomeScore: 13, Kickoff: start.Add(11*time.Hour + 20*time.Minute), Whistle: start.Add(14*time.Hour + 8*time.Minute)},
		},
	}
	for i := range 600 {
		v := 200 + 100*math.Sin(float64(i)/20)
		for _, series := range []*[]float64{&r.Series.Deposits, &r.Series.Bets, &r.Series.Reads, &r.Series.Payouts, &r.Series.LagMS, &r.Series.BetP99MS, &r.Series.ReadP99MS} {
			*series = append(*series, v)
		}
	}
	r.check("ledger audit", true, "sound")
	return r
}

func TestReportIsSelfContained(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := sampleReport()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(page), "<svg"); got != 7 {
		t.Errorf("%d charts, want 7", got)
	}
	for _, outside := range []string{"http://", "https://", "<link", "src=", "ZgotmplZ"} {
		if strings.Contains(string(page), outside) {
			t.Errorf("the page has %q: it must need nothing from outside", outside)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back SundayReport
	if err := json.Unmarshal(text, &back); err != nil || back.Bets.Accepted != r.Bets.Accepted {
		t.Errorf("report.json: %d bets, %v; want %d", back.Bets.Accepted, err, r.Bets.Accepted)
	}
}

func TestFailedCheckIsAnError(t *testing.T) {
	t.Parallel()
	r := sampleReport()
	if err := r.broken(); err != nil {
		t.Fatalf("a sound report is broken: %v", err)
	}
	r.check("no bet lost", false, "bet_1 is not in history")
	if err := r.broken(); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "bet_1") {
		t.Errorf("broken = %v, want ErrBroken that names the bet", err)
	}
}

func TestNiceScaleHoldsTheValue(t *testing.T) {
	t.Parallel()
	for _, most := range []float64{0, 0.3, 1, 7, 99, 100, 101, 2_850, 1e6} {
		top, step := niceScale(most)
		if n := top / step; top < most || n < 1 || n > 5.001 {
			t.Errorf("niceScale(%g) = %g in steps of %g", most, top, step)
		}
	}
}

func TestFigureIsMedianOfRuns(t *testing.T) {
	t.Parallel()
	r := newBenchReport("x", "", nil)
	for _, v := range []float64{5, 1, 3, 2} {
		r.add("f", v)
	}
	got := r.Figures["f"]
	if got.Median != 2.5 || got.Min != 1 || got.Max != 5 || got.Runs != 4 {
		t.Errorf("figure = %+v, want median 2.5 of 1 to 5 in 4 runs", got)
	}
}
