package app

import (
	"os"
	"strings"
	"testing"
)

func TestRolesInArchitectureAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	const path = "../docs/ARCHITECTURE.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "by a test in app -->\n")
	table, _, closed := strings.Cut(rest, "<!-- /roles -->")
	if !ok || !closed {
		t.Fatal("the marks around the role table are gone")
	}
	if got, want := table, RoleTable(); got != want {
		t.Errorf("docs/ARCHITECTURE.md has another role table; paste the output of matchday roles:\n%s", want)
	}
}

func TestRolesHaveWhatTheyNeed(t *testing.T) {
	t.Parallel()
	for _, name := range roleNames() {
		if _, err := modulesOf([]string{name}); err != nil {
			t.Errorf("role %s: %v", name, err)
		}
	}
	if _, err := modulesOf([]string{"nothing"}); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("an unknown role: got %v", err)
	}
}
