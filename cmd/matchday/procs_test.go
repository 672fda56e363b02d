package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

func TestRoomForGarbageGoesWithTheMemoryThereIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		memory, want uint64
	}{
		{"a small container", 512 << 20, 0},
		{"a gigabyte", 1 << 30, 128 << 20},
		{"enough", 4 << 30, 512 << 20},
		{"plenty", 64 << 30, 512 << 20},
		{"no limit", ^uint64(0), 512 << 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := roomFor(tt.memory); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}

func TestCollectionsComeWhenTheRoomIsFull(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		live uint64
		want int
	}{
		{"before the first", 0, 12800},
		{"small", 32 << 20, 1600},
		{"as large as the room", 512 << 20, 100},
		{"large", 4 << 30, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := percentFor(512<<20, tt.live); got != tt.want {
				t.Errorf("%d %%, want %d %%", got, tt.want)
			}
		})
	}
}

// TestEveryCollectionSetsTheNext changes the process's setting, so it runs alone.
func TestEveryCollectionSetsTheNext(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	c := &collections{room: 64 << 20, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	for range 3 {
		c.collected()
		if is := debug.SetGCPercent(100); is <= 100 {
			t.Fatalf("%d %%, want more for a small heap", is)
		}
		for is := 100; is == 100; is = debug.SetGCPercent(100) { // the finaliser sets it again
			runtime.GC()
			runtime.Gosched()
		}
	}
}
