package sqldb

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAThreadIsUrgentOnlyMeanwhile: where the system does not allow it, it is not urgent, and what was to be done is done.
func TestAThreadIsUrgentOnlyMeanwhile(t *testing.T) {
	t.Parallel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	priority := func() int {
		above, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Fatal(err)
		}
		return above
	}
	before, meanwhile := priority(), 0
	want := errors.New("what came out")
	if err := Urgently(func() error { meanwhile = priority(); return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	switch {
	case meanwhile == 0:
		t.Fatal("it was not run")
	case notUrgent.Load():
		t.Log("the system does not allow it here")
	case meanwhile != min(before+urgentBy, 40):
		t.Errorf("priority %d, want %d above %d", meanwhile, urgentBy, before)
	}
	if after := priority(); after != before {
		t.Errorf("priority %d afterwards, want %d", after, before)
	}
}
