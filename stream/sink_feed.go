package stream

import (
	"context"
	"sync"
)

// Bounds of a feed. One message goes in whatever its size.
const (
	feedMessages = 4096
	feedBytes    = 4 << 20
)

// feed is what a sink has received and not yet applied: a few large messages or many small ones. What came while the
// database was busy with one commit goes into the next, so a database that is slow to commit gets larger commits.
type feed struct {
	came chan struct{} // has an element when there may be something to take
	room chan struct{} // has an element when there may be room

	mu    sync.Mutex
	list  []Message // oldest first
	bytes int
}

func newFeed() *feed { return &feed{came: make(chan struct{}, 1), room: make(chan struct{}, 1)} }

// put adds a message when there is room for it. It has one caller at a time.
func (f *feed) put(ctx context.Context, m Message) error {
	for !f.add(m) {
		select {
		case <-f.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// add reports whether there was room.
func (f *feed) add(m Message) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) > 0 && (len(f.list) >= feedMessages || f.bytes+len(m.Body) > feedBytes) {
		return false
	}
	f.list = append(f.list, m)
	f.bytes += len(m.Body)
	notify(f.came)
	return true
}

// take returns the oldest message, or nil if there is none. It has one caller at a time.
func (f *feed) take() *Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) == 0 {
		return nil
	}
	m := f.list[0]
	f.list[0] = Message{} // its body is not kept
	f.list = f.list[1:]
	f.bytes -= len(m.Body)
	notify(f.room)
	return &m
}

// notify leaves an element in a channel of capacity 1.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
