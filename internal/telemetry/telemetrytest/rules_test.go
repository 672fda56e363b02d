package telemetrytest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// listener hears of errors instead of failing.
type listener struct {
	testing.TB
	errors int
}

func (l *listener) Errorf(string, ...any) { l.errors++ }

func TestRulesNameMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewCounterVec(prometheus.CounterOpts{Name: "matchday_a_total"}, []string{"by"}),
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: "matchday_b_seconds"}),
		prometheus.NewSummary(prometheus.SummaryOpts{Name: "matchday_d_seconds"}),
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "matchday_e_count"}))
	file := filepath.Join(t.TempDir(), "rules.yml")
	for _, tt := range []struct {
		name, text   string
		least, wrong int
	}{
		{"a vector without a value and buckets", "matchday_a_total matchday_b_seconds_bucket", 2, 0},
		{"the parts of a histogram and of a summary, and a name that looks like one", "matchday_b_seconds_sum matchday_b_seconds_count matchday_d_seconds " +
			"matchday_d_seconds_sum matchday_d_seconds_count matchday_e_count", 6, 0},
		{"parts of what has none", "matchday_a_total_bucket matchday_a_total_sum matchday_e_count_count matchday_e_bucket", 4, 4},
		{"buckets of a summary, and a histogram that is no series", "matchday_d_seconds_bucket matchday_b_seconds", 2, 2},
		{"too few", "matchday_a_total", 2, 1},
		{"no metric", "matchday_a_total matchday_c_total", 2, 1},
		{"the beginning of one", "matchday_a", 1, 1},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		l := &listener{TB: t}
		RulesNameMetrics(l, r, file, `matchday_[a-z_]+`, tt.least)
		if l.errors != tt.wrong {
			t.Errorf("%s: %d errors, want %d", tt.name, l.errors, tt.wrong)
		}
	}
}
