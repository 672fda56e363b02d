package ledger

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// books fills a ledger of one shard with every kind of row and stops it.
func books(t *testing.T) *world {
	t.Helper()
	w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
	w.must(deposit("d1", "p1", 1000))
	w.must(deposit("d2", "p2", 500))
	w.must(stake("s1", "p1", 100))
	_, _ = w.Commit(context.Background(), LaneInteractive, stake("s2", "p2", 9999)) // refused
	w.must(hold("h1", "p1", 200, start.Add(time.Hour)))
	w.must(hold("h2", "p1", 50, start.Add(time.Hour)))
	w.must(end("h1-post", KindPost, "p1", "h1", 150))
	w.must(stake("s3", "p2", 70))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	return w
}

func hold(key string, p id.Player, minor int64, until time.Time) Transfer {
	t := stake(key, p, minor)
	t.Kind, t.Record, t.Hold = KindHold, nil, &HoldTerms{ExpiresAt: until}
	return t
}

func end(key string, kind Kind, p id.Player, holdKey string, minor int64) Transfer {
	return Transfer{
		Key: key, Kind: kind, Player: p, Jurisdiction: nj, Currency: "USD", HoldKey: holdKey, AmountMinor: minor,
	}
}

func TestAuditOfSoundBooks(t *testing.T) {
	t.Parallel()
	w := books(t)
	var calls int
	report, err := Audit(context.Background(), AuditOptions{
		Dir: w.config.Dir, Progress: func(int, int64, int64) { calls++ },
	})
	if err != nil || len(report.Findings) > 0 {
		t.Fatalf("got %v, %v", report.Findings, err)
	}
	if report.Shards != 1 || report.Transfers != 8 || report.Accounts != 4 || report.Postings != 12 {
		t.Errorf("got %+v", report)
	}
}

// TestAuditNamesTheBrokenRow edits one row by raw SQL for each invariant.
func TestAuditNamesTheBrokenRow(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, edit, invariant, table, key string }{
		{"a posting's amount", `UPDATE posting SET amount_minor = amount_minor + 1 WHERE account_id = 2 AND seq = 3`,
			"a balance is the one before plus the amount", "posting", "account_id 2 seq 3"},
		{"a balance", `UPDATE posting SET balance_minor = balance_minor + 1 WHERE account_id = 3 AND seq = 2`,
			"a balance is the one before plus the amount", "posting", "account_id 3 seq 2"},
		{"a posting with all that follows it", `UPDATE posting SET amount_minor = amount_minor + 5, balance_minor = balance_minor + 5 WHERE account_id = 3 AND seq = 8`,
			"postings equal the log", "posting", "account_id 3 seq 8"},
		{"two postings that balance", `UPDATE posting SET amount_minor = amount_minor + CASE account_id WHEN 3 THEN 5 ELSE -5 END, balance_minor = balance_minor + CASE account_id WHEN 3 THEN 5 ELSE -5 END WHERE seq = 8`,
			"postings equal the log", "posting", "account_id 3 seq 8"},
		{"the held amount", `UPDATE posting SET held_minor = 49 WHERE account_id = 2 AND seq = 7`,
			"what is held equals the open holds", "posting", "account_id 2 seq 7"},
		{"an overdrawn account", `PRAGMA ignore_check_constraints = 1; UPDATE posting SET held_minor = 100000 WHERE account_id = 2 AND seq = 7`,
			"available is never below zero", "posting", "account_id 2 seq 7"},
		{"an account freed of its rule", `UPDATE posting SET rule = 0 WHERE account_id = 3 AND seq = 8`,
			"a posting has its account's rule", "posting", "account_id 3 seq 8"},
		{"a deleted posting", `DELETE FROM posting WHERE account_id = 3 AND seq = 8`,
			"postings equal the log", "posting", "account_id 3 seq 8"},
		{"a posting of a batch that is not there", `INSERT INTO posting VALUES (2, 2, 75, 1075, 0, 1)`,
			"postings equal the log", "posting", "account_id 2 seq 2"},
		{"a posting nobody made", `INSERT INTO posting VALUES (1, 8, 0, -1500, 0, 0)`,
			"postings equal the log", "posting", "account_id 1 seq 8"},
		{"a deleted transfer", `DELETE FROM transfer WHERE seq = 4`, "sequences have no gap", "transfer", "seq 5"},
		{"the last transfer cut off", `DELETE FROM transfer WHERE seq = 8`, "sequences have no gap", "shard", "id 1"},
		{"a deleted batch", `DELETE FROM batch WHERE last_seq = 4`, "batches have no gap", "batch", "last_seq 5"},
		{"a changed record", `UPDATE transfer SET data = '{"bet_id":"s9"}' WHERE seq = 3`, "seals verify", "batch", "last_seq 3"},
		{"a changed key", `UPDATE transfer SET key = 'x' WHERE seq = 1`, "seals verify", "batch", "last_seq 1"},
		{"a changed refusal", `UPDATE transfer SET code = 'excluded' WHERE seq = 4`, "seals verify", "batch", "last_seq 4"},
		{"a changed kind", `UPDATE transfer SET kind = 1 WHERE seq = 3`, "kinds move only what they may", "transfer", "seq 3"},
		{"lines that do not balance", `UPDATE transfer SET lines = x'0102c7010000' WHERE seq = 3`, "postings sum to zero", "transfer", "seq 3"},
		{"lines that cannot be read", `UPDATE transfer SET lines = x'ff' WHERE seq = 3`, "postings are readable", "transfer", "seq 3"},
		{"a moved jurisdiction", `UPDATE transfer SET jurisdiction = 'US-PA' WHERE seq = 3`, "a transfer stays in its jurisdiction", "transfer", "seq 3"},
		{"another currency", `UPDATE transfer SET currency = 'CAD' WHERE seq = 3`, "a transfer has one currency", "transfer", "seq 3"},
		{"a renamed account", `UPDATE account SET address = 'player/p9/US-NJ/cash' WHERE id = 2`, "seals verify", "batch", "last_seq 1"},
		{"an account out of place", `UPDATE account SET jurisdiction = 'US-PA' WHERE id = 2`, "an account is in its address's jurisdiction", "account", "id 2"},
		{"a deleted account", `DELETE FROM account WHERE id = 2`, "account numbers have no gap", "account", "id 3"},
		{"a lower epoch", `UPDATE batch SET epoch = 0 WHERE last_seq = 5`, "epochs only rise", "batch", "last_seq 5"},
		{"a clock turned back", `UPDATE batch SET at_us = 1 WHERE last_seq = 5`, "time never runs back", "batch", "last_seq 5"},
		{"a record count", `UPDATE batch SET records = 7 WHERE last_seq = 3`, "a batch counts its records", "batch", "last_seq 3"},
		{"a changed seal", `UPDATE batch SET seal = zeroblob(32) WHERE last_seq = 6`, "seals verify", "batch", "last_seq 6"},
		{"a hold opened again", `UPDATE hold SET state = 1, resolved_seq = NULL, posted_minor = 0 WHERE seq = 5`, "a hold ends once", "hold", "seq 5"},
		{"a hold ended by nobody", `UPDATE hold SET state = 3, resolved_seq = 8 WHERE seq = 6`, "a hold ends by a transfer", "hold", "seq 6"},
		{"a hold posted for more", `UPDATE hold SET posted_minor = 200 WHERE seq = 5`, "a hold posts what its transfer moved", "hold", "seq 5"},
		{"a hold made later to last", `UPDATE hold SET expires_us = expires_us + 1 WHERE seq = 6`, "seals verify", "batch", "last_seq 6"},
		{"a deleted hold", `DELETE FROM hold WHERE seq = 6`, "every hold has its transfer", "transfer", "seq 6"},
		{"a shard renamed", `UPDATE shard SET shards = 2`, "the shard knows its place", "shard", "id 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := books(t)
			tamper(t, w, tt.edit)
			report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Findings) != 1 {
				t.Fatalf("got findings %v, want one", report.Findings)
			}
			f := report.Findings[0]
			if f.Invariant != tt.invariant || f.Table != tt.table || f.Key != tt.key {
				t.Errorf("got %s\nwant %s: %s %s", f, tt.invariant, tt.table, tt.key)
			}
		})
	}
}

// tamper runs statements on the first shard's file behind the ledger's back.
func tamper(t *testing.T, w *world, edit string) {
	t.Helper()
	db, err := sqldb.Open(shardFile(w.config.Dir, 0), sqldb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, q := range strings.Split("PRAGMA foreign_keys = OFF; "+edit, "; ") {
		if _, err := db.Write.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

func TestAuditBesideARunningWriter(t *testing.T) {
	t.Parallel()
	w := setup(t)
	stopped := make(chan struct{})
	started := make(chan struct{})
	go func() {
		defer close(stopped)
		for i := range 40 {
			p := id.Player(fmt.Sprintf("p%d", i%5))
			w.must(deposit(fmt.Sprintf("d%d", i), p, 100))
			if i == 5 {
				close(started)
			}
		}
	}()
	<-started
	for range 3 {
		report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
		if err != nil || len(report.Findings) > 0 {
			t.Fatalf("got %v, %v", report.Findings, err)
		}
	}
	<-stopped
}
