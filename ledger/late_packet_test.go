package ledger

import (
	"errors"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/mariadb"
)

// TestACommitThatArrivesLateIsRefused holds the packet of a batch back until its callers were told that
// it is not written and others have relied on that; also when the answer to the settling is lost.
func TestACommitThatArrivesLateIsRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a database server")
	}
	for name, fates := range map[string][]fate{"settled at once": {late}, "the settling is in doubt too": {late, unanswered}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mariadb.Shared(t)
			p := startPacketProxy(t, server.Addr())
			w := onMySQL(t, onNodes(server.Database(t), "0", p.addr()), func(c *Config) { c.FailoverWait = time.Nanosecond })
			w.must(deposit("d1", "p1", 5))
			epoch := w.shards[0].epoch.Load()
			left := fates
			p.decideBy(func(text []byte) fate {
				if !isCommit(text) || len(left) == 0 {
					return arrives
				}
				first := left[0]
				left = left[1:]
				return first
			})
			_, err := w.Commit(t.Context(), LaneInteractive, deposit("d2", "p1", 5))
			if !errs.Is(err, errs.CodeUnavailable) || errors.Is(err, ErrNotTaken) {
				t.Fatalf("a commit of unknown outcome: %v, want unavailable and open", err)
			}
			eventually(t, "the outcome is settled", func() bool { return w.Barrier(t.Context(), 0) == nil })
			for _, when := range []string{"before", "after"} {
				if when == "after" {
					p.deliver()
				}
				if r, found, err := w.Lookup(t.Context(), "p1", "d2", nil); err != nil || found {
					t.Errorf("%s the packet arrived: %+v, %v; want nothing there", when, r, err)
				}
			}
			if got, want := w.shards[0].epoch.Load(), epoch+int64(len(fates)); got != want {
				t.Errorf("the epoch is %d, want %d: one higher for each settling", got, want)
			}
			if r := w.must(deposit("d3", "p1", 5)); r.Position.Seq != 2 {
				t.Errorf("the next commit: %+v, want sequence 2", r)
			}
			if r := w.must(deposit("d2", "p1", 5)); r.Replayed {
				t.Errorf("asked again: %+v, want a new commit", r)
			}
			w.wantSoundClusters()
		})
	}
}
