package capture

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestAlertsNameMetricsThatExist keeps the rules true: an alert on a metric that nobody writes is silent.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	newMetrics(r)
	described := make(chan *prometheus.Desc, 100)
	r.Describe(described)
	close(described)
	var known strings.Builder
	for d := range described {
		known.WriteString(d.String())
	}
	text, err := os.ReadFile("../../docs/alerts/ledger.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`matchday_capture_[a-z_]+`).FindAllString(string(text), -1)
	if len(names) == 0 {
		t.Error("the rules do not tell of a relay that stands still")
	}
	for _, used := range names {
		if !strings.Contains(known.String(), `"`+used+`"`) {
			t.Errorf("the rules use %s, which is no metric", used)
		}
	}
}
