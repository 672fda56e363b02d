package ledger

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/certs"
)

// metrics are the room's figures. Labels are bounded: shards, lanes, kinds and jurisdictions.
type metrics struct {
	shards    int
	transfers *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	batches   *prometheus.HistogramVec
	rows      *prometheus.HistogramVec
	overloads *prometheus.CounterVec
	failures  *prometheus.CounterVec
	rebuilds  *prometheus.CounterVec
	retries   *prometheus.CounterVec
	position  *prometheus.GaugeVec
	open      *prometheus.GaugeVec
	oldest    *prometheus.GaugeVec
	steps     *prometheus.HistogramVec
	reads     *prometheus.CounterVec
	freshness prometheus.Histogram
	lag       *prometheus.GaugeVec
	pauses    prometheus.Histogram
	copied    prometheus.Counter
	wal       walMetrics

	quarantined prometheus.Gauge
}

func newMetrics(r prometheus.Registerer, shards int) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "matchday_ledger_" + name, Help: help}, labels)
	}
	m := &metrics{
		shards:    shards,
		transfers: counter("transfers_total", "Committed transfers.", "shard", "jurisdiction", "kind"),
		refusals:  counter("refusals_total", "Refused transfers.", "shard", "jurisdiction", "kind"),
		overloads: counter("overloads_total", "Calls turned away because a queue was full.", "shard", "lane"),
		failures:  counter("failed_batches_total", "Batches that could not be written.", "shard"),
		retries:   counter("retried_batches_total", "Batches tried again because the database was gone for a while.", "shard"),
		wal:       newWALMetrics(),
		rebuilds:  counter("rebuilt_batches_total", "Batches built twice because a key was there already.", "shard"),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "matchday_ledger_batch_seconds", Help: "Time to build and commit a batch.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 12),
		}, []string{"shard"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "matchday_ledger_commit_step_seconds",
			Help: "Where the time of commits goes, all shards: the queue by job, the other steps by batch.",
			// Fine where debits should be, below 10 ms; without a shard label, because hundreds of shards would be
			// tens of thousands of series. The staff pages have the last minute by shard.
			Buckets: []float64{.00001, .00002, .00005, .0001, .0002, .0005, .001, .0015, .002, .003, .004, .006, .008, .01, .015, .025, .05, .1, .25, 1},
		}, []string{"step"}),
		rows: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "matchday_ledger_batch_rows", Help: "Transfers in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}, []string{"shard"}),
		position: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_ledger_position_seq", Help: "Last committed sequence.",
		}, []string{"shard"}),
		reads: counter("reads_total", "Reads that a replica may answer, by what answered: a replica, the writer's database, or that after a replica could not.", "source"),
		freshness: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "matchday_ledger_read_freshness_seconds",
			Help:    "How old the answers of replicas are: 0 with everything committed, otherwise the age of the first commit missing.",
			Buckets: []float64{0, .0005, .001, .002, .003, .005, .0075, .01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_ledger_replica_lag_seconds", Help: "How far a replica was behind when it was last asked.",
		}, []string{"shard", "node"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_ledger_open_groups_count", Help: "Groups over several shards that have not ended.",
		}, []string{"shard"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_ledger_oldest_group_seconds", Help: "Age of the oldest open group; alarm from 60.",
		}, []string{"shard"}),
	}
	m.pauses = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "matchday_ledger_move_pause_seconds", Help: "How long a bucket that changed shards was served by neither.",
		Buckets: prometheus.ExponentialBuckets(0.005, 2, 9),
	})
	m.copied = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "matchday_ledger_move_copied_rows_total", Help: "Transfers copied to other shards by moves of buckets.",
	})
	m.quarantined = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "matchday_ledger_quarantined_shards_count",
		Help: "Shards that nobody writes because their databases lack commits that were answered; alarm from 1.",
	})
	all := []prometheus.Collector{
		m.transfers, m.refusals, m.overloads, m.failures, m.rebuilds, m.retries, m.batches, m.rows, m.position, m.steps,
		m.reads, m.freshness, m.lag, m.open, m.oldest, m.pauses, m.copied, m.quarantined, m.wal.failed, m.wal.pages,
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// countQuarantined shows how many shards are quarantined.
func (m *metrics) countQuarantined(n int) { m.quarantined.Set(float64(n)) }

// walMetrics are the figures of SQLite's write-ahead logs.
type walMetrics struct {
	failed *prometheus.CounterVec
	pages  *prometheus.GaugeVec
}

func newWALMetrics() walMetrics {
	return walMetrics{
		failed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_ledger_failed_checkpoints_total", Help: "Checkpoints of SQLite's write-ahead log that failed.",
		}, []string{"shard"}),
		pages: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "matchday_ledger_wal_pages_count",
			Help: "Pages of 4 KiB in SQLite's write-ahead log when it was last copied; alarm from 100,000.",
		}, []string{"shard"}),
	}
}

// shardMetrics are the figures of one shard, looked up once.
type shardMetrics struct {
	all      *metrics
	label    string
	failures prometheus.Counter
	rebuilds prometheus.Counter
	retries  prometheus.Counter
	seconds  prometheus.Observer
	rows     prometheus.Observer
	position prometheus.Gauge
	open     prometheus.Gauge
	oldest   prometheus.Gauge
	steps    [stepCount]prometheus.Observer
	counts   map[countKey]prometheus.Counter // of the writer's goroutine
	tally    map[countKey]int
}

// countKey names one series of transfers.
type countKey struct {
	jurisdiction string
	kind         Kind
	refused      bool
}

// maxLabels bounds the values of label shard in metrics that have many series for each.
const maxLabels = 32

// label returns the shard's label. With more than maxLabels shards several share one, such as 16-23:
// hundreds of shards times kinds and jurisdictions would be more series than anybody reads. Gauges of
// one series a shard keep the number.
func (m *metrics) label(n int) string {
	if m.shards <= maxLabels {
		return strconv.Itoa(n)
	}
	width := (m.shards + maxLabels - 1) / maxLabels
	first := n / width * width
	return strconv.Itoa(first) + "-" + strconv.Itoa(min(first+width, m.shards)-1)
}

func (m *metrics) shard(n int) *shardMetrics {
	label, number := m.label(n), strconv.Itoa(n)
	one := &shardMetrics{
		all: m, label: label, failures: m.failures.WithLabelValues(label), rebuilds: m.rebuilds.WithLabelValues(label),
		retries: m.retries.WithLabelValues(label),
		seconds: m.batches.WithLabelValues(label), rows: m.rows.WithLabelValues(label),
		position: m.position.WithLabelValues(number), open: m.open.WithLabelValues(number),
		oldest: m.oldest.WithLabelValues(number),
		counts: map[countKey]prometheus.Counter{}, tally: map[countKey]int{},
	}
	for s := range stepCount {
		one.steps[s] = m.steps.WithLabelValues(s.String())
	}
	return one
}

func (m *shardMetrics) overload(l Lane) {
	name := "interactive"
	if l == LaneBulk {
		name = "bulk"
	}
	m.all.overloads.WithLabelValues(m.label, name).Inc()
}

func (m *shardMetrics) batch(took time.Duration, rows int) {
	m.seconds.Observe(took.Seconds())
	m.rows.Observe(float64(rows))
}

// committed counts the rows of a batch.
func (m *shardMetrics) committed(b *batch) {
	clear(m.tally)
	for i := range b.rows {
		r := &b.rows[i]
		if r.origin.copied() {
			continue // counted where it was committed first
		}
		m.tally[countKey{string(r.jurisdiction), r.kind, r.code != ""}]++
	}
	for key, n := range m.tally {
		c := m.counts[key]
		if c == nil {
			vec := m.all.transfers
			if key.refused {
				vec = m.all.refusals
			}
			c = vec.WithLabelValues(m.label, key.jurisdiction, key.kind.String())
			m.counts[key] = c
		}
		c.Add(float64(n))
	}
	m.position.Set(float64(b.last))
}

// readMetrics are the figures of one shard's reads.
type readMetrics struct {
	replicas  prometheus.Counter
	primary   prometheus.Counter
	fallbacks prometheus.Counter
	freshness prometheus.Observer
	lags      *prometheus.GaugeVec
	label     string
}

func (m *metrics) shardReads(n int) readMetrics {
	return readMetrics{
		replicas: m.reads.WithLabelValues("replica"), primary: m.reads.WithLabelValues("primary"),
		fallbacks: m.reads.WithLabelValues("fallback"), freshness: m.freshness, lags: m.lag, label: strconv.Itoa(n),
	}
}

// replica counts a read that a replica answered, with how old the answer was.
func (m readMetrics) replica(age time.Duration) {
	m.replicas.Inc()
	m.freshness.Observe(age.Seconds())
}

// writer counts a read of the writer's database: where there is no replica, or after one could not.
func (m readMetrics) writer(afterReplica bool) {
	if afterReplica {
		m.fallbacks.Inc()
		return
	}
	m.primary.Inc()
}

func (m readMetrics) lag(node string, behind time.Duration) {
	m.lags.WithLabelValues(m.label, node).Set(behind.Seconds())
}

// forget drops the figures of a node that is no replica any more.
func (m readMetrics) forget(node string) { m.lags.DeleteLabelValues(m.label, node) }

// openGroups shows what the sweeper found, the oldest first.
func (m *shardMetrics) openGroups(list []openGroup, now time.Time) {
	m.open.Set(float64(len(list)))
	if len(list) == 0 {
		m.oldest.Set(0)
		return
	}
	m.oldest.Set(max(0, now.Sub(list[0].at).Seconds()))
}

// walFigures are those of one shard.
type walFigures struct {
	failed prometheus.Counter
	pages  prometheus.Gauge
}

// long notes how many pages the log has.
func (f walFigures) long(pages int) { f.pages.Set(float64(pages)) }

// watchWAL returns what tells of a shard's write-ahead log.
func (m *shardMetrics) watchWAL(shard int, log *slog.Logger) *walWatch {
	return &walWatch{shard: shard, log: log, figures: walFigures{
		failed: m.all.wal.failed.WithLabelValues(m.label), pages: m.all.wal.pages.WithLabelValues(strconv.Itoa(shard)),
	}}
}

// watchWritable registers how many shards can be written, as far as this process knows.
func watchWritable(r prometheus.Registerer, s *Service) error {
	return r.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "matchday_ledger_writable_shards_count",
		Help: "Shards that can be written, here or by another process; alarm below their number.",
	}, func() float64 {
		writable := 0
		for _, one := range s.Status() {
			if one.Trouble == "" {
				writable++
			}
		}
		return float64(writable)
	}))
}

// keeperMetrics are the figures of a process that shares the shards with others.
type keeperMetrics struct {
	claimed prometheus.Counter
	lost    prometheus.Counter
	given   prometheus.Counter
	evicted prometheus.Counter
}

// newKeeperMetrics registers them; beat returns when this process last showed that it lives. Without secure there
// is no certificate.
func newKeeperMetrics(r prometheus.Registerer, s *Service, beat func() time.Time, secure *certs.Source) (keeperMetrics, error) {
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "matchday_ledger_shard_changes_total", Help: "Shards that this process took (claimed), lost to another, or gave back.",
	}, []string{"change"})
	m := keeperMetrics{
		claimed: changes.WithLabelValues("claimed"), lost: changes.WithLabelValues("lost"), given: changes.WithLabelValues("given_back"),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "matchday_ledger_evicted_processes_total", Help: "Stopped processes that kept a file locked and were ended.",
		}),
	}
	owned := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "matchday_ledger_owned_shards_count", Help: "Shards that this process writes.",
	}, func() float64 {
		owned := 0
		for _, one := range s.shards {
			if one.isOpen() {
				owned++
			}
		}
		return float64(owned)
	})
	age := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "matchday_ledger_lease_age_seconds",
		Help: "Since this process's last sign of life in the directory; others take over from ledger.lease on.",
	}, func() float64 { return max(0, s.clock.Now().Sub(beat()).Seconds()) })
	all := []prometheus.Collector{changes, m.evicted, owned, age}
	if secure != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "matchday_ledger_internal_certificate_left_seconds",
			Help: "Until the certificate that this process shows the others runs out; it is read again at each connection.",
		}, func() float64 { return secure.Expires().Sub(s.clock.Now()).Seconds() }))
	}
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return keeperMetrics{}, err
		}
	}
	return m, nil
}

// copiedRows counts transfers that a move copied.
func (m *metrics) copiedRows(n int) { m.copied.Add(float64(n)) }
