package history

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"matchday/id"
	"matchday/stream"
)

// TestAWriterThatIsAheadTakesWhatItLacks commits through one writer alone, as if the other had failed, and
// then through both, with more.
func TestAWriterThatIsAheadTakesWhatItLacks(t *testing.T) {
	s := newOnServer(t)
	store := s.shards[0].store.(*mysqlStore)
	ctx, m, at := context.Background(), model{}, time.UnixMicro(1_600_000_000_000_000).UTC()
	var batches []stream.Batch
	for n := range int64(20) {
		k := betKey{id.Player(fmt.Sprintf("plr_%d", n%6)), id.Bet(fmt.Sprintf("bet_%02d", n))}
		batches = append(batches, stream.Batch{First: 2*n + 1, Last: 2*n + 2, At: at, Records: []stream.Record{
			m.place(2*n+1, at, k, n+1), m.settle(2*n+2, at, k, 1, "won", n)}})
	}
	if err := store.commit(ctx, store.parts[1], 0, batches[:10]); err != nil {
		t.Fatal(err)
	}
	seq, _, err := store.Load(ctx)
	if err != nil || seq != 0 || store.parts[0].at != 0 || store.parts[1].at != 20 {
		t.Fatalf("Load = %d, %v; the writers are at %d and %d, want 0 and 20", seq, err, store.parts[0].at, store.parts[1].at)
	}
	if err := store.Commit(ctx, 0, batches); err != nil {
		t.Fatal(err)
	}
	if seq, shown, err := store.Load(ctx); err != nil || seq != 40 || !shown.Equal(at) {
		t.Errorf("Load = %d, %s, %v, want 40, %s", seq, shown, err, at)
	}
	found := 0
	err = s.ForEach(ctx, func(b Bet) error {
		found++
		if want := m[betKey{b.Player, b.ID}]; b.Status != want.Status || b.Stake != want.Stake || b.Payout != want.Payout {
			t.Errorf("bet %+v, want %+v", b, want)
		}
		return nil
	})
	if err != nil || found != 20 {
		t.Errorf("%d bets, %v, want 20", found, err)
	}
	store.parts[0].at, store.parts[1].at = 30, 30 // somebody else brought the rows to 40
	if err := store.Commit(ctx, 30, batches[15:18]); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("a second writer: %v, want %v", err, stream.ErrFenced)
	}
}
