package ledger

import (
	"context"
	"os"
	"testing"

	"matchday/errs"
)

func TestLookupAnswersAsAReplayWould(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	w.must(deposit("d", "p1", 100))
	first := w.must(digested())
	w.wantCode(stake("refused", "p1", 1000), errs.CodeInsufficientFunds)
	got, found, err := w.Lookup(ctx, "p1", "k", []byte("a"))
	if err != nil || !found || !got.Replayed || got.Position != first.Position || string(got.Data) != string(first.Data) || got.Balances[0] != 90 {
		t.Errorf("got %+v, %t, %v", got, found, err)
	}
	if _, _, err := w.Lookup(ctx, "p1", "k", []byte("b")); !errs.Is(err, errs.CodeConflict) {
		t.Errorf("another request: got %v, want conflict", err)
	}
	got, found, err = w.Lookup(ctx, "p1", "refused", nil)
	if err != nil || !found || !errs.Is(got.Err, errs.CodeInsufficientFunds) {
		t.Errorf("a refusal: got %+v, %t, %v", got, found, err)
	}
	if _, found, err := w.Lookup(ctx, "p1", "unknown", nil); found || err != nil {
		t.Errorf("an unknown key: got %t, %v", found, err)
	}
	if _, found, err := w.Lookup(ctx, "somebody else", "k", nil); found || err != nil {
		t.Errorf("another player's key: got %t, %v", found, err)
	}
}

func TestReaderSeesWhatTheWriterCommits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	w.must(deposit("d", "p1", 100))
	r, err := OpenReader(context.Background(), w.config.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	shard := w.ShardOf("p1")
	for i, want := range []int64{100, 40} {
		got, err := r.Balance(ctx, PlayerCash("p1", nj))
		if err != nil || got.PostedMinor != want || got.Position.Seq != int64(i+1) || r.Head(shard) != int64(i+1) {
			t.Errorf("got %+v, %v at head %d, want %d", got, err, r.Head(shard), want)
		}
		if i == 0 {
			w.must(stake("s", "p1", 60))
		}
	}
	list, err := r.ReadLog(ctx, shard, 0, 10)
	if err != nil || len(list) != 2 || len(list[1].Records) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if _, err := r.ReadLog(ctx, 7, 0, 10); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
	if r.Head(7) != 0 || r.Shards() != 2 {
		t.Errorf("got head %d of %d shards", r.Head(7), r.Shards())
	}
}

func TestReaderNamesAMissingShard(t *testing.T) {
	t.Parallel()
	if _, err := OpenReader(context.Background(), t.TempDir()); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("no books: got %v, want not_found", err)
	}
	w := setup(t)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(shardFile(w.config.Dir, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(context.Background(), w.config.Dir); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("a missing shard: got %v, want not_found", err)
	}
	if _, err := os.Stat(shardFile(w.config.Dir, 0)); err == nil {
		t.Error("reading made an empty shard")
	}
}
