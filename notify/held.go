package notify

import (
	"context"
	"slices"
	"sync"
)

// held is the shards whose deliveries this process sends, each until its channel is closed.
type held struct {
	mu     sync.Mutex
	shards map[int]<-chan struct{}
}

// during notes that the process sends a shard's deliveries, until ctx is done.
func (h *held) during(ctx context.Context, shard int) {
	h.mu.Lock()
	if h.shards == nil {
		h.shards = map[int]<-chan struct{}{}
	}
	h.shards[shard] = ctx.Done()
	h.mu.Unlock()
	<-ctx.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.shards, shard)
}

// list returns the shards in order.
func (h *held) list() []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]int, 0, len(h.shards))
	for shard := range h.shards {
		out = append(out, shard)
	}
	slices.Sort(out)
	return out
}

// while returns a context that ends when the process no longer sends the shard's deliveries.
func (h *held) while(ctx context.Context, shard int) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	h.mu.Lock()
	over, ok := h.shards[shard]
	h.mu.Unlock()
	if !ok {
		cancel()
		return ctx, cancel
	}
	go func() {
		select {
		case <-over:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}
