package history_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"matchday/errs"
	"matchday/history"
	"matchday/id"
	"matchday/internal/clock"
	"matchday/stream"
)

const on = id.Jurisdiction("CA-ON")

// oldBet is a bet as the test knows it.
type oldBet struct {
	player  id.Player
	j       id.Jurisdiction
	placed  time.Time
	version int  // of the last settlement
	settled bool // once at least
}

// archive is a history over years.
type archive struct {
	*world
	clock *clock.Manual
	at    time.Time // of what is committed next
	ids   *id.Source
	bets  map[id.Bet]*oldBet
}

// archiveYears are the rules of its jurisdictions; on keeps for ever.
var archiveYears = map[id.Jurisdiction]int{nj: 5, pa: 7}

func newArchive(t *testing.T, e engine, begin time.Time) *archive {
	a := &archive{clock: clock.NewManual(begin), at: begin, bets: map[id.Bet]*oldBet{}}
	a.ids = id.NewSource(func() time.Time { return a.at })
	a.world = setup(t, e, 1)
	a.world.stop()
	a.wipe()
	a.world.clock, a.world.years = a.clock, archiveYears
	a.open()
	return a
}

// place commits a placement, settle a settlement, without waiting.
func (a *archive) place(player id.Player, j id.Jurisdiction) id.Bet {
	bet := a.ids.NewBet()
	a.log.Append(0, a.at, 0, placedRecord(player, j, bet, 100))
	a.bets[bet] = &oldBet{player: player, j: j, placed: a.at}
	return bet
}

func (a *archive) settle(bet id.Bet, outcome string) {
	b := a.bets[bet]
	b.version++
	b.settled = b.settled || outcome != ""
	a.log.Append(0, a.at, 0, settledRecord(b.player, b.j, bet, b.version, outcome, 0))
}

// stays reports whether the rules keep a bet at the archive's time: settled bets go by whole months.
func (a *archive) stays(b *oldBet) bool {
	years := archiveYears[b.j]
	if years == 0 || !b.settled {
		return true
	}
	y, m, _ := a.clock.Now().AddDate(-years, 0, 0).Date()
	return !b.placed.Before(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC))
}

// filled waits until everything is applied.
func (a *archive) filled() {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if err := a.s.WaitFor(ctx, stream.Position{Seq: a.log.Head(0)}); err != nil {
		a.t.Fatal(err)
	}
}

// level drops what is over once everything is applied, and compares with the rules: what is shown, what is in
// the tables, and what a single bet answers.
func (a *archive) level() {
	a.t.Helper()
	a.filled()
	if err := a.s.Keep(context.Background()); err != nil {
		a.t.Fatalf("Keep: %v", err)
	}
	a.shown()
	kept := 0
	for _, b := range a.bets {
		if a.stays(b) {
			kept++
		}
	}
	for _, table := range []string{"bet", "slip"} {
		if got := a.count(table); got != kept {
			a.t.Errorf("table %s has %d rows, want %d", table, got, kept)
		}
	}
	a.audit()
}

func (a *archive) audit() {
	a.t.Helper()
	_, err := history.Audit(context.Background(), history.AuditOptions{Dir: a.config.Dir, Clusters: a.config.Clusters, Log: a.log})
	if err != nil {
		a.t.Errorf("Audit: %v", err)
	}
}

// shown compares what readers get with the rules.
func (a *archive) shown() {
	a.t.Helper()
	type owner struct {
		player id.Player
		j      id.Jurisdiction
	}
	want := map[owner][]id.Bet{}
	for bet, b := range a.bets {
		o := owner{b.player, b.j}
		want[o] = append(want[o], nil...)
		if a.stays(b) {
			want[o] = append(want[o], bet)
		}
		_, err := a.s.Find(context.Background(), b.player, b.j, bet, nil)
		if stays := a.stays(b); stays && err != nil || !stays && !errs.Is(err, errs.CodeGone) {
			a.t.Errorf("Find %s, placed %s in %s, settled %v: %v", bet, b.placed, b.j, b.settled, err)
		}
	}
	for o, bets := range want {
		slices.Sort(bets)
		slices.Reverse(bets)
		var got []id.Bet
		for q := (history.Query{Player: o.player, Jurisdiction: o.j, Limit: 7}); ; {
			page := a.list(q)
			got = append(got, ids(page.Bets)...)
			if q.Before = page.Next; q.Before == "" {
				break
			}
		}
		if !slices.Equal(got, bets) {
			a.t.Errorf("%s in %s has %d bets, want %d", o.player, o.j, len(got), len(bets))
		}
	}
}

// testWhatIsOverGoesAndNothingElse bets over eleven years, looks from time to time, settles late, and fills
// the history again.
func testWhatIsOverGoesAndNothingElse(t *testing.T, e engine) {
	t.Parallel()
	begin := time.Date(2015, 1, 20, 12, 0, 0, 0, time.UTC)
	a := newArchive(t, e, begin)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	all := []id.Jurisdiction{nj, pa, on}
	for round := range 6 {
		for range 60 {
			a.at = a.at.Add(time.Duration(random.IntN(24*22)) * time.Hour)
			n := random.IntN(6)
			bet := a.place(id.Player(fmt.Sprintf("plr_%d", n)), all[n%len(all)])
			if random.IntN(8) > 0 {
				a.settle(bet, "lost")
			}
		}
		for _, bet := range slices.Sorted(maps.Keys(a.bets)) {
			if b := a.bets[bet]; random.IntN(20) == 0 || !b.settled && random.IntN(3) == 0 {
				a.settle(bet, "won") // late, or once more, also of bets that are gone
			}
		}
		a.clock.Advance(a.at.Sub(a.clock.Now()))
		a.level()
		if round == 3 {
			a.stop()
			a.wipe()
			a.open()
			a.filled() // a fill brings nothing back
			a.shown()
			a.level()
		}
	}
	kept := 0
	for _, b := range a.bets {
		if a.stays(b) {
			kept++
		}
	}
	if kept == 0 || kept == len(a.bets) {
		t.Errorf("%d of %d bets are kept: the test says nothing", kept, len(a.bets))
	}
	a.months(begin)
}

// months checks that a server keeps no month before the first bet that stays, and has some ahead.
func (a *archive) months(begin time.Time) {
	a.t.Helper()
	if a.engine.server == nil {
		return
	}
	const q = "SELECT MIN(partition_name), MAX(partition_name) FROM information_schema.partitions " +
		"WHERE table_schema = ? AND table_name = ? AND partition_name <> 'plast'"
	first := a.at
	for _, b := range a.bets {
		if a.stays(b) && b.placed.Before(first) {
			first = b.placed
		}
	}
	for _, table := range []string{"bet", "slip"} {
		var low, high string
		if err := a.engine.server.Admin().QueryRow(q, a.config.Clusters[0].DatabaseOf(0), table).Scan(&low, &high); err != nil {
			a.t.Fatal(err)
		}
		if want := a.at.AddDate(0, 2, 0).Format("p200601"); high < want {
			a.t.Errorf("the last month of %s is %s, want %s at least", table, high, want)
		}
		if want := begin.Format("p200601"); first.Format("p200601") > want && low == want && table == "bet" {
			a.t.Errorf("the first month of %s is %s still", table, low)
		}
	}
}

// testAnOpenBetStaysUntilItIsSettled has one open bet among settled ones, all over. What was dropped stays
// so, whatever comes later.
func testAnOpenBetStaysUntilItIsSettled(t *testing.T, e engine) {
	t.Parallel()
	a := newArchive(t, e, time.Date(2018, 6, 3, 0, 0, 0, 0, time.UTC))
	open, settled := a.place("plr_1", nj), a.place("plr_1", nj)
	a.settle(settled, "won")
	a.clock.Advance(time.Hour)
	a.level()
	a.at = time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)
	a.clock.Advance(a.at.Sub(a.clock.Now()))
	a.level()
	a.settle(settled, "") // corrected: it would be open again
	a.settle(open, "")
	a.level()
	a.settle(settled, "lost")
	a.settle(open, "lost")
	a.level()
	if got := a.count("bet"); got != 0 {
		t.Errorf("%d bets are left, want none", got)
	}
	_, err := a.s.Find(context.Background(), "plr_1", nj, settled, nil)
	if problem, ok := errors.AsType[*errs.Error](err); !ok || problem.Code != errs.CodeGone ||
		problem.Detail != "bets placed before 2018-07-01 are no longer kept" {
		t.Errorf("Find of a dropped bet: %v", err)
	}
}

// testDroppingGoesOnWhereItWasStopped leaves what a process does that ends between two steps.
func testDroppingGoesOnWhereItWasStopped(t *testing.T, e engine) {
	t.Parallel()
	a := newArchive(t, e, time.Date(2018, 6, 3, 0, 0, 0, 0, time.UTC))
	for n := range 40 {
		a.settle(a.place(id.Player(fmt.Sprintf("plr_%d", n%4)), nj), "lost")
		a.at = a.at.Add(36 * time.Hour)
	}
	a.clock.Advance(a.at.Sub(a.clock.Now()))
	a.level()
	a.clock.Advance(6 * 365 * 24 * time.Hour)
	a.stop() // before anything is over in its eyes
	if e.server != nil {
		a.exec("ALTER TABLE slip DROP PARTITION p201806")
	} else {
		a.exec("DELETE FROM slip WHERE seq IN (SELECT slip_seq FROM bet WHERE player_id = 'plr_2');" +
			"DELETE FROM bet WHERE player_id = 'plr_2'")
	}
	a.open()
	a.audit()
	a.level()
	if got := a.count("bet"); got != 0 {
		t.Errorf("%d bets are left, want none", got)
	}
}
