package capture

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/stream"
)

// What happens where the binlog no longer has what follows a stream's end.
const (
	OnPurgedStop       = "stop"       // the shard's relay stops with PurgedError
	OnPurgedResnapshot = "resnapshot" // the shard's tables are read instead
)

// Config bounds the reading of binlogs. The zero value is a safe default.
type Config struct {
	OnPurged      string `yaml:"on_purged"`      // stop (the default) or resnapshot
	SnapshotRate  int    `yaml:"snapshot_rate"`  // records a second that a new snapshot reads, 0 is no bound
	BufferRecords int    `yaml:"buffer_records"` // read ahead for each shard, 0 is 10,000
	BufferBytes   int    `yaml:"buffer_bytes"`   // read ahead for each shard, 0 is 8 MiB
}

// WithDefaults returns the configuration with everything filled in that was left out.
func (c Config) WithDefaults() Config {
	c.OnPurged = cmp.Or(c.OnPurged, OnPurgedStop)
	c.BufferRecords, c.BufferBytes = orDefault(c.BufferRecords, 10_000), orDefault(c.BufferBytes, 8<<20)
	return c
}

// Validate returns one error that names every field that is wrong.
func (c Config) Validate() error {
	var check errs.Check
	switch c.OnPurged {
	case "", OnPurgedStop, OnPurgedResnapshot:
	default:
		check.Add("on_purged", "must be %s or %s", OnPurgedStop, OnPurgedResnapshot)
	}
	if c.SnapshotRate < 0 {
		check.Add("snapshot_rate", "must not be negative")
	}
	if c.BufferRecords < 0 || c.BufferRecords > 10_000_000 {
		check.Add("buffer_records", "must be 0 to 10,000,000")
	}
	if c.BufferBytes < 0 || c.BufferBytes > 1<<32 {
		check.Add("buffer_bytes", "must be 0 to 4 GiB")
	}
	return check.Err()
}

func orDefault(value, fallback int) int {
	if value == 0 {
		return fallback
	}
	return value
}

// Source is a cluster and the shards that live there.
type Source struct {
	Name    string
	Cluster *mysqldb.Cluster
	Shards  []int
}

// Deps is what capture needs from its process. All are required.
type Deps struct {
	Clock   clock.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Books   stream.Log // the same log, from the tables; its Head is what is committed for good
}

// Capture is the log of the books, with the shards of clusters read from their binlogs.
type Capture struct {
	books   stream.Log
	shards  map[int]*shard
	readers []*reader
}

// New returns a capture of the sources. Nothing is read before Run.
func New(c Config, sources []Source, d Deps) (*Capture, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if d.Clock == nil || d.Log == nil || d.Metrics == nil || d.Books == nil {
		return nil, errs.New(errs.CodeInternal, "capture needs a clock, a log, a metrics registry and the books")
	}
	c = c.WithDefaults()
	out := &Capture{books: d.Books, shards: map[int]*shard{}}
	m := newMetrics(d.Metrics)
	for _, s := range sources {
		r := newReader(c, s, d, m.of(s.Name))
		for _, n := range s.Shards {
			if n < 0 || n >= d.Books.Shards() || out.shards[n] != nil {
				return nil, errs.New(errs.CodeInvalid, "shard %d of cluster %s does not exist or is there twice", n, s.Name)
			}
			one := newShard(n, c, d, r)
			out.shards[n] = one
			r.shards[s.Cluster.Config().DatabaseOf(n)] = one
		}
		out.readers = append(out.readers, r)
	}
	return out, nil
}

// Run reads the binlogs until ctx is done and then returns nil. Whatever happens to a server, its
// reader tries again.
func (c *Capture) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, r := range c.readers {
		g.Go(func() error { r.run(ctx); return nil })
	}
	return g.Wait()
}

// Shards implements [stream.Log].
func (c *Capture) Shards() int { return c.books.Shards() }

// Head implements [stream.Log].
func (c *Capture) Head(shard int) int64 { return c.books.Head(shard) }

// Changed implements [stream.Log].
func (c *Capture) Changed(shard int) <-chan struct{} {
	if one, ok := c.shards[shard]; ok {
		return one.wait()
	}
	return c.books.Changed(shard)
}

// ReadLog implements [stream.Log].
func (c *Capture) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	if one, ok := c.shards[shard]; ok {
		return one.read(ctx, after, maxRecords)
	}
	return c.books.ReadLog(ctx, shard, after, maxRecords)
}

// Resume implements [stream.SourceLog]. It returns when the shard's place in the binlog is decided:
// Run must be running.
//
// Errors: [PurgedError]; unavailable if the server does not answer.
func (c *Capture) Resume(ctx context.Context, shard int, after int64, source string) error {
	if one, ok := c.shards[shard]; ok {
		return one.resume(ctx, after, source)
	}
	return nil
}

// Resnapshot lets the shard's next relay go on from the tables where the binlog was purged, once.
//
// Errors: not_found for a shard that is in no cluster's binlog.
func (c *Capture) Resnapshot(shard int) error {
	one, ok := c.shards[shard]
	if !ok {
		return errs.New(errs.CodeNotFound, "shard %d is not read from a binlog", shard)
	}
	one.allow()
	return nil
}

// PurgedError says that the binlog no longer has what follows a shard's position. [stream.ErrLost] is in its
// chain, so it ends the relay.
type PurgedError struct {
	Shard    int
	Node     string
	After    int64  // sequence that the stream has
	Position string // where the shard would go on
	Oldest   string // the oldest position that the server still has what follows of
}

// Error says what is missing and what to do.
func (e *PurgedError) Error() string {
	return fmt.Sprintf("shard %d: the stream ends at sequence %d, position %q, but the binlog of %s goes back to %q only: "+
		"run `matchday shards resnapshot --shard %d`, or set capture.on_purged to resnapshot, to read the tables instead",
		e.Shard, e.After, e.Position, e.Node, e.Oldest, e.Shard)
}

// Unwrap makes it a stream.ErrLost.
func (e *PurgedError) Unwrap() error { return stream.ErrLost }

// ErrCode implements errs.Coder.
func (e *PurgedError) ErrCode() errs.Code { return errs.CodeInternal }

var _ stream.SourceLog = (*Capture)(nil)

// patience is how long a full buffer holds up its server's other shards while its relay takes
// nothing.
const patience = time.Second
