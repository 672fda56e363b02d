package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/ledger"
	"matchday/ledger/ledgertest"
)

// TestBooksTravelAsAFile exports books, proves the file, imports it elsewhere, and finds the copy equal.
func TestBooksTravelAsAFile(t *testing.T) {
	t.Parallel()
	data, file := t.TempDir(), filepath.Join(t.TempDir(), "books.ndjson")
	makeBooks(t, filepath.Join(data, "ledger"))
	var content, said bytes.Buffer
	root := rootCommand()
	root.SetArgs([]string{"ledger", "export", "--data", data})
	root.SetOut(&content)
	root.SetErr(&said)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(said.String(), "--from 0:") {
		t.Fatalf("export: %v, said %s", err, said.String())
	}
	if err := os.WriteFile(file, content.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	proved, err := execute(t.Context(), "audit", "--seals", file)
	if err != nil || !strings.Contains(proved, "20 transfers") || !strings.Contains(proved, "head        0-") {
		t.Fatalf("audit --seals: %v\n%s", err, proved)
	}
	copied := t.TempDir()
	if out, err := execute(t.Context(), "ledger", "import", "--data", copied, file); err != nil || !strings.Contains(out, "20 of them new") {
		t.Fatalf("import: %v\n%s", err, out)
	}
	var again bytes.Buffer
	root = rootCommand()
	root.SetArgs([]string{"ledger", "export", "--data", copied})
	root.SetOut(&again)
	root.SetErr(&said)
	if err := root.ExecuteContext(t.Context()); err != nil || !bytes.Equal(again.Bytes(), content.Bytes()) {
		t.Errorf("the copy exports something else: %v", err)
	}
	spoilt := bytes.Replace(content.Bytes(), []byte(`"amount_minor":7`), []byte(`"amount_minor":8`), 1)
	if err := os.WriteFile(file, spoilt, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t.Context(), "audit", "--seals", file); exitCode(err) != 1 || !strings.Contains(err.Error(), "books.ndjson: line ") {
		t.Errorf("audit of a changed file: exit code %d, %v, want 1 and the line", exitCode(err), err)
	}
	for _, line := range []string{"ledger export --from 1-5", "ledger export --from 1:5,1:6", "ledger import"} {
		if _, err := execute(t.Context(), strings.Fields(line)...); exitCode(err) != 2 {
			t.Errorf("%s: exit code %d, %v, want 2", line, exitCode(err), err)
		}
	}
}

// makeBooks writes 20 deposits.
func makeBooks(t *testing.T, dir string) {
	t.Helper()
	s, err := ledger.Open(t.Context(), ledger.Config{Dir: dir}, ledger.Deps{
		Clock: clock.System{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for i := range 20 {
		player := id.Player(fmt.Sprintf("plr_%d", i))
		if _, err := s.Commit(ctx, ledger.LaneInteractive, ledgertest.Deposit(fmt.Sprintf("key-%d", i), player, 7)); err != nil {
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestBucketsMoveFromTheCommandLine asks for moves while no process runs, and has one do them.
func TestBucketsMoveFromTheCommandLine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	makeBooks(t, filepath.Join(data, "ledger"))
	run := func(want string, args ...string) string {
		t.Helper()
		out, err := execute(t.Context(), append([]string{"shards"}, append(args, "--data", data)...)...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, want) {
			t.Errorf("shards %s: %s, want %q in it", strings.Join(args, " "), out, want)
		}
		return out
	}
	run("--to: must be 0 to 1", "move", "0-9", "--from", "0", "--to", "7")
	run("is not a list of buckets", "move", "all", "--from", "0", "--to", "1")
	run("bucket 0 lives on shard 0", "move", "0", "--from", "1", "--to", "0")
	begun := run("copying", "move", "0-9", "--from", "0", "--to", "1", "--rate", "5000")
	run("is being moved already", "move", "9", "--from", "0", "--to", "1")
	moveID := "mov_" + strings.Fields(strings.SplitN(begun, "mov_", 2)[1])[0]
	run("0 of 10", "moves", moveID)
	run("aborting", "abort", moveID)
	run("there is no move", "abort", "mov_none")
	run("MOVE", "rebalance", "--dry-run")
}
