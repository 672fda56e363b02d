package sqltime

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
)

func TestNamesAreVerbAndTable(t *testing.T) {
	t.Parallel()
	for q, want := range map[string]string{
		"\n\t\tSELECT a.id, p.rule\n\t\tFROM account a\n\t\tLEFT JOIN posting p ON 1":                "select account",
		"SELECT s.seq FROM (\n SELECT COALESCE((SELECT last_seq FROM batch WHERE at_us <= ?), 0)) s": "select batch",
		"SELECT 1":                                               "select",
		"INSERT INTO transfer (seq) VALUES":                      "insert transfer",
		"INSERT OR IGNORE INTO bucket (a)":                       "insert bucket",
		"UPDATE shard SET seq = ?":                               "update shard",
		"DELETE FROM hold WHERE seq = ?":                         "delete hold",
		"USE ledger_12; SELECT t.seq FROM transfer t":            "select transfer",
		"USE ledger_12; START TRANSACTION; INSERT INTO transfer": "start",
		"SELECT x FROM ledger_3.shard":                           "select shard",
		"WITH due AS (SELECT id FROM delivery) SELECT 1":         "with delivery",
		"PRAGMA wal_checkpoint(PASSIVE)":                         "pragma wal_checkpoint",
		"CREATE TABLE IF NOT EXISTS schema_migration":            "create table",
		"BEGIN IMMEDIATE":                                        "begin",
		"SELECT 'a secret', 42":                                  "select",
		"VACUUM":                                                 "other",
		"USE a":                                                  "other",
		"":                                                       "other",
		"SELECT " + strings.Repeat("x, ", 5000) + "y FROM far":   "select",
	} {
		if got := nameOf(q); got != want {
			t.Errorf("name of %.60q: %q, want %q", q, got, want)
		}
	}
}

func TestSlowestLooksBackAMinuteOrFive(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC))
	r := New(now)
	r.Observe("shard", "select posting", 20*time.Millisecond)
	r.Observe("shard", "select posting", 5*time.Millisecond)
	r.Observe("shard", "commit", 300*time.Millisecond)
	r.Observe("history", "insert bet", -time.Second) // the clock stepped back
	got := r.Slowest(10)
	if len(got) != 3 || got[0] != (Statement{DB: "shard", Name: "commit", Count: 1, Slow: 1, Total: 300 * time.Millisecond, Max: 300 * time.Millisecond}) ||
		got[1] != (Statement{DB: "shard", Name: "select posting", Count: 2, Total: 25 * time.Millisecond, Max: 20 * time.Millisecond}) {
		t.Errorf("slowest: %+v", got)
	}
	if got := r.Slowest(1); len(got) != 1 {
		t.Errorf("%d statements, want the one asked for", len(got))
	}
	now.Advance(4 * time.Minute)
	if got := r.Slowest(10); len(got) != 3 {
		t.Errorf("after four minutes %+v, want all three", got)
	}
	r.Observe("shard", "commit", time.Millisecond)
	now.Advance(2 * time.Minute)
	if got := r.Slowest(10); len(got) != 1 || got[0].Max != time.Millisecond {
		t.Errorf("after six minutes %+v, want the last commit only", got)
	}
}

func TestSlowStatementsAreLoggedByNameOnceASecond(t *testing.T) {
	t.Parallel()
	now := clock.NewManual(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC))
	r := New(now)
	var out bytes.Buffer
	r.Tell(slog.New(slog.NewTextHandler(&out, nil)), 50*time.Millisecond)
	for range 3 {
		r.Observe("shard", "commit", 50*time.Millisecond)
		r.Observe("shard", "commit", 49*time.Millisecond)
	}
	if got := strings.Count(out.String(), "slow statement"); got != 1 {
		t.Errorf("%d lines within a second, want 1:\n%s", got, out.String())
	}
	now.Advance(time.Second)
	r.Observe("shard", "commit", time.Minute)
	if got := out.String(); strings.Count(got, "slow statement") != 2 || !strings.Contains(got, "db=shard name=commit took=1m0s") {
		t.Errorf("a second later: %s", got)
	}
}

// TestCheckpointsAreSlowLater: they wait for the disk beside everybody's work, so 100 ms are no warning.
func TestCheckpointsAreSlowLater(t *testing.T) {
	t.Parallel()
	r := New(clock.NewManual(time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)))
	var out bytes.Buffer
	r.Tell(slog.New(slog.NewTextHandler(&out, nil)), 0)
	r.Observe("shard", "pragma wal_checkpoint", time.Second)
	if out.Len() > 0 {
		t.Errorf("an ordinary checkpoint is told: %s", &out)
	}
	r.Observe("shard", "pragma wal_checkpoint", 6*time.Second)
	if !strings.Contains(out.String(), "wal_checkpoint") {
		t.Error("a checkpoint of six seconds is not told")
	}
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	r := New(clock.System{})
	for i := range 2 * maxNames {
		r.Observe("shard", fmt.Sprint("made up ", i), time.Millisecond)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != maxNames+1 {
		t.Fatalf("%d families, %v; want one of %d names and other", len(families), err, maxNames)
	}
}

// BenchmarkObserve is what a statement costs beside its own work.
func BenchmarkObserve(b *testing.B) {
	r := New(clock.System{})
	b.ReportAllocs()
	for b.Loop() {
		r.Observe("shard", "commit", time.Millisecond)
	}
}
