package stream_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestAlertsNameMetricsThatExist keeps the rules file true: an alert on a metric that nobody writes is silent.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.relay()
	w.sink(openDB(t, w.dir), nil)
	if err := w.commands().Send(t.Context(), 0, "a", nil); err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc, 1000)
	w.deps.Metrics.(*prometheus.Registry).Describe(described)
	close(described)
	var known strings.Builder
	for d := range described {
		known.WriteString(d.String())
	}
	text, err := os.ReadFile(filepath.Join("..", "docs", "alerts", "streams.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`matchday_[a-z_]+`).FindAllString(string(text), -1)
	if len(names) < 3 {
		t.Errorf("the rules name %d metrics, want one each", len(names))
	}
	for _, name := range names {
		if !strings.Contains(known.String(), `"`+name+`"`) {
			t.Errorf("the rules use %s, which is no metric", name)
		}
	}
}
