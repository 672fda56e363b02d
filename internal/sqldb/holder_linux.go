package sqldb

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// walWriteLock is the byte of the shared-memory file that a writer in WAL mode locks.
const walWriteLock = "120"

// StoppedHolder returns the process that holds the write lock of the database file while it is
// stopped (SIGSTOP, a debugger): nobody can write until it goes on or ends. 0 if there is none.
//
// It looks and never opens the file: closing a descriptor would drop this process's own locks.
func StoppedHolder(path string) int {
	shm, err := filepath.Abs(path + "-shm")
	if err != nil {
		return 0
	}
	info, err := os.Stat(shm)
	if err != nil {
		return 0
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return 0
	}
	defer func() { _ = locks.Close() }()
	lines := bufio.NewScanner(locks)
	for lines.Scan() {
		if pid := holderIn(lines.Text(), stat.Ino); pid > 0 && pid != os.Getpid() && isStopped(pid) && hasOpen(pid, shm) {
			return pid
		}
	}
	return 0
}

// holderIn returns the process of a line of /proc/locks that locks the write byte of the inode.
func holderIn(line string, inode uint64) int {
	// 7: POSIX  ADVISORY  WRITE 4711 08:01:131073 120 120
	var number, class, mode, access, place, first, last string
	var pid int
	_, err := fmt.Sscan(line, &number, &class, &mode, &access, &pid, &place, &first, &last)
	if err != nil || class != "POSIX" || access != "WRITE" || first != walWriteLock {
		return 0
	}
	if !strings.HasSuffix(place, fmt.Sprintf(":%d", inode)) {
		return 0
	}
	return pid
}

// isStopped reports whether the process is stopped or traced.
func isStopped(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(text)[strings.LastIndexByte(string(text), ')')+1:]
	return strings.HasPrefix(rest, " T") || strings.HasPrefix(rest, " t")
}

// hasOpen reports whether the process has the file open.
func hasOpen(pid int, path string) bool {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil && target == path {
			return true
		}
	}
	return false
}
