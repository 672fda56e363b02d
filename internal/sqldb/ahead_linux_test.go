package sqldb

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWhatIsReadAheadIsInMemory: a file that the system has put out of memory is there again.
func TestWhatIsReadAheadIsInMemory(t *testing.T) {
	t.Parallel()
	const size = 3*aheadBytes + 4096
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	there := func(at int64) bool { // without asking the disk
		n, err := unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 1)}, at, unix.RWF_NOWAIT)
		return err == nil && n == 1
	}
	last := int64(size - 1)
	if !there(0) && !there(last) {
		t.Skip("this file system does not say what of a file is in memory")
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if there(0) || there(last) {
		t.Skip("this file system keeps what it is asked to put out of memory: nothing can be told")
	}
	for began := time.Now(); !there(0) || !there(aheadBytes+aheadBytes/2) || !there(last); runtime.Gosched() {
		if err := readAhead(f, 0, size+aheadBytes); err != nil {
			t.Fatal(err)
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("a minute later in memory: beginning %t, middle %t, end %t", there(0), there(aheadBytes+aheadBytes/2), there(last))
		}
	}
}
