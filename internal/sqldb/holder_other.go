//go:build !linux

package sqldb

// StoppedHolder returns the process that holds the write lock of the database file while it is
// stopped; here that cannot be told, so 0.
func StoppedHolder(string) int { return 0 }
