package faults

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestWaitingEndsOnlyWhenNothingMoves has each look take until its time is over.
func TestWaitingEndsOnlyWhenNothingMoves(t *testing.T) {
	t.Parallel()
	const limit = time.Millisecond
	at := int64(0)
	moving := func(ctx context.Context) (int64, bool) {
		<-ctx.Done()
		at++
		return at, at == 10
	}
	if err := whileMoving(t.Context(), limit, moving); err != nil || at != 10 {
		t.Errorf("what moves on was given up at %d of 10: %v", at, err)
	}
	looks := 0
	still := func(ctx context.Context) (int64, bool) {
		<-ctx.Done()
		looks++
		return 7, false
	}
	if err := whileMoving(t.Context(), limit, still); !errors.Is(err, context.DeadlineExceeded) || looks != 2 {
		t.Errorf("what stands still: %v after %d looks, want an end of the time at the second", err, looks)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := whileMoving(ended, time.Hour, moving); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was ended: %v", err)
	}
}
