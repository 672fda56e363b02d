package capture

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/telemetry/telemetrytest"
)

// TestAlertsNameMetricsThatExist keeps the rules true: an alert on a metric that nobody writes is silent.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	newMetrics(r)
	telemetrytest.RulesNameMetrics(t, r, "../../docs/alerts/ledger.rules.yml", `matchday_capture_[a-z_]+`, 1)
}
