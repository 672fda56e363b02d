package ledger

import (
	"fmt"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// logPages returns how many pages the write-ahead log of a store has.
func logPages(t *testing.T, s *sqliteStore) int {
	t.Helper()
	logged, _, err := sqldb.Checkpoint(t.Context(), s.db.Read)
	if err != nil {
		t.Fatal(err)
	}
	return logged
}

func TestTheWriteAheadLogIsCopiedBesideTheWriterAndBeginsAgain(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards, c.SweepEvery = 1, time.Hour })
	store, ok := w.shards[0].store.(*sqliteStore)
	if !ok {
		t.Fatal("shard 0 is not in SQLite")
	}
	const perBatch = 1000
	sent := 0
	for !store.wal.nearly.Load() { // the keeper comes by itself
		list := make([]Transfer, perBatch)
		for i := range list {
			list[i] = deposit(fmt.Sprintf("d%07d", sent), id.Player(fmt.Sprintf("p%d", sent%500)), 1)
			sent++
		}
		if _, err := w.CommitBatch(t.Context(), LaneInteractive, list); err != nil {
			t.Fatal(err)
		}
		if sent > 500_000 {
			t.Fatal("half a million transfers, and the keeper never came")
		}
	}
	before := logPages(t, store)
	w.must(deposit("tail", "p1", 1))  // the writer copies what is left
	w.must(deposit("again", "p1", 1)) // and the log begins again
	if now := logPages(t, store); now == 0 || now > before/2 {
		t.Errorf("the log has %d pages after %d, want it to have begun again", now, before)
	}
	w.wantSound()
	if got := w.Head(0); got != int64(sent)+2 {
		t.Errorf("head is %d, want %d", got, sent+2)
	}
}
