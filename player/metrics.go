package player

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	signUps       *prometheus.CounterVec
	signIns       *prometheus.CounterVec
	waiting       prometheus.Gauge
	hashesRefused prometheus.Counter

	// Counters of session look-ups, resolved once: they are on the path of every request.
	foundInMemory, foundInDatabase, foundNowhere prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	lookups := counter("matchday_player_session_lookups_total", "Look-ups of sessions by where they were found (memory, database, nowhere).", "found")
	m := &metrics{
		foundInMemory:   lookups.WithLabelValues("memory"),
		foundInDatabase: lookups.WithLabelValues("database"),
		foundNowhere:    lookups.WithLabelValues("nowhere"),

		signUps: counter("matchday_player_sign_ups_total", "Players made.", "jurisdiction"),
		signIns: counter("matchday_player_sign_ins_total", "Sign-ins by jurisdiction (of players), kind (player, staff) and outcome (ok, wrong, locked).",
			"jurisdiction", "kind", "outcome"),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "matchday_player_hashes_waiting", Help: "Callers waiting for their turn to hash a password.",
		}),
		hashesRefused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "matchday_player_hashes_refused_total", Help: "Callers turned away because too many were waiting.",
		}),
	}
	for _, c := range []prometheus.Collector{m.signUps, m.signIns, lookups, m.waiting, m.hashesRefused} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register player metrics: %w", err)
		}
	}
	return m, nil
}
