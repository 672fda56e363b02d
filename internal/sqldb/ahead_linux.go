package sqldb

import (
	"os"

	"golang.org/x/sys/unix"
)

// aheadBytes is how much the system is asked for at a time: of more it takes the beginning only.
const aheadBytes = 1 << 20

// readAhead asks the system to have part of the file in memory. What is there already costs next to nothing.
func readAhead(f *os.File, from, length int64) error {
	for end := from + length; from < end; from += aheadBytes {
		if err := unix.Fadvise(int(f.Fd()), from, min(aheadBytes, end-from), unix.FADV_WILLNEED); err != nil {
			return err
		}
	}
	return nil
}
