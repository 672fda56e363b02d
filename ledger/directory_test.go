package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
)

// quiet returns dependencies that keep to themselves.
func quiet(c clock.Clock) Deps {
	return Deps{Clock: c, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}
}

// playersOn returns a player for each of the shards.
func playersOn(t testing.TB, s *Service, shards int) []id.Player {
	t.Helper()
	out := make([]id.Player, shards)
	for n, found := 0, 0; found < shards; n++ {
		p := id.Player(fmt.Sprintf("player-%d", n))
		if shard := s.ShardOf(p); shard < shards && out[shard] == "" {
			out[shard], found = p, found+1
		}
		if n > 100_000 {
			t.Fatal("some shard has no bucket")
		}
	}
	return out
}

func TestDirectoryHoldsTheEvenSpread(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3 })
	home, err := w.directory.placement(context.Background(), 0)
	if err != nil || home == nil {
		t.Fatalf("got %v, %v", home, err)
	}
	if want := newPlacement(3); home.shards != want.shards || home.version != 1 {
		t.Errorf("the directory's version %d is not the even spread", home.version)
	}
	if again, err := w.directory.placement(context.Background(), home.version); again != nil || err != nil {
		t.Errorf("got %v, %v without a change", again, err)
	}
}

// TestBooksFromBeforeTheDirectory opens books whose folder has no directory, as older programs left
// them, and books that lost it: the players stay where they are, whatever has been added since.
func TestBooksFromBeforeTheDirectory(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	players := playersOn(t, w.Service, 2)
	for _, p := range players {
		w.must(deposit("d/"+string(p), p, 500))
	}
	for _, shards := range []int{2, 3, 5} {
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(directoryFile(w.config.Dir)); err != nil {
			t.Fatal(err)
		}
		w.config.Shards = shards
		w.open()
		for n, p := range players {
			if r := w.must(deposit("d/"+string(p), p, 500)); !r.Replayed || r.Position.Shard != n {
				t.Fatalf("%d shards: got %+v, want a replay on shard %d", shards, r, n)
			}
		}
	}
}

func TestShardsAreAddedEmptyAndNeverTakenAway(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	p := playersOn(t, w.Service, 2)[1]
	w.must(deposit("d", p, 500))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.config.Shards = 4
	w.open()
	if got := w.Shards(); got != 4 {
		t.Errorf("got %d shards, want 4", got)
	}
	if got := w.ShardOf(p); got != 1 {
		t.Errorf("the player is on shard %d, want 1", got)
	}
	w.must(deposit("d2", p, 500))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir}); err != nil || len(report.Findings) > 0 {
		t.Errorf("audit: %v, %v", report.Findings, err)
	}
	w.config.Shards = 3
	_, err := Open(context.Background(), w.config, quiet(w.clock))
	if !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("fewer shards than the books have: got %v, want invalid", err)
	}
}

func TestMoveBucketComparesAndSets(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	ctx := context.Background()
	steps := []struct {
		name         string
		from, to     int
		want         errs.Code
		home, raised int
	}{
		{"from where it is", 0, 1, "", 1, 1},
		{"again, as after an interruption", 0, 1, "", 1, 1},
		{"from where it is not", 0, 2, errs.CodeConflict, 1, 0},
		{"back", 1, 0, "", 0, 1},
	}
	for _, step := range steps {
		before, err := w.directory.placement(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := errs.CodeOf(w.directory.moveBucket(ctx, "", 7, step.from, step.to)); got != step.want {
			t.Errorf("%s: got %q, want %q", step.name, got, step.want)
		}
		after, err := w.directory.placement(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		if int(after.shards[7]) != step.home || after.version != before.version+int64(step.raised) {
			t.Errorf("%s: on shard %d at version %d after %d", step.name, after.shards[7], after.version, before.version)
		}
	}
}

func TestPlacementNeverGoesBack(t *testing.T) {
	t.Parallel()
	newer, older := newPlacement(2), newPlacement(3)
	newer.version, older.version = 5, 4
	p := newPlaced(newer)
	p.advance(older)
	if p.current.Load() != newer {
		t.Error("an older placement took the place of a newer one")
	}
}

// TestDamagedDirectoryIsRefused: a directory without all buckets would send players elsewhere.
func TestDamagedDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	err := w.directory.db.inTx(context.Background(), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(context.Background(), `DELETE FROM bucket WHERE bucket = 3`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), w.config, quiet(w.clock))
	if !errs.Is(err, errs.CodeInternal) {
		t.Errorf("got %v, want internal", err)
	}
}

func TestReaderFollowsTheDirectory(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	p := playersOn(t, w.Service, 2)[0]
	if err := w.directory.moveBucket(context.Background(), "", bucketOf(p), 0, 1); err != nil {
		t.Fatal(err)
	}
	r, err := OpenReader(context.Background(), w.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if got := r.shards.place.shardOf(p); got != 1 {
		t.Errorf("the reader looks on shard %d, want 1", got)
	}
}

// TestToolsDoNotFillALostDirectory asks the tools beside books whose directory has lost its rows. Filled
// by them it would have an even spread over the shards of the configuration, which are not those that
// the books began with.
func TestToolsDoNotFillALostDirectory(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(directoryFile(w.config.Dir)); err != nil {
		t.Fatal(err)
	}
	db, err := openSQLiteDirectory(t.Context(), w.config, start)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.close() })
	w.config.Shards = 5
	if _, err := ListShards(t.Context(), w.config, w.clock); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("shards of an empty directory: %v, want not_found", err)
	}
	var rows int
	const q = `SELECT (SELECT COUNT(*) FROM placement) + (SELECT COUNT(*) FROM bucket) + (SELECT COUNT(*) FROM shard)`
	if err := db.db.Read.QueryRowContext(t.Context(), q).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("the tool wrote %d rows, %v", rows, err)
	}
}

func TestListShards(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 3 })
	p := playersOn(t, w.Service, 3)[1]
	w.must(deposit("d", p, 500))
	list, err := ListShards(context.Background(), w.config, w.clock)
	if err != nil || len(list) != 3 {
		t.Fatalf("got %v, %v", list, err)
	}
	total := 0
	for n, s := range list {
		total += s.Buckets
		if want := int64(n & 1); s.Position != want || s.Epoch != 1 || s.Bytes == 0 || s.Engine != "sqlite" || s.Error != "" {
			t.Errorf("shard %d: %+v, want position %d under epoch 1", n, s, want)
		}
	}
	if total != buckets {
		t.Errorf("%d buckets in all, want %d", total, buckets)
	}
	if _, err := ListShards(context.Background(), Config{Dir: t.TempDir()}, w.clock); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("no books: got %v, want not_found", err)
	}
}
