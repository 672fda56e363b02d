package stream_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"matchday/stream"
)

// slowTransport stores messages only once the test lets it.
type slowTransport struct {
	stream.Transport
	during func() // called while a message is sent
	sent   chan stream.Message
	store  chan struct{} // closed: messages are stored
}

// Publish implements stream.Transport.
func (s *slowTransport) Publish(ctx context.Context, m stream.Message, fence uint64) stream.Stored {
	stored := s.Transport.Publish(ctx, m, fence)
	s.during()
	s.sent <- m
	return func(ctx context.Context) error {
		select {
		case <-s.store:
			return stored(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// next returns the next message that was sent.
func (s *slowTransport) next(t *testing.T) stream.Message {
	t.Helper()
	select {
	case m := <-s.sent:
		return m
	case <-time.After(2 * time.Minute):
		t.Fatal("no message within minutes")
		return stream.Message{}
	}
}

// TestRelayGathersWhatComesThick: the first commit goes out at once; what is committed from then on, until that is
// stored, shares a message.
func TestRelayGathersWhatComesThick(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.commit(1)
	alone := w.log.Head(0)
	slow := &slowTransport{Transport: w.transport(), sent: make(chan stream.Message, 64), store: make(chan struct{})}
	slow.during = sync.OnceFunc(func() { w.commit(1, 1, 1) })
	w.start(w.relayOver(slow).Run)
	if m := slow.next(t); m.First != 1 || m.Last != alone {
		t.Fatalf("first message %d to %d, want 1 to %d", m.First, m.Last, alone)
	}
	w.commit(1, 1, 1)
	close(slow.store)
	if m := slow.next(t); m.First != alone+1 || m.Last != w.log.Head(0) {
		t.Errorf("second message %d to %d, want %d to %d", m.First, m.Last, alone+1, w.log.Head(0))
	}
}
