//go:build !linux

package sqldb

import "os"

// flush writes what the system still has of the file in memory.
func flush(f *os.File) error { return f.Sync() }
