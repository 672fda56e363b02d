package mariadb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// ErrMissing is the error of Start where MariaDB is not installed.
var ErrMissing = errors.New("mariadbd is not installed: scripts/setup.sh installs it")

// prefix begins the names of the folders of processes. It is short because the path of a socket may
// have only 107 bytes.
const prefix = "mdb-"

// processFolder is where this process keeps its servers.
var processFolder struct {
	mu       sync.Mutex
	path     string
	template string
	servers  int
}

// newFolder copies the template into a fresh folder.
func newFolder(ctx context.Context) (string, error) {
	p := &processFolder
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path == "" {
		sweep()
		path := filepath.Join(os.TempDir(), prefix+strconv.Itoa(os.Getpid()))
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", fmt.Errorf("make folder: %w", err)
		}
		p.path = path
	}
	if p.template == "" {
		template := filepath.Join(p.path, "template")
		if err := install(ctx, template); err != nil {
			return "", errors.Join(err, os.RemoveAll(template))
		}
		p.template = template
	}
	p.servers++
	dir := filepath.Join(p.path, strconv.Itoa(p.servers))
	return dir, fill(ctx, p.template, dir)
}

// fill makes dir a copy of the template.
func fill(ctx context.Context, template, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	out, err := exec.CommandContext(ctx, "cp", "-a", template+"/.", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy template: %w: %s", err, out)
	}
	return nil
}

// install makes a fresh data folder.
func install(ctx context.Context, dir string) error {
	if _, err := exec.LookPath("mariadb-install-db"); err != nil {
		return errors.Join(ErrMissing, err)
	}
	args := []string{
		"--no-defaults", "--datadir=" + dir, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-log-bin",
		logFileSize,
	}
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	command := exec.CommandContext(ctx, "mariadb-install-db", args...) // #nosec: fixed arguments
	command.Env = append(os.Environ(), "TMPDIR="+dir)                  // a server that starts removes the temporary tables of others
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("make data folder: %w: %s", err, last(string(out), 2000))
	}
	return nil
}

// sweep removes folders whose process is gone.
func sweep() {
	list, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	if err != nil {
		return // only for a malformed pattern
	}
	for _, dir := range list {
		pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), prefix))
		if err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // of another owner: not ours to remove
		}
	}
}

// Cleanup removes what this process has left: call it at the end of TestMain, when every server is
// stopped or may be killed.
func Cleanup() error {
	shared.mu.Lock()
	one := shared.server
	shared.server = nil
	shared.mu.Unlock()
	var err error
	if one != nil {
		err = one.Kill()
	}
	p := &processFolder
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.path != "" {
		err = errors.Join(err, os.RemoveAll(p.path))
		p.path, p.template = "", ""
	}
	return err
}

// last returns the end of a text.
func last(text string, n int) string { return text[max(0, len(text)-n):] }
