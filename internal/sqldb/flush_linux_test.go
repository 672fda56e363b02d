package sqldb

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAFlushRestsBetweenItsParts: three megabytes are a dozen parts, each of which the disk has to take. What is on
// disk already is no reason to rest.
func TestAFlushRestsBetweenItsParts(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var where unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &where); err != nil {
		t.Fatal(err)
	}
	if where.Type == unix.TMPFS_MAGIC {
		t.Skip("the temporary folder is in memory: there is no disk to rest for")
	}
	const parts = 12
	if _, err := f.Write(bytes.Repeat([]byte("x"), parts*partBytes)); err != nil {
		t.Fatal(err)
	}
	rests := 0
	count := func(took time.Duration) {
		if rests++; took < partTakes {
			t.Errorf("a rest after a part that took %s", took)
		}
	}
	if err := flush(f, count); err != nil || rests == 0 || rests > parts {
		t.Errorf("%d rests, %v, want some, %d at most", rests, err, parts)
	}
}
