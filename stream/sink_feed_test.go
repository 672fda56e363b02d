package stream

import (
	"context"
	"errors"
	"testing"
)

// TestAFeedHoldsManySmallMessagesAndFewLargeOnes fills feeds that nobody takes from.
func TestAFeedHoldsManySmallMessagesAndFewLargeOnes(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		name        string
		bytes, most int
	}{
		{"small", 100, feedMessages},
		{"a quarter of the room", feedBytes / 4, 4},
		{"more than the room", feedBytes + 1, 1},
	} {
		f, body := newFeed(), make([]byte, tt.bytes)
		for n := range tt.most {
			if err := f.put(t.Context(), Message{First: int64(n), Body: body}); err != nil {
				t.Fatalf("%s: put %d: %v", tt.name, n, err)
			}
		}
		next := Message{First: int64(tt.most), Body: body}
		if err := f.put(ended, next); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: put of one more = %v, want that it waits", tt.name, err)
		}
		waiting := make(chan error, 1)
		go func() { waiting <- f.put(t.Context(), next) }()
		<-f.came // somebody who waited would have been told
		for n := range tt.most + 1 {
			m := f.take()
			if m == nil { // the last one is on its way
				if err := <-waiting; err != nil {
					t.Fatalf("%s: put: %v", tt.name, err)
				}
				m = f.take()
			}
			if m == nil || m.First != int64(n) {
				t.Fatalf("%s: took %+v, want message %d", tt.name, m, n)
			}
		}
		if m := f.take(); m != nil || f.bytes != 0 {
			t.Errorf("%s: took %+v of an empty feed of %d bytes", tt.name, m, f.bytes)
		}
	}
}
