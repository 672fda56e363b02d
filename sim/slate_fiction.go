package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"
)

// fictionSeed draws the fictional slate: always the same games, whatever the run's seed.
const fictionSeed = 20260906

// fictionTeams are the sides of the fictional slate, each playing once.
var fictionTeams = []string{
	"ALD", "BRK", "CAL", "DUN", "ELM", "FEN", "GLE", "HAV", "IRO", "JUN", "KIN", "LOR", "MAR", "NOR", "OAK", "PIN",
}

// fictionSlate is a day of invented games in the format of a season file, in every week asked for: five
// early games, two late ones, one at night. It makes a game day possible where no season file is.
func fictionSlate(week int) (Slate, error) {
	rng := rand.New(rand.NewPCG(fictionSeed, 1)) // #nosec: not for secrets
	var file bytes.Buffer
	file.WriteString("game_id,season,game_type,week,kickoff_utc,away_team,home_team,stadium," +
		"open_moneyline_away,open_moneyline_home,close_moneyline_away,close_moneyline_home," +
		"open_spread_home,open_spread_home_price,open_spread_away_price,close_spread_home,close_spread_home_price,close_spread_away_price," +
		"open_total,open_over_price,open_under_price,close_total,close_over_price,close_under_price,away_score,home_score\n")
	day := time.Date(2026, 9, 6, 17, 0, 0, 0, time.UTC)
	for i := 0; i+1 < len(fictionTeams); i += 2 {
		away, home := fictionTeams[i], fictionTeams[i+1]
		kick := day
		switch {
		case i >= 14:
			kick = day.Add(7*time.Hour + 20*time.Minute)
		case i >= 10:
			kick = day.Add(3*time.Hour + 25*time.Minute)
		}
		margin, total := 1+rng.IntN(9), 38+rng.IntN(15)
		favourite, outsider := -(115 + 22*margin), 100+18*margin
		awayScore := 3 + 7*rng.IntN(4) + 3*rng.IntN(3)
		homeScore := 3 + 7*rng.IntN(4) + 3*rng.IntN(3)
		fmt.Fprintf(&file, "fiction_%02d_%s_%s,2026,REG,%d,%s,%s,%s,%s Field,%d,%d,%d,%d,-%d.5,-110,-110,-%d.5,-108,-112,%d,-110,-110,%d.5,-105,-115,%d,%d\n",
			week, away, home, week, kick.Format(time.RFC3339), away, home, home,
			outsider, favourite, outsider+5, favourite-5, margin, margin, total, total, awayScore, homeScore)
	}
	return ReadSlate(&file)
}

// loadSlate opens the season file at path, or makes the fictional slate if there is no path.
func loadSlate(path string, week int) (Slate, error) {
	if path == "" {
		return fictionSlate(week)
	}
	return OpenSlate(path)
}
