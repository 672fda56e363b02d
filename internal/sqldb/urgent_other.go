//go:build !linux

package sqldb

// Urgently runs fn and returns what it does: to let one thread come before others is for Linux.
func Urgently(fn func() error) error { return fn() }
