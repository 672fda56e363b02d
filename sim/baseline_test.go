package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"matchday/internal/mariadb"
)

// TestBaselinesDoALedgersWork proves that the baselines are honest: they refuse, they keep refusals, they
// answer a key once, and they do so when many connections ask at a time.
func TestBaselinesDoALedgersWork(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: starts a database server")
	}
	server := mariadb.New(t, mariadb.Options{})
	defer func() { _ = server.Stop() }()
	db, err := openBaseline(t.Context(), server, 20)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	made := int64(0)
	for n, b := range baselines {
		one, err := b.open(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		account := int64(n + 1)
		steps := []struct {
			key   string
			minor int64
			done  bool
		}{{"a", -1_000_000_000, true}, {"b", -1, false}, {"c", 5, true}, {"b", -1, false}, {"a", -1_000_000_000, true}, {"d", -5, true}}
		for _, s := range steps {
			done, err := one.transfer(t.Context(), &baselineTransfer{key: b.name + s.key, account: account, house: -2, minor: s.minor, record: []byte("{}")})
			if err != nil || done != s.done {
				t.Fatalf("%s: %s of %d: done %t (%v), want %t", b.name, s.key, s.minor, done, err, s.done)
			}
		}
		if err := one.close(); err != nil {
			t.Fatal(err)
		}
		made += 3
		made += raceBaseline(t, b.name, func() (accountOps, error) { return b.open(t.Context(), db) })
	}
	if err := proveBaseline(t.Context(), db, made); err != nil {
		t.Error(err)
	}
}

// raceBaseline sends each key from eight connections at once and returns how many there were.
func raceBaseline(t *testing.T, name string, open func() (accountOps, error)) int64 {
	t.Helper()
	const keys = 40
	var wg sync.WaitGroup
	var failed firstError
	for range 8 {
		wg.Go(func() {
			ops, err := open()
			if err != nil {
				failed.note(err)
				return
			}
			for n := range keys {
				_, err := ops.transfer(t.Context(), &baselineTransfer{
					key: fmt.Sprintf("%s-race-%d", name, n), account: 10 + int64(n%3), house: -2, minor: -1, record: []byte("{}"),
				})
				failed.note(err)
			}
			failed.note(ops.close())
		})
	}
	wg.Wait()
	if err := failed.err(); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestBaselineFigures(t *testing.T) {
	if testing.Short() {
		t.Skip("short mode: starts database servers")
	}
	var out bytes.Buffer
	err := BenchLedger(t.Context(), BenchOptions{Baseline: true, Runs: 1, Seconds: 1, Accounts: 100, JSON: true, Dir: t.TempDir()}, &out)
	if errors.Is(err, mariadb.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var r BenchReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for _, b := range baselines {
		for _, figure := range []string{"_transfers_per_min", "_cpu_us_per_transfer", "_p99_ms"} {
			if f := r.Figures[b.name+figure]; f.Median <= 0 {
				t.Errorf("%s%s = %+v, want one run above zero", b.name, figure, f)
			}
		}
	}
}
