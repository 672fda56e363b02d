// Package telemetrytest checks what is written about a room's metrics against the metrics themselves.
package telemetrytest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// RulesNameMetrics keeps a file of alerts true: an alert on a metric that nobody writes is silent. Every name in the file
// that the pattern finds must be a metric of the registry, or the buckets of one, and there must be at least so many.
func RulesNameMetrics(t testing.TB, r *prometheus.Registry, file, pattern string, least int) {
	t.Helper()
	text, err := os.ReadFile(file) // #nosec: a file of this repository
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(pattern).FindAllString(string(text), -1)
	if len(names) < least {
		t.Errorf("the rules name %d metrics, want at least %d", len(names), least)
	}
	known := described(r)
	for _, name := range names {
		if !strings.Contains(known, `fqName: "`+strings.TrimSuffix(name, "_bucket")+`"`) {
			t.Errorf("the rules use %s, which is no metric", name)
		}
	}
}

// described returns what a registry says of its metrics, those without a value yet too.
func described(r *prometheus.Registry) string {
	list := make(chan *prometheus.Desc)
	go func() {
		r.Describe(list)
		close(list)
	}()
	var all strings.Builder
	for d := range list {
		all.WriteString(d.String())
	}
	return all.String()
}
