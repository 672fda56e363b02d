package ledger

import (
	"context"
	"slices"
	"testing"
	"time"
)

// featureBooks fills a ledger with limits (seq 1, 3), metadata (4) and a group (5 to 7) and stops it.
func featureBooks(t *testing.T) *world {
	t.Helper()
	w := setup(t, func(c *Config) { c.Shards = 1; c.SweepEvery = time.Hour })
	w.limit(cashLimits("l1", "p1", 0, minor(-50), minor(100), FreezeNone))
	w.must(stake("s1", "p1", 30))
	w.limit(cashLimits("l2", "p1", 1, nil, minor(90), FreezeNone))
	change := MetadataChange{Key: "m1", Account: PlayerCash("p1", nj), Currency: "USD", Set: map[string]string{"tier": "gold"}}
	if err := w.SetMetadata(context.Background(), change); err != nil {
		t.Fatal(err)
	}
	w.group("g", []Transfer{deposit("g/1", "p1", 50), deposit("g/2", "p2", 60)}, "", "")
	w.must(deposit("d1", "p1", 60))
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAuditNamesBrokenLimitsAndGroups(t *testing.T) {
	t.Parallel()
	const spoil = `UPDATE transfer SET extra = replace(extra, `
	tests := []struct{ name, edit, invariant, table, key string }{
		{"nothing", ``, "", "", ""},
		{"a limit that was passed by nobody", `UPDATE transfer SET extra = '{"limits":{"version":2,"max_minor":95}}' WHERE seq = 3`,
			"seals verify", "batch", "last_seq 3"},
		{"a version left out", spoil + `'"version":2', '"version":3') WHERE seq = 3`, "versions of limits have no gap", "transfer", "seq 3"},
		{"metadata in the log", spoil + `'gold', 'lead') WHERE seq = 4`, "seals verify", "batch", "last_seq 4"},
		{"metadata in the table", `UPDATE account_metadata SET data = '{"tier":"lead"}'`,
			"metadata is that of the log", "account_metadata", "account_id 1 seq 4"},
		{"metadata that is gone", `DELETE FROM account_metadata`, "metadata is that of the log", "account_metadata", "all"},
		{"a limit in the table", `UPDATE account_limit SET min_minor = -60 WHERE seq = 1`,
			"limits are those of the log", "account_limit", "account_id 1 seq 1"},
		{"a limit that is gone", `DELETE FROM account_limit WHERE seq = 3`, "limits are those of the log", "account_limit", "all"},
		{"a limit nobody made", `INSERT INTO account_limit VALUES (2, 2, 1, NULL, NULL, 0)`,
			"limits are those of the log", "account_limit", "account_id 2 seq 2"},
		{"a transfer out of its group", `UPDATE transfer SET extra = NULL WHERE seq = 6`, "a group commits as a whole", "transfer", "seq 7"},
		{"a limited account freed", `UPDATE posting SET rule = 1 WHERE account_id = 1 AND seq = 8`,
			"a posting has its account's rule", "posting", "account_id 1 seq 8"},
		{"an account called limited", `UPDATE posting SET rule = 3 WHERE account_id = 4`,
			"a posting has its account's rule", "posting", "account_id 4 seq 6"},
		{"a group that began nowhere", `INSERT INTO grp VALUES (2, 1, NULL)`, "groups are those of the log", "grp", "seq 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := featureBooks(t)
			if tt.edit != "" {
				tamper(t, w, tt.edit)
			}
			report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
			if err != nil {
				t.Fatal(err)
			}
			if tt.edit == "" {
				if len(report.Findings) > 0 {
					t.Errorf("got %v, want sound books", report.Findings)
				}
				return
			}
			if len(report.Findings) != 1 {
				t.Fatalf("got %v, want one finding", report.Findings)
			}
			if f := report.Findings[0]; f.Invariant != tt.invariant || f.Table != tt.table || f.Key != tt.key {
				t.Errorf("got %s, want %s: %s %s", f, tt.invariant, tt.table, tt.key)
			}
		})
	}
}

// TestAuditProvesLimits gives the audit lines that a seal could well cover: a faulty writer's.
func TestAuditProvesLimits(t *testing.T) {
	t.Parallel()
	credit := limitsExtra{MinMinor: minor(-50), MaxMinor: minor(100)}
	tests := []struct {
		name   string
		limits limitsExtra
		kind   Kind
		line   line // of an account with 30 available
		sound  bool
	}{
		{"within a credit line", credit, KindStake, line{amount: -80, balance: -50}, true},
		{"past a credit line", credit, KindStake, line{amount: -81, balance: -51}, false},
		{"reserved past a credit line", credit, KindHold, line{balance: 30, held: 81}, false},
		{"up to the most", credit, KindDeposit, line{amount: 70, balance: 100}, true},
		{"over the most", credit, KindDeposit, line{amount: 71, balance: 101}, false},
		{"winnings over the most", credit, KindSettlement, line{amount: 71, balance: 101}, true},
		{"a correction past a credit line", credit, KindResettlement, line{amount: -81, balance: -51}, false},
		{"from a frozen account", limitsExtra{Freeze: FreezeDebits}, KindStake, line{amount: -1, balance: 29}, false},
		{"to a frozen account", limitsExtra{Freeze: FreezeDebits}, KindDeposit, line{amount: 1, balance: 31}, true},
		{"to a closed account", limitsExtra{Freeze: FreezeAll}, KindDeposit, line{amount: 1, balance: 31}, false},
		{"winnings to a closed account", limitsExtra{Freeze: FreezeAll}, KindVoid, line{amount: 1, balance: 31}, true},
		{"below a raised minimum", limitsExtra{MinMinor: minor(200)}, KindStake, line{amount: -1, balance: 29}, false},
	}
	for _, tt := range tests {
		a := limitedAccount{limitsExtra: tt.limits, balance: 30}
		if err := a.check(&row{kind: tt.kind}, tt.line); (err == nil) != tt.sound {
			t.Errorf("%s: got %v, want sound %t", tt.name, err, tt.sound)
		}
	}
}

func TestAuditOfTransits(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d", players[0], 100))
	w.leaveGroup("g", gift("g", players[0], players[1], 30), 3) // decided, not finished
	w.wantSound()                                               // 30 are in transit, of a group that is open
	w.config.SweepEvery = 5 * time.Millisecond
	w.restart()
	w.wantDrained()
	w.wantSound()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	report := AuditReport{heads: []int64{3, 4}, transits: transitSums{{"US-NJ", "USD"}: 30}}
	head := func(n int) (int64, error) { return report.heads[n], nil }
	if err := report.checkGroups(head); err != nil || len(report.Findings) != 1 || report.Findings[0].Key != "transit/US-NJ" {
		t.Errorf("got %v, %v, want the transit to be found", report.Findings, err)
	}
}

// TestAuditOfAnOpenGroup: what is reserved for it is no finding.
func TestAuditOfAnOpenGroup(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d", players[1], 100))
	list := gift("g", players[1], players[0], 30)
	slices.Reverse(list) // who receives decides
	w.leaveGroup("g", list, 2)
	w.wantBalance(PlayerCash(players[1], nj), 100, 30)
	w.wantSound()
}

// TestAuditOfReservations ends a group that has reserved something and was never decided, as no caller does.
func TestAuditOfReservations(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2; c.SweepEvery = time.Hour })
	players := w.onShards(2)
	w.must(deposit("d", players[1], 100))
	list := gift("g", players[1], players[0], 30)
	slices.Reverse(list) // who receives decides
	w.leaveGroup("g", list, 2)
	p, err := planGroup(Group{"g", list})
	if err != nil {
		t.Fatal(err)
	}
	home := groupPart{shard: 0, indexes: []int{0}}
	if _, err := w.groupStep(context.Background(), LaneInteractive, p, groupStep{do: groupEnd}, home); err != nil {
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	report, err := Audit(context.Background(), AuditOptions{Dir: w.config.Dir})
	if err != nil || len(report.Findings) != 1 {
		t.Fatalf("got %v, %v, want one finding", report.Findings, err)
	}
	f := report.Findings[0]
	if f.Shard != 1 || f.Invariant != "nothing is reserved for a group that has ended" || f.Table != "hold" {
		t.Errorf("got %s", f)
	}
}
