package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"matchday/errs"
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

func TestCommandsComeOnceAndSeveralAtATime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	c, ctx := w.commands(), context.Background()
	const sent = 20
	for n := range sent { // before anybody works, some of them twice
		for range 1 + n%2 {
			if err := c.Send(ctx, 0, fmt.Sprintf("id-%d", n), fmt.Appendf(nil, "command %d", n)); err != nil {
				t.Fatalf("Send: %v", err)
			}
		}
	}
	got, release := make(chan string, 100), make(chan struct{})
	w.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(ctx context.Context, payload []byte) error {
			got <- string(payload)
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	seen := map[string]int{}
	for range 2 { // nobody returns yet: the second one is handed over beside the first
		seen[receive(t, got)]++
	}
	close(release)
	for range sent - 2 {
		seen[receive(t, got)]++
	}
	for n := range sent {
		if name := fmt.Sprintf("command %d", n); seen[name] != 1 {
			t.Errorf("%s came %d times, want once", name, seen[name])
		}
	}
	if len(got) != 0 {
		t.Errorf("%d commands more than were sent", len(got))
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

func TestQueueThatWasDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	c, ctx := w.commands(), context.Background()
	got := make(chan string, 10)
	w.start(func(ctx context.Context) error {
		return c.Run(ctx, 0, func(_ context.Context, payload []byte) error { got <- string(payload); return nil })
	})
	if err := c.Send(ctx, 0, "a", []byte("first")); err != nil {
		t.Fatal(err)
	}
	receive(t, got)
	if err := w.jet().DeleteStream(ctx, "commands-payouts-0"); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(ctx, 0, "a", []byte("second")); err != nil {
		t.Fatal(err)
	}
	if text := receive(t, got); text != "second" {
		t.Errorf("got %q, want second", text)
	}
}

func TestCommandsAreChecked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.commands().Send(context.Background(), 0, "a", make([]byte, stream.MaxCommandBytes+1)); !errs.Is(err, errs.CodeTooLarge) {
		t.Errorf("Send of a large command: %v, want too_large", err)
	}
	for _, name := range []string{"", "a.b", "Payouts", "a b", "*"} {
		if _, err := stream.NewCommands(w.transport(), name, w.deps); err == nil {
			t.Errorf("queue name %q: want an error", name)
		}
	}
}
