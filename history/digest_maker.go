package history

import (
	"context"

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

// makeDigest takes in all of a player's bets but the newest.
func (s *Service) makeDigest(ctx context.Context, ask digestAsk) error {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = ask.shard.store.extendDigest(ctx, ask.player); err != nil {
			return err
		}
	}
	return nil
}
