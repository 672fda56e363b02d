package ledger

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/stream"
)

// TestEveryStatementIsMySQLToo has a server note every statement of a life of the ledger, and reads each with a
// parser of MySQL 8's grammar, reserved words included: no server but MariaDB is here to be asked. What a
// statement means there it cannot tell. Scripts/mysql-grammar.sh fetches the parser; `make test-clients` runs it.
func TestEveryStatementIsMySQLToo(t *testing.T) {
	dir := os.Getenv("MATCHDAY_MYSQL_GRAMMAR")
	if dir == "" {
		t.Skip("no folder with a parser of MySQL's grammar: make test-clients makes one")
	}
	s := ownServer(t, mariadb.Options{Args: []string{"--log-output=TABLE", "--general-log=ON"}})
	w := setup(t, func(c *Config) {
		c.Shards, c.Clusters, c.SweepEvery = 2, onServer(s, "ledger", "0-1"), 5*time.Millisecond
		c.Directory.Cluster = "test"
	})
	w.liveOnMySQL(onServer(s, "copy", "0-1"))

	statements := noted(t, s)
	all := strings.ToUpper(strings.Join(statements, ";"))
	for _, want := range []string{"CREATE TABLE", "ALTER TABLE", "INSERT INTO", "UPDATE SHARD", "DELETE FROM", "WITH MOMENT"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s was noted: the life is too poor", want)
		}
	}
	raw, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "statements.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "grammar"), file).CombinedOutput(); err != nil { //nolint:gosec // what the script put there
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%d statements", len(statements))
}

// noted returns every statement that the server was sent over TCP.
func noted(t *testing.T, s *mariadb.Server) []string {
	t.Helper()
	const q = `
		SELECT DISTINCT CONVERT(argument USING binary)
		FROM mysql.general_log
		WHERE command_type IN ('Query', 'Prepare') AND user_host LIKE ?`
	var out []string
	err := eachRow(s.Admin().QueryContext(t.Context(), q, mariadb.User+"%"))(func(rows *sql.Rows) error {
		var statement string
		err := rows.Scan(&statement)
		out = append(out, statement)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// liveOnMySQL does on the ledger what callers and operators do, and imports its books into others.
func (w *world) liveOnMySQL(others []Cluster) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	players := w.onShards(2)
	for i, p := range players {
		w.aLife(p, string(rune('a'+i)))
	}
	w.group("g", gift("g", players[0], players[1], 30), "", "")
	if _, err := w.DryRunGroup(ctx, Group{Key: "try", Transfers: gift("try", players[0], players[1], 3)}); err != nil {
		t.Error(err)
	}
	if _, err := w.DryRun(ctx, []Transfer{deposit("try2", players[0], 3)}); err != nil {
		t.Error(err)
	}
	cash, most := PlayerCash(players[0], nj), int64(100_000)
	if _, err := w.SetLimits(ctx, LimitsChange{Key: "lim", Account: cash, Currency: "USD", MaxMinor: &most}); err != nil {
		t.Error(err)
	}
	if err := w.SetMetadata(ctx, MetadataChange{Key: "meta", Account: cash, Currency: "USD", Set: map[string]string{"tier": "gold"}}); err != nil {
		t.Error(err)
	}
	if err := w.SetMetadata(ctx, MetadataChange{Key: "meta2", Account: cash, Currency: "USD", Remove: []string{"tier"}}); err != nil {
		t.Error(err)
	}
	w.must(hold("short", players[1], 10, start.Add(time.Second)))
	w.clock.Advance(time.Minute)
	eventually(t, "the sweeper ends the hold", func() bool {
		list, err := w.OpenHolds(ctx, PlayerCash(players[1], nj), stream.Position{}, 10)
		return err == nil && len(list) == 1
	})
	w.moved(0, 1, bucketOf(players[0]))
	w.readAll(cash)
	var books bytes.Buffer
	if _, err := w.Export(ctx, &books, ExportOptions{}); err != nil {
		t.Error(err)
	}
	c := Config{Dir: t.TempDir(), Shards: 2, Clusters: others}
	if _, err := Import(ctx, c, []NamedReader{{"books", &books}}, ImportOptions{Clock: w.clock}); err != nil {
		t.Error(err)
	}
	if _, err := ListShards(ctx, w.config, clock.System{}); err != nil {
		t.Error(err)
	}
	if _, err := Replicas(ctx, w.config, clock.System{}); err != nil {
		t.Error(err)
	}
	const absent = "127.0.0.1:1"
	c.Clusters = onNodes("ledger", "0-1", w.config.Clusters[0].Nodes[0], absent)
	c.Dir, c.Directory = w.config.Dir, w.config.Directory
	if err := SetReplica(ctx, c, clock.System{}, absent, false, nil); err != nil {
		t.Error(err)
	}
	w.wantSoundClusters()
}

// readAll asks for everything that can be read of an account and of the books.
func (w *world) readAll(a Address) {
	t, ctx := w.t, w.t.Context()
	t.Helper()
	reads := map[string]func() error{
		"balance":  func() error { _, err := w.BalanceFrom(ctx, a, stream.Position{}); return err },
		"at":       func() error { _, err := w.BalanceAt(ctx, a, start); return err },
		"balances": func() error { _, err := w.Balances(ctx, []Address{a, Bets(nj, "sportsbook")}, nil); return err },
		"statement": func() error {
			_, err := w.StatementFrom(ctx, a, StatementQuery{From: start, To: start.Add(time.Hour), Kinds: []Kind{KindDeposit, KindStake}}, stream.Position{})
			return err
		},
		"limits":    func() error { _, err := w.Limits(ctx, a); return err },
		"metadata":  func() error { _, err := w.Metadata(ctx, a); return err },
		"of one":    func() error { _, err := w.TransferMetadata(ctx, a.Player(), "ad1"); return err },
		"trial":     func() error { _, err := w.TrialBalance(ctx, time.Time{}); return err },
		"trial at":  func() error { _, err := w.TrialBalance(ctx, start); return err },
		"ggr":       func() error { _, err := w.GGR(ctx, start, start.Add(time.Hour)); return err },
		"log":       func() error { _, err := w.ReadLog(ctx, 0, 0, 100); return err },
		"transfers": func() error { return w.ExportTransfers(ctx, func(ExportedTransfer) error { return nil }) },
		"bucket": func() error {
			return w.BucketRecords(ctx, 1, bucketOf(a.Player()), 1000, func([]stream.Record) error { return nil })
		},
	}
	for name, read := range reads {
		if err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
