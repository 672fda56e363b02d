package stream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"matchday/stream"
)

func (w *world) commands() *stream.Commands {
	w.t.Helper()
	c, err := stream.NewCommands(w.transport(), "payouts", w.deps)
	if err != nil {
		w.t.Fatalf("NewCommands: %v", err)
	}
	return c
}

// receive returns the next payload, or fails the test.
func receive(t *testing.T, from <-chan string) string {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(2 * time.Minute):
		t.Fatal("no command came")
		return ""
	}
}

func TestFailedCommandComesAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	c := w.commands()
	got := make(chan string, 100)
	var tries atomic.Int32
	w.start(func(ctx context.Context) error {
		return c.Run(ctx, 1, func(_ context.Context, payload []byte) error {
			if tries.Add(1) <= 3 {
				return errors.New("not now")
			}
			got <- string(payload)
			return nil
		})
	})
	if err := c.Send(context.Background(), 1, "a", []byte("x")); err != nil {
		t.Fatalf("Send: %v", err)
	}
	receive(t, got)
}

func TestCommandSurvivesARestartBeforeItIsDone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	c := w.commands()
	if err := c.Send(context.Background(), 0, "a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 10)
	stop := w.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(ctx context.Context, payload []byte) error {
			seen <- string(payload)
			return errors.New("stopped before it was done")
		})
	})
	receive(t, seen)
	if err := errors.Join(stop(), w.emb.Close()); err != nil {
		t.Fatal(err)
	}
	w.startServer()
	c = w.commands()
	got := make(chan string, 10)
	w.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	})
	if text := receive(t, got); text != "x" {
		t.Errorf("got %q, want x", text)
	}
}

func TestQueuesHaveNames(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, name := range []string{"", "a.b", "Payouts", "a b", "*"} {
		if _, err := stream.NewCommands(w.transport(), name, w.deps); err == nil {
			t.Errorf("queue name %q: want an error", name)
		}
	}
}
