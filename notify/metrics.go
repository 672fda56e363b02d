package notify

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the room's figures.
type metrics struct {
	attempts *prometheus.CounterVec
	seconds  prometheus.Histogram
	queued   prometheus.Gauge
	dead     prometheus.Gauge
	disabled prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "matchday_notify_" + name, Help: help})
	}
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_notify_attempts_total", Help: "Requests to receivers of webhooks, by outcome: delivered, failed, dead; fenced was not made, because another process delivers for the shard now.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "matchday_notify_attempt_seconds", Help: "Time until a receiver has answered.",
			Buckets: prometheus.ExponentialBuckets(0.002, 2, 13),
		}),
		queued:   gauge("queued_deliveries", "Deliveries that wait, of all shards: processes that share them say the same."),
		dead:     gauge("dead_deliveries", "Deliveries that were given up and are kept for staff."),
		disabled: gauge("disabled_subscriptions", "Subscriptions that get nothing any more until staff resume them: alarm above zero."),
	}
	for _, c := range []prometheus.Collector{m.attempts, m.seconds, m.queued, m.dead, m.disabled} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
