package history

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/id"
)

// keepMetrics measure what is done about bets that are over. All shards share the vectors.
type keepMetrics struct {
	dropped, failures *prometheus.CounterVec
	from              *prometheus.GaugeVec
}

func newKeepMetrics(r prometheus.Registerer) keepMetrics {
	m := keepMetrics{
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_history_dropped_bets_total",
			Help: "Bets that were over and are no longer in the history's database.",
		}, []string{"shard"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_history_keeping_failures_total",
			Help: "Times that months could not be made or dropped, or old bets not deleted; it is tried again.",
		}, []string{"shard"}),
		from: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_history_kept_from_seconds",
			Help: "First moment, in Unix time, of which a jurisdiction's settled bets are kept.",
		}, []string{"shard", "jurisdiction"}),
	}
	register(r, &m.dropped)
	register(r, &m.failures)
	register(r, &m.from)
	return m
}

// register registers c, or makes it the collector that is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) {
	if err := r.Register(*c); err != nil {
		if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if old, ok := already.ExistingCollector.(C); ok {
				*c = old
			}
		}
	}
}

// begin makes the counters of a shard, so that their first step is seen.
func (m keepMetrics) begin(shard int) {
	m.drop(shard, 0)
	m.failures.WithLabelValues(strconv.Itoa(shard))
}

// kept shows the floors of a shard.
func (m keepMetrics) kept(shard int, floors map[id.Jurisdiction]id.Bet) {
	for j, bet := range floors {
		if at, ok := id.MadeAt(string(bet)); ok {
			m.from.WithLabelValues(strconv.Itoa(shard), string(j)).Set(float64(at.Unix()))
		}
	}
}

// drop counts bets.
func (m keepMetrics) drop(shard int, bets int64) {
	m.dropped.WithLabelValues(strconv.Itoa(shard)).Add(float64(bets))
}

// fail counts a failure.
func (m keepMetrics) fail(shard int) { m.failures.WithLabelValues(strconv.Itoa(shard)).Inc() }
