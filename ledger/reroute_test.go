package ledger

import (
	"context"
	"errors"
	"testing"
	"time"

	"matchday/errs"
)

// TestAgainAsksUntilThereIsAnAnswer: what a caller is told depends on all answers on the way.
func TestAgainAsksUntilThereIsAnAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	full := errs.Wrap(ErrNotTaken, errs.CodeUnavailable, "the queue is full")
	poor := errs.New(errs.CodeInsufficientFunds, "no funds")
	tests := []struct {
		name     string
		answers  []error
		want     errs.Code
		notTaken bool
	}{
		{"the first place has the answer", []error{nil}, "", false},
		{"the second place has it", []error{errNotHere, errNotHere, nil}, "", false},
		{"a refusal is an answer", []error{errNotHere, poor}, errs.CodeInsufficientFunds, false},
		{"nothing was done anywhere", []error{errNotHere, full}, errs.CodeUnavailable, true},
		{"something may have been done", []error{errOpenEnded, errNotHere, full}, errs.CodeUnavailable, false},
		{"the new place knows", []error{errOpenEnded, nil}, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			calls := 0
			err := w.retryHere(context.Background(), func() error {
				calls++
				return tt.answers[calls-1]
			})
			if calls != len(tt.answers) || errs.CodeOf(err) != tt.want || errors.Is(err, ErrNotTaken) != tt.notTaken {
				t.Errorf("got %v after %d calls", err, calls)
			}
		})
	}
}

// TestRoundsOfABatchRememberEachAnswer: a transfer of a batch that one writer had in hand is never
// answered "nothing was done", whatever turns it away later; its neighbours are, if nothing was.
func TestRoundsOfABatchRememberEachAnswer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	full := errs.Wrap(ErrNotTaken, errs.CodeUnavailable, "the queue is full")
	tests := []struct {
		name     string
		rounds   [][]error // for each transfer; a round beyond the last is the last again
		notTaken []bool
	}{
		{"turned away after the writer went", [][]error{{errOpenEnded, errElsewhere, nil}, {full, full, nil}}, []bool{false, true, false}},
		{"turned away two places later", [][]error{{errOpenEnded, errElsewhere, full}, {errElsewhere, errElsewhere, nil}, {full, full, nil}}, []bool{false, true, true}},
		{"no place found, the open one second", [][]error{{errElsewhere, errOpenEnded, nil}, {errElsewhere, errElsewhere, nil}}, []bool{true, false, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			results := make([]Result, len(tt.notTaken))
			rounds := 0
			w.inRounds(ctx, results, func(asked []int) error {
				answers := tt.rounds[min(rounds, len(tt.rounds)-1)]
				if rounds++; rounds > len(tt.rounds) {
					cancel() // nobody comes any more
				}
				var first error
				for _, i := range asked {
					results[i].Err = answers[i]
					if first == nil && isElsewhere(answers[i]) {
						first = answers[i]
					}
				}
				return first
			})
			for i, r := range results {
				if errors.Is(r.Err, ErrNotTaken) != tt.notTaken[i] || isElsewhere(r.Err) {
					t.Errorf("transfer %d: got %v", i, r.Err)
				}
			}
		})
	}
}

func TestAgainEndsWithItsContext(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, first := range []error{errNotHere, errOpenEnded} {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
		err := w.retryHere(ctx, func() error { return first })
		cancel()
		if !errs.Is(err, errs.CodeUnavailable) || isElsewhere(err) || errors.Is(err, ErrNotTaken) != errors.Is(first, errNotHere) {
			t.Errorf("after %v: got %v", first, err)
		}
	}
}

// TestAChangeOfPlacementEndsTheWait moves a bucket while a call waits for it.
func TestAChangeOfPlacementEndsTheWait(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 2 })
	p := playersOn(t, w.Service, 2)[0]
	asked := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		first := true
		done <- w.retryHere(context.Background(), func() error {
			if first {
				first = false
				close(asked)
			}
			if w.ShardOf(p) == 0 {
				return errNotHere
			}
			return nil
		})
	}()
	<-asked
	if err := w.directory.moveBucket(context.Background(), "", bucketOf(p), 0, 1); err != nil {
		t.Fatal(err)
	}
	if err := w.refreshPlacement(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
