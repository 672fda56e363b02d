package payments

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	finished  *prometheus.CounterVec
	postponed *prometheus.CounterVec
	refused   *prometheus.CounterVec
	stuck     *prometheus.CounterVec
	inFlight  prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		finished: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_payments_finished_total", Help: "Payments that came to an end.",
		}, []string{"jurisdiction", "direction", "status"}),
		postponed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_payments_postponed_total", Help: "Steps that did not succeed and will be tried again.",
		}, []string{"jurisdiction", "direction", "step"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_payments_refused_total", Help: "Requests turned away because too many were in flight.",
		}, []string{"jurisdiction"}),
		stuck: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_payments_book_refusals_total", Help: "Refusals by the books of money that has already moved: somebody must look.",
		}, []string{"jurisdiction"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "matchday_payments_in_flight_payments", Help: "Payments queued or being driven now.",
		}),
	}
	for _, c := range []prometheus.Collector{m.finished, m.postponed, m.refused, m.stuck, m.inFlight} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register payments metrics: %w", err)
		}
	}
	return m, nil
}
