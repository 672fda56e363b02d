package web

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
)

// metrics counts pages by route pattern and status, both bounded.
type metrics struct {
	pages   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		pages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "matchday_web_pages_total", Help: "Pages and assets served.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "matchday_web_page_seconds", Help: "Time to render a page.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1},
		}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{m.pages, m.seconds} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of web: %w", err)
		}
	}
	return m, nil
}

// observe wraps a route.
func (m *metrics) observe(route string, clk clock.Clock, next http.HandlerFunc) http.Handler {
	seconds := m.seconds.WithLabelValues(route)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		began := clk.Now()
		noted := &statusWriter{ResponseWriter: rw, status: http.StatusOK}
		next(noted, r)
		m.pages.WithLabelValues(route, strconv.Itoa(noted.status)).Inc()
		seconds.Observe(clk.Now().Sub(began).Seconds())
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status and passes it on.
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController find the writer below.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }
