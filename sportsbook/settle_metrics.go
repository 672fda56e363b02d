package sportsbook

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
)

// settleMetrics are the metrics of settlement and payer.
type settleMetrics struct {
	settled    *prometheus.CounterVec // by jurisdiction and outcome, as the projection shows it
	inFlight   *prometheus.GaugeVec   // by shard
	passes     *prometheus.CounterVec // by state: done, retried
	duration   prometheus.Histogram
	redriven   prometheus.Counter
	late       prometheus.Counter
	ungradable prometheus.Counter
	committed  prometheus.Counter
	replayed   prometheus.Counter
	owed       *prometheus.CounterVec // by jurisdiction
	superseded prometheus.Counter
	refused    prometheus.Counter
}

// newSettleMetrics registers the metrics.
func newSettleMetrics(r prometheus.Registerer) (*settleMetrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "matchday_sportsbook_" + name, Help: help})
	}
	m := &settleMetrics{
		settled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_sportsbook_bets_settled_total", Help: "Settlements seen in the log, by jurisdiction and outcome.",
		}, []string{"jurisdiction", "outcome"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_sportsbook_settlement_in_flight_bets", Help: "Bets sent to the payer and not yet seen settled.",
		}, []string{"shard"}),
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_sportsbook_settlement_passes_total", Help: "Passes over a decision's bets, by how they ended.",
		}, []string{"state"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "matchday_sportsbook_settlement_pass_duration_seconds",
			Help:    "From decision to last bet of the shard seen settled.",
			Buckets: passBuckets(),
		}),
		redriven:   counter("payouts_redriven_total", "Bets sent to the payer again because the log did not show them."),
		late:       counter("late_bets_total", "Bets that reached the log after their market was decided."),
		ungradable: counter("ungradable_bets_total", "Bets that could not be graded, each time they were tried."),
		committed:  counter("payouts_committed_total", "Payout commands committed to the ledger."),
		replayed:   counter("payouts_replayed_total", "Payout commands the ledger had committed before."),
		owed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_sportsbook_payouts_owed_total", Help: "Corrections that became a player's debt, by jurisdiction.",
		}, []string{"jurisdiction"}),
		superseded: counter("payouts_superseded_total", "Payout commands for a version that another command had settled."),
		refused:    counter("payouts_refused_total", "Payout commands that can never be committed."),
	}
	var err error
	for _, c := range []prometheus.Collector{
		m.settled, m.inFlight, m.passes, m.duration, m.redriven, m.late, m.ungradable,
		m.committed, m.replayed, m.owed, m.superseded, m.refused,
	} {
		err = errors.Join(err, r.Register(c))
	}
	return m, err
}

// paid counts a payout command that is in the ledger.
func (m *settleMetrics) paid(replayed bool) {
	if replayed {
		m.replayed.Inc()
		return
	}
	m.committed.Inc()
}

// flights notes how many bets of a shard are on their way.
func (m *settleMetrics) flights(shard, n int) {
	setGauge(m.inFlight.WithLabelValues(strconv.Itoa(shard)), n)
}

// passDone notes a finished pass.
func (m *settleMetrics) passDone(took time.Duration) {
	m.passes.WithLabelValues("done").Inc()
	m.duration.Observe(took.Seconds())
}

// change counts a settlement seen in the log.
func (m *settleMetrics) change(j id.Jurisdiction, outcome string) {
	if outcome == outcomeOpen {
		outcome = "open"
	}
	m.settled.WithLabelValues(string(j), outcome).Inc()
}
