//go:build !linux

package sqldb

import (
	"os"
	"time"
)

// flush writes what the system still has of the file in memory, all of it at once.
func flush(f *os.File, _ func(took time.Duration)) error { return f.Sync() }
