package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// execute runs a command line as main does and returns what it wrote.
func execute(ctx context.Context, args ...string) (out string, err error) {
	var written bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&written)
	root.SetErr(&written)
	err = root.ExecuteContext(ctx)
	return written.String(), err
}

func TestWrongCommandLinesSayWhatIsWrongAndExitWith2(t *testing.T) {
	t.Parallel()
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "matchday.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two := file("ledger:\n  shards: -1\nplayer:\n  max_sessions: -1\n")
	problems := "configuration:\n  ledger.shards: must be 0 to 256\n  player.max_sessions: is -1, must be 1 to 1000"
	tests := []struct{ name, line, want string }{
		{"an unknown command", "gamble", `unknown command "gamble" for "matchday"`},
		{"an unknown command of a group", "bench everything", `unknown command "everything" for "matchday bench"`},
		{"an unknown flag", "up --fast", "unknown flag: --fast"},
		{"a flag without its number", "sunday --bets many", `invalid argument "many" for "--bets" flag`},
		{"flags out of range", "sunday --week 0 --bets 0", "invalid flags\n  --week: 0 is not a week (1 to 30)\n  --bets: 0 is out of range (1 to 10,000,000)"},
		{"a bench flag out of range", "bench ledger --engine paper --shards 65", "invalid flags\n  --engine: \"paper\" is not built in: sqlite and mysql are\n  --shards: 65 is out of range"},
		{"wrong settings of two sections", "up --config " + two, problems},
		{"the same, only checked", "config check --config " + two, problems},
		{"a log level from a flag", "serve --log-level loud", `configuration:` + "\n  telemetry: log_level \"loud\""},
		{"a role that is none", "serve --roles everything", `role "everything" is unknown`},
		{"an unknown setting", "config check --config " + file("listne: x"), "listne"},
		{"a file that is not there", "audit --config none.yaml", "none.yaml"},
		{"an audit with a flag of up", "audit --listen 127.0.0.1:1", "unknown flag: --listen"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := execute(t.Context(), strings.Fields(tt.line)...)
			if code := exitCode(err); code != 2 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("exit code %d and %v, want 2 and %q", code, err, tt.want)
			}
		})
	}
}

func TestOtherFailuresExitWith1AndInterruptsWith130(t *testing.T) {
	t.Parallel()
	if _, err := execute(t.Context(), "audit", "--data", filepath.Join(t.TempDir(), "none")); exitCode(err) != 1 {
		t.Errorf("an audit of nothing: exit code %d (%v), want 1", exitCode(err), err)
	}
	if got := exitCode(context.Canceled); got != 130 {
		t.Errorf("an interrupt: exit code %d, want 130", got)
	}
	if got := exitCode(nil); got != 0 {
		t.Errorf("success: exit code %d, want 0", got)
	}
}

func TestEveryCommandShowsItsHelp(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command, path []string)
	visit = func(c *cobra.Command, path []string) {
		out, err := execute(t.Context(), append(path[:len(path):len(path)], "--help")...)
		if err != nil || !strings.Contains(out, "Usage:") || c.Short == "" {
			t.Errorf("help of %q: %v\n%s", c.CommandPath(), err, out)
		}
		for _, sub := range c.Commands() {
			visit(sub, append(path[:len(path):len(path)], sub.Name()))
		}
	}
	visit(rootCommand(), nil)
}

func TestTheDefaultConfigurationPassesItsCheck(t *testing.T) {
	t.Parallel()
	out, err := execute(t.Context(), "config", "check")
	if err != nil || !strings.Contains(out, "listen: 127.0.0.1:8080") {
		t.Errorf("config check: %v\n%s", err, out)
	}
}
