package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SundayReport is what a game day leaves behind, as report.json.
type SundayReport struct {
	Name        string                 `json:"name"`
	Machine     string                 `json:"machine"`
	Commit      string                 `json:"commit"`
	Command     string                 `json:"command"`
	Seed        uint64                 `json:"seed"`
	Slate       string                 `json:"slate"`
	Week        int                    `json:"week"`
	Date        string                 `json:"date"`
	Minutes     float64                `json:"minutes"`
	Compression float64                `json:"compression"` // real seconds in one second of the run
	StartedAt   time.Time              `json:"started_at"`
	WallSeconds map[string]float64     `json:"wall_seconds"` // by phase
	Notes       []string               `json:"notes"`        // what is not as in production
	Games       []GameReport           `json:"games"`
	Players     int                    `json:"players"`
	Bets        BetTotals              `json:"bets"`
	Deposits    DepositTotals          `json:"deposits"`
	Reads       int64                  `json:"reads"`
	Payouts     int64                  `json:"payouts"`
	Money       map[string]MoneyTotals `json:"money"`      // by currency
	Peaks       map[string]float64     `json:"peaks"`      // busiest step of each curve, and payouts there against their mean
	Latency     map[string]percentiles `json:"latency_ms"` // from the moment a request was due
	HistoryLag  percentiles            `json:"history_lag_ms"`
	Visible     percentiles            `json:"commit_to_visible_ms"` // of settlements
	Series      SeriesReport           `json:"series"`
	Checks      []CheckReport          `json:"checks"`
}

// GameReport is one game of the day.
type GameReport struct {
	ID           string    `json:"id"`
	Away         string    `json:"away"`
	Home         string    `json:"home"`
	AwayScore    int       `json:"away_score"`
	HomeScore    int       `json:"home_score"`
	Kickoff      time.Time `json:"kickoff"`
	Whistle      time.Time `json:"whistle"`
	BetsDecided  int64     `json:"bets_decided"`
	SettledAfter float64   `json:"settled_after_s"` // result entered to last bet of the game paid and visible
}

// BetTotals counts bets as the generator saw them.
type BetTotals struct {
	Accepted int64            `json:"accepted"`
	Singles  int64            `json:"singles"`
	Parlays  int64            `json:"parlays"`
	Refused  map[string]int64 `json:"refused"` // answers by code; a bet may be refused and tried again
	Retried  int64            `json:"retried"` // sent again under the same key after no answer
	Replayed int64            `json:"replayed"`
	Outcomes map[string]int64 `json:"outcomes"`
}

// DepositTotals counts deposits.
type DepositTotals struct {
	Completed int64 `json:"completed"`
	Declined  int64 `json:"declined"`
	Pending   int64 `json:"pending"` // at the end; zero in a sound run
}

// MoneyTotals are sums in minor units.
type MoneyTotals struct {
	DepositedMinor int64 `json:"deposited_minor"`
	StakedMinor    int64 `json:"staked_minor"`
	PaidMinor      int64 `json:"paid_minor"`
}

// SeriesReport holds the curves in bins of equal width from the start of the run.
type SeriesReport struct {
	BinSeconds float64   `json:"bin_seconds"`
	Start      time.Time `json:"start"` // in the real day's time
	End        time.Time `json:"end"`
	Deposits   []float64 `json:"deposits_per_s"`
	Bets       []float64 `json:"bets_per_s"`
	Reads      []float64 `json:"reads_per_s"`
	Payouts    []float64 `json:"payouts_per_s"`
	LagMS      []float64 `json:"history_lag_ms"`
	BetP99MS   []float64 `json:"place_p99_ms"`
	ReadP99MS  []float64 `json:"read_p99_ms"`
}

// CheckReport is one thing that was proved, or not, at the end.
type CheckReport struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// ErrBroken is returned when a check at the end of a game day fails.
var ErrBroken = errors.New("the game day broke an invariant")

// check notes the outcome of one check.
func (r *SundayReport) check(name string, ok bool, format string, args ...any) {
	r.Checks = append(r.Checks, CheckReport{Name: name, OK: ok, Detail: fmt.Sprintf(format, args...)})
}

// broken returns ErrBroken with the failed checks, or nil.
func (r *SundayReport) broken() error {
	var failed []error
	for _, c := range r.Checks {
		if !c.OK {
			failed = append(failed, fmt.Errorf("%s: %s: %w", c.Name, c.Detail, ErrBroken))
		}
	}
	return errors.Join(failed...)
}

// save writes report.json and report.html into dir.
func (r *SundayReport) save(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "report.json"), append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	page, err := os.Create(filepath.Join(dir, "report.html"))
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return errors.Join(r.renderHTML(page), page.Close())
}
