package sim

import (
	"path/filepath"
	"strings"

	"matchday/sim/workload"
)

// fillReport moves what the run counted into the report.
func (s *sunday) fillReport() {
	r := s.report
	r.Bets.Accepted = int64(s.bets.count())
	for _, b := range s.bets.byID {
		if len(b.legs) == 1 {
			r.Bets.Singles++
		} else {
			r.Bets.Parlays++
		}
	}
	r.Bets.Refused, r.Bets.Retried, r.Bets.Replayed = s.refused, s.retried.Load(), s.replayed.Load()
	r.Deposits = DepositTotals{Completed: s.deposits.total.Load(), Declined: s.declined.Load(), Pending: int64(len(s.pending))}
	r.Reads, r.Payouts = s.reads.total.Load(), s.payouts.total.Load()
	r.Money = s.moneyTotals()
	r.Latency = make(map[string]percentiles, len(s.latency))
	for name, l := range s.latency {
		if p := l.percentiles(); p.Count > 0 {
			r.Latency[name] = p
		}
	}
	r.HistoryLag, r.Visible = s.history.percentiles(), s.shown.percentiles()
	r.Series = SeriesReport{
		BinSeconds: s.bin.Seconds(), Start: s.day.realStart, End: s.day.realEnd,
		Deposits: s.deposits.perSecond(), Bets: s.accepted.perSecond(), Reads: s.reads.perSecond(), Payouts: s.payouts.perSecond(),
		LagMS: s.lag.values(1000), BetP99MS: s.betP99.values(1000), ReadP99MS: s.readP99.values(1000),
	}
	r.Peaks = map[string]float64{
		"deposits_per_s": maxOf(r.Series.Deposits), "bets_per_s": maxOf(r.Series.Bets),
		"reads_per_s": maxOf(r.Series.Reads), "payouts_per_s": maxOf(r.Series.Payouts),
	}
	if mean := float64(r.Payouts) / s.day.span.Seconds(); mean > 0 {
		r.Peaks["payouts_over_mean"] = round(r.Peaks["payouts_per_s"] / mean)
	}
	for i, g := range s.day.games {
		shown := GameReport{ID: g.ID, Away: g.Away, Home: g.Home, AwayScore: g.AwayScore, HomeScore: g.HomeScore,
			Kickoff: g.Kickoff, Whistle: s.day.whistles[i], BetsDecided: s.games[i].decided}
		if !s.games[i].last.IsZero() {
			shown.SettledAfter = round(s.games[i].last.Sub(s.games[i].entered).Seconds())
		}
		r.Games = append(r.Games, shown)
	}
}

// moneyTotals sums deposits, stakes and payouts by currency, from our side's books.
func (s *sunday) moneyTotals() map[string]MoneyTotals {
	totals := make(map[string]MoneyTotals)
	for i := range s.crowd.players {
		p := &s.crowd.players[i]
		c := string(workload.Territories()[p.territory].Currency)
		t := totals[c]
		t.DepositedMinor += p.deposited.Load()
		t.StakedMinor += p.staked.Load()
		t.PaidMinor += s.expected[i] - p.deposited.Load() + p.staked.Load()
		totals[c] = t
	}
	return totals
}

// printSummary says on the terminal how the day went.
func (s *sunday) printSummary() {
	r, line := s.report, s.progress.line
	line("")
	line("%s bets (%s singles, %s parlays), %s deposits, %s reads, %s payouts", thousands(r.Bets.Accepted), thousands(r.Bets.Singles),
		thousands(r.Bets.Parlays), thousands(r.Deposits.Completed), thousands(r.Reads), thousands(r.Payouts))
	line("busiest second: %.0f bets, %.0f deposits, %.0f reads, %.0f payouts", r.Peaks["bets_per_s"], r.Peaks["deposits_per_s"], r.Peaks["reads_per_s"], r.Peaks["payouts_per_s"])
	place := r.Latency["place_bet"]
	line("placing a bet: p50 %.1f ms, p99 %.1f ms; history lag p99 %.1f ms, worst %.1f ms", place.P50, place.P99, r.HistoryLag.P99, r.HistoryLag.Max)
	line("settlements, from commit to visible: p50 %.1f ms, p99 %.1f ms, worst %.1f ms", r.Visible.P50, r.Visible.P99, r.Visible.Max)
	for _, c := range r.Checks {
		mark := "ok    "
		if !c.OK {
			mark = "BROKEN"
		}
		line("  %s  %s: %s", mark, c.Name, strings.TrimSpace(c.Detail))
	}
	line("report: %s", filepath.Join(s.o.Out, "report.html"))
}

// joinCommand returns the command line for the report.
func joinCommand() string { return strings.Join(commandLine(), " ") }

// slateName names the slate without the machine's folders.
func slateName(path string) string {
	if path == "" {
		return "fictional"
	}
	return filepath.Base(path)
}
