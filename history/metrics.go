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

// ownMeters registers the collectors of one sink, and takes those away again that no other sink has.
type ownMeters struct {
	prometheus.Registerer
	own []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (m *ownMeters) Register(c prometheus.Collector) error {
	err := m.Registerer.Register(c)
	if _, one := c.(prometheus.Metric); one && err == nil { // a vector is shared
		m.own = append(m.own, c)
	}
	return err
}

// takeAway makes the collectors unknown: what stands still would be taken for what is behind.
func (m *ownMeters) takeAway() {
	for _, c := range m.own {
		m.Unregister(c)
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

// nextMetrics are the measures of a second history.
type nextMetrics struct {
	bets, different, passes *prometheus.GaugeVec
	reads                   *prometheus.CounterVec
}

func newNextMetrics(r prometheus.Registerer) nextMetrics {
	labels := []string{"shard"}
	m := nextMetrics{
		bets: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_history_next_copied_bets",
			Help: "Bets that were copied from the first history to the second.",
		}, labels),
		different: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_history_next_different_bets",
			Help: "Bets that are not the same in both histories, by the last comparison.",
		}, labels),
		passes: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_history_next_comparisons_count",
			Help: "Times that both histories were compared since the process began.",
		}, labels),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_history_reads_total",
			Help: "Answers to players by the history that they came from.",
		}, []string{"history"}),
	}
	register(r, &m.bets)
	register(r, &m.different)
	register(r, &m.passes)
	register(r, &m.reads)
	return m
}

// begin shows a shard of which this process knows nothing, yet or any more.
func (m nextMetrics) begin(shard int) {
	m.compared(Comparison{Shard: shard})
	m.copied(FillProgress{Shard: shard})
}

func (m nextMetrics) copied(p FillProgress) {
	m.bets.WithLabelValues(strconv.Itoa(p.Shard)).Set(float64(p.Bets))
}

func (m nextMetrics) compared(c Comparison) {
	shard := strconv.Itoa(c.Shard)
	m.different.WithLabelValues(shard).Set(float64(c.Different))
	m.passes.WithLabelValues(shard).Set(float64(c.Passes))
}

// read counts an answer; a projection that is tried by itself has no measures.
func (m nextMetrics) read(history string) {
	if m.reads != nil {
		m.reads.WithLabelValues(history).Inc()
	}
}
