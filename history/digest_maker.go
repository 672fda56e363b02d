package history

import (
	"context"
	"time"

	"matchday/id"
)

// digestAsk is a player who has so many bets that readers want a digest.
type digestAsk struct {
	shard  *shard
	player id.Player
}

// maxDigestAsks bounds the players who wait for a digest. Another is dropped: who reads next asks again.
const maxDigestAsks = 64

// askForDigest asks for a digest of a player, without waiting.
func (s *Service) askForDigest(h *shard, player id.Player) {
	select {
	case s.asks <- digestAsk{h, player}:
	default:
	}
}

// makeDigests makes the digests that readers ask for, one after the other, until ctx is done. Each DBTx is
// short, so that the history goes on between them.
func (s *Service) makeDigests(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case ask := <-s.asks:
			if err := s.makeDigest(ctx, ask); err != nil && ctx.Err() == nil {
				s.deps.Log.WarnContext(ctx, "digest not made", "shard", ask.shard.number, "error", err)
			}
		}
	}
}

// asker is a store that several processes have open: who reads there asks whoever writes there for digests.
type asker interface {
	askDigest(ctx context.Context, player id.Player) error
	takeAsked(ctx context.Context) ([]id.Player, error)
}

// asker returns the shard's store if several processes may have it open, else nil.
func (h *shard) asker() asker {
	from := h.store
	if beside, ok := from.(*filled); ok {
		from = beside.store
	}
	shared, _ := from.(asker)
	return shared
}

// makeDigest takes in all of a player's bets but the newest, or asks the process for it that writes the shard.
func (s *Service) makeDigest(ctx context.Context, ask digestAsk) error {
	if shared := ask.shard.asker(); shared != nil && ask.shard.sink != nil && !ask.shard.sink.IsHeld() {
		return shared.askDigest(ctx, ask.player)
	}
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = ask.shard.store.extendDigest(ctx, ask.player); err != nil {
			return err
		}
	}
	return nil
}

// askedEvery is how often a process looks for digests that others want of a shard which it writes.
const askedEvery = 2 * time.Second

// takeAsks has the digests made that other processes want of a shard, until ctx is done.
func (s *Service) takeAsks(ctx context.Context, h *shard) {
	shared := h.asker()
	for shared != nil && wait(ctx, askedEvery) {
		list, err := shared.takeAsked(ctx)
		if err != nil && ctx.Err() == nil {
			s.deps.Log.WarnContext(ctx, "digests that other processes want not read", "shard", h.number, "error", err)
		}
		for _, player := range list {
			s.askForDigest(h, player)
		}
	}
}
