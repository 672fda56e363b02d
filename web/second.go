package web

import (
	"fmt"
	"strconv"
	"time"

	"matchday/history"
)

// secondView is what the board says of a second history.
type secondView struct {
	Shown       bool   // there is one
	State, Mark string // in a word, and how that word looks
	Who         string // sees it
	Trouble     string
	Progress    string
	Estimate    string
	Compared    string
	Shards      []secondShard
}

// secondShard is one shard of a second history.
type secondShard struct {
	Shard, Bets, Of string // copied, of how many and how fast
	Still, Waits    string // how long, and why it rests
	Behind          string // the log
	Different       string
	Compared        string
	Trouble         string // of comparing
}

// secondSums are the figures of all shards of a second history.
type secondSums struct {
	copied, expected, compared, different, suspected int64
	left                                             time.Duration
	comparedAt                                       time.Time // of the shard for which it is longest ago
	isDone, isKnown, isCompared, hasProblem          bool      // of every shard; of any
}

// second makes the view of a second history.
func second(s history.NextStatus) secondView {
	sums := secondSums{isDone: true, isKnown: true, isCompared: len(s.Equal) > 0}
	v := secondView{Shown: s.Shown != "", Who: whoSees(s.Choice), Trouble: s.Trouble}
	for i, p := range s.Copy {
		var e history.Comparison
		if i < len(s.Equal) {
			e = s.Equal[i]
		}
		sums.add(p, e)
		row := secondShard{Shard: strconv.Itoa(p.Shard), Bets: countText(p.Bets), Still: stillText(p), Waits: p.Waiting, Behind: lagText(p.Lag), Different: "–", Trouble: e.Problem}
		if !p.Done {
			row.Of = countText(p.Rate) + " a second"
		}
		if !p.Done && p.Expected > 0 {
			row.Of = "of " + countText(p.Expected) + ", " + row.Of
		}
		if e.Passes > 0 {
			row.Compared, row.Different = "of "+countText(e.Bets), countText(e.Different)
		}
		v.Shards = append(v.Shards, row)
	}
	v.Progress, v.Estimate = sums.progress(len(s.Copy) > 0)
	if sums.isCompared {
		v.Compared = fmt.Sprintf("Last compared at %s UTC: %s bets, %s different.", sums.comparedAt.UTC().Format("15:04:05"), countText(sums.compared), countText(sums.different))
	}
	v.State, v.Mark = sums.state(s.Trouble == "" && len(s.Copy) > 0)
	return v
}

// add takes a shard in.
func (s *secondSums) add(p history.FillProgress, e history.Comparison) {
	s.copied, s.expected, s.left = s.copied+p.Bets, s.expected+p.Expected, max(s.left, p.Left)
	s.compared, s.different, s.suspected = s.compared+e.Bets, s.different+e.Different, s.suspected+e.Suspected
	if s.comparedAt.IsZero() || e.At.Before(s.comparedAt) {
		s.comparedAt = e.At
	}
	s.isDone = s.isDone && p.Done
	s.isKnown = s.isKnown && (p.Done || p.Left > 0)
	s.isCompared = s.isCompared && e.Passes > 0
	s.hasProblem = s.hasProblem || e.Problem != ""
}

// progress says how far the copy is, and how long it still takes.
func (s *secondSums) progress(isFed bool) (progress, estimate string) {
	progress = countText(s.copied) + " bets copied."
	if !s.isDone && s.expected > 0 {
		progress = countText(s.copied) + " of " + countText(s.expected) + " bets copied."
	}
	switch {
	case !isFed:
		return "Nothing feeds it.", ""
	case s.isDone:
		return progress, "The copy is whole."
	case s.isKnown:
		return progress, "It takes " + lengthText(s.left) + " more."
	}
	return progress, "How long it still takes is not known yet."
}

// state is the state in a word, and how that word looks.
func (s *secondSums) state(isFed bool) (state, mark string) {
	switch {
	case !isFed:
		return "Not fed", "bad"
	case s.hasProblem:
		return "Not compared", "bad"
	case s.different > 0 || s.suspected > 0:
		return "Differs", "bad"
	case !s.isDone:
		return "Copying", "open"
	case !s.isCompared:
		return "Not compared yet", "open"
	}
	return "Equal", "won"
}

// whoSees says who sees which history.
func whoSees(c history.Choice) string {
	switch c.Shown {
	case history.ShownSecond:
		return "Everybody sees the second."
	case history.ShownShare:
		return fmt.Sprintf("%d %% of the players, and %d by name, see the second.", c.Share, len(c.Players))
	}
	return "Everybody sees the first."
}

// stillText says how long a shard's copy still takes.
func stillText(p history.FillProgress) string {
	switch {
	case p.Done:
		return "done"
	case p.Left > 0:
		return lengthText(p.Left)
	}
	return "–"
}

// lagText writes a short time for staff.
func lagText(d time.Duration) string {
	if d < 10*time.Second {
		return countText(d.Milliseconds()) + " ms"
	}
	return lengthText(d)
}
