package sqldb

import (
	"os"
	"syscall"
)

// flush writes what the system still has of the file in memory.
func flush(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
