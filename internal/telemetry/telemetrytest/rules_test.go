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
		prometheus.NewHistogram(prometheus.HistogramOpts{Name: "matchday_b_seconds"}))
	file := filepath.Join(t.TempDir(), "rules.yml")
	for _, tt := range []struct {
		name, text   string
		least, wrong int
	}{
		{"a vector without a value and buckets", "matchday_a_total matchday_b_seconds_bucket", 2, 0},
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
