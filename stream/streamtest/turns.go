package streamtest

import (
	"context"
	"sync"
)

// Turns says when a process is the one that applies a log, as whoever owns shards does, and may leave one whose turn
// is over in the belief that it still is.
type Turns struct {
	mu    sync.Mutex
	epoch int64 // 0: it is somebody else's turn
	moved chan struct{}
}

// NewTurns returns turns of a process that does not apply yet.
func NewTurns() *Turns { return &Turns{moved: make(chan struct{})} }

// Give lets the process apply under the epoch; 0 takes that away.
func (o *Turns) Give(epoch int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch = epoch
	close(o.moved)
	o.moved = make(chan struct{})
}

// Hold runs fn while it is the process's turn, again in each turn, until ctx is done: it is what stream.Sharing asks for.
func (o *Turns) Hold(ctx context.Context, _ int, fn func(ctx context.Context, epoch int64) error) error {
	for ctx.Err() == nil {
		o.mu.Lock()
		epoch, moved := o.epoch, o.moved
		o.mu.Unlock()
		own, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		if epoch > 0 {
			go func() { done <- fn(own, epoch) }()
		}
		select {
		case <-moved:
		case <-ctx.Done():
		}
		cancel()
		if epoch > 0 {
			if err := <-done; err != nil {
				return err
			}
		}
	}
	return nil
}
