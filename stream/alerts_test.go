package stream_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/telemetry/telemetrytest"
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
	telemetrytest.RulesNameMetrics(t, w.deps.Metrics.(*prometheus.Registry), "../docs/alerts/streams.rules.yml", `matchday_[a-z_]+`, 3)
}
