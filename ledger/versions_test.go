package ledger

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mariadb"
	"matchday/internal/sqldb"
	"matchday/money"
)

// firstBooks makes the files of a ledger that the first release wrote: six players with a deposit, a
// stake and a hold each, one hold posted and one released, one stake refused.
func firstBooks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for n := range 2 {
		script, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("books_version1_shard%d.sql", n)))
		if err != nil {
			t.Fatal(err)
		}
		db, err := sqldb.Open(shardFile(dir, n), sqldb.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Write.ExecContext(t.Context(), string(script)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBooksOfTheFirstReleaseGoOn(t *testing.T) {
	t.Parallel()
	dir := firstBooks(t)
	wantOutdated(t, dir, nil)
	w := setup(t, func(c *Config) { c.Dir, c.SweepEvery = dir, time.Hour })
	w.clock.Advance(30 * time.Minute)
	w.wantBalance(PlayerCash("plr_0", nj), 750, 100)
	w.wantBalance(PlayerCash("plr_1", nj), 690, 0)
	if again := w.must(deposit("deposit-3", "plr_3", 1000)); !again.Replayed {
		t.Errorf("an old key was taken again: %+v", again)
	}
	w.must(end("post-0", KindPost, "plr_0", "hold-0", 70))
	credit := int64(-500)
	if _, err := w.SetLimits(t.Context(), LimitsChange{Key: "line", Account: PlayerCash("plr_4", nj), Currency: money.USD, MinMinor: &credit}); err != nil {
		t.Fatal(err)
	}
	w.must(stake("on credit", "plr_4", 1000))
	players := []id.Player{"plr_0", "plr_1", "plr_2", "plr_3", "plr_4", "plr_5"}
	for i, to := range players[1:] { // some of them on the other shard
		if _, err := w.CommitGroup(t.Context(), LaneInteractive, Group{Key: fmt.Sprintf("gift-%d", i), Transfers: gift(fmt.Sprintf("gift-%d", i), players[0], to, 10)}); err != nil {
			t.Fatal(err)
		}
	}
	w.moved(w.ShardOf("plr_5"), 1-w.ShardOf("plr_5"), bucketOf(id.Player("plr_5")))
	q := StatementQuery{From: start.Add(5 * time.Minute), To: start.Add(10 * time.Minute)}
	if lines, err := w.Statement(t.Context(), PlayerCash("plr_5", nj), q); err != nil || len(lines) != 2 || lines[0].Key != "stake-5" {
		t.Errorf("statement of the first release's time after a move: %+v, %v", lines, err)
	}
	w.wantBalance(PlayerCash("plr_5", nj), 760, 100)
	w.wantSound()
}

func TestReadersRefuseOtherVersionsOnClusters(t *testing.T) {
	t.Parallel()
	server := mariadb.Shared(t)
	database := server.Database(t)
	w := setup(t, func(c *Config) { c.Clusters = onServer(server, database, "0-1") })
	w.must(deposit("d", "p1", 100))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Admin().ExecContext(t.Context(), "DELETE FROM "+database+"_1.schema_migration WHERE version > 1"); err != nil {
		t.Fatal(err)
	}
	wantOutdated(t, w.config.Dir, w.config.Clusters)
	w.open() // what migrations did before they may do again
	w.must(deposit("d2", "p1", 100))
	w.wantBalance(PlayerCash("p1", nj), 200, 0)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.wantSoundClusters()
}

// wantOutdated wants everything that only reads to say that the books must be opened once.
func wantOutdated(t *testing.T, dir string, clusters []Cluster) {
	t.Helper()
	_, err := OpenReader(context.Background(), dir, clusters...)
	if !errs.Is(err, errs.CodeConflict) || !strings.Contains(err.Error(), "schema version 1") {
		t.Errorf("reader: got %v, want conflict", err)
	}
	if _, err := Audit(context.Background(), AuditOptions{Dir: dir, Clusters: clusters}); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("audit: got %v, want conflict", err)
	}
}
