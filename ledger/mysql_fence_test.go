package ledger

import (
	"testing"

	"matchday/errs"
	"matchday/internal/mariadb"
)

func TestTheFenceHoldsWhateverTheServersDefaultsAre(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a database server of its own for each setting")
	}
	for _, setting := range []string{"check_constraint_checks=OFF", "autocommit=0", "unique_checks=0"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := ownServer(t, mariadb.Options{})
			admin := func(q string) {
				t.Helper()
				if _, err := s.Admin().ExecContext(t.Context(), q); err != nil {
					t.Fatal(err)
				}
			}
			admin("SET GLOBAL " + setting)
			w := onMySQL(t, onServer(s, "ledger", "0"))
			w.must(deposit("d1", "p1", 5))
			admin("SET autocommit = 1; UPDATE ledger_0.shard SET epoch = epoch + 1")
			if _, err := w.Commit(t.Context(), LaneInteractive, deposit("d2", "p1", 7)); !errs.Is(err, errs.CodeUnavailable) {
				t.Errorf("got %v of a writer that was replaced, want unavailable", err)
			}
			var seq int64
			if err := s.Admin().QueryRowContext(t.Context(), "SELECT seq FROM ledger_0.shard").Scan(&seq); err != nil || seq != 1 {
				t.Errorf("the log ends at %d (%v), want 1", seq, err)
			}
		})
	}
}
