package sqldb

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// holderFile tells a child process of TestStoppedHolder which file to lock.
const holderFile = "MATCHDAY_SQLDB_HOLDER_FILE"

// TestStoppedHolder names a process only while it holds the lock and is stopped.
func TestStoppedHolder(t *testing.T) {
	if path := os.Getenv(holderFile); path != "" {
		lockUntilKilled(t, path)
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells who holds a lock")
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Write.Exec(`CREATE TABLE one (id INTEGER PRIMARY KEY) STRICT`); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStoppedHolder$", "-test.count=1")
	child.Env = append(os.Environ(), holderFile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	defer func() { _ = child.Process.Kill(); <-ended }()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "locked" {
		t.Fatalf("child: %q", lines.Text())
	}
	go func() { _ = child.Wait(); close(ended) }()
	if got := StoppedHolder(path); got != 0 {
		t.Errorf("a running holder: got %d, want 0", got)
	}
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	want := child.Process.Pid
	for range 500 {
		if StoppedHolder(path) == want {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	if got := StoppedHolder(path); got != want {
		t.Errorf("a stopped holder: got %d, want %d", got, want)
	}
	if got := StoppedHolder(filepath.Join(t.TempDir(), "b.db")); got != 0 {
		t.Errorf("another file: got %d, want 0", got)
	}
}

// lockUntilKilled begins to write and says so.
func lockUntilKilled(t *testing.T, path string) {
	db, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = db.InTx(context.Background(), func(tx *sql.Tx) error {
		if _, err := tx.Exec(`INSERT INTO one (id) VALUES (1)`); err != nil {
			return err
		}
		fmt.Println("locked")
		<-time.After(time.Minute)
		return nil
	})
	t.Fatal(err)
}
