package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// Figure is one measured quantity over several runs.
type Figure struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   int       `json:"runs"`
	Values []float64 `json:"values"` // in the order they were measured
}

// BenchReport is what a benchmark prints with --json.
type BenchReport struct {
	Name     string            `json:"name"`
	Machine  string            `json:"machine"`
	Commit   string            `json:"commit"`
	Command  string            `json:"command"`
	Settings map[string]any    `json:"settings"`
	Data     string            `json:"data"`     // what was run
	Excluded string            `json:"excluded"` // what the figures leave out
	Figures  map[string]Figure `json:"figures"`

	mu       sync.Mutex
	order    []string
	profiled bool
}

func newBenchReport(name, commit string, settings map[string]any) *BenchReport {
	return &BenchReport{
		Name: name, Machine: machine(), Commit: commit, Command: strings.Join(commandLine(), " "),
		Settings: settings, Figures: make(map[string]Figure),
	}
}

// commandLine returns the process's arguments with the program as its bare name.
func commandLine() []string {
	args := slices.Clone(os.Args)
	if len(args) > 0 {
		args[0] = args[0][strings.LastIndexByte(args[0], '/')+1:]
	}
	return args
}

// add puts one run's value to a figure.
func (r *BenchReport) add(name string, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.Figures[name]
	if !ok {
		r.order = append(r.order, name)
	}
	f.Values = append(f.Values, round(value))
	sorted := slices.Sorted(slices.Values(f.Values))
	f.Runs, f.Min, f.Max = len(sorted), sorted[0], sorted[len(sorted)-1]
	f.Median = sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		f.Median = round((sorted[len(sorted)/2-1] + sorted[len(sorted)/2]) / 2)
	}
	r.Figures[name] = f
}

// round keeps three digits after the point: no figure here is known better.
func round(v float64) float64 {
	if v > 1e12 || v < -1e12 {
		return v
	}
	return float64(int64(v*1000+0.5)) / 1000
}

// write prints the report as one JSON object or as a table.
func (r *BenchReport) write(out io.Writer, asJSON bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	printf := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Flush reports
	printf("bench %s\n%s, commit %s\n%s\nData: %s\nExcluded: %s\n", r.Name, r.Machine, r.Commit, r.Command, r.Data, r.Excluded)
	for _, key := range slices.Sorted(mapKeys(r.Settings)) {
		printf("%s=%v ", key, r.Settings[key])
	}
	printf("\n\nfigure\tmedian\tmin\tmax\truns\n")
	for _, name := range r.order {
		f := r.Figures[name]
		printf("%s\t%s\t%s\t%s\t%d\n", name, number(f.Median), number(f.Min), number(f.Max), f.Runs)
	}
	return w.Flush()
}

func mapKeys(m map[string]any) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// number prints a figure with thousands separators, or with digits after the point if it is small.
func number(v float64) string {
	if v < 1000 {
		return fmt.Sprintf("%.2f", v)
	}
	return thousands(int64(v + 0.5))
}

func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// machine names processor, cores and memory.
func machine() string {
	name := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	memory := ""
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kB int64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kB); err == nil {
			memory = fmt.Sprintf(", %d GiB", (kB+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%s, %d cores%s, %s/%s, %s", name, runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// commit returns the revision the binary was built from.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " with changes"
		}
	}
	return revision + dirty
}

// cpuTime returns the processor time of this process so far.
func cpuTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}
