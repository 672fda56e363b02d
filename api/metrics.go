package api

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the edge. Routes and codes are closed lists and jurisdictions come from sessions, so
// every label is bounded.
type metrics struct {
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	liveClients prometheus.Gauge
	liveDropped prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_api_requests_total", Help: "Requests answered, by route, code (ok or an error code) and jurisdiction.",
		}, []string{"route", "code", "jurisdiction"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "matchday_api_request_seconds", Help: "Time from a request's headers to its answer, by route.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 15},
		}, []string{"route"}),
		liveClients: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "matchday_api_live_clients", Help: "Open live streams.",
		}),
		liveDropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "matchday_api_live_dropped_total", Help: "Live streams ended because the client read too slowly.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.liveClients, m.liveDropped} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register api metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(route, code, jurisdiction string, took time.Duration) {
	m.requests.WithLabelValues(route, code, jurisdiction).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
