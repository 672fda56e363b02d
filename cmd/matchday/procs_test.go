package main

import "testing"

func TestBallastGoesWithTheMemoryThereIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		memory, want uint64
	}{
		{"a small container", 512 << 20, 0},
		{"a gigabyte", 1 << 30, 64 << 20},
		{"enough", 4 << 30, 256 << 20},
		{"plenty", 64 << 30, 256 << 20},
		{"no limit", ^uint64(0), 256 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := ballastFor(tt.memory); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}
