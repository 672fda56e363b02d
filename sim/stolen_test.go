package sim

import "testing"

func TestStolenTimeIsReadFromTheKernelsLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]ticks{
		"cpu  100 20 30 400 50 6 7 87 11 2": {stolen: 87, all: 700}, // the last two are in the first two
		"cpu  100 20 30 400 50 6 7":         {},
		"cpu  100 20 x 400 50 6 7 87 0 0":   {},
		"cpu0 100 20 30 400 50 6 7 87 0 0":  {},
		"":                                  {},
	} {
		if got := parseTicks(line); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}
