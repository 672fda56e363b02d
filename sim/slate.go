package sim

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"
	_ "time/tzdata" // game days are days of US Eastern time, also on a machine without a zone database

	"matchday/errs"
)

// Game is one row of a season file: what the simulation needs to play it and to grade its bets.
type Game struct {
	ID        string
	Home      string
	Away      string
	Week      int
	Kickoff   time.Time
	HomeScore int
	AwayScore int
	row       []string
}

// Slate is a season file as read.
type Slate struct {
	header  []string
	kickoff int // column of the kick-off time
	Games   []Game
}

// maxSlateRows bounds a season file.
const maxSlateRows = 10_000

// slateColumns are the columns the simulation reads; the others travel through untouched.
var slateColumns = []string{"game_id", "week", "kickoff_utc", "away_team", "home_team", "away_score", "home_score"}

// OpenSlate reads the season file at path.
func OpenSlate(path string) (Slate, error) {
	f, err := os.Open(path) // #nosec: the operator names the file
	if err != nil {
		return Slate{}, fmt.Errorf("slate: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	return ReadSlate(f)
}

// ReadSlate reads a season file. It is deliberately not the sportsbook's importer: the simulation
// grades from its own reading of the file.
func ReadSlate(r io.Reader) (Slate, error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err != nil {
		return Slate{}, errs.Wrap(err, errs.CodeInvalid, "slate: no header line")
	}
	at := make(map[string]int, len(header))
	for i, name := range header {
		at[name] = i
	}
	for _, name := range slateColumns {
		if _, ok := at[name]; !ok {
			return Slate{}, errs.New(errs.CodeInvalid, "slate: column %q is missing", name)
		}
	}
	s := Slate{header: header, kickoff: at["kickoff_utc"]}
	for {
		row, err := in.Read()
		if err == io.EOF {
			return s, nil
		}
		line, _ := in.FieldPos(0)
		if err != nil {
			return Slate{}, errs.Wrap(err, errs.CodeInvalid, "slate: unreadable row")
		}
		g, err := readGame(row, at)
		if err != nil {
			return Slate{}, errs.Wrap(err, errs.CodeInvalid, "slate line %d", line)
		}
		if len(s.Games) == maxSlateRows {
			return Slate{}, errs.New(errs.CodeTooLarge, "slate: more than %d games", maxSlateRows)
		}
		s.Games = append(s.Games, g)
	}
}

func readGame(row []string, at map[string]int) (Game, error) {
	g := Game{ID: row[at["game_id"]], Home: row[at["home_team"]], Away: row[at["away_team"]], row: row}
	var err error
	if g.Kickoff, err = time.Parse(time.RFC3339, row[at["kickoff_utc"]]); err != nil {
		return Game{}, fmt.Errorf("kick-off time: %w", err)
	}
	for column, into := range map[string]*int{"week": &g.Week, "home_score": &g.HomeScore, "away_score": &g.AwayScore} {
		if *into, err = strconv.Atoi(row[at[column]]); err != nil {
			return Game{}, fmt.Errorf("%s: %w", column, err)
		}
	}
	return g, nil
}

// Day returns the games of the day of the week with the most of them, by kick-off, and that day. A
// day is a day in US Eastern time: a night game kicks off after midnight UTC.
func (s Slate) Day(week int) ([]Game, time.Time, error) {
	eastern, err := time.LoadLocation("America/New_York")
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("game day: %w", err)
	}
	byDay := make(map[string][]Game)
	best := ""
	for _, g := range s.Games {
		if g.Week != week {
			continue
		}
		day := g.Kickoff.In(eastern).Format(time.DateOnly)
		byDay[day] = append(byDay[day], g)
		if n, most := len(byDay[day]), len(byDay[best]); n > most || (n == most && day < best) {
			best = day
		}
	}
	if best == "" {
		return nil, time.Time{}, errs.New(errs.CodeNotFound, "the slate has no games in week %d", week)
	}
	games := byDay[best]
	slices.SortStableFunc(games, func(a, b Game) int { return a.Kickoff.Compare(b.Kickoff) })
	date, err := time.ParseInLocation(time.DateOnly, best, eastern)
	return games, date, err
}

// WriteCSV writes the games as a season file of the same columns with kick-offs moved by remap, for
// upload to the platform.
func (s Slate) WriteCSV(w io.Writer, games []Game, remap func(time.Time) time.Time) error {
	out := csv.NewWriter(w)
	if err := out.Write(s.header); err != nil {
		return fmt.Errorf("write slate: %w", err)
	}
	for _, g := range games {
		row := slices.Clone(g.row)
		row[s.kickoff] = remap(g.Kickoff).UTC().Format(time.RFC3339)
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write slate: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}
