package ledger

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/certs"
)

// TestDocumentsNameMetricsThatExist keeps alerts and runbooks true: an alert on a metric that nobody writes is
// silent.
func TestDocumentsNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	if _, err := newMetrics(r, 2); err != nil {
		t.Fatal(err)
	}
	if err := watchWritable(r, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := newKeeperMetrics(r, nil, nil, &certs.Source{}); err != nil {
		t.Fatal(err)
	}
	described := make(chan *prometheus.Desc, 1000)
	r.Describe(described)
	close(described)
	var known strings.Builder
	for d := range described {
		known.WriteString(d.String())
	}
	name := regexp.MustCompile(`matchday_ledger_[a-z_]+`)
	docs, alerts := os.DirFS("../docs"), 0
	err := fs.WalkDir(docs, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".md") && !strings.HasSuffix(path, ".yml") {
			return err
		}
		text, err := fs.ReadFile(docs, path)
		for _, used := range name.FindAllString(string(text), -1) {
			if strings.HasSuffix(path, ".yml") {
				alerts++
			}
			if !strings.Contains(known.String(), `"`+used+`"`) {
				t.Errorf("%s has %s, which is no metric", path, used)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if alerts < 12 {
		t.Errorf("the rules name %d metrics of the ledger, want those of the runbooks", alerts)
	}
}
