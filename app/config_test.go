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

// TestTheEffectiveConfigurationShowsDefaults: what config check prints is what a process runs with.
func TestTheEffectiveConfigurationShowsDefaults(t *testing.T) {
	t.Parallel()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("quite-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(write(t, `
telemetry: {traces_url: "http://me:quite-secret@127.0.0.1:4318"}
ledger:
  internal_listen: 127.0.0.1:7070
  clusters:
    - {name: east, shards: "0", nodes: ["127.0.0.1:1"], database: ledger, user: w, password_file: `+password+`}
`))
	if err != nil {
		t.Fatal(err)
	}
	c = c.Effective()
	if err := c.Ledger.Validate(); err != nil {
		t.Errorf("defaults do not validate: %v", err)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"lease: 3s", "max_replica_lag: 5s", "failover_wait: 10s", "max_conns: 16", "timeout: 10s", "tls: preferred",
		"on_purged: stop", "batch_rows: 1024", "cached_accounts: 200000", "slow_statement: 100ms", "retry_for: 24h0m0s", "password_file: " + password} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(string(text), "quite-secret") {
		t.Errorf("a secret is printed:\n%s", text)
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
		{"shared shards and the sportsbook", "ledger:\n  internal_listen: 127.0.0.1:0", "ledger.internal_listen: module sportsbook"},
		{"a shared history in files", "roles: [books]\nledger:\n  shards: 2\n  internal_listen: 127.0.0.1:0", "history.clusters: must have every shard"},
		{"a second history in files beside a shared one", "roles: [books]\nledger:\n  shards: 1\n  internal_listen: 127.0.0.1:0\nhistory:\n  next: {dir: second}\n  clusters: [{name: a, shards: \"0\", nodes: [\"a:1\"], database: h, user: u}]",
			"history.next.clusters: must have every shard"},
		{"shared webhooks in a file", "roles: [webhooks]\nledger:\n  internal_listen: 127.0.0.1:0", "webhooks.cluster: must be there"},
		{"a cluster of webhooks without an account", "webhooks:\n  cluster: {nodes: [\"a:1\"], database: d}", "webhooks.cluster.user: is required"},
		{"a lease without sharing", "ledger:\n  lease: 3s", "ledger.internal_listen: is required"},
		{"shards shared with other machines in clear text", "roles: [ledger-api]\nledger:\n  internal_listen: 10.1.0.21:7070", "ledger.internal_listen: is reached from other machines"},
		{"shards shared on every address", "roles: [ledger-api]\nledger:\n  internal_listen: \":7070\"", "ledger.internal_listen: is reached from other machines"},
		{"an address of another machine", "roles: [ledger-api]\nledger:\n  internal_listen: 127.0.0.1:0\n  internal_address: a:1", "ledger.internal_address: is reached"},
		{"a certificate between processes without its key", "ledger:\n  internal_ca_file: a\n  internal_cert_file: b", "ledger.internal_ca_file: goes together"},
		{"two sections", "ledger:\n  shards: -1\nplayer:\n  max_sessions: -1", "ledger.shards: must be 0 to 256\nplayer.max_sessions: is -1, must be 1 to 1000"},
		{"two fields of telemetry", "telemetry:\n  log_level: loud\n  log_format: xml", "want debug, info, warn or error\ntelemetry: log_format"},
		{"a room that names itself", "api:\n  handler_timeout: -1s\nweb:\n  sign_ins_per_minute: 99999", "api: a bound is negative\nweb.sign_ins_per_minute: at most 10000"},
		{"a public address without scheme", "public_url: bets.example", "public_url"},
		{"a public address without host", "public_url: https://", "public_url"},
		{"a public address of another protocol", "public_url: ftp://bets.example", "public_url"},
		{"another word for access", "generated_access: maybe", "generated_access: \"maybe\": want on or off"},
		{"staff without name and password", "staff: [{role: admin}]", "staff[0].name: is required\nstaff[0].password_file: is required"},
		{"staff with an unknown role", "staff: [{name: a, password_file: f, role: owner}]", "staff[0].role"},
		{"staff of nowhere", "staff: [{name: a, password_file: f, jurisdictions: [US-XX]}]", "staff[0].jurisdictions: \"US-XX\""},
		{"staff twice", "staff: [{name: a, password_file: f}, {name: A, password_file: f}]", "staff[1].name"},
		{"staff with the generated name", "generated_access: on\nstaff: [{name: staff, password_file: f}]", "staff[0].name"},
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

func TestAnHTTPSAddressMakesCookiesSecure(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"": false, "http://bets.example": false, "https://bets.example": true, "https://bets.example:8443/": true} {
		c, err := Load(write(t, "public_url: "+address))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil || c.Web.SecureCookies != want {
			t.Errorf("public_url %q: secure cookies %v (%v), want %v", address, c.Web.SecureCookies, err, want)
		}
	}
}

func TestWarningsNameWhatAnOperatorShouldKnow(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, want string
		warned           bool
	}{
		{"metrics on an open port", "listen: 0.0.0.0:80", "/metrics", true},
		{"metrics behind a proxy", "public_url: https://bets.example", "/metrics", true},
		{"metrics on this machine only", "listen: 127.0.0.1:80", "/metrics", false},
		{"no way in for staff", "generated_access: off", "nobody can sign in", true},
		{"staff of an operator", "generated_access: off\nstaff: [{name: a, password_file: f}]", "nobody can sign in", false},
		{"a key that may lend", "api: {keys: [{name: loans, sha256: " + strings.Repeat("ab", 32) + ", limits: true, credit_lines: true}]}", "key loans may let", true},
		{"a key that may not lend", "api: {keys: [{name: loans, sha256: " + strings.Repeat("ab", 32) + ", limits: true}]}", "key loans may let", false},
		{"access not decided", "", "generated_access is not set", true},
	}
	for _, tt := range tests {
		c, err := Load(write(t, tt.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(c.Warnings(), "\n"); strings.Contains(got, tt.want) != tt.warned {
			t.Errorf("%s: warned of %q should be %v:\n%s", tt.name, tt.want, tt.warned, got)
		}
	}
}

func TestTheExamplesForClustersAreValid(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "clusters.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	examples := 0
	for rest != "" {
		var text string
		text, rest, _ = strings.Cut(rest, "```")
		examples++
		c, err := Load(write(t, text))
		if err == nil {
			err = c.Validate()
		}
		if err != nil {
			t.Errorf("example %d: %v", examples, err)
		}
		ofLedger := len(c.Ledger.Clusters) == 1 && c.Ledger.Clusters[0].Reader != ""
		if !ofLedger && len(c.History.Clusters) != 1 {
			t.Errorf("example %d has no cluster: %+v", examples, c.Ledger)
		}
		_, rest, _ = strings.Cut(rest, "```yaml\n")
	}
	if examples != 3 {
		t.Errorf("%d examples, want one process, several, and the history", examples)
	}
}
