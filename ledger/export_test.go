package ledger_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
	"matchday/ledger"
	"matchday/ledger/ledgertest"
	"matchday/money"
)

// exported is a ledger with something of everything, and the export of its first and second half.
type exported struct {
	dir           string
	whole         []byte
	first, second []byte
	heads         []ledger.ExportHead
}

func exportFixture(t *testing.T) exported {
	t.Helper()
	x := exported{dir: t.TempDir()}
	now := clock.NewManual(ledgertest.Start)
	s, stop := openSQLite(t, x.dir, now)
	defer stop()
	commit := func(transfers ...ledger.Transfer) {
		t.Helper()
		for _, tr := range transfers {
			if _, err := s.Commit(t.Context(), ledger.LaneInteractive, tr); err != nil && !errs.Is(err, errs.CodeInsufficientFunds) {
				t.Fatal(err)
			}
		}
	}
	for _, p := range []string{"plr_a", "plr_b", "plr_c", "plr_d"} {
		commit(ledgertest.Deposit("deposit-"+p, id.Player(p), 1000), ledgertest.Stake("stake-"+p, id.Player(p), 300),
			ledgertest.Stake("too-much-"+p, id.Player(p), 5000),
			ledgertest.Hold("hold-"+p, id.Player(p), 200, now.Now().Add(time.Hour)))
	}
	features(t, s)
	var first bytes.Buffer // its own heads: a group may end in the background meanwhile
	report, err := s.Export(t.Context(), &first, ledger.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x.first = first.Bytes()
	from := map[int]int64{}
	for _, h := range report.Heads {
		from[h.Shard] = h.Seq
	}
	now.Advance(time.Minute)
	for _, p := range []string{"plr_a", "plr_b", "plr_c"} {
		commit(ledgertest.End("post-"+p, ledger.KindPost, id.Player(p), "hold-"+p, 150))
	}
	commit(ledgertest.End("release", ledger.KindRelease, "plr_d", "hold-plr_d", 0), ledgertest.Stake("on credit", "plr_f", 80))
	x.second = export(t, s, ledger.ExportOptions{From: from})
	var whole bytes.Buffer
	last, err := s.Export(t.Context(), &whole, ledger.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	x.whole, x.heads = whole.Bytes(), last.Heads
	return x
}

// features adds limits with a credit line, metadata, and groups on one shard and over two.
func features(t *testing.T, s *ledger.Service) {
	t.Helper()
	line := int64(-100)
	cash := func(p id.Player) ledger.Address { return ledger.PlayerCash(p, ledgertest.NJ) }
	if _, err := s.SetLimits(t.Context(), ledger.LimitsChange{Key: "limits", Account: cash("plr_f"), Currency: money.USD, MinMinor: &line}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Stake("first on credit", "plr_f", 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.SetMetadata(t.Context(), ledger.MetadataChange{Key: "note", Account: cash("plr_f"), Currency: money.USD, Set: map[string]string{"tier": "gold"}}); err != nil {
		t.Fatal(err)
	}
	for i, to := range []id.Player{"plr_b", "plr_c", "plr_d", "plr_e", "plr_g"} { // some of them on the other shard
		send := func(key string, p id.Player, from, to ledger.Address) ledger.Transfer {
			return ledger.Transfer{Key: key, Kind: ledger.KindPlayerTransfer, Player: p, Jurisdiction: ledgertest.NJ, Currency: money.USD,
				Postings: []ledger.Posting{{Account: from, AmountMinor: -5}, {Account: to, AmountMinor: 5}}, Metadata: map[string]string{"why": "a gift"}}
		}
		_, err := s.CommitGroup(t.Context(), ledger.LaneInteractive, ledger.Group{Key: fmt.Sprintf("gift-%d", i), Transfers: []ledger.Transfer{
			send(fmt.Sprintf("give-%d", i), "plr_a", cash("plr_a"), ledger.Transit(ledgertest.NJ)),
			send(fmt.Sprintf("take-%d", i), to, ledger.Transit(ledgertest.NJ), cash(to)),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func export(t *testing.T, s *ledger.Service, o ledger.ExportOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := s.Export(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func named(list ...[]byte) []ledger.NamedReader {
	out := make([]ledger.NamedReader, len(list))
	for i, content := range list {
		out[i] = ledger.NamedReader{Name: fmt.Sprintf("file-%d", i+1), Reader: bytes.NewReader(content)}
	}
	return out
}

func TestVerifyNamesTheFirstWrongLine(t *testing.T) {
	t.Parallel()
	x := exportFixture(t)
	lines := strings.SplitAfter(strings.TrimSuffix(string(x.whole), "\n"), "\n")
	tests := []struct {
		name     string
		at       string // the line is the first with this text
		change   func(line string) string
		expected string
	}{
		{"an amount", `"kind":"deposit"`, swap(`"amount_minor":1000`, `"amount_minor":1001`), "postings sum to zero"},
		{"both amounts", `"kind":"deposit"`, func(l string) string { return strings.ReplaceAll(l, "1000", "1001") }, "seals verify"},
		{"a balance", `"kind":"stake"`, swap(`"balance_minor":700`, `"balance_minor":701`), "a balance is the one before plus the amount"},
		{"a balance below zero", `"key":"too-much-`, swap(`"code":"insufficient_funds","detail":"the available balance is too low",`, ``), "a balance is the one before plus the amount"},
		{"a key", `"kind":"deposit"`, swap(`"key":"deposit-`, `"key":"Deposit-`), "seals verify"},
		{"a payload", `"kind":"stake"`, swap(`stake_minor`, `Stake_minor`), "seals verify"},
		{"another player's account", `"kind":"deposit"`, swap(`"account":"player/plr_`, `"account":"player/plr_z`), "an account's number is its address"},
		{"an account's number", `"kind":"stake"`, swap(`"id":2`, `"id":1`), "an account's number is its address"},
		{"a kind that may not", `"kind":"deposit"`, swap(`"kind":"deposit"`, `"kind":"stake"`), "kinds move only what they may"},
		{"a kind that is none", `"kind":"deposit"`, swap(`"kind":"deposit"`, `"kind":"gift"`), "is not a kind of transfer"},
		{"a hold's amount", `"kind":"hold"`, swap(`"amount_minor":200`, `"amount_minor":190`), "what is held equals the open holds"},
		{"a hold's end", `"kind":"post"`, swap(`"hold_seq":`, `"hold_seq":9`), "a hold ends once"},
		{"an address", `{"account":`, swap(`"address":"psp/`, `"address":"pxp/`), "addresses are well-formed"},
		{"the time of a commit", `{"batch":`, swap(`"at":"2026-`, `"at":"2027-`), "seals verify"},
		{"a seal", `{"batch":`, swap(`"seal":"`, `"seal":"0`), "is not a seal"},
		{"a transfer left out", `"kind":"stake"`, func(string) string { return "" }, "expected a transfer"},
		{"a transfer twice", `"kind":"stake"`, func(l string) string { return l + l }, "expected a batch"},
		{"a field more", `"kind":"stake"`, swap(`"seq":`, `"gift":1,"seq":`), "/transfer/gift is not known"},
		{"no JSON", `"kind":"stake"`, swap(`"seq":`, `"seq"`), "not valid JSON"},
		{"the trailer's head", `{"trailer":`, swap(`"seq":`, `"seq":1`), "the file ends where its trailer says"},
		{"the trailer's count", `{"trailer":`, swap(`"lines":`, `"lines":1`), "lines came before the trailer"},
		{"the version", `{"header":`, swap(`"version":1`, `"version":3`), "format version 3"},
		{"another file", `{"header":`, swap(`"format":"matchday ledger export"`, `"format":"books"`), "this is no export"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			at := lineWith(t, lines, tt.at)
			changed := strings.Join(lines[:at], "") + tt.change(lines[at]) + strings.Join(lines[at+1:], "")
			_, err := ledger.Verify(t.Context(), named([]byte(changed)), ledger.VerifyOptions{})
			if changed == string(x.whole) {
				t.Fatalf("nothing was changed in %s", lines[at])
			}
			if err == nil || !strings.Contains(err.Error(), tt.expected) {
				t.Fatalf("got %v, want %q", err, tt.expected)
			}
			where := regexp.MustCompile(`^file-1: line (\d+): `).FindStringSubmatch(err.Error())
			if where == nil {
				t.Fatalf("%v names no line", err)
			}
			dir := filepath.Join(t.TempDir(), "books")
			_, importErr := ledger.Import(t.Context(), ledger.Config{Dir: dir}, named([]byte(changed)), ledger.ImportOptions{Clock: clock.NewManual(ledgertest.Start)})
			if importErr == nil || importErr.Error() != err.Error() {
				t.Errorf("import says %v, verify %v", importErr, err)
			}
		})
	}
}

// lineWith returns the first line with the text.
func lineWith(t *testing.T, lines []string, text string) int {
	t.Helper()
	for i, l := range lines {
		if strings.Contains(l, text) && (i > 0 || strings.HasPrefix(l, text)) { // the header has the chart of kinds
			return i
		}
	}
	t.Fatalf("the export has no line with %s", text)
	return 0
}

func swap(old, with string) func(string) string {
	return func(line string) string { return strings.Replace(line, old, with, 1) }
}

// TestEveryByteOfAnExportCounts changes one byte of each line at a time: no change may verify, unless
// it says the same in other words.
func TestEveryByteOfAnExportCounts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("verifies thousands of files: left out with -short")
	}
	x := exportFixture(t)
	header := bytes.IndexByte(x.whole, '\n')
	for at := header + 1; at < len(x.whole); at += 7 {
		changed := bytes.Clone(x.whole)
		if changed[at]++; changed[at] == '\n' || x.whole[at] == '\n' {
			continue
		}
		if _, err := ledger.Verify(t.Context(), named(changed), ledger.VerifyOptions{}); err == nil {
			from, to := max(0, at-30), min(len(changed), at+30)
			t.Errorf("byte %d changed and the file verifies: ...%s...", at, changed[from:to])
		}
	}
}

func TestAnExportGoesOnWhereOneEnded(t *testing.T) {
	t.Parallel()
	x := exportFixture(t)
	report, err := ledger.Verify(t.Context(), named(x.first, x.second), ledger.VerifyOptions{})
	if err != nil || !report.Whole || fmt.Sprint(report.Heads) != fmt.Sprint(x.heads) {
		t.Fatalf("verify both: %+v, %v, want heads %v", report, err, x.heads)
	}
	alone, err := ledger.Verify(t.Context(), named(x.second), ledger.VerifyOptions{})
	if err != nil || alone.Whole || len(alone.Totals) > 0 {
		t.Fatalf("verify the second alone: %+v, %v, want it proved from where it begins", alone, err)
	}
	if _, err := ledger.Verify(t.Context(), named(x.second, x.first), ledger.VerifyOptions{}); err == nil {
		t.Error("files in the wrong order verify")
	}
	config := ledger.Config{Dir: filepath.Join(t.TempDir(), "books")}
	o := ledger.ImportOptions{Clock: clock.NewManual(ledgertest.Start)}
	if _, err := ledger.Import(t.Context(), config, named(x.second), o); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("the second half imports into empty books: %v", err)
	}
	if _, err := ledger.Import(t.Context(), config, named(x.first), o); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Import(t.Context(), config, named(x.second), o); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.OpenReader(t.Context(), config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var again bytes.Buffer
	if _, err := r.Export(t.Context(), &again, ledger.ExportOptions{}); err != nil || !bytes.Equal(again.Bytes(), x.whole) {
		t.Errorf("imported in halves, the books export differently: %v", err)
	}
	if report, err := ledger.Audit(t.Context(), ledger.AuditOptions{Dir: config.Dir}); err != nil || len(report.Findings) > 0 {
		t.Errorf("audit of books imported in halves: %+v, %v", report.Findings, err)
	}
}

func TestImportRefusesBooksThatHoldSomethingElse(t *testing.T) {
	t.Parallel()
	x := exportFixture(t)
	other := t.TempDir()
	s, stop := openSQLite(t, other, clock.NewManual(ledgertest.Start))
	for _, p := range []string{"plr_a", "plr_b", "plr_c", "plr_d"} {
		if _, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Deposit("mine-"+p, id.Player(p), 5)); err != nil {
			t.Fatal(err)
		}
	}
	before := export(t, s, ledger.ExportOptions{})
	stop()
	o := ledger.ImportOptions{Clock: clock.NewManual(ledgertest.Start)}
	if _, err := ledger.Import(t.Context(), ledger.Config{Dir: other}, named(x.whole), o); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("import over other books: %v, want a conflict", err)
	}
	s, stop = openSQLite(t, other, clock.NewManual(ledgertest.Start))
	defer stop()
	if after := export(t, s, ledger.ExportOptions{}); !bytes.Equal(before, after) {
		t.Errorf("a refused import changed the books:\n%s\nwas\n%s", after, before)
	}
	if _, err := ledger.Import(t.Context(), ledger.Config{Dir: filepath.Join(t.TempDir(), "b"), Shards: 1}, named(x.whole), o); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("import into one shard: %v, want invalid", err)
	}
}

// TestImportedBooksGoOn opens imported books, answers an old key as before and commits new work.
func TestImportedBooksGoOn(t *testing.T) {
	t.Parallel()
	x := exportFixture(t)
	dir := filepath.Join(t.TempDir(), "books")
	o := ledger.ImportOptions{Clock: clock.NewManual(ledgertest.Start)}
	if _, err := ledger.Import(t.Context(), ledger.Config{Dir: dir}, named(x.whole), o); err != nil {
		t.Fatal(err)
	}
	s, stop := openSQLite(t, dir, clock.NewManual(ledgertest.Start.Add(time.Hour)))
	defer stop()
	r, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Deposit("deposit-plr_a", "plr_a", 1000))
	if err != nil || !r.Replayed {
		t.Errorf("an old key answers %+v, %v, want the first answer", r, err)
	}
	if _, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Stake("too-much-plr_a", "plr_a", 5000)); !errs.Is(err, errs.CodeInsufficientFunds) {
		t.Errorf("an old refusal answers %v", err)
	}
	if _, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Deposit("new", "plr_a", 7)); err != nil {
		t.Error(err)
	}
	credit := ledger.PlayerCash("plr_f", ledgertest.NJ)
	if l, err := s.Limits(t.Context(), credit); err != nil || l.Version != 1 || *l.MinMinor != -100 {
		t.Errorf("limits %+v, %v, want the credit line", l, err)
	}
	if _, err := s.Commit(t.Context(), ledger.LaneInteractive, ledgertest.Stake("beyond", "plr_f", 11)); !errs.Is(err, errs.CodeInsufficientFunds) && !errs.Is(err, errs.CodeLimitReached) {
		t.Errorf("a stake beyond the credit line: %v", err)
	}
	if notes, err := s.Metadata(t.Context(), credit); err != nil || notes["tier"] != "gold" {
		t.Errorf("metadata %v, %v", notes, err)
	}
	b, err := s.Balance(t.Context(), ledger.PlayerCash("plr_a", ledgertest.NJ))
	if want := int64(1000 - 300 - 150 - 5*5 + 7); err != nil || b.PostedMinor != want || b.HeldMinor != 0 {
		t.Errorf("balance %+v, %v, want %d and nothing held", b, err, want)
	}
}

func TestExportRefusesPositionsThatAreNone(t *testing.T) {
	t.Parallel()
	s, stop := openSQLite(t, t.TempDir(), clock.NewManual(ledgertest.Start))
	defer stop()
	for name, o := range map[string]ledger.ExportOptions{
		"a shard that is not there":   {Shards: []int{7}},
		"a position of another shard": {Shards: []int{0}, From: map[int]int64{1: 1}},
		"a position not reached":      {From: map[int]int64{0: 99}},
	} {
		if _, err := s.Export(t.Context(), &bytes.Buffer{}, o); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Export(gone, &bytes.Buffer{}, ledger.ExportOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an export that nobody waits for: %v", err)
	}
}

// TestImportIntoAMixedFleet makes books of which one shard is a file and the other is on MariaDB.
func TestImportIntoAMixedFleet(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a MariaDB server")
	}
	t.Parallel()
	server := mariadb.Shared(t)
	x := exportFixture(t)
	config := ledger.Config{Dir: filepath.Join(t.TempDir(), "books"), Clusters: onMariaDB(server, server.Database(t), "1")}
	for _, part := range [][]byte{x.first, x.second} {
		if _, err := ledger.Import(t.Context(), config, named(part), ledger.ImportOptions{Clock: clock.NewManual(ledgertest.Start)}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := ledger.OpenReader(t.Context(), config.Dir, config.Clusters...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var again bytes.Buffer
	if _, err := r.Export(t.Context(), &again, ledger.ExportOptions{}); err != nil || !bytes.Equal(again.Bytes(), x.whole) {
		t.Errorf("imported to a mixed fleet, the books export differently: %v", err)
	}
	report, err := ledger.Audit(t.Context(), ledger.AuditOptions{Dir: config.Dir, Clusters: config.Clusters})
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("audit: %+v, %v", report.Findings, err)
	}
}
