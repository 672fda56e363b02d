package sportsbook

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/errs"
)

// metrics of offer and placement.
type metrics struct {
	bets    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	changes *prometheus.CounterVec
	events  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		bets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_sportsbook_bets_total",
			Help: "Bets asked for, by jurisdiction, kind (single, parlay) and outcome (accepted, replayed or the code of the refusal).",
		}, []string{"jurisdiction", "kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "matchday_sportsbook_place_seconds",
			Help:    "Time to answer a placement, durable commit included, by jurisdiction.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"jurisdiction"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_sportsbook_offer_changes_total",
			Help: "Committed changes of the offer, by kind.",
		}, []string{"kind"}),
		events: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "matchday_sportsbook_offer_events",
			Help: "Events in the offer.",
		}),
	}
	for _, c := range []prometheus.Collector{m.bets, m.seconds, m.changes, m.events} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// placed counts one answer to a placement. The jurisdiction is a label only when it is one of ours.
func (m *metrics) placed(req *PlaceRequest, replayed bool, err error, took time.Duration) {
	kind, outcome, jurisdiction := "single", "accepted", string(req.Jurisdiction)
	if len(req.Legs) > 1 {
		kind = "parlay"
	}
	switch {
	case err != nil:
		outcome = string(errs.CodeOf(err))
		if outcome == string(errs.CodeInvalid) {
			jurisdiction = "" // it may be what is invalid
		}
	case replayed:
		outcome = "replayed"
	}
	m.bets.WithLabelValues(jurisdiction, kind, outcome).Inc()
	m.seconds.WithLabelValues(jurisdiction).Observe(took.Seconds())
}

// changed counts what a change of the offer told its subscribers.
func (m *metrics) changed(diffs []difference, events int) {
	for i := range diffs {
		for _, u := range diffs[i].updates {
			m.changes.WithLabelValues(string(u.Kind)).Inc()
		}
	}
	setGauge(m.events, events)
}

// setGauge shows a count.
func setGauge(g prometheus.Gauge, n int) { g.Set(float64(n)) }

// passBuckets are for settlement passes: 20 ms to some minutes.
func passBuckets() []float64 { return prometheus.ExponentialBuckets(0.02, 2, 15) }
