package sim

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The shape of a game day in real time.
const (
	doorsOpen  = 4 * time.Hour                // before the first kick-off: the betting morning
	gameLength = 3*time.Hour + 10*time.Minute // kick-off to final whistle
	gameSpread = 10 * time.Minute             // whistles differ by up to this either way
	afterLast  = 25 * time.Minute             // shown after the last whistle
	betRamp    = 45 * time.Minute             // the ramp into a kick-off doubles about every half hour
	readDecay  = 100 * time.Second            // a score's rush of balance reads dies away with this
	payDecay   = 4 * time.Minute              // players look for their payout after a whistle
)

// play is one moment of a game: a score, or the final whistle.
type play struct {
	at         time.Time // real time
	game       int
	home, away int
	final      bool
}

// gameDay is the plan of the day: which games, when what happens in them, and how real time maps to
// the compressed run.
type gameDay struct {
	games     []Game
	date      time.Time // midnight, US Eastern
	realStart time.Time
	realEnd   time.Time
	span      time.Duration // of the compressed run
	plays     []play        // in time order
	whistles  []time.Time   // per game
}

// newGameDay plans the day: invented but possible scoring plays that end at the real final score.
func newGameDay(games []Game, date time.Time, span time.Duration, rng *rand.Rand) *gameDay {
	d := &gameDay{games: games, date: date, span: span, realStart: games[0].Kickoff.Add(-doorsOpen)}
	for i, g := range games {
		whistle := g.Kickoff.Add(gameLength + time.Duration(rng.Int64N(int64(2*gameSpread))) - gameSpread).Truncate(time.Second)
		d.whistles = append(d.whistles, whistle)
		if end := whistle.Add(afterLast); end.After(d.realEnd) {
			d.realEnd = end
		}
		d.plays = append(d.plays, invent(i, g, whistle, rng)...)
	}
	slices.SortStableFunc(d.plays, func(a, b play) int { return a.at.Compare(b.at) })
	return d
}

// invent returns the scoring plays of one game and its final whistle.
func invent(index int, g Game, whistle time.Time, rng *rand.Rand) []play {
	type score struct {
		at   time.Duration
		home bool
		n    int
	}
	length := whistle.Sub(g.Kickoff)
	var scores []score
	for _, side := range []bool{true, false} {
		points := g.AwayScore
		if side {
			points = g.HomeScore
		}
		for _, n := range scoringPlays(points, rng) {
			at := 2*time.Minute + time.Duration(rng.Int64N(int64(length-4*time.Minute)))
			scores = append(scores, score{at: at, home: side, n: n})
		}
	}
	slices.SortFunc(scores, func(a, b score) int { return int(a.at - b.at) })
	plays := make([]play, 0, len(scores)+1)
	home, away := 0, 0
	for _, s := range scores {
		if s.home {
			home += s.n
		} else {
			away += s.n
		}
		plays = append(plays, play{at: g.Kickoff.Add(s.at), game: index, home: home, away: away})
	}
	return append(plays, play{at: whistle, game: index, home: g.HomeScore, away: g.AwayScore, final: true})
}

// scoringPlays splits a final score into touchdowns, field goals and the rarer plays.
func scoringPlays(points int, rng *rand.Rand) []int {
	var out []int
	for points > 0 {
		n := [...]int{7, 7, 7, 3, 3, 6, 8, 2}[rng.IntN(8)]
		if rest := points - n; rest < 0 || rest == 1 {
			if points > 3 {
				continue // another draw always fits: 2 and 3 make every number but 1
			}
			n = points // 1 cannot be scored alone; a file that says so is played as it says
		}
		out = append(out, n)
		points -= n
	}
	return out
}

// scale is how many real seconds pass in a second of the run.
func (d *gameDay) scale() float64 { return float64(d.realEnd.Sub(d.realStart)) / float64(d.span) }

// offset returns when a moment of the real day happens, since the start of the run.
func (d *gameDay) offset(real time.Time) time.Duration {
	return time.Duration(float64(real.Sub(d.realStart)) / d.scale())
}

// realAt is the inverse of offset.
func (d *gameDay) realAt(offset time.Duration) time.Time {
	return d.realStart.Add(time.Duration(float64(offset) * d.scale()))
}

// kickoffs returns the distinct kick-off times with the number of games at each.
func (d *gameDay) kickoffs() (times []time.Time, games []int) {
	for _, g := range d.games {
		if n := len(times); n > 0 && times[n-1].Equal(g.Kickoff) {
			games[n-1]++
			continue
		}
		times, games = append(times, g.Kickoff), append(games, 1)
	}
	return times, games
}

// betDensity is how eagerly players bet at a time of the run: a steady morning and a ramp into every
// kick-off, higher where more games start, nothing once the last one is under way.
func (d *gameDay) betDensity(offset time.Duration) float64 { return d.density(offset, 0) }

// depositDensity runs ahead of the bets by a few minutes of the real day.
func (d *gameDay) depositDensity(offset time.Duration) float64 {
	return d.density(offset, 12*time.Minute)
}

func (d *gameDay) density(offset, ahead time.Duration) float64 {
	now := d.realAt(offset).Add(ahead)
	times, games := d.kickoffs()
	last := times[len(times)-1]
	if !now.Before(last.Add(-d.guard())) {
		return 0
	}
	sum := 0.0
	for i, kick := range times {
		if left := kick.Sub(now); left > 0 {
			weight := 0.35 + 0.65*float64(games[i])/float64(len(d.games))
			sum += weight * (0.12 + exp(-left, betRamp))
		}
	}
	return 0.15 + sum
}

// guard is how long before a kick-off nobody bets on it any more: a little real time, and enough time of
// the run for a request to be answered. A bet that commits after its kick-off counts as never struck.
func (d *gameDay) guard() time.Duration {
	return max(30*time.Second, min(d.real(1500*time.Millisecond), 45*time.Minute))
}

// real returns how much of the real day passes in a time of the run.
func (d *gameDay) real(run time.Duration) time.Duration {
	return time.Duration(float64(run) * d.scale())
}

// readDensity is the saw-tooth: every score jumps and dies away, every whistle jumps higher and stays longer.
func (d *gameDay) readDensity(offset time.Duration) float64 {
	now := d.realAt(offset)
	sum := 0.25
	for _, p := range d.plays {
		since := now.Sub(p.at)
		switch {
		case since < 0:
		case p.final:
			sum += 1.2 * exp(-since, d.atLeast(payDecay))
		default:
			sum += exp(-since, d.atLeast(readDecay))
		}
	}
	return sum
}

// atLeast keeps a decay visible in a strongly compressed day: half a second of the run or more.
func (d *gameDay) atLeast(decay time.Duration) time.Duration {
	return max(decay, time.Duration(0.4*d.scale()*float64(time.Second)))
}

// exp returns e to the power of d/unit.
func exp(d, unit time.Duration) float64 { return math.Exp(float64(d) / float64(unit)) }
