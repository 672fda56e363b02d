package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "matchday.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	c, err := Load(write(t, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("the default does not validate: %v", err)
	}
	if got, want := c.Ledger.Dir, filepath.Join("matchday-data", "ledger"); got != want {
		t.Errorf("ledger folder: got %q, want %q", got, want)
	}
	if got := len(c.Jurisdictions.Jurisdictions); got != 3 {
		t.Errorf("got %d jurisdictions, want 3", got)
	}
}

func TestTheEffectiveConfigurationLoadsAsItself(t *testing.T) {
	t.Parallel()
	first, err := Default(t.TempDir()).YAML()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(write(t, string(first)))
	if err != nil {
		t.Fatalf("%v\n%s", err, first)
	}
	second, err := c.YAML()
	if err != nil || string(first) != string(second) {
		t.Errorf("second writing differs (%v):\n%s\n%s", err, first, second)
	}
}

func TestWrongConfigurationsAreRefusedByName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"an unknown field", "listne: 127.0.0.1:1", "listne"},
		{"an unknown field of a room", "ledger:\n  shard: 3", "shard"},
		{"a port that is none", "listen: 127.0.0.1:99999", "99999"},
		{"an address without port", "listen: localhost", "host:port"},
		{"an unknown role", "roles: [everything]", "everything"},
		{"an unknown slate", "slate: nfl", "nfl"},
		{"an unknown log level", "telemetry:\n  log_level: loud", "loud"},
		{"a drain time without end", "drain_timeout: 20h", "drain_timeout"},
		{"two sections", "ledger:\n  shards: -1\nplayer:\n  max_sessions: -1", "ledger.shards: must be 0 to 256\nplayer.max_sessions: is -1, must be 1 to 1000"},
		{"two fields of telemetry", "telemetry:\n  log_level: loud\n  log_format: xml", "want debug, info, warn or error\ntelemetry: log_format"},
		{"a room that names itself", "api:\n  handler_timeout: -1s\nweb:\n  sign_ins_per_minute: 99999", "api: a bound is negative\nweb.sign_ins_per_minute: at most 10000"},
		{"broken YAML", "listen: [", "yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(write(t, tt.text))
			if err == nil {
				err = c.Validate()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error that names %q", err, tt.want)
			}
		})
	}
}

func TestAnotherDataFolderMovesEverything(t *testing.T) {
	t.Parallel()
	c := Default("one").WithData("two").Effective()
	for room, dir := range c.dirs() {
		if !strings.HasPrefix(*dir, "two"+string(filepath.Separator)) {
			t.Errorf("%s is in %s", room, *dir)
		}
	}
}
