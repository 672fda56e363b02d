package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/app"
)

// TestProfileOfARunningProcess takes one with each way to sign in.
func TestProfileOfARunningProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole platform: left out with -short")
	}
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	config := app.Default(data)
	config.Listen = "127.0.0.1:0"
	a, err := app.New(config, slog.New(slog.NewTextHandler(io.Discard, nil)), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() { <-ended })
	select {
	case <-a.Ready():
	case err := <-ended:
		t.Fatal(err)
	case <-time.After(2 * time.Minute):
		t.Fatal("not ready after two minutes")
	}
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	staff := []string{"--staff", app.StaffName, "--password-file", file("password", a.Secrets.StaffPassword)}
	tests := []struct {
		name  string
		flags []string
		want  string // in the error; "" is a profile
	}{
		{"the generated key", []string{"--data", data, "--kind", "cpu", "--seconds", "1"}, ""},
		{"a key of a file", []string{"--key-file", file("key", a.Secrets.ServiceKey), "--kind", "goroutine"}, ""},
		{"staff", append(staff, "--kind", "heap"), ""},
		{"a wrong password", []string{"--staff", app.StaffName, "--password-file", file("wrong", "wrong password")}, "unauthenticated"},
		{"a key that is none", []string{"--key-file", file("none", "mdk_none")}, "unauthenticated"},
		{"a kind that is none", []string{"--data", data, "--kind", "secrets"}, "not_found"},
		{"too long", []string{"--data", data, "--seconds", "61"}, "query.seconds is not a number from 1 to 60"},
		{"no key at all", []string{"--data", t.TempDir()}, "--key-file"},
		{"an address that is none", []string{"--url", "nowhere"}, "--url"},
	}
	for _, tt := range tests {
		args := append([]string{"profile"}, tt.flags...)
		if tt.name != "an address that is none" {
			args = append(args, "--url", a.BaseURL())
		}
		out, err := execute(ctx, args...)
		switch {
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		case tt.want == "" && (err != nil || !strings.HasPrefix(out, "\x1f\x8b")):
			t.Errorf("%s: %v, %d bytes that are no profile", tt.name, err, len(out))
		}
	}
}
