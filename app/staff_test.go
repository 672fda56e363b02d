package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"matchday/player"
)

// serve starts a process on a data folder; stop ends it.
func serve(t *testing.T, c Config) (a *App, stop func()) {
	t.Helper()
	c.Listen, c.Slate = "127.0.0.1:0", SlateNone
	c.Player.Argon2 = player.Argon2{MemoryKiB: 64, Passes: 1, Lanes: 1}
	a, err := New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	select {
	case <-a.Ready():
	case err := <-ended:
		t.Fatalf("the process did not start: %v", err)
	case <-time.After(5 * time.Minute):
		t.Fatal("the process was not ready within minutes")
	}
	return a, stop
}

// status returns the answer to a request with a bearer token.
func status(t *testing.T, a *App, method, path, token, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, a.BaseURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestGeneratedAccessWorksOnlyWhileItIsOn(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "ann")
	if err := os.WriteFile(file, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const balance = "/v1/ledger/accounts/house:cash:US-NJ"
	a, stop := serve(t, Config{Data: data, GeneratedAccess: AccessOn})
	generated := a.Secrets
	if _, _, err := a.Players.SignInStaff(t.Context(), StaffName, generated.StaffPassword); err != nil {
		t.Errorf("on: the generated account: %v", err)
	}
	if got := status(t, a, "GET", balance, generated.ServiceKey, ""); got == http.StatusUnauthorized {
		t.Errorf("on: the generated key: status %d", got)
	}
	stop()

	c := Config{Data: data, Staff: []StaffConfig{{Name: "ann", PasswordFile: file, Role: "viewer"}}}
	a, stop = serve(t, c)
	defer stop()
	if _, _, err := a.Players.SignInStaff(t.Context(), StaffName, generated.StaffPassword); err == nil {
		t.Error("off: the generated account still signs in")
	}
	if got := status(t, a, "GET", balance, generated.ServiceKey, ""); got != http.StatusUnauthorized {
		t.Errorf("off: the generated key: status %d, want 401", got)
	}
	session, _, err := a.Players.SignInStaff(t.Context(), "ann", "correct horse battery")
	if err != nil || session.Role != player.RoleViewer || len(session.Jurisdictions) != 3 {
		t.Errorf("off: the configured account: %+v, %v", session, err)
	}
}

func TestAFreshFolderWithoutGeneratedAccessHasNoSecrets(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	_, stop := serve(t, Config{Data: data})
	stop()
	if _, err := os.Stat(filepath.Join(data, "secrets.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("secrets.json: %v, want none", err)
	}
}

func TestAnAccountWithoutItsPasswordFileStopsTheStart(t *testing.T) {
	t.Parallel()
	c := Config{Data: t.TempDir(), Staff: []StaffConfig{{Name: "ann", PasswordFile: filepath.Join(t.TempDir(), "none")}}}
	c.Listen = "127.0.0.1:0"
	a, err := New(c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "staff account ann") {
		t.Errorf("got %v, want an error that names the account", err)
	}
}
