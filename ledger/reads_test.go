package ledger

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/stream"
)

func TestBalanceAtATime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash := PlayerCash("p1", nj)
	w.must(deposit("d1", "p1", 100))
	w.clock.Advance(time.Minute)
	w.must(deposit("d2", "p1", 50))
	w.clock.Advance(time.Minute)
	w.must(hold("h", "p1", 30, start.Add(time.Hour)))
	tests := []struct {
		name         string
		at           time.Time
		posted, held int64
		seq          int64
	}{
		{"before the first commit", start.Add(-time.Second), 0, 0, 0},
		{"at the first commit", start, 100, 0, 1},
		{"between", start.Add(30 * time.Second), 100, 0, 1},
		{"at the second", start.Add(time.Minute), 150, 0, 2},
		{"after the hold", start.Add(time.Hour), 150, 30, 3},
	}
	for _, tt := range tests {
		got, err := w.BalanceAt(ctx, cash, tt.at)
		if err != nil || got.PostedMinor != tt.posted || got.HeldMinor != tt.held || got.Position.Seq != tt.seq {
			t.Errorf("%s: got %+v (%v), want posted %d, held %d, seq %d", tt.name, got, err, tt.posted, tt.held, tt.seq)
		}
	}
}

func TestTheLogsTimeNeverRunsBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	first := w.must(deposit("d1", "p1", 100))
	w.clock.Advance(-time.Hour)
	second := w.must(deposit("d2", "p1", 100))
	if second.At.Before(first.At) {
		t.Errorf("got %s after %s", second.At, first.At)
	}
	w.restart()
	if third := w.must(deposit("d3", "p1", 100)); third.At.Before(first.At) {
		t.Errorf("got %s after %s", third.At, first.At)
	}
	w.wantSound()
}

func TestStatementIsNewestFirstAndPages(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx := context.Background()
	cash := PlayerCash("p1", nj)
	for i := range 5 {
		w.must(deposit(fmt.Sprintf("d%d", i), "p1", 100))
	}
	w.must(hold("h", "p1", 1, start.Add(time.Hour))) // moves nothing: not a line
	w.must(stake("s", "p1", 70))
	got, err := w.Statement(ctx, cash, StatementQuery{Limit: 3})
	if err != nil || len(got) != 3 {
		t.Fatalf("got %v, %v", got, err)
	}
	if l := got[0]; l.Key != "s" || l.Kind != KindStake || l.AmountMinor != -70 || l.BalanceMinor != 430 || l.Subject != "s" ||
		l.Position.Shard != w.ShardOf("p1") || !l.At.Equal(start) {
		t.Errorf("got %+v", l)
	}
	rest, err := w.Statement(ctx, cash, StatementQuery{Before: got[2].Position})
	if err != nil || len(rest) != 3 || rest[2].Key != "d0" || rest[2].BalanceMinor != 100 {
		t.Errorf("got %v, %v", rest, err)
	}
	for _, bad := range []StatementQuery{{Limit: 501}, {Limit: -1}, {Before: stream.Position{Seq: -1}}, {Before: stream.Position{Shard: 99, Seq: 1}}, {From: start, To: start}, {Kinds: []Kind{0}},
		{Kinds: []Kind{200}}, {Kinds: make([]Kind, 33)}} {
		if _, err := w.Statement(ctx, cash, bad); !errs.Is(err, errs.CodeInvalid) {
			t.Errorf("%+v: got %v, want invalid", bad, err)
		}
	}
	if _, err := w.Statement(ctx, Bets(nj, "sportsbook"), StatementQuery{}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("house account: got %v, want invalid", err)
	}
}

// TestAStatementsPagesStayPutWhileTheAccountMoves: what is written between two pages shows on neither.
func TestAStatementsPagesStayPutWhileTheAccountMoves(t *testing.T) {
	t.Parallel()
	w := setup(t)
	cash := PlayerCash("p1", nj)
	for i := range 4 {
		w.must(deposit(fmt.Sprintf("d%d", i), "p1", 100))
		w.must(stake(fmt.Sprintf("s%d", i), "p1", 10))
		w.clock.Advance(time.Minute)
	}
	q := StatementQuery{From: start.Add(time.Minute), To: start.Add(time.Hour), Kinds: []Kind{KindStake}, Limit: 2}
	var keys []string
	for i := range 2 {
		page, err := w.Statement(context.Background(), cash, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range page {
			keys = append(keys, l.Key)
			q.Before = l.Position
		}
		w.must(stake(fmt.Sprintf("later-%d", i), "p1", 1))
	}
	if want := []string{"s3", "s2", "s1"}; !slices.Equal(keys, want) {
		t.Errorf("got %v, want %v", keys, want)
	}
}

func TestHouseBalancesAreSummedOverShards(t *testing.T) {
	t.Parallel()
	w := setup(t)
	shards := map[int]bool{}
	for i := range 20 {
		p := id.Player(fmt.Sprintf("player-%d", i))
		shards[w.ShardOf(p)] = true
		w.must(deposit(fmt.Sprintf("d%d", i), p, 10))
	}
	if len(shards) != 2 {
		t.Fatalf("players live on %d shards, want 2", len(shards))
	}
	w.wantBalance(PSP("sandbox", nj), -200, 0)
	got, err := w.Balance(context.Background(), PlayerCash("nobody", nj))
	if err != nil || got.PostedMinor != 0 || got.Currency != "" {
		t.Errorf("unused account: got %+v, %v", got, err)
	}
	if _, err := w.Balance(context.Background(), "nonsense"); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
}

func TestReadsAtAPosition(t *testing.T) {
	t.Parallel()
	w := setup(t)
	r := w.must(deposit("d", "p1", 10))
	if err := w.WaitFor(context.Background(), r.Position); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	later := stream.Position{Shard: r.Position.Shard, Seq: r.Position.Seq + 1}
	if err := w.WaitFor(ctx, later); !errs.Is(err, errs.CodeUnavailable) {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := w.WaitFor(ctx, stream.Position{Shard: 9}); !errs.Is(err, errs.CodeInvalid) {
		t.Errorf("got %v, want invalid", err)
	}
	done := make(chan error, 1)
	go func() { done <- w.WaitFor(context.Background(), later) }()
	w.must(deposit("d2", "p1", 10))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// readAll reads a shard's whole log and checks that batches follow one another.
func readAll(t *testing.T, w *world, shard, maxRecords int) []stream.Batch {
	t.Helper()
	var out []stream.Batch
	for after := int64(0); after < w.Head(shard); {
		list, err := w.ReadLog(context.Background(), shard, after, maxRecords)
		if err != nil || len(list) == 0 {
			t.Fatalf("read log after %d: %v, %v", after, list, err)
		}
		for _, b := range list {
			if b.First != after+1 || b.Shard != shard {
				t.Fatalf("batch %d..%d of shard %d follows %d of %d", b.First, b.Last, b.Shard, after, shard)
			}
			after = b.Last
		}
		out = append(out, list...)
	}
	return out
}

func TestTheLogReadsTheSameFromMemoryAndFile(t *testing.T) {
	t.Parallel()
	w := setup(t, func(c *Config) { c.Shards = 1 })
	w.must(deposit("d", "p1", 1000))
	for i := range 10 {
		var list []Transfer
		for j := range 7 {
			list = append(list, stake(fmt.Sprintf("s%d-%d", i, j), "p1", 1))
		}
		list = append(list, stake(fmt.Sprintf("refused%d", i), "p1", 5000))
		if _, err := w.CommitBatch(context.Background(), LaneBulk, list); err != nil {
			t.Fatal(err)
		}
	}
	fromMemory := readAll(t, w, 0, 20)
	w.restart()
	fromFile := readAll(t, w, 0, 20)
	if got, want := fmt.Sprintf("%+v", fromFile), fmt.Sprintf("%+v", fromMemory); got != want {
		t.Errorf("from file %s\nfrom memory %s", got, want)
	}
	records := 0
	for _, b := range fromFile {
		records += len(b.Records)
	}
	if records != 70 {
		t.Errorf("got %d records, want 70", records)
	}
	if list, err := w.ReadLog(context.Background(), 0, w.Head(0), 10); err != nil || len(list) != 0 {
		t.Errorf("at the head: got %v, %v, want none", list, err)
	}
}

func TestChangedWakesAtACommit(t *testing.T) {
	t.Parallel()
	w := setup(t)
	shard := w.ShardOf("p1")
	changed := w.Changed(shard)
	before := w.Head(shard)
	w.must(deposit("d", "p1", 10))
	<-changed
	if w.Head(shard) != before+1 {
		t.Errorf("got head %d, want %d", w.Head(shard), before+1)
	}
}

func TestExportHasEveryTransfer(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.must(deposit("d", "p1", 10))
	w.wantCode(stake("s", "p1", 11), errs.CodeInsufficientFunds)
	var got []ExportedTransfer
	err := w.ExportTransfers(context.Background(), func(e ExportedTransfer) error {
		got = append(got, e)
		return nil
	})
	if err != nil || len(got) != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if e := got[0]; e.Key != "d" || e.State != "committed" || e.Seq != 1 || e.Jurisdiction != nj || e.Postings[1] != (Posting{PlayerCash("p1", nj), 10}) {
		t.Errorf("got %+v", e)
	}
	if e := got[1]; e.State != "refused" || e.Code != errs.CodeInsufficientFunds || e.Postings[0].AmountMinor != -11 {
		t.Errorf("got %+v", e)
	}
}
