package capture

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of all clusters. Labels are bounded: clusters, and shards where a snapshot
// runs.
type metrics struct {
	batches  *prometheus.CounterVec
	sessions *prometheus.CounterVec
	drops    *prometheus.CounterVec
	lag      *prometheus.GaugeVec
	snapshot *prometheus.GaugeVec
	stops    *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: "matchday_capture_" + name, Help: help}, labels))
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "matchday_capture_" + name, Help: help}, labels))
	}
	return metrics{
		batches:  counter("batches_total", "Batches handed to relays, by where they came from: binlog or tables.", "cluster", "source"),
		sessions: counter("sessions_total", "Times the binlog was connected to.", "cluster"),
		drops:    counter("drops_total", "Times a shard's read-ahead was dropped because its relay took nothing.", "cluster"),
		lag:      gauge("lag_seconds", "Age of the newest commit read from the binlog when it was read, to the second.", "cluster"),
		stops:    gauge("stopped", "1 while a shard's relay stands still because the binlog was purged.", "shard"),
		snapshot: gauge("snapshot_seq", "How far the last new snapshot of a shard has come.", "shard"),
	}
}

// register registers c, or returns what is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if err := r.Register(c); err != nil {
		if already, ok := err.(prometheus.AlreadyRegisteredError); ok {
			if old, ok := already.ExistingCollector.(C); ok {
				return old
			}
		}
	}
	return c
}

// count adds to a counter of whole things.
type count struct{ counter prometheus.Counter }

func (c count) Add(n int) { c.counter.Add(float64(n)) }

// readerMetrics are the figures of one cluster.
type readerMetrics struct {
	fromBinlog count
	fromTables count
	sessions   prometheus.Counter
	drops      prometheus.Counter
	lag        prometheus.Gauge
	snapshots  *prometheus.GaugeVec
	stops      *prometheus.GaugeVec
}

func (m metrics) of(cluster string) readerMetrics {
	return readerMetrics{
		fromBinlog: count{m.batches.WithLabelValues(cluster, "binlog")},
		fromTables: count{m.batches.WithLabelValues(cluster, "tables")},
		sessions:   m.sessions.WithLabelValues(cluster), drops: m.drops.WithLabelValues(cluster),
		lag: m.lag.WithLabelValues(cluster), snapshots: m.snapshot, stops: m.stops,
	}
}

// snapshot notes how far a shard's new snapshot has come.
func (m readerMetrics) snapshot(shard int, seq int64) {
	m.snapshots.WithLabelValues(strconv.Itoa(shard)).Set(float64(seq))
}

// stopped notes whether a shard's relay stands still.
func (m readerMetrics) stopped(shard int, is bool) {
	value := 0.0
	if is {
		value = 1
	}
	m.stops.WithLabelValues(strconv.Itoa(shard)).Set(value)
}

// behind notes how old a commit was when it was read. A binlog counts whole seconds.
func (m readerMetrics) behind(d time.Duration) { m.lag.Set(max(d, 0).Seconds()) }
