package stream

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// register registers c, or returns the collector that is there already: the relays and sinks of all
// shards share their vectors.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if err := r.Register(c); err != nil {
		if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if old, ok := already.ExistingCollector.(C); ok {
				return old
			}
		}
	}
	return c
}

// relayMetrics are the measures of one relay.
type relayMetrics struct {
	published prometheus.Gauge
	messages  prometheus.Counter
	bytes     prometheus.Counter
	resyncs   prometheus.Counter
}

func newRelayMetrics(r prometheus.Registerer, shard int) relayMetrics {
	labels, value := []string{"shard"}, strconv.Itoa(shard)
	published := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "matchday_stream_relay_position",
		Help: "Last log sequence known to be on the stream.",
	}, labels))
	messages := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "matchday_stream_relay_messages_total",
		Help: "Messages stored on the stream.",
	}, labels))
	bytes := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "matchday_stream_relay_bytes_total",
		Help: "Bytes of the messages stored on the stream.",
	}, labels))
	resyncs := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "matchday_stream_relay_resyncs_total",
		Help: "Times the relay read the stream's end again: at start, after an error, after a loss.",
	}, labels))
	return relayMetrics{
		published: published.WithLabelValues(value),
		messages:  messages.WithLabelValues(value),
		bytes:     bytes.WithLabelValues(value),
		resyncs:   resyncs.WithLabelValues(value),
	}
}

// stored notes one durable message.
func (m relayMetrics) stored(last int64, bytes int) {
	m.published.Set(float64(last))
	m.messages.Inc()
	m.bytes.Add(float64(bytes))
}

// sinkMetrics are the measures of one sink.
type sinkMetrics struct {
	position  prometheus.Gauge
	records   prometheus.Counter
	commits   prometheus.Counter
	errors    prometheus.Counter
	backfills prometheus.Counter
	lag       prometheus.Observer
	held      prometheus.Gauge
	barred    prometheus.Gauge
}

func newSinkMetrics(r prometheus.Registerer, name string, shard int, lag func() time.Duration) sinkMetrics {
	labels, values := []string{"sink", "shard"}, []string{name, strconv.Itoa(shard)}
	counter := func(metric, help string) prometheus.Counter {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, labels)).WithLabelValues(values...)
	}
	position := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "matchday_stream_sink_position",
		Help: "Last log sequence the sink has applied.",
	}, labels))
	applied := register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "matchday_stream_sink_apply_lag_seconds",
		Help:    "From the commit of a batch in the log to its commit in the sink.",
		Buckets: []float64{.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 120, 600},
	}, labels))
	held := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "matchday_stream_held_sinks_count",
		Help: "1 while this process is the one that applies the shard's log to the sink, else 0.",
	}, labels))
	barred := register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "matchday_stream_barred_sinks_count",
		Help: "1 while it is this process's turn to apply the shard's log to the sink and it cannot, else 0: another has claimed it under a higher epoch, or its database refuses.",
	}, labels))
	now := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "matchday_stream_sink_lag_seconds",
		Help:        "How far the sink is behind its log now; 0 when it shows all of it.",
		ConstLabels: prometheus.Labels{"sink": name, "shard": strconv.Itoa(shard)},
	}, func() float64 { return lag().Seconds() })
	r.Unregister(now) // a sink that was made again reports instead of the one before
	register(r, now)
	return sinkMetrics{
		position:  position.WithLabelValues(values...),
		records:   counter("matchday_stream_sink_records_total", "Records applied."),
		commits:   counter("matchday_stream_sink_commits_total", "Commits of the sink."),
		errors:    counter("matchday_stream_sink_errors_total", "Failed attempts to apply; the sink repeats them and skips nothing."),
		backfills: counter("matchday_stream_sink_backfills_total", "Times the sink read the log itself, because the stream had lost something."),
		lag:       applied.WithLabelValues(values...),
		held:      held.WithLabelValues(values...),
		barred:    barred.WithLabelValues(values...),
	}
}

// holds notes whether this process applies.
func (m sinkMetrics) holds(held bool) { m.held.Set(oneIf(held)) }

// bars notes whether this process cannot apply although it is its turn.
func (m sinkMetrics) bars(barred bool) { m.barred.Set(oneIf(barred)) }

// oneIf is what a gauge shows of something that is so or is not.
func oneIf(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// applied notes one commit.
func (m sinkMetrics) applied(position int64, records int) {
	m.position.Set(float64(position))
	m.records.Add(float64(records))
	m.commits.Inc()
}

// observeLag notes how old a batch was when it was applied.
func (m sinkMetrics) observeLag(d time.Duration) { m.lag.Observe(d.Seconds()) }

// commandMetrics are the measures of one queue.
type commandMetrics struct {
	sent    *prometheus.CounterVec
	handled *prometheus.CounterVec
	failed  *prometheus.CounterVec
	queue   string
}

func newCommandMetrics(r prometheus.Registerer, queue string) commandMetrics {
	labels := []string{"queue", "shard"}
	counter := func(metric, help string) *prometheus.CounterVec {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, labels))
	}
	return commandMetrics{
		sent:    counter("matchday_stream_commands_sent_total", "Commands made durable."),
		handled: counter("matchday_stream_commands_handled_total", "Commands handled and acknowledged."),
		failed:  counter("matchday_stream_commands_failed_total", "Failed attempts to handle a command; it comes again."),
		queue:   queue,
	}
}

// count adds one to the queue's counter of a shard.
func (m commandMetrics) count(c *prometheus.CounterVec, shard int) {
	c.WithLabelValues(m.queue, strconv.Itoa(shard)).Inc()
}
