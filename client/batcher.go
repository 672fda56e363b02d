package client

import (
	"context"
	"sync"
	"time"
)

// BatchOptions says how a Batcher gathers.
type BatchOptions struct {
	Max  int           // transfers of one call, 0 is 500, at most MaxTransfers
	Wait time.Duration // for more of them, 0 is 5 ms
}

// Batcher sends transfers that many goroutines bring one at a time in few calls. The first to arrive
// waits a moment for others, then sends for all. It has nothing to close.
type Batcher struct {
	client *Client
	max    int
	wait   time.Duration

	mu   sync.Mutex
	open *gathering
}

// gathering is one call in the making. Its items are written by those who join under the Batcher's
// lock, its answers by the one who sends, before done is closed.
type gathering struct {
	list    []Transfer
	full    chan struct{}
	done    chan struct{}
	answers []Item
	err     error
}

// NewBatcher returns a Batcher that sends with the client.
func (c *Client) NewBatcher(o BatchOptions) *Batcher {
	return &Batcher{client: c, max: min(orElse(max(o.Max, 0), 500), MaxTransfers), wait: orElse(max(o.Wait, 0), 5*time.Millisecond)}
}

// Transfer commits one transfer together with those that others bring at the same time. If ctx ends
// first the outcome is open: ask again with the same key.
func (b *Batcher) Transfer(ctx context.Context, t Transfer) (Result, error) {
	g, index := b.join(t)
	if index == 0 {
		b.gather(g)
		b.send(context.WithoutCancel(ctx), g) // others wait for it too; attempts and time-outs bound it
	}
	select {
	case <-g.done:
	case <-ctx.Done():
		return Result{}, unanswered(ctx.Err())
	}
	if g.err != nil {
		return Result{}, g.err
	}
	return g.answers[index].Result, g.answers[index].Err
}

// join adds the transfer to the call in the making. Index 0 is who has to send it.
func (b *Batcher) join(t Transfer) (g *gathering, index int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == nil {
		b.open = &gathering{full: make(chan struct{}), done: make(chan struct{})}
	}
	g = b.open
	index = len(g.list)
	if g.list = append(g.list, t); len(g.list) == b.max {
		b.open = nil
		close(g.full)
	}
	return g, index
}

// gather waits for others, then lets none join any more.
func (b *Batcher) gather(g *gathering) {
	timer := time.NewTimer(b.wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-g.full:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open == g {
		b.open = nil
	}
}

// send makes the call and answers everybody.
func (b *Batcher) send(ctx context.Context, g *gathering) {
	defer close(g.done)
	g.answers, g.err = b.client.Transfers(ctx, g.list)
}
