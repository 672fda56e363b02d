package ledger

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/mariadb"
)

// loseDirectory stops the ledger and removes its directory.
func (w *world) loseDirectory() {
	w.t.Helper()
	w.halt()
	for _, part := range []string{"", "-wal", "-shm"} {
		if err := os.RemoveAll(directoryFile(w.config.Dir) + part); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestALostDirectoryIsMadeAgainFromTheShards moves buckets, loses the directory, and finds every player
// where they were.
func TestALostDirectoryIsMadeAgainFromTheShards(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{"SQLite", "MariaDB"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var clusters []Cluster
			if engine == "MariaDB" {
				if testing.Short() {
					t.Skip("starts a database server")
				}
				server := mariadb.Shared(t)
				clusters = onServer(server, server.Database(t), "0-2")
			}
			w := setup(t, func(c *Config) { c.Shards, c.Clusters, c.SweepEvery = 3, clusters, time.Hour })
			homes := map[id.Player]int{}
			for i := range 12 {
				p := id.Player(fmt.Sprintf("p%d", i))
				w.must(deposit("d/"+string(p), p, int64(100+i)))
				homes[p] = w.ShardOf(p)
			}
			for p := range homes { // some move, some of them twice
				if bucketOf(p)%3 == 0 {
					continue
				}
				for range bucketOf(p) % 3 {
					to := (homes[p] + 1) % 3
					w.moved(homes[p], to, bucketOf(p))
					for other := range homes {
						if bucketOf(other) == bucketOf(p) {
							homes[other] = to
						}
					}
				}
			}
			w.loseDirectory()
			w.open()
			for p, home := range homes {
				if got := w.ShardOf(p); got != home {
					t.Errorf("%s is on shard %d, was on %d", p, got, home)
				}
				var i int
				_, _ = fmt.Sscanf(string(p), "p%d", &i)
				if r := w.must(deposit("d/"+string(p), p, int64(100+i))); !r.Replayed || r.Position.Shard != home {
					t.Errorf("%s: %+v, want a replay on shard %d", p, r, home)
				}
			}
			w.halt()
			w.wantSoundClusters()
		})
	}
}

// TestAMoveThatALostDirectoryForgotGoesOn loses the directory when a bucket is served by nobody: fenced on
// its shard, or gone from it and not arrived.
func TestAMoveThatALostDirectoryForgotGoesOn(t *testing.T) {
	t.Parallel()
	for _, state := range []bucketState{bucketFenced, bucketAway} {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
			p := playersOn(t, w.Service, 2)[0]
			w.must(deposit("d1", p, 100))
			ctx, bucket := context.Background(), bucketOf(p)
			v := newMover(w.Service, Move{ID: "mov_lost", From: 0, To: 1, Buckets: []int{bucket}})
			mustDo := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			mustDo(v.resume(ctx))
			fenced := &fence{move: v.ID, to: v.To, bucket: bucket}
			mustDo(v.lead(ctx, fenced))
			if state == bucketAway {
				shares, err := v.restUntil(ctx, bucket, fenced.seq)
				mustDo(err)
				mustDo(v.lead(ctx, &moveOut{move: v.ID, to: v.To, bucket: bucket, shares: shares}))
			}
			w.loseDirectory()
			w.open()
			w.until("mov_lost", MoveDone)
			if r := w.must(deposit("d1", p, 100)); !r.Replayed || r.Position.Shard != 1 {
				t.Errorf("after the move went on: %+v, want a replay on shard 1", r)
			}
			w.sound()
		})
	}
}

// TestShardsThatDisagreeMakeNoDirectory: a bucket that two shards have, or none, is for people to decide.
func TestShardsThatDisagreeMakeNoDirectory(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ change, want string }{
		"two have it":  {`UPDATE bucket SET state = 1 WHERE bucket = 7`, "bucket 7 lives on shard 0 and on shard 1"},
		"none has it":  {`DELETE FROM bucket WHERE bucket = 600`, "bucket 600 lives on no shard"},
		"one has more": {`INSERT INTO bucket (bucket, state, move_id, seq) VALUES (8, 1, '', 0)`, "bucket 8 lives on shard 0 and on shard 1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
			w.moved(0, 1, 7)
			w.moved(1, 0, 7)
			if _, err := w.shards[1].store.(*sqliteStore).conn.ExecContext(t.Context(), tt.change); err != nil {
				t.Fatal(err)
			}
			w.loseDirectory()
			_, err := Open(t.Context(), w.config, quiet(w.clock))
			if !errs.Is(err, errs.CodeConflict) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a conflict that says %q", err, tt.want)
			}
		})
	}
}
