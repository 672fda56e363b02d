package telemetrytest

import (
	"syscall"
	"testing"
	"time"
)

// ProcessorTime returns the processor time that the process has used: on a shared machine it says more than
// the wall clock.
func ProcessorTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
