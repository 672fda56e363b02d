package sqltime

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"matchday/internal/clock"
)

// Window is how far back [Recorder.Slowest] looks.
const Window = slots * slotLength

const (
	slots      = 5
	slotLength = time.Minute
	maxNames   = 512         // more are counted as "other"
	logEvery   = time.Second // a slow name is logged this often at most
	// DefaultSlow is the time from which on a statement is slow.
	DefaultSlow = 100 * time.Millisecond
)

// Statement is what one statement did within the window.
type Statement struct {
	DB    string // the kind of database: shard, history, cluster, ...
	Name  string
	Count int64
	Slow  int64 // of Count, those that took the threshold or longer
	Total time.Duration
	Max   time.Duration
}

// Recorder adds up what statements take. It is safe for concurrent use, and a prometheus.Collector.
type Recorder struct {
	clock   clock.Clock
	seconds *prometheus.HistogramVec
	log     atomic.Pointer[slog.Logger]
	slow    atomic.Int64 // nanoseconds

	mu      sync.RWMutex
	figures map[key]*figure
}

type key struct{ db, name string }

// figure is one name's.
type figure struct {
	key
	seconds prometheus.Observer
	mu      sync.Mutex
	slots   [slots]slot
	logged  time.Time
}

// slot is what happened in slotLength of time.
type slot struct {
	number      int64 // of the slot since 1970; another than asked for is an old round
	count, slow int64
	total, max  time.Duration
}

// process is the recorder of what sqldb and mysqldb open.
var process = New(clock.System{})

// Process returns the recorder of this process's statements.
func Process() *Recorder { return process }

// New returns a recorder of its own.
func New(c clock.Clock) *Recorder {
	r := &Recorder{clock: c, figures: map[key]*figure{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "matchday_sql_statement_seconds", Help: "Time of SQL statements, until their rows are closed.",
		Buckets: []float64{0.001, 0.01, 0.1, 1, 10},
	}, []string{"db", "name"})}
	r.slow.Store(int64(DefaultSlow))
	return r
}

// Describe implements prometheus.Collector.
func (r *Recorder) Describe(out chan<- *prometheus.Desc) { r.seconds.Describe(out) }

// Collect implements prometheus.Collector.
func (r *Recorder) Collect(out chan<- prometheus.Metric) { r.seconds.Collect(out) }

// A checkpoint writes pages back beside everybody's work and waits for the disk: what would be slow for a
// statement that somebody waits for is usual for it.
const (
	checkpoint     = "pragma wal_checkpoint"
	slowCheckpoint = 5 * time.Second
)

// Tell logs statements that take as long as slow or longer from now on; zero is DefaultSlow.
func (r *Recorder) Tell(log *slog.Logger, slow time.Duration) {
	r.slow.Store(int64(cmp.Or(slow, DefaultSlow)))
	r.log.Store(log)
}

// Observe adds a statement, or a batch of them, that the caller has timed.
func (r *Recorder) Observe(db, name string, took time.Duration) {
	r.add(r.figure(db, name), took)
}

// figure returns a name's figure. Beyond the bound all are one.
func (r *Recorder) figure(db, name string) *figure {
	k := key{db, name}
	r.mu.RLock()
	f := r.figures[k]
	r.mu.RUnlock()
	if f != nil {
		return f
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.figures) >= maxNames {
		k = key{"other", "other"}
	}
	if f = r.figures[k]; f == nil {
		f = &figure{key: k, seconds: r.seconds.WithLabelValues(k.db, k.name)}
		r.figures[k] = f
	}
	return f
}

func slotNumber(at time.Time) int64 { return at.UnixMicro() / slotLength.Microseconds() }

func (r *Recorder) add(f *figure, took time.Duration) {
	took = max(0, took) // a clock may step back
	f.seconds.Observe(took.Seconds())
	now := r.clock.Now()
	limit := time.Duration(r.slow.Load())
	if f.name == checkpoint {
		limit = max(limit, slowCheckpoint)
	}
	slow := took >= limit
	if f.file(now, took, slow) {
		if log := r.log.Load(); log != nil {
			log.Warn("slow statement", "db", f.db, "name", f.name, "took", took)
		}
	}
}

// file notes one statement and reports whether it should be logged.
func (f *figure) file(now time.Time, took time.Duration, slow bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	number := slotNumber(now)
	s := &f.slots[uint64(number)%slots] // #nosec G115: times before 1970 land somewhere too
	if s.number != number {
		*s = slot{number: number}
	}
	s.count++
	s.total += took
	s.max = max(s.max, took)
	if !slow {
		return false
	}
	s.slow++
	if now.Sub(f.logged).Abs() < logEvery {
		return false
	}
	f.logged = now
	return true
}

// Slowest returns the statements with the longest single run within the window, at most n.
func (r *Recorder) Slowest(n int) []Statement {
	newest := slotNumber(r.clock.Now())
	r.mu.RLock()
	var all []Statement
	for _, f := range r.figures {
		if s := f.sum(newest); s.Count > 0 {
			all = append(all, s)
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(all, func(a, b Statement) int {
		return cmp.Or(cmp.Compare(b.Max, a.Max), cmp.Compare(a.DB, b.DB), cmp.Compare(a.Name, b.Name))
	})
	return all[:min(n, len(all))]
}

// sum adds up the slots up to the newest that are within the window.
func (f *figure) sum(newest int64) Statement {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := Statement{DB: f.db, Name: f.name}
	for _, s := range f.slots {
		if s.number <= newest-slots || s.number > newest {
			continue
		}
		out.Count += s.count
		out.Slow += s.slow
		out.Total += s.total
		out.Max = max(out.Max, s.max)
	}
	return out
}
