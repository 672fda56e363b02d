package ledgertest

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/id"
	"matchday/ledger"
)

// players are those of the suite's random operations.
var players = []string{"plr_a", "plr_b", "plr_c"}

// RunMoves tests an engine of two shards while buckets of players move between them: with moves in
// between, finished or stopped half-way, and with restarts, every answer must be that of a model that
// knows nothing of shards.
func RunMoves(t *testing.T, open Engine, fresh func() string) {
	t.Run("any list of operations with any moves ends as in the model", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { againstModel(r, open, fresh(), moveSomebody) })
	})
}

// moveSomebody moves the bucket of one player to the other shard, or begins to.
func moveSomebody(t *rapid.T, s *ledger.Service) {
	ctx := t.Context()
	p := id.Player(rapid.SampledFrom(players).Draw(t, "mover"))
	from := s.ShardOf(p)
	m, err := s.StartMove(ctx, ledger.MoveRequest{Buckets: []int{ledger.BucketOf(p)}, From: from, To: 1 - from})
	if err != nil {
		t.Fatalf("start move: %v", err)
	}
	if rapid.IntRange(0, 4).Draw(t, "abort") == 0 {
		_, _ = s.AbortMove(ctx, m.ID) // or it was too late, which is as good
	}
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		m, err := s.FindMove(ctx, m.ID)
		if err != nil {
			t.Fatalf("find move: %v", err)
		}
		if m.Step == ledger.MoveDone || m.Step == ledger.MoveAborted {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("move does not end: %+v", m)
		}
	}
}
