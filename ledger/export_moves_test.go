package ledger

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mariadb"
)

// exportedFrom is an export of the world's books.
func (w *world) exportedFrom(o ExportOptions) ([]byte, map[int]int64) {
	w.t.Helper()
	var out bytes.Buffer
	report, err := w.Export(context.Background(), &out, o)
	if err != nil {
		w.t.Fatal(err)
	}
	heads := map[int]int64{}
	for _, h := range report.Heads {
		heads[h.Shard] = h.Seq
	}
	return out.Bytes(), heads
}

func imported(t *testing.T, c Config, files ...[]byte) error {
	t.Helper()
	var list []NamedReader
	for _, f := range files {
		list = append(list, NamedReader{"file", bytes.NewReader(f)})
	}
	if _, err := Verify(t.Context(), list, VerifyOptions{}); err != nil {
		t.Fatalf("verify: %v", err)
	}
	for i, f := range files {
		list[i].Reader = bytes.NewReader(f)
	}
	_, err := Import(t.Context(), c, list, ImportOptions{Clock: clock.NewManual(start)})
	return err
}

// movedBooks are books in which a bucket went away, another came and went, a third's move was stopped, and a
// group and limits went with them. It returns the export from before the last of it, and that of the rest.
func movedBooks(t *testing.T) (w *world, first, rest, whole []byte) {
	w = setup(t, func(c *Config) { c.Shards = 3; c.SweepEvery = time.Hour })
	players := playersOn(t, w.Service, 3)
	for _, p := range players {
		w.aLife(p, string(p))
	}
	w.group("g", gift("g", players[0], players[1], 5), "", "")
	w.moved(0, 1, bucketOf(players[0]))
	w.must(stake("between", players[0], 7))
	first, heads := w.exportedFrom(ExportOptions{})
	w.moved(1, 2, bucketOf(players[1]))
	w.must(end("h2", KindPost, players[1], string(players[1])+"h2", 20))
	w.moved(2, 1, bucketOf(players[1]))
	w.moved(1, 0, bucketOf(players[0]))
	w.must(deposit("after", players[0], 3))
	v := newMover(w.Service, Move{ID: w.ids.New("mov"), Buckets: []int{bucketOf(players[2])}, From: 2, To: 0})
	if err := v.resume(t.Context()); err != nil { // copies some, and is never heard of again
		t.Fatal(err)
	}
	if err := v.copySome(t.Context(), LaneBulk, v.from.head.Load()); err != nil {
		t.Fatal(err)
	}
	rest, _ = w.exportedFrom(ExportOptions{From: heads})
	whole, _ = w.exportedFrom(ExportOptions{})
	return w, first, rest, whole
}

// TestBooksWithMovedBucketsAreImported: the same books come out of an import, whole or in two parts, on files
// and on MariaDB; they are sound, answer old keys, and their buckets move on.
func TestBooksWithMovedBucketsAreImported(t *testing.T) {
	t.Parallel()
	w, first, rest, whole := movedBooks(t)
	w.clock.Advance(time.Minute) // the ids of later moves are higher
	for name, files := range map[string][][]byte{"whole": {whole}, "in parts": {first, rest}, "again": {whole, nil}, "on MariaDB": {whole}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{Dir: filepath.Join(t.TempDir(), "books"), Shards: 3, SweepEvery: time.Hour}
			if name == "on MariaDB" {
				if testing.Short() {
					t.Skip("starts a MariaDB server")
				}
				server := mariadb.Shared(t)
				c.Clusters = onServer(server, server.Database(t), "1-2")
			}
			if name == "again" {
				files = [][]byte{whole}
				if err := imported(t, c, whole); err != nil {
					t.Fatal(err)
				}
			}
			if err := imported(t, c, files...); err != nil {
				t.Fatal(err)
			}
			report, err := Audit(t.Context(), AuditOptions{Dir: c.Dir, Clusters: c.Clusters})
			if err != nil || len(report.Findings) > 0 {
				t.Fatalf("audit: %v, %v", report.Findings, err)
			}
			other := &world{t: t, config: c, clock: w.clock}
			other.open()
			defer func() { _ = other.stop() }()
			if again, _ := other.exportedFrom(ExportOptions{}); !bytes.Equal(again, whole) {
				t.Error("the imported books export differently")
			}
			players := playersOn(t, other.Service, 3)
			if r := other.must(deposit("after", players[0], 3)); !r.Replayed {
				t.Error("an old key is not known")
			}
			other.moved(other.ShardOf(players[2]), 0, bucketOf(players[2]))
			other.moved(0, 1, bucketOf(players[0]))
			other.must(deposit("much later", players[0], 1))
			other.moved(1, 2, bucketOf(players[1]))
			if a, b := w.posted(Bets(nj, "sportsbook")), other.posted(Bets(nj, "sportsbook")); a != b {
				t.Errorf("the escrow is %d, was %d", b, a)
			}
			if err := other.stop(); err != nil {
				t.Fatal(err)
			}
			if report, err := Audit(t.Context(), AuditOptions{Dir: c.Dir, Clusters: c.Clusters}); err != nil || len(report.Findings) > 0 {
				t.Errorf("audit after further moves: %v, %v", report.Findings, err)
			}
		})
	}
}

// TestBucketsOfAFileAreChecked changes what a file says of its buckets.
func TestBucketsOfAFileAreChecked(t *testing.T) {
	t.Parallel()
	_, _, _, whole := movedBooks(t)
	lines := strings.SplitAfter(string(whole), "\n")
	at := -1
	for i, l := range lines {
		if at < 0 && strings.HasPrefix(l, `{"bucket":`) {
			at = i
		}
	}
	if at < 0 {
		t.Fatal("the file has no buckets")
	}
	for name, change := range map[string]func(string) string{
		"twice":    func(l string) string { return l + l },
		"no state": func(l string) string { return strings.Replace(l, `"state":"`, `"state":"un`, 1) },
		"no bucket": func(l string) string {
			return strings.Replace(l, `"bucket":{"shard":0,"bucket":`, `"bucket":{"shard":0,"bucket":9`, 1) + l
		},
		"no shard":            func(l string) string { return strings.Replace(l, `"shard":0`, `"shard":9`, 1) },
		"a commit after them": func(l string) string { return l + lines[1] },
	} {
		changed := strings.Join(lines[:at], "") + change(lines[at]) + strings.Join(lines[at+1:], "")
		if _, err := Verify(t.Context(), []NamedReader{{"file", strings.NewReader(changed)}}, VerifyOptions{}); err == nil {
			t.Errorf("%s: the file verifies", name)
		}
	}
	moving := strings.Replace(strings.Join(lines[:at], ""), `"chart":[`, `"moving":true,"chart":[`, 1)
	c := Config{Dir: filepath.Join(t.TempDir(), "books"), Shards: 3}
	if _, err := Import(t.Context(), c, []NamedReader{{"file", strings.NewReader(moving)}}, ImportOptions{Clock: clock.NewManual(start)}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("a file that does not say where the buckets are is imported: %v", err)
	}
}
