package api

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAGeneratedClient makes a client of the served document with a generator that knows nothing of us, compiles it
// and moves money with it. Scripts/openapi-client.sh fetches the generator; `make test-clients` runs it.
func TestAGeneratedClient(t *testing.T) {
	dir := os.Getenv("MATCHDAY_OPENAPI_CLIENT")
	if dir == "" {
		t.Skip("no folder with a generator: make test-clients makes one")
	}
	s := newServer(t)
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...) //nolint:gosec // what the script put there
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	write("openapi.json", s.do("GET", "/openapi.json", "", nil).want(http.StatusOK).body)
	program, err := os.ReadFile("testdata/generatedclient.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	write("main.go", program)
	run("./oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.gen.go", "openapi.json")
	run("go", "build", "-o", "client", ".")
	if got, want := run("./client", s.url, testKey, newPlayerID(), newPlayerID()), "18.00 USD\n12.00 USD\n"; got != want {
		t.Errorf("the generated client prints %q, want %q", got, want)
	}
}
