// Package telemetrytest checks what is written about a room's metrics against the metrics themselves, and is the processor clock of benchmarks.
package telemetrytest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// RulesNameMetrics keeps a file of alerts true: an alert on a series that nobody writes is silent. Every name in the file
// that the pattern finds must be a series of the registry, and there must be at least so many. Those of a histogram or a summary
// (_bucket, _sum, _count) are known once it has a value.
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
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := described(r)
	for _, name := range names {
		if !isSeries(name, families, known) {
			t.Errorf("the rules use %s, which is no series of a metric", name)
		}
	}
}

// isSeries reports whether a metric, as gathered or described, has a series of that name.
func isSeries(name string, families []*dto.MetricFamily, known string) bool {
	for _, f := range families {
		suffix, ok := strings.CutPrefix(name, f.GetName())
		if !ok {
			continue
		}
		switch f.GetType() {
		case dto.MetricType_HISTOGRAM:
			ok = suffix == "_bucket" || suffix == "_sum" || suffix == "_count"
		case dto.MetricType_SUMMARY:
			ok = suffix == "" || suffix == "_sum" || suffix == "_count"
		default:
			ok = suffix == ""
		}
		if ok || suffix == "" {
			return ok
		}
	}
	return strings.Contains(known, `fqName: "`+name+`"`) // also of a vector without a value
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
