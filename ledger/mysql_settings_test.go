package ledger

import (
	"context"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/mariadb"
)

// TestSettingsThatGetWorseStopWrites changes a server's settings while it runs, and restarts it with others.
// What was answered can be read meanwhile, and writing goes on when they are mended.
func TestSettingsThatGetWorseStopWrites(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a database server")
	}
	s := ownServer(t, mariadb.Options{})
	w := onMySQL(t, onServer(s, "ledger", "0"), func(c *Config) { c.FailoverWait = time.Nanosecond })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	set := func(q string) func() {
		return func() { _, err := s.Admin().ExecContext(t.Context(), q); must(err) }
	}
	w.must(deposit("d", "p1", 5))
	written := int64(1)
	for name, how := range map[string]struct{ spoil, mend func() }{
		"while it runs": {
			func() {
				set("SET GLOBAL sync_binlog = 0")()
				if err := w.fleet.open[0].Recheck(t.Context()); !errs.Is(err, errs.CodeInvalid) || !strings.Contains(err.Error(), "sync_binlog is 0") {
					t.Fatalf("looked at again: %v, want the setting refused", err)
				}
			},
			set("SET GLOBAL sync_binlog = 1"),
		},
		"at a restart": {
			func() { must(s.Restart(t.Context(), "--innodb-flush-log-at-trx-commit=0")) },
			func() { must(s.Restart(t.Context())) },
		},
	} {
		how.spoil()
		for range 3 {
			w.wantCode(deposit("refused "+name, "p1", 5), errs.CodeUnavailable)
		}
		eventually(t, "the balance can be read", func() bool {
			b, err := w.Balance(context.Background(), PlayerCash("p1", nj))
			return err == nil && b.PostedMinor == 5*written
		})
		how.mend()
		eventually(t, "writing goes on", func() bool {
			_, err := w.Commit(context.Background(), LaneInteractive, deposit("after "+name, "p1", 5))
			return err == nil
		})
		written++
	}
	w.wantSoundClusters()
}
