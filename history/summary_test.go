package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// lifeModel is bets with every settlement that was ever shown.
type lifeModel struct {
	bets  map[betKey]*Bet
	shown map[betKey][]Settlement
}

// place places a bet whose attributes follow from n.
func (m *lifeModel) place(seq int64, at time.Time, k betKey, n int) stream.Record {
	b := &Bet{ID: k.bet, Player: k.player, Jurisdiction: "CA-ON", Product: []string{"sportsbook", "pools"}[n%2], Status: StatusOpen, PlacedAt: at,
		Stake: money.New(int64(n*7+1), []money.Currency{"CAD", "USD"}[n/2%2]), Legs: []Leg{{BetLeg: stream.BetLeg{EventID: fmt.Sprintf("game_%d", n%3)}}}}
	b.Payout = money.New(0, b.Stake.Currency())
	m.bets[k] = b
	return recordOf(seq, at, k, stream.TypeBetPlaced, stream.BetPlaced{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Product: b.Product,
		Currency: string(b.Stake.Currency()), StakeMinor: b.Stake.Minor(), Legs: []stream.BetLeg{b.Legs[0].BetLeg}})
}

func (m *lifeModel) settle(seq int64, at time.Time, k betKey, version int, outcome string, payout int64) stream.Record {
	b := m.bets[k]
	if version > b.Version {
		b.Version, b.Status, b.Payout = version, cmp.Or(Status(outcome), StatusOpen), money.New(payout, b.Stake.Currency())
		m.shown[k] = append(m.shown[k], Settlement{Version: version, Status: b.Status, At: at, Position: stream.Position{Seq: seq},
			Payout: b.Payout, Outcomes: []string{outcome}})
	}
	return recordOf(seq, at, k, stream.TypeBetSettled, stream.BetSettled{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Version: version,
		Outcome: outcome, PayoutMinor: payout, Currency: string(b.Stake.Currency()), LegOutcomes: []string{outcome}})
}

// summary adds up every bet of the player that is in the period.
func (m *lifeModel) summary(q SummaryQuery, zone *time.Location) []SummaryLine {
	sums := map[lineKey]*lineSums{}
	for k, b := range m.bets {
		day := b.PlacedAt.In(zone).Format(time.DateOnly)
		if k.player != q.Player || q.From != "" && day < q.From || q.To != "" && day > q.To {
			continue
		}
		at := lineKey{b.PlacedAt.In(zone).Format(formats[q.By]), b.Product, string(b.Stake.Currency())}
		if sums[at] == nil {
			sums[at] = &lineSums{}
		}
		one := lineSums{bets: 1, staked: b.Stake.Minor(), returned: b.Payout.Minor()}
		if b.Status == StatusOpen {
			one.open, one.atStake = 1, b.Stake.Minor()
		}
		sums[at].add(one)
	}
	var out []SummaryLine
	for k, s := range sums {
		out = append(out, s.line(k))
	}
	slices.SortFunc(out, func(a, b SummaryLine) int {
		return lineKey{a.Period, a.Product, string(a.Staked.Currency())}.compare(lineKey{b.Period, b.Product, string(b.Staked.Currency())})
	})
	return out
}

// summarise reads every part of a summary.
func summarise(t interface{ Fatalf(string, ...any) }, s *Service, zone Zone, q SummaryQuery) (out []SummaryLine) {
	for {
		a := adder{on: s.shards[0], zone: zone, q: q}
		if err := a.read(context.Background()); err != nil {
			t.Fatalf("summarise: %v", err)
		}
		lines, next := a.lines()
		out = append(out, lines...)
		if next == "" {
			return out
		}
		q.Before = next
	}
}

// digestsOf returns the digests of the only shard, with small chunks and the days of a zone.
func (s *Service) digestsOf(zone *time.Location) *digests {
	var d *digests
	switch store := s.shards[0].store.(type) {
	case *sqliteStore:
		d = store.projector.digests
	case *mysqlStore:
		d = store.digests
	}
	d.chunk, d.keep, d.zone = 3, 2, func(id.Jurisdiction) *time.Location { return zone }
	return d
}

func TestSummariesListsAndLivesEqualTheSumOfAllBets(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			rounds := 100
			if name != "SQLite" { // each round commits some forty times on a server that syncs
				rounds = 40
			}
			summariesEqualAMap(t, on(t), rounds)
		})
	}
}

func summariesEqualAMap(t *testing.T, fresh func() *Service, rounds int) {
	zone, digested, failed := time.FixedZone("west", -5*60*60), 0, false
	rapid.Check(t, func(rt *rapid.T) {
		if rounds--; rounds < 0 && digested > 0 && !failed {
			return
		}
		defer func() { failed = failed || rt.Failed() }() // then rapid looks for the shortest case
		s := fresh()
		d := s.digestsOf(zone)
		m := &lifeModel{map[betKey]*Bet{}, map[betKey][]Settlement{}}
		var keys []betKey
		var batch stream.Batch
		for seq := range int64(rapid.IntRange(0, 120).Draw(rt, "records")) {
			at := time.UnixMicro(1_600_000_000_000_000).Add(time.Duration(seq) * 7 * time.Hour).UTC()
			if kind := rapid.IntRange(0, 9).Draw(rt, "kind"); kind < 5 || len(keys) == 0 {
				n := int(seq)
				if rapid.IntRange(0, 19).Draw(rt, "skew") == 0 {
					n = -n // an id from before all others
				}
				k := betKey{id.Player(fmt.Sprintf("plr_%d", rapid.IntRange(0, 1).Draw(rt, "player"))), id.Bet(fmt.Sprintf("bet_%04d", 5000+n))}
				keys = append(keys, k)
				batch.Records = append(batch.Records, m.place(seq+1, at, k, int(seq)))
			} else {
				outcome := rapid.SampledFrom([]string{"won", "lost", "push", "void", ""}).Draw(rt, "outcome")
				payout := seq
				if outcome == "" {
					payout = 0
				}
				batch.Records = append(batch.Records, m.settle(seq+1, at, rapid.SampledFrom(keys).Draw(rt, "bet"),
					rapid.IntRange(1, 4).Draw(rt, "version"), outcome, payout))
			}
			switch rapid.IntRange(0, 9).Draw(rt, "then") {
			case 0, 1:
				apply(rt, s, &batch)
			case 2:
				if _, err := s.shards[0].store.extendDigest(context.Background(), "plr_0"); err != nil {
					rt.Fatalf("digest: %v", err)
				}
			}
		}
		apply(rt, s, &batch)
		q := SummaryQuery{Player: "plr_0", Jurisdiction: "CA-ON", By: rapid.SampledFrom([]Grain{GrainDay, GrainMonth, GrainYear}).Draw(rt, "by"),
			Limit: rapid.IntRange(1, 8).Draw(rt, "limit")}
		if rapid.Bool().Draw(rt, "bounded") {
			q.From, q.To = "2020-09-15", rapid.SampledFrom([]string{"2020-09-28", "2020-10-31", "2020-11-02"}).Draw(rt, "to")
		}
		if got, want := summarise(rt, s, d.zone, q), m.summary(q, zone); !slices.Equal(got, want) {
			rt.Fatalf("%+v\nsums up to %+v\nthe bets to %+v", q, got, want)
		}
		list := Query{Player: "plr_0", Jurisdiction: "CA-ON", Limit: 3, Status: rapid.SampledFrom([]Status{StatusOpen, StatusWon, StatusSettled}).Draw(rt, "status"),
			Event: rapid.SampledFrom([]string{"", "game_1"}).Draw(rt, "event"), Product: rapid.SampledFrom([]string{"", "pools"}).Draw(rt, "product")}
		if got, want := listed(rt, s, d.zone, list), m.list(list); !slices.Equal(got, want) {
			rt.Fatalf("%+v lists %v, want %v", list, got, want)
		}
		m.checkLives(rt, s)
		if auditedDigests(rt, s, d.zone) > 0 {
			digested++
		}
	})
	if digested == 0 {
		t.Error("no round had a digest")
	}
}

// auditedDigests compares the digests with the bets and returns how many there are.
func auditedDigests(rt *rapid.T, s *Service, zone Zone) int {
	at, err := s.shards[0].store.snapshot(context.Background())
	if err != nil {
		rt.Fatal(err)
	}
	again := newDigests(zone, nil)
	if err := errors.Join(auditDigests(context.Background(), at, again), at.close()); err != nil {
		rt.Fatalf("audit: %v", err)
	}
	return len(again.marks)
}

func apply(rt *rapid.T, s *Service, batch *stream.Batch) {
	if err := s.applyForTest(*batch); err != nil {
		rt.Fatalf("project: %v", err)
	}
	*batch = stream.Batch{}
}

// listed reads every page of a query.
func listed(rt interface{ Fatalf(string, ...any) }, s *Service, zone Zone, q Query) (out []id.Bet) {
	before := id.Bet(lastBet)
	for {
		l := lister{on: s.shards[0], zone: zone, q: q, limit: q.Limit, before: before, budget: listRows}
		if err := l.read(context.Background()); err != nil {
			rt.Fatalf("list: %v", err)
		}
		for _, b := range l.found {
			out = append(out, b.ID)
		}
		if before = l.next; before == "" {
			return out
		}
	}
}

// list returns what a query should find.
func (m *lifeModel) list(q Query) []id.Bet {
	var all []Bet
	for k, b := range m.bets {
		if k.player == q.Player {
			all = append(all, *b)
		}
	}
	slices.SortFunc(all, func(a, b Bet) int { return cmp.Compare(a.ID, b.ID) })
	return expect(q, all)
}

// checkLives compares every settlement that each bet ever showed.
func (m *lifeModel) checkLives(rt *rapid.T, s *Service) {
	for k, b := range m.bets {
		life := BetLife{Bet: *b}
		whole, err := life.read(context.Background(), s.shards[0])
		if err != nil || !whole {
			rt.Fatalf("life of %v: whole %v, %v", k, whole, err)
		}
		if !slices.EqualFunc(life.Settlements, m.shown[k], func(a, b Settlement) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
			rt.Fatalf("life of %v: %+v\nwant %+v", k, life.Settlements, m.shown[k])
		}
	}
}

// TestAListGoesThroughMoreDaysThanItCanWiden: each step of a list looks at more bets than the one before, and a
// list that has many short ones must neither skip a bet nor ask for more than there can be.
func TestAListGoesThroughMoreDaysThanItCanWiden(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			d := s.digestsOf(time.UTC)
			m := &lifeModel{map[betKey]*Bet{}, map[betKey][]Settlement{}}
			var batch stream.Batch
			const bets = 160
			for n := range bets { // every second day, so that no two days are one range
				k := betKey{"plr_0", id.Bet(fmt.Sprintf("bet_%04d", n))}
				batch.Records = append(batch.Records, m.place(int64(n+1), time.Date(2020, 1, 1+2*n, 12, 0, 0, 0, time.UTC), k, 0))
			}
			if err := s.applyForTest(batch); err != nil {
				t.Fatal(err)
			}
			for more := true; more; {
				var err error
				if more, err = s.shards[0].store.extendDigest(t.Context(), "plr_0"); err != nil {
					t.Fatal(err)
				}
			}
			q := Query{Player: "plr_0", Jurisdiction: "CA-ON", Product: "sportsbook", Limit: bets}
			if got, want := listed(t, s, d.zone, q), m.list(q); !slices.Equal(got, want) {
				t.Errorf("lists %d bets, want %d: %v", len(got), len(want), got)
			}
		})
	}
}

// TestADigestOfAnotherZoneGoes: a bet settled after the days became other ones is not in the row that its day has.
func TestADigestOfAnotherZoneGoes(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			d := s.digestsOf(time.UTC)
			m := &lifeModel{map[betKey]*Bet{}, map[betKey][]Settlement{}}
			key := func(n int) betKey { return betKey{"plr_0", id.Bet(fmt.Sprintf("bet_%d", n))} }
			evening := time.Date(2026, 11, 1, 20, 0, 0, 0, time.UTC)
			var batch stream.Batch
			for n := range 5 {
				batch.Records = append(batch.Records, m.place(int64(n+1), evening.AddDate(0, 0, n), key(n), 0))
			}
			batch.Records = append(batch.Records, m.settle(6, evening, key(1), 1, "won", 5))
			if err := s.applyForTest(batch); err != nil {
				t.Fatal(err)
			}
			if more, err := s.shards[0].store.extendDigest(t.Context(), "plr_0"); err != nil || !more {
				t.Fatalf("digest: %v, %v", more, err)
			}
			d.zone = func(id.Jurisdiction) *time.Location { return time.FixedZone("east", 10*60*60) }
			batch.Records = []stream.Record{m.settle(7, evening, key(0), 1, "won", 5)}
			if err := s.applyForTest(batch); err != nil {
				t.Fatalf("a settlement after the zone changed: %v", err)
			}
			q := SummaryQuery{Player: "plr_0", Jurisdiction: "CA-ON", By: GrainDay, Limit: 10}
			if got, want := summarise(t, s, d.zone, q), m.summary(q, d.zone("CA-ON")); !slices.Equal(got, want) {
				t.Errorf("sums up to %+v\nthe bets to %+v", got, want)
			}
		})
	}
}

// TestDigestsOfAnotherZoneAreMadeAgain: when a process begins with another zone, those of before go.
func TestDigestsOfAnotherZoneAreMadeAgain(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			d := s.digestsOf(time.UTC)
			m := &lifeModel{map[betKey]*Bet{}, map[betKey][]Settlement{}}
			var batch stream.Batch
			for n := range 9 {
				k := betKey{"plr_0", id.Bet(fmt.Sprintf("bet_%d", n))}
				batch.Records = append(batch.Records, m.place(int64(n+1), time.Date(2026, 11, 1, 5*n, 0, 0, 0, time.UTC), k, 0))
			}
			if err := s.applyForTest(batch); err != nil {
				t.Fatal(err)
			}
			store := s.shards[0].store
			begin := func(zone *time.Location, wantDigest bool) {
				t.Helper()
				d.zone = func(id.Jurisdiction) *time.Location { return zone }
				if _, _, err := store.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				if last, err := markOf(t.Context(), store, "plr_0"); err != nil || (last != "") != wantDigest {
					t.Errorf("the digest ends at %q, %v; want one: %v", last, err, wantDigest)
				}
				if _, err := store.extendDigest(t.Context(), "plr_0"); err != nil {
					t.Fatal(err)
				}
				q := SummaryQuery{Player: "plr_0", Jurisdiction: "CA-ON", By: GrainDay}
				if got, want := summarise(t, s, d.zone, q), m.summary(q, zone); !slices.Equal(got, want) {
					t.Errorf("sums up to %+v\nthe bets to %+v", got, want)
				}
			}
			begin(time.UTC, false)
			begin(time.UTC, true)
			begin(time.FixedZone("east", 10*60*60), false)
		})
	}
}

func TestSummaryQueriesAreChecked(t *testing.T) {
	t.Parallel()
	good := SummaryQuery{Player: "plr_1", Jurisdiction: "CA-ON", By: GrainMonth}
	tests := []struct {
		name   string
		change func(*SummaryQuery)
		wrong  bool
	}{
		{"plain", func(*SummaryQuery) {}, false},
		{"a period", func(q *SummaryQuery) { q.From, q.To, q.Before = "2026-11-01", "2026-11-01", "2026-11" }, false},
		{"no grain", func(q *SummaryQuery) { q.By = "" }, true},
		{"a cursor of another grain", func(q *SummaryQuery) { q.Before = "2026" }, true},
		{"a day that is not in the calendar", func(q *SummaryQuery) { q.From = "2026-02-30" }, true},
		{"a time", func(q *SummaryQuery) { q.To = "2026-11-01T00:00:00Z" }, true},
		{"a period that ends before it begins", func(q *SummaryQuery) { q.From, q.To = "2026-11-02", "2026-11-01" }, true},
		{"too many lines", func(q *SummaryQuery) { q.Limit = MaxLines + 1 }, true},
		{"nobody", func(q *SummaryQuery) { q.Player = "" }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := good
			tt.change(&q)
			if err := q.Validate(); (err != nil) != tt.wrong {
				t.Errorf("Validate = %v, wrong %v", err, tt.wrong)
			}
		})
	}
}

// TestADayIsTheJurisdictions: where clocks are put forward the day has 23 hours, and its ends are still found.
func TestADayIsTheJurisdictions(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 8, 5, 0, 0, 0, time.UTC) // midnight; at 2 the clock goes to 3
	number := dayNumber(begin.UnixMicro(), zone)
	if got := GrainDay.periodOf(number); got != "2026-03-08" {
		t.Errorf("the day is %s", got)
	}
	if !dayBegins(number, zone).Equal(begin) || !dayBegins(number+1, zone).Equal(begin.Add(23*time.Hour)) {
		t.Errorf("the day is from %s to %s", dayBegins(number, zone), dayBegins(number+1, zone))
	}
	if before := dayNumber(begin.UnixMicro()-1, zone); before != number-1 {
		t.Errorf("a microsecond before it is day %d, want %d", before, number-1)
	}
}
