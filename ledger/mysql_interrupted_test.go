package ledger

import (
	"context"
	"database/sql"
	"strconv"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"matchday/internal/mariadb"
)

// TestABatchThatIsInterruptedLeavesNothingBehind stops a batch in its middle without ending its
// connection, as an operator's KILL QUERY and a time limit of the server do.
func TestABatchThatIsInterruptedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	const inserting = `
		SELECT id
		FROM information_schema.processlist
		WHERE user = ? AND info LIKE 'INSERT INTO posting%'`
	const all = `
		SELECT id
		FROM information_schema.processlist
		WHERE user = ?`
	for name, how := range map[string]struct {
		before, kill, which string
	}{
		"a query that is killed": {kill: "KILL QUERY ", which: inserting},
		"a time limit":           {before: "SET GLOBAL max_statement_time = 1", kill: "KILL CONNECTION ", which: all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ownServer(t, mariadb.Options{})
			w := onMySQL(t, onServer(s, "ledger", "0"))
			w.must(deposit("d1", "p1", 5))
			if how.before != "" { // holds for connections made from now on
				mustExec(t, s, how.before)
				killAll(t, s, how.kill, how.which)
			}
			release := holdPostings(t, s, "(1,2,1,1,0,0),(2,2,1,1,0,0),(3,2,1,1,0,0)")
			answered := make(chan error, 1)
			go func() {
				_, err := w.Commit(context.Background(), LaneInteractive, deposit("d2", "p1", 7))
				answered <- err
			}()
			eventually(t, "the batch was stopped and begun again", func() bool {
				if how.before == "" {
					killAll(t, s, how.kill, how.which)
				}
				var out dto.Metric
				return w.shards[0].metrics.retries.Write(&out) == nil && out.Counter.GetValue() > 0
			})
			release()
			if err := <-answered; err != nil {
				t.Errorf("the batch after its interruption: %v", err)
			}
			w.must(deposit("d3", "p1", 1))
			w.wantBalance(PlayerCash("p1", nj), 13, 0)
			mustExec(t, s, "SET GLOBAL max_statement_time = 0")
			w.wantSoundClusters()
		})
	}
}

func mustExec(t *testing.T, s *mariadb.Server, q string) {
	t.Helper()
	if _, err := s.Admin().ExecContext(t.Context(), q); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// holdPostings makes whoever inserts the same postings wait until release is called.
func holdPostings(t *testing.T, s *mariadb.Server, rows string) (release func()) {
	t.Helper()
	tx, err := s.Admin().BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	const insert = "INSERT INTO ledger_0.posting (account_id, seq, amount_minor, balance_minor, held_minor, rule) VALUES "
	if _, err := tx.ExecContext(t.Context(), insert+rows); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAll kills the ledger's connections, or their statements, that the query finds.
func killAll(t *testing.T, s *mariadb.Server, kill, which string) {
	t.Helper()
	var list []int64
	err := eachRow(s.Admin().QueryContext(t.Context(), which, mariadb.User))(func(rows *sql.Rows) error {
		var n int64
		err := rows.Scan(&n)
		list = append(list, n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		_, _ = s.Admin().ExecContext(t.Context(), kill+strconv.FormatInt(n, 10)) // it may have gone by itself
	}
}
