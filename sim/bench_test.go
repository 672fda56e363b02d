package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"matchday/internal/mariadb"
)

// TestBenchmarksPrintTheirFigures runs every benchmark at its smallest: the names of the figures are a
// contract, and each run proves its own result.
func TestBenchmarksPrintTheirFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: seven small benchmarks take half a minute")
	}
	small := BenchOptions{Runs: 1, Seconds: 1, Accounts: 90, Bets: 900, Rate: 50, Surge: 2_000, Workers: 8, Transfers: 3_000, JSON: true}
	tests := []struct {
		name    string
		run     func(ctx context.Context, o BenchOptions, out io.Writer) error
		figures []string
	}{
		{"ledger", BenchLedger, []string{"transfers_per_min", "batch_api_transfers_per_min", "bare_p99_ms", "debit_p99_ms", "debit_surge_p99_ms", "surge_s", "cpu_us_per_transfer"}},
		{"bets", BenchBets, []string{"bets_per_min", "place_p99_ms"}},
		{"payout", BenchPayout, []string{"paid_and_visible_s", "history_lag_p99_ms", "commit_to_visible_p50_ms", "commit_to_visible_p99_ms", "commit_to_visible_max_ms", "debit_p99_ms"}},
		{"history", BenchHistory, []string{"updates_per_min", "sink_updates_per_min", "raw_upserts_per_min", "raw_upsert_ratio", "raw_upsert_cpu_ratio"}},
		{"rebuild", BenchRebuild, []string{"copied_bets", "copied_bets_per_s", "lag_before_p99_ms", "lag_during_p99_ms"}},
		{"month", BenchMonth, []string{"transfers_per_min", "peak_rss_mib", "disk_bytes_per_transfer", "restart_s", "audit_s"}},
		{"reads", BenchReads, []string{"reads_per_s", "freshness_p99_ms"}},
		{"replicas", BenchReplicas, []string{"reads_per_s", "freshness_p99_ms"}},
	}
	for _, tt := range tests { // one after another: they are load
		t.Run(tt.name, func(t *testing.T) {
			o := small
			o.Dir = t.TempDir()
			var out bytes.Buffer
			if err := tt.run(t.Context(), o, &out); errors.Is(err, mariadb.ErrMissing) {
				t.Skipf("skipped: %v", err)
			} else if err != nil {
				t.Fatal(err)
			}
			var r BenchReport
			if err := json.Unmarshal(out.Bytes(), &r); err != nil {
				t.Fatalf("output is not one JSON object: %v\n%s", err, &out)
			}
			if r.Name != tt.name || r.Machine == "" || r.Commit == "" || r.Data == "" || len(r.Settings) == 0 {
				t.Errorf("report of %q lacks what every published figure states", r.Name)
			}
			for _, name := range tt.figures {
				if f, ok := r.Figures[name]; !ok || f.Runs != 1 || f.Median <= 0 {
					t.Errorf("figure %s = %+v, want one run above zero", name, f)
				}
			}
		})
	}
}

// TestLedgerOnMariaDB runs the figures of the ledger in process, and of the history, with their shards on a server.
func TestLedgerOnMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	var out bytes.Buffer
	err := BenchLedger(t.Context(), BenchOptions{Engine: "mysql", Runs: 1, Seconds: 1, Accounts: 90, JSON: true, Dir: t.TempDir()}, &out)
	if errors.Is(err, mariadb.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), `"transfers_per_min"`) || !strings.Contains(out.String(), "sync_binlog=1") {
		t.Errorf("the report lacks the figure or the settings:\n%s", &out)
	}
	out.Reset()
	if err := BenchHistory(t.Context(), BenchOptions{Engine: "mysql", Runs: 1, Accounts: 90, Bets: 900, JSON: true, Dir: t.TempDir()}, &out); err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), `"raw_upsert_ratio"`) {
		t.Errorf("the report lacks the ratio:\n%s", &out)
	}
	if err := BenchBets(t.Context(), BenchOptions{Engine: "mysql", Dir: t.TempDir()}, io.Discard); err == nil {
		t.Error("bench bets takes an engine that it does not measure")
	}
}

// TestScaleMeasuresEveryPoint runs two small points: the table names both, and so does the JSON.
func TestScaleMeasuresEveryPoint(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for seconds: left out with -short")
	}
	t.Parallel()
	o, err := BenchOptions{Runs: 1, Seconds: 1, Dir: t.TempDir()}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	points := []scalePoint{{1, 50}, {2, 2_500}}
	var out bytes.Buffer
	if err := benchLedgerScale(t.Context(), o, points, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cpu_us_per_transfer_1_shards_50_accounts", "transfers_per_min_2_shards_2500_accounts", "2,500"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, &out)
		}
	}
}

func TestBenchRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]BenchOptions{
		"another engine":   {Engine: "oracle"},
		"too many shards":  {Shards: 1_000},
		"too many workers": {Workers: 1_000_000},
	} {
		if err := BenchLedger(t.Context(), o, io.Discard); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSundayNamesEveryWrongOption(t *testing.T) {
	t.Parallel()
	err := SundayOptions{}.Validate()
	for _, field := range []string{"out", "week", "players", "bets", "minutes"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Validate = %v, want it to name %s", err, field)
		}
	}
}

func TestTableForATerminal(t *testing.T) {
	t.Parallel()
	r := newBenchReport("x", "abc", map[string]any{"shards": 2})
	r.add("per_min", 1_234_567)
	r.add("p99_ms", 3.25)
	var out bytes.Buffer
	if err := r.write(&out, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,234,567", "3.25", "shards=2", "commit abc"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}
