package sqldb

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"matchday/internal/clock"
)

const (
	// partBytes is how much of the file is written out at a time, hurriedBytes where nobody rests, and more where that would
	// be over maxParts. PartTakes is what a part takes at least that had anything to write: to find out that there is nothing
	// takes a microsecond.
	partBytes    = 256 << 10
	hurriedBytes = 4 << 20
	maxParts     = 2048
	partTakes    = 30 * time.Microsecond
)

// flush writes what the system still has of the file in memory: part by part, and then it asks the disk to keep it. Without
// a rest between them the parts are larger: a scattered page or two at a time takes as long as if the disk did only one thing.
func flush(f *os.File, rest func(took time.Duration)) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	part := int64(partBytes)
	if rest == nil {
		part = hurriedBytes
	}
	part = max(part, info.Size()/maxParts)
	for from := int64(0); from < info.Size(); from += part {
		began := clock.System{}.Now()
		const through = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
		if unix.SyncFileRange(int(f.Fd()), from, part, through) != nil {
			break // not every file system and sandbox has it; and an error of the disk comes again below
		}
		if took := (clock.System{}).Now().Sub(began); took >= partTakes && rest != nil {
			rest(took)
		}
	}
	return syscall.Fdatasync(int(f.Fd()))
}
