package history

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

// pair is two processes' stores over one database. The first has claimed it under epoch 1, and applied a bet of
// 2018 that is settled, so that nothing keeps its month.
type pair struct {
	first, second *mysqlStore
	kept          *keeper
	month         month
}

func newPair(t *testing.T) *pair {
	t.Helper()
	s := newOnServer(t)
	ctx, at := t.Context(), time.Date(2018, 6, 3, 0, 0, 0, 0, time.UTC)
	p := &pair{first: s.shards[0].store.(*mysqlStore), month: monthOf(at), kept: &keeper{}}
	p.second = openMySQL(p.first.cluster, clock.System{}, projector{digests: newDigests(nil, nil)}, 2)
	p.second.database = p.first.database
	p.first.share()
	p.second.share()
	if err := errors.Join(p.first.Claim(ctx, 1), p.first.makeMonths(ctx, at.AddDate(0, 2, 0), at)); err != nil {
		t.Fatal(err)
	}
	m, k := model{}, betKey{"plr_1", id.Bet(id.Least(id.KindBet, at))}
	bet := stream.Batch{First: 1, Last: 2, At: at, Records: []stream.Record{m.place(1, at, k, 100), m.settle(2, at, k, 1, "won", 200)}}
	if err := p.first.Commit(ctx, 0, []stream.Batch{bet}); err != nil {
		t.Fatal(err)
	}
	p.kept.lift(map[id.Jurisdiction]id.Bet{"CA-ON": (p.month + 1).first()})
	return p
}

// tables returns those that have the month.
func (p *pair) tables(t *testing.T) (out []string) {
	t.Helper()
	for _, table := range monthTables {
		have, err := p.second.months(context.Background(), table)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(have, p.month) {
			out = append(out, table)
		}
	}
	return out
}

// TestWhoWasReplacedDropsNoMonth has a process whose database another has claimed go on to drop a month, which
// has no DBTx that the fence could roll back.
func TestWhoWasReplacedDropsNoMonth(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx := t.Context()
	if err := p.second.Claim(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if dropped, err := p.first.dropMonths(ctx, p.kept); err == nil || len(dropped) > 0 {
		t.Errorf("a replaced process dropped %v, %v", dropped, err)
	}
	if got := p.tables(t); !slices.Equal(got, monthTables) {
		t.Fatalf("the month is left in %v, want %v", got, monthTables)
	}
	if dropped, err := p.second.dropMonths(ctx, p.kept); err != nil || len(dropped) != 1 || dropped[0].bets != 1 {
		t.Errorf("who replaced it dropped %v, %v, want a month with a bet", dropped, err)
	}
	if got := p.tables(t); len(got) > 0 {
		t.Errorf("the month is left in %v after the drop", got)
	}
}

// TestWhoWasReplacedIsFenced tries every other way in which a process writes a history that it shares.
func TestWhoWasReplacedIsFenced(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx, at := t.Context(), time.Date(2018, 6, 4, 0, 0, 0, 0, time.UTC)
	if err := p.second.Claim(ctx, 2); err != nil {
		t.Fatal(err)
	}
	m := model{}
	next := stream.Batch{First: 3, Last: 3, At: at, Records: []stream.Record{m.place(3, at, betKey{"plr_1", "bet_2"}, 100)}}
	tests := []struct {
		name  string
		write func() error
	}{
		{"commit", func() error { return p.first.Commit(ctx, 2, []stream.Batch{next}) }},
		{"DBTx", func() error {
			return p.first.inOwnDBTx(ctx, func(on stream.Conn) error {
				_, err := on.ExecContext(ctx, "DELETE FROM bet")
				return err
			})
		}},
		{"chunk of a copy", func() error { return p.first.inTables(ctx, func(tables) error { return nil }) }},
		{"digest", func() error { _, err := p.first.extendDigest(ctx, "plr_1"); return err }},
		{"claim", func() error { return p.first.Claim(ctx, 1) }},
	}
	for _, tt := range tests {
		if err := tt.write(); !errors.Is(err, stream.ErrFenced) {
			t.Errorf("%s: %v, want %v", tt.name, err, stream.ErrFenced)
		}
	}
	var bets int
	if err := scanOne(ctx, p.second, &bets, "SELECT COUNT(*) FROM bet"); err != nil || bets != 1 {
		t.Errorf("%d bets, %v, want the one of before", bets, err)
	}
	if seq, _, err := p.second.Load(ctx); err != nil || seq != 2 {
		t.Errorf("Load = %d, %v, want 2", seq, err)
	}
}

// TestACommitWhoseAnswerWasLostIsNotAnotherWriters commits what is committed, as a sink does whose server died
// after it had committed, and could not be asked until it was back.
func TestACommitWhoseAnswerWasLostIsNotAnotherWriters(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx, at := t.Context(), time.Date(2018, 6, 4, 0, 0, 0, 0, time.UTC)
	m := model{}
	next := []stream.Batch{{First: 3, Last: 3, At: at, Records: []stream.Record{m.place(3, at, betKey{"plr_1", "bet_2"}, 100)}}}
	other := openMySQL(p.first.cluster, p.first.clock, p.first.parts[0].projector, len(p.first.parts))
	other.database = p.first.database
	if _, _, err := other.Load(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.first.Commit(ctx, 2, next); err != nil {
			t.Fatalf("Commit = %v, want that it was committed", err)
		}
		for _, part := range p.first.parts {
			part.at = 2
		}
	}
	if err := other.Commit(ctx, 2, next); !errors.Is(err, stream.ErrFenced) {
		t.Errorf("another writer's first Commit = %v, want %v", err, stream.ErrFenced)
	}
	var bets int
	if err := scanOne(ctx, p.first, &bets, "SELECT COUNT(*) FROM bet"); err != nil || bets != 2 {
		t.Errorf("%d bets, %v, want 2", bets, err)
	}
}
