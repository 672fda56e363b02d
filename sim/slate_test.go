package sim

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// season is the real season file beside the repository; tests that need it say why they are skipped.
func season(t *testing.T) Slate {
	t.Helper()
	const path = "../../shared/data/nfl/season_2019.csv"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the real season file is not beside the repository: %v", err)
	}
	s, err := OpenSlate(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDayIsTheEasternDayWithMostGames(t *testing.T) {
	t.Parallel()
	games, date, err := season(t).Day(5)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := date.Format(time.DateOnly), "2019-10-06"; got != want {
		t.Errorf("day = %s, want %s", got, want)
	}
	if got, want := games[len(games)-1].ID, "2019_05_IND_KC"; got != want {
		t.Errorf("last game = %s, want the night game %s although it kicks off on Monday UTC", got, want)
	}
	if _, _, err := season(t).Day(29); err == nil {
		t.Error("a week without games must be an error")
	}
}

func TestWriteCSVKeepsAllButTheKickoff(t *testing.T) {
	t.Parallel()
	s := season(t)
	games, _, err := s.Day(5)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.WriteCSV(&out, games, func(k time.Time) time.Time { return k.Add(time.Hour) }); err != nil {
		t.Fatal(err)
	}
	again, err := ReadSlate(&out)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Games) != len(games) {
		t.Fatalf("%d games after a round trip, want %d", len(again.Games), len(games))
	}
	for i, g := range again.Games {
		if want := games[i].Kickoff.Add(time.Hour); !g.Kickoff.Equal(want) || g.HomeScore != games[i].HomeScore {
			t.Errorf("game %s at %s, want %s", g.ID, g.Kickoff, want)
		}
	}
}

func TestReadSlateNamesTheLine(t *testing.T) {
	t.Parallel()
	const header = "game_id,week,kickoff_utc,away_team,home_team,away_score,home_score\n"
	tests := []struct{ name, text, want string }{
		{"no header", "", "no header"},
		{"a column is missing", "game_id\nx\n", `"week" is missing`},
		{"a score is no number", header + "g,1,2019-09-06T00:20:00Z,A,B,ten,3\n", "line 2"},
		{"a time is no time", header + "g,1,2019-09-06T00:20:00Z,A,B,1,3\ng,1,noon,A,B,1,3\n", "line 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ReadSlate(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ReadSlate = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func FuzzReadSlate(f *testing.F) {
	f.Add("game_id,week,kickoff_utc,away_team,home_team,away_score,home_score\ng,1,2019-09-06T00:20:00Z,A,B,1,3\n")
	f.Add("game_id,week\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ReadSlate(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, g := range s.Games {
			if len(g.row) != len(s.header) {
				t.Errorf("row of %d fields under a header of %d", len(g.row), len(s.header))
			}
		}
	})
}

func testDay(t *testing.T, span time.Duration) *gameDay {
	t.Helper()
	games, date, err := season(t).Day(5)
	if err != nil {
		t.Fatal(err)
	}
	return newGameDay(games, date, span, rand.New(rand.NewPCG(5, 5)))
}

func TestInventedPlaysEndAtTheRealScore(t *testing.T) {
	t.Parallel()
	d := testDay(t, 5*time.Minute)
	last := make(map[int]play)
	for _, p := range d.plays {
		if before := last[p.game]; p.home < before.home || p.away < before.away {
			t.Errorf("%s: the score falls from %d-%d to %d-%d", d.games[p.game].ID, before.home, before.away, p.home, p.away)
		}
		last[p.game] = p
	}
	for i, g := range d.games {
		p := last[i]
		if !p.final || p.home != g.HomeScore || p.away != g.AwayScore {
			t.Errorf("%s ends %d-%d (final %v), want %d-%d", g.ID, p.home, p.away, p.final, g.HomeScore, g.AwayScore)
		}
	}
}

func TestBetsRampIntoKickoffsAndStopBeforeTheLast(t *testing.T) {
	t.Parallel()
	d := testDay(t, 5*time.Minute)
	times, _ := d.kickoffs()
	early, night := d.offset(times[0]), d.offset(times[len(times)-1])
	if morning, rush := d.betDensity(time.Second), d.betDensity(early-time.Second); rush < 1.5*morning {
		t.Errorf("density %.2f before kick-off, %.2f in the morning: want a ramp", rush, morning)
	}
	if got := d.betDensity(night); got != 0 {
		t.Errorf("density %.2f after the last kick-off, want 0", got)
	}
	c := newCurve(300_000, d.span, d.betDensity)
	if got := c.due(d.span); got != 300_000 {
		t.Errorf("%d bets are due in all, want 300,000", got)
	}
	peak := 0
	for at := time.Second; at < d.span; at += time.Second {
		peak = max(peak, c.due(at)-c.due(at-time.Second))
	}
	if peak > 4_000 {
		t.Errorf("%d bets in the busiest second: more than one machine is asked to take", peak)
	}
}

func TestReadsAreASawTooth(t *testing.T) {
	t.Parallel()
	d := testDay(t, 5*time.Minute)
	for _, p := range d.plays[:5] {
		at := d.offset(p.at)
		if before, after := d.readDensity(at-time.Millisecond), d.readDensity(at+time.Millisecond); after <= before {
			t.Errorf("reads %.2f after a score, %.2f before: want a jump", after, before)
		}
	}
}

func TestCurveTimesMatchItsCounts(t *testing.T) {
	t.Parallel()
	c := newCurve(1_000, 10*time.Second, func(at time.Duration) float64 { return at.Seconds() })
	for n := range 1_000 {
		at := c.at(n)
		if got := c.due(at + 2*time.Millisecond); got < n {
			t.Fatalf("arrival %d is due at %s, when only %d are", n, at, got)
		}
	}
	if got := c.due(5 * time.Second); got < 240 || got > 260 {
		t.Errorf("%d arrivals in the first half of a rising curve, want about 250", got)
	}
}
