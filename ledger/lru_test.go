package ledger

import (
	"fmt"
	"testing"
)

// TestKeyRingRemembersTheLastKeys: as many as there is room for, each once, and none before them.
func TestKeyRingRemembersTheLastKeys(t *testing.T) {
	t.Parallel()
	const size = 100
	ring := newKeyRing(size)
	key := func(n int) string { return fmt.Sprintf("key-%d", n) }
	for n := range 3*size + 7 {
		ring.add(key(n))
		ring.add(key(n)) // takes no second place
		for back := range 2 * size {
			if want := back < size && back <= n; n >= back && ring.has(key(n-back)) != want {
				t.Fatalf("after %d keys the one %d before: %t, want %t", n+1, back, !want, want)
			}
		}
	}
	if ring.has("another") {
		t.Error("it knows a key that never came")
	}
	if len(ring.set) != size {
		t.Errorf("%d keys are kept, want %d", len(ring.set), size)
	}
}
