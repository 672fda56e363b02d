package sportsbook

import (
	"os"
	"path/filepath"
	"testing"
)

// removeFiles removes what the pattern matches in a folder.
func removeFiles(t testing.TB, dir, pattern string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s in %s (%v)", pattern, dir, err)
	}
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}
