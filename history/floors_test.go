package history

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"matchday/id"
	"matchday/stream"
)

// TestAReaderLearnsOfAFloorWithTheDigest: another process has raised the floor and made the digest by it. What is open below
// is in no digest, and this process, which has not heard of the floor, shows it nevertheless.
func TestAReaderLearnsOfAFloorWithTheDigest(t *testing.T) {
	t.Parallel()
	const bets, floor = 60, 25
	day := func(n int) time.Time { return time.Date(2020, 1, 1+9*n, 12, 0, 0, 0, time.UTC) }
	bet := func(n int) id.Bet { return id.Bet(fmt.Sprintf("bet_%04d", n)) }
	for name, on := range fresh {
		t.Run(name, func(t *testing.T) {
			s := on(t)()
			reads, d := s.shards[0], s.digestsOf(time.UTC)
			m := &lifeModel{map[betKey]*Bet{}, map[betKey][]Settlement{}}
			var batch stream.Batch
			for n := range bets {
				batch.Records = append(batch.Records, m.place(int64(n+1), day(n), betKey{"plr_0", bet(n)}, n))
			}
			for n := floor; n < bets; n += 2 {
				batch.Records = append(batch.Records, m.settle(int64(bets+n), day(n), betKey{"plr_0", bet(n)}, 1, "won", 5))
			}
			if err := s.applyForTest(batch); err != nil {
				t.Fatal(err)
			}
			d.kept = &keeper{} // of the process that writes
			d.kept.lift(map[id.Jurisdiction]id.Bet{"CA-ON": bet(floor)})
			err := reads.store.inOwnDBTx(t.Context(), func(on stream.Conn) error {
				_, err := on.ExecContext(t.Context(), "INSERT INTO kept_from (jurisdiction, bet_id) VALUES ('CA-ON', ?)", string(bet(floor)))
				return err
			})
			for more := true; more && err == nil; {
				more, err = reads.store.extendDigest(t.Context(), "plr_0")
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, q := range map[string]Query{
				"open ones":         {Status: StatusOpen},
				"an event":          {Status: StatusOpen, Event: "game_1"},
				"a rare product":    {Product: "pools", Event: "game_2", Status: StatusOpen},
				"stakes":            {Least: 1, Most: 300},
				"a page of a few":   {Status: StatusOpen, Limit: 4},
				"below the newest":  {Status: StatusOpen, Before: bet(40)},
				"below the floor":   {Status: StatusOpen, Before: bet(20)},
				"days of both ends": {From: day(10), To: day(40)},
			} {
				reads.kept = &keeper{} // of this process
				q.Player, q.Jurisdiction = "plr_0", "CA-ON"
				if q.Limit == 0 {
					q.Limit = bets
				}
				want := m.list(q)
				want = slices.DeleteFunc(want, func(b id.Bet) bool { return q.Before != "" && b >= q.Before })
				if got, _ := s.pages(t, q); !slices.Equal(got, want) {
					t.Errorf("%s: listed %v\nwant %v", name, got, want)
				}
			}
			for _, by := range []Grain{GrainDay, GrainMonth, GrainYear} {
				reads.kept = &keeper{}
				q := SummaryQuery{Player: "plr_0", Jurisdiction: "CA-ON", By: by, Limit: bets}
				if got, want := summarise(t, s, d.zone, q), m.summary(q, time.UTC); !slices.Equal(got, want) {
					t.Errorf("by %s: summed up %+v\nwant %+v", by, got, want)
				}
				if got := reads.kept.floor("CA-ON"); got != bet(floor) {
					t.Errorf("by %s: the floor is %q after that, want %q", by, got, bet(floor))
				}
			}
		})
	}
}
