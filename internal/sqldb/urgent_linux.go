package sqldb

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// urgentBy is how much a thread's nice value is lowered, of 20 that there are below the usual one.
const urgentBy = 10

// notUrgent is set once the system has refused to.
var notUrgent atomic.Bool

// Urgently runs fn on a thread that comes before the others of the machine, if the system allows it: to root, and to those with
// CAP_SYS_NICE or a limit for nice values (RLIMIT_NICE). It returns what fn does.
func Urgently(fn func() error) error {
	if notUrgent.Load() {
		return fn()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const thisThread = 0
	above, err := unix.Getpriority(unix.PRIO_PROCESS, thisThread)
	usual := 20 - above // as the system call counts
	if err == nil {
		err = unix.Setpriority(unix.PRIO_PROCESS, thisThread, usual-urgentBy)
	}
	if err != nil {
		notUrgent.Store(true)
		return fn()
	}
	defer func() { _ = unix.Setpriority(unix.PRIO_PROCESS, thisThread, usual) }() // everybody may go back
	return fn()
}
