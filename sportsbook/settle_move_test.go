package sportsbook

import (
	"context"
	"testing"

	"matchday/id"
	"matchday/ledger"
)

// relocate moves a player's bucket to the other shard and waits until it is there.
func (b *book) relocate(p id.Player) {
	b.t.Helper()
	ctx := context.Background()
	from := b.ledger.ShardOf(p)
	m, err := b.ledger.StartMove(ctx, ledger.MoveRequest{Buckets: []int{ledger.BucketOf(p)}, From: from, To: 1 - from, By: "test"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.eventually("the bucket has moved", func() bool {
		list, err := b.ledger.Moves(ctx, "", 10)
		return err == nil && list[0].ID == m.ID && list[0].Step == ledger.MoveDone
	})
}

// TestBetsAreSettledWhereverTheirPlayerIs moves a player before the result, between the result and its
// correction, and back again.
func TestBetsAreSettledWhereverTheirPlayerIs(t *testing.T) {
	t.Parallel()
	b := openBook(t)
	p := b.player(100_00)
	won := b.place(p, 10_00, "g1_x:moneyline:home")
	other := b.place(p, 10_00, "g2_x:moneyline:home")
	b.wantExposure("g1_x", 1)

	b.relocate(p)
	b.wantExposure("g1_x", 1)
	late := b.place(p, 5_00, "g1_x:moneyline:away")
	b.result("g1_x", 24, 17)
	b.wantState(won.BetID, "won 2000 v1")
	b.wantState(late.BetID, "lost 0 v1")
	b.wantState(other.BetID, "open v0")
	b.wantExposure("g1_x", 0)
	b.wantExposure("g2_x", 1)

	b.relocate(p)
	b.result("g1_x", 17, 24)
	b.wantState(won.BetID, "lost 0 v2")
	b.wantBalance(ledger.Bets(testNJ, Product), 10_00)
	b.result("g2_x", 1, 0)
	b.wantState(other.BetID, "won 2000 v1")
	b.wantSound()
	b.restart()
	b.wantExposure("g2_x", 0)
	b.wantSound()
}
