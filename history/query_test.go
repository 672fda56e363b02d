package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
	"matchday/stream"
)

// variedBet places a bet whose attributes all follow from n.
func variedBet(n int) (stream.Record, Bet) {
	k := betKey{"plr_1", id.Bet(fmt.Sprintf("bet_%05d", n))}
	at := time.UnixMicro(1_600_000_000_000_000).Add(time.Duration(n) * 15 * time.Minute).UTC()
	legs := []stream.BetLeg{{EventID: fmt.Sprintf("game_%d", n%7), EventName: "named game_3, not it", Sport: []string{`Track & "field"`, "American football", ""}[n%3],
		Competition: []string{"Open d'été", "NFL"}[n%2]}}
	if n%5 == 0 {
		legs = append(legs, stream.BetLeg{EventID: "game_9", SelectionName: "NFL", Sport: "Chess"})
	}
	b := Bet{ID: k.bet, Player: k.player, Jurisdiction: "CA-ON", Product: []string{"sportsbook", "pools"}[n/2%2], Status: StatusOpen, PlacedAt: at,
		Stake: money.New(int64(100+n*37%900), []money.Currency{"CAD", "USD"}[n/4%2])}
	for _, l := range legs {
		b.Legs = append(b.Legs, Leg{BetLeg: l})
	}
	return recordOf(int64(n+1), at, k, stream.TypeBetPlaced, stream.BetPlaced{BetID: k.bet, PlayerID: k.player, Jurisdiction: "CA-ON", Product: b.Product,
		Currency: string(b.Stake.Currency()), StakeMinor: b.Stake.Minor(), Legs: legs}), b
}

// variedBets applies so many of them, oldest first; every second is settled.
func variedBets(t testing.TB, s *Service, count int) []Bet {
	t.Helper()
	var out []Bet
	var batch stream.Batch
	for n := range count {
		r, b := variedBet(n)
		batch.Records = append(batch.Records, r)
		out = append(out, b)
	}
	for n := 0; n < count; n += 2 {
		b := &out[n]
		b.Status = []Status{StatusWon, StatusLost, StatusVoid}[n/2%3]
		batch.Records = append(batch.Records, recordOf(int64(count+n+1), b.PlacedAt.Add(time.Hour), betKey{b.Player, b.ID}, stream.TypeBetSettled,
			stream.BetSettled{BetID: b.ID, PlayerID: b.Player, Jurisdiction: b.Jurisdiction, Version: 1, Outcome: string(b.Status),
				Currency: string(b.Stake.Currency()), LegOutcomes: make([]string, len(b.Legs))}))
	}
	if err := s.applyForTest(batch); err != nil {
		t.Fatal(err)
	}
	return out
}

// pages reads every page of a query and counts them.
func (s *Service) pages(t testing.TB, q Query) (found []id.Bet, pages int) {
	t.Helper()
	for {
		l := lister{on: s.shards[0], zone: newDigests(nil, nil).zone, q: q, limit: q.Limit, before: q.Before, budget: listRows}
		if q.Before == "" {
			l.before = lastBet
		}
		if err := l.read(t.Context()); err != nil {
			t.Fatal(err)
		}
		pages++
		for _, b := range l.found {
			found = append(found, b.ID)
		}
		if l.next == "" {
			return found, pages
		}
		if q.Before != "" && l.next >= q.Before {
			t.Fatalf("the page after %s ends with %s", q.Before, l.next)
		}
		q.Before = l.next
	}
}

// expect is what a query should find.
func expect(q Query, all []Bet) (out []id.Bet) {
	low, high, _ := q.Status.span()
	for _, b := range slices.Backward(all) {
		st := state(slices.Index(statuses[:], b.Status))
		leg := func(want string, of func(Leg) string) bool {
			return want == "" || slices.ContainsFunc(b.Legs, func(l Leg) bool { return of(l) == want })
		}
		if st >= low && st <= high && (q.Product == "" || b.Product == q.Product) && (q.Currency == "" || b.Stake.Currency() == q.Currency) &&
			b.Stake.Minor() >= q.Least && (q.Most == 0 || b.Stake.Minor() <= q.Most) && (q.From.IsZero() || !b.PlacedAt.Before(q.From)) &&
			(q.To.IsZero() || b.PlacedAt.Before(q.To)) && (q.Bet == "" || q.Bet == b.ID) && leg(q.Event, func(l Leg) string { return l.EventID }) &&
			leg(q.Sport, func(l Leg) string { return l.Sport }) && leg(q.Competition, func(l Leg) string { return l.Competition }) {
			out = append(out, b.ID)
		}
	}
	return out
}

func TestListFindsWhatFits(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			all := variedBets(t, s, 400)
			check := func(t *testing.T) {
				rapid.Check(t, func(rt *rapid.T) {
					q := drawQuery(rt, all)
					if got, _ := s.pages(t, q); !slices.Equal(got, expect(q, all)) {
						rt.Fatalf("%+v found %v, want %v", q, got, expect(q, all))
					}
				})
			}
			t.Run("bet by bet", check)
			d := s.digestsOf(time.UTC)
			d.chunk, d.keep = 10, 25
			s.digest(t, "plr_1")
			t.Run("with outlines", check)
			s.exec(t, "DELETE FROM outline WHERE last_bet LIKE 'bet_001%' OR last_bet LIKE '%5_'")
			t.Run("with gaps between outlines", check)
			if got, _ := s.pages(t, Query{Player: "plr_1", Jurisdiction: "US-NJ", Limit: 20}); len(got) != 0 {
				t.Errorf("in another jurisdiction: %v", got)
			}
		})
	}
}

// drawQuery returns any query for variedBets.
func drawQuery(rt *rapid.T, all []Bet) Query {
	q := Query{Player: "plr_1", Jurisdiction: "CA-ON", Limit: rapid.IntRange(1, MaxLimit).Draw(rt, "limit"),
		Status:      rapid.SampledFrom([]Status{"", "", StatusOpen, StatusSettled, StatusWon, StatusPush}).Draw(rt, "status"),
		Product:     rapid.SampledFrom([]string{"", "", "sportsbook", "pools", "casino"}).Draw(rt, "product"),
		Sport:       rapid.SampledFrom([]string{"", "", "", `Track & "field"`, "American football", "Chess", "foot"}).Draw(rt, "sport"),
		Competition: rapid.SampledFrom([]string{"", "", "", "NFL", "Open d'été"}).Draw(rt, "competition"),
		Event:       rapid.SampledFrom([]string{"", "", "", "game_3", "game_9", "game"}).Draw(rt, "event"),
	}
	if rapid.Bool().Draw(rt, "amount") {
		q.Currency = rapid.SampledFrom([]money.Currency{"CAD", "USD"}).Draw(rt, "currency")
		q.Least = int64(rapid.IntRange(0, 900).Draw(rt, "least"))
		q.Most = q.Least + int64(rapid.IntRange(1, 500).Draw(rt, "most"))
	}
	if rapid.Bool().Draw(rt, "dates") {
		q.From = all[rapid.IntRange(0, 390).Draw(rt, "from")].PlacedAt
		q.To = q.From.Add(time.Duration(rapid.IntRange(1, 400).Draw(rt, "hours")) * time.Hour)
	}
	if rapid.IntRange(0, 9).Draw(rt, "one") == 0 {
		q.Bet = all[rapid.IntRange(0, 399).Draw(rt, "bet")].ID
	}
	if err := q.Validate(); err != nil {
		rt.Fatal(err)
	}
	return q
}

// TestADifferentOutlineIsFound: the audit makes outlines again from the bets.
func TestADifferentOutlineIsFound(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, change, want string }{
		{"nothing", "", ""},
		{"some are gone", "DELETE FROM outline WHERE after_bet <> ''", ""},
		{"another stake", "UPDATE outline SET bets = REPLACE(bets, 'bet_00003 211', 'bet_00003 212')", "outline of plr_1"},
		{"a bet lacks", "UPDATE outline SET after_bet = 'bet_00000' WHERE after_bet = ''", "outline of plr_1"},
		{"of no bets", "INSERT INTO outline (player_id, last_bet, after_bet, bets) VALUES ('plr_1', 'bet_000001', 'bet_00000', '')", "outline of plr_1"},
		{"of nobody", "INSERT INTO outline (player_id, last_bet, after_bet, bets) VALUES ('plr_2', 'bet_1', 'bet_0', '')", "have none"},
		{"beyond the digest", "INSERT INTO outline (player_id, last_bet, after_bet, bets) VALUES ('plr_1', 'bet_1', 'bet_0', '')", "have none"},
	}
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			again := on(t)
			for _, tt := range tests {
				s := again()
				variedBets(t, s, 40)
				d := s.digestsOf(time.UTC)
				s.digest(t, "plr_1")
				if tt.change != "" {
					s.exec(t, tt.change)
				}
				at, err := s.shards[0].store.snapshot(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				err = auditDigests(t.Context(), at, newDigests(d.zone, nil))
				if closed := at.close(); closed != nil {
					t.Fatal(closed)
				}
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
				}
			}
		})
	}
}

// digest takes all of a player's bets into the digest but the newest.
func (s *Service) digest(t testing.TB, player id.Player) {
	t.Helper()
	if err := s.makeDigest(t.Context(), digestAsk{s.shards[0], player}); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement on the only shard.
func (s *Service) exec(t testing.TB, q string) {
	t.Helper()
	err := s.shards[0].store.inOwnDBTx(t.Context(), func(on stream.Conn) error {
		_, err := on.ExecContext(t.Context(), q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// interrupted is a store to which something happens before one of its queries.
type interrupted struct {
	store
	left int // queries up to that one
	harm func()
}

func (s *interrupted) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if s.left--; s.left == 0 {
		s.harm()
	}
	return s.store.QueryContext(ctx, q, args...)
}

// TestAListOutlivesItsDigest deletes the digest before each query of a list in turn.
func TestAListOutlivesItsDigest(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			all := variedBets(t, s, 400)
			d := s.digestsOf(time.UTC)
			d.chunk, d.keep = 100, 50
			forget := func() {
				s.exec(t, "DELETE FROM digest")
				s.exec(t, "DELETE FROM outline")
				s.exec(t, "DELETE FROM digested")
			}
			harms := map[string]func(){"deleted": forget, "deleted and made again in part": func() {
				forget()
				if _, err := s.shards[0].store.extendDigest(t.Context(), "plr_1"); err != nil {
					t.Fatal(err)
				}
			}}
			for harm, do := range harms {
				for _, q := range []Query{{Status: StatusWon}, {Product: "pools", To: all[300].PlacedAt}, {Event: "game_3", Status: StatusOpen}} {
					q.Player, q.Jurisdiction, q.Limit = "plr_1", "CA-ON", MaxLimit
					for at, happened := 1, true; happened; at++ {
						s.digest(t, "plr_1")
						on := s.shards[0].store
						to := &interrupted{on, at, do}
						s.shards[0].store = to
						got, _ := s.pages(t, q)
						s.shards[0].store = on
						if !slices.Equal(got, expect(q, all)) {
							t.Errorf("digest %s before query %d of %+v: found %d bets, want %d", harm, at, q, len(got), len(expect(q, all)))
						}
						happened = to.left <= 0
					}
				}
			}
		})
	}
}

// TestARareMatchIsFoundInBoundedAnswers: the only match is the oldest of more bets than one answer looks at.
func TestARareMatchIsFoundInBoundedAnswers(t *testing.T) {
	t.Parallel()
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			all := variedBets(t, s, 2*listRows+100)
			got, pages := s.pages(t, Query{Player: "plr_1", Jurisdiction: "CA-ON", Limit: 10, To: all[1].PlacedAt})
			if !slices.Equal(got, []id.Bet{all[0].ID}) || pages != 3 {
				t.Errorf("found %v in %d answers, want %s in 3", got, pages, all[0].ID)
			}
		})
	}
}

func TestFiltersAreChecked(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		change func(*Query)
		field  string
	}{
		{"nothing wrong", func(q *Query) { q.Sport, q.Currency, q.Least, q.Most = "Fußball d'été", "USD", 5, 5 }, ""},
		{"a name with a line break", func(q *Query) { q.Sport = "a\nb" }, "sport"},
		{"an endless name", func(q *Query) { q.Competition = string(make([]byte, 101)) }, "competition"},
		{"bytes that are no text", func(q *Query) { q.Product = "\xff" }, "product"},
		{"a period that ends before it begins", func(q *Query) { q.From, q.To = day, day }, "to"},
		{"an amount of nothing", func(q *Query) { q.Least = 5 }, "currency"},
		{"an amount below zero", func(q *Query) { q.Currency, q.Least = "USD", -1 }, "least"},
		{"an empty range", func(q *Query) { q.Currency, q.Least, q.Most = "USD", 10, 9 }, "most"},
		{"an amount beyond all", func(q *Query) { q.Currency, q.Most = "USD", money.MaxMinor+1 }, "most"},
		{"a currency that is none", func(q *Query) { q.Currency = "dollars" }, "currency"},
		{"a bet of endless length", func(q *Query) { q.Bet = id.Bet(make([]byte, 65)) }, "bet"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := Query{Player: "plr_1", Jurisdiction: "US-NJ"}
			tt.change(&q)
			var fields []string
			if err, ok := q.Validate().(*errs.Error); ok {
				for _, f := range err.Fields {
					fields = append(fields, f.Location)
				}
			}
			if want := slices.DeleteFunc([]string{tt.field}, func(f string) bool { return f == "" }); !slices.Equal(fields, want) {
				t.Errorf("wrong fields %v, want %v", fields, want)
			}
		})
	}
}
