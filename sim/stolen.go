package sim

import (
	"os"
	"strconv"
	"strings"
)

// ticks are how long the processors of this machine have run or rested, in the kernel's unit.
type ticks struct {
	stolen int64 // of it: they had work, and the host gave their time to other guests
	all    int64
}

// stolenColumn is where /proc/stat has the stolen time, by proc(5). What follows it is part of other columns.
const stolenColumn = 7

// processorTicks reads the ticks so far. All zero: the system does not tell.
func processorTicks() ticks {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks{}
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	return parseTicks(line)
}

// parseTicks reads the line of all processors together.
func parseTicks(line string) (t ticks) {
	columns := strings.Fields(line)
	if len(columns) < 2+stolenColumn || columns[0] != "cpu" {
		return ticks{}
	}
	for i, column := range columns[1 : 2+stolenColumn] {
		n, err := strconv.ParseInt(column, 10, 64)
		if err != nil {
			return ticks{}
		}
		t.all += n
		if i == stolenColumn {
			t.stolen = n
		}
	}
	return t
}

// addStolen adds the part of the processors' time that other guests had since then, in percent. A figure of
// time means little without it.
func (r *BenchReport) addStolen(name string, since ticks) {
	if now := processorTicks(); now.all > since.all {
		r.add(name, 100*float64(now.stolen-since.stolen)/float64(now.all-since.all))
	}
}
