package history

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

// TestBetsOfEveryMonthAreTaken places bets long before the first month and long after the last, and then makes
// the months that some of them are in already.
func TestBetsOfEveryMonthAreTaken(t *testing.T) {
	t.Parallel()
	s := newOnServer(t)
	store := s.shards[0].store.(*mysqlStore)
	ctx, now := context.Background(), time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	if err := store.makeMonths(ctx, now, now.AddDate(0, -2, 0)); err != nil {
		t.Fatal(err)
	}
	m, batch := model{}, stream.Batch{}
	for n := range int64(30) {
		at := now.AddDate(0, int(n)-12, 0)
		k := betKey{"plr_1", id.Bet(id.Least(id.KindBet, at))}
		batch.Records = append(batch.Records, m.place(n+1, at, k, n+1))
	}
	if err := s.applyForTest(batch); err != nil {
		t.Fatal(err)
	}
	for later := range 2 { // the second time there is nothing to do
		if err := store.makeMonths(ctx, now.AddDate(0, 9, 0), now); err != nil {
			t.Fatalf("round %d: %v", later, err)
		}
	}
	months, err := store.months(ctx, "bet")
	if err != nil || len(months) != 15 || months[0].String() != "p202609" || months[14].String() != "p202711" {
		t.Errorf("months %v, %v, want September 2026 to November 2027", months, err)
	}
	found := 0
	err = s.ForEach(ctx, func(b Bet) error {
		found++
		if want := m[betKey{b.Player, b.ID}]; b.Stake != want.Stake {
			t.Errorf("bet %+v, want %+v", b, want)
		}
		return nil
	})
	if err != nil || found != len(m) {
		t.Errorf("%d bets, %v, want %d", found, err, len(m))
	}
}

// TestAMonthIsNotDroppedOverABetThatCame has bets come to a month between the look and the drop.
func TestAMonthIsNotDroppedOverABetThatCame(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	k.floors.Store(&map[id.Jurisdiction]id.Bet{"US-NJ": "bet_5"})
	tests := []struct {
		name    string
		came    id.Bet
		dropped bool
	}{
		{"a bet below", "bet_2", false},
		{"the first bet of the next month", "bet_3", true},
	}
	for _, tt := range tests {
		k.watch("bet_3")
		c := change{betKey: betKey{"plr_1", tt.came}, jurisdiction: "US-NJ"}
		k.mark([]*change{&c})
		ran := false
		dropped, err := k.untouched(func() error { ran = true; return nil })
		if dropped != tt.dropped || ran != tt.dropped || err != nil {
			t.Errorf("%s: dropped %v, %v, ran %v, want %v", tt.name, dropped, err, ran, tt.dropped)
		}
		if !c.late {
			t.Errorf("%s: a bet below the floor is not late", tt.name)
		}
	}
	k.watch("")
	k.mark([]*change{{betKey: betKey{"plr_1", "bet_1"}}})
	if dropped, _ := k.untouched(func() error { return nil }); !dropped {
		t.Error("a bet comes while nobody watches, and counts")
	}
}

// TestADatabaseWithoutMonthsIsFilledAgain opens what a program of before left.
func TestADatabaseWithoutMonthsIsFilledAgain(t *testing.T) {
	t.Parallel()
	s := newOnServer(t)
	store := s.shards[0].store.(*mysqlStore)
	ctx := context.Background()
	first, err := mysqlMigrations.ReadFile("migrations_mysql/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	old := fstest.MapFS{"m/0001_init.sql": {Data: first}}
	store.database += "_old"
	if err := store.cluster.Migrate(ctx, store.database, old, "m", time.Now()); err != nil {
		t.Fatal(err)
	}
	err = store.inOwnDBTx(ctx, func(on stream.Conn) error {
		const rows = `
			INSERT INTO slip VALUES (1, 'CA-ON', 'sportsbook', 'CAD', 1, 1, 1, '[]');
			INSERT INTO bet VALUES ('plr_1', 'bet_1', 'CA-ON', 1, 1, 1, 0, 0, 0, '');
			INSERT INTO sink_position VALUES ('history 1/1', 0, 0, 1, 1)`
		_, err := on.ExecContext(ctx, rows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	opened := openMySQL(store.cluster, clock.System{}, projector{}, 1)
	opened.database = store.database
	if err := opened.prepare(ctx); err != nil {
		t.Fatal(err)
	}
	if seq, _, err := opened.Load(ctx); err != nil || seq != 0 {
		t.Errorf("Load = %d, %v, want 0: everything is to be applied again", seq, err)
	}
	for _, table := range []string{"bet", "slip"} {
		var n int
		if err := scanOne(ctx, opened, &n, "SELECT COUNT(*) FROM "+table); err != nil || n != 0 {
			t.Errorf("%s has %d rows, %v", table, n, err)
		}
	}
}

func TestMonthsAreNamedAndBounded(t *testing.T) {
	t.Parallel()
	m := monthOf(time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC))
	if got := fmt.Sprint(m, m+1); got != "p202612 p202701" {
		t.Errorf("months are %s", got)
	}
	if got, ok := parseMonth("p202612"); !ok || got != m {
		t.Errorf("parseMonth = %v, %v", got, ok)
	}
	for _, bad := range []string{"plast", "p202613", "p2026", "p20261", "q202612", "p20x612"} {
		if got, ok := parseMonth(bad); ok {
			t.Errorf("parseMonth(%s) = %v", bad, got)
		}
	}
	if got := (m + 1).begins(); !got.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("January begins %s", got)
	}
}
