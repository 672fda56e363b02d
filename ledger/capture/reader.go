package capture

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
)

const (
	gatherTime   = 2 * time.Second // for the relays of a server to say where they are
	heartbeat    = 5 * time.Second // how often an idle server says that it lives
	silence      = 30 * time.Second
	watchPrimary = time.Second
	firstRetry   = 100 * time.Millisecond
	lastRetry    = 5 * time.Second
)

// reader reads one cluster's binlog for all its shards.
type reader struct {
	name    string
	cluster *mysqldb.Cluster
	shards  map[string]*shard // by database; complete before Run
	config  Config
	clock   clock.Clock
	log     *slog.Logger
	metrics readerMetrics
	id      uint32 // what the server knows it by; must differ from every server and reader

	mu      sync.Mutex
	places  map[*shard]place // of relays that came before the start
	asked   chan struct{}    // has an element once a relay came
	started chan struct{}    // closed when all places are decided

	// term is that of the primary whose binlog the batches that are ready came from, or are known to be in.
	term     atomic.Int64
	position mysql.GTIDSet // after the last whole DBTx; nil: not begun. Of the goroutine of run.
}

// place is where a relay is.
type place struct {
	after  int64
	source string
}

func newReader(c Config, s Source, d Deps, m readerMetrics) *reader {
	return &reader{
		name: s.Name, cluster: s.Cluster, shards: map[string]*shard{}, config: c, clock: d.Clock, log: d.Log, metrics: m,
		id:     1<<30 + rand.Uint32N(1<<31), // #nosec: must differ from others, not be secret
		places: map[*shard]place{}, asked: make(chan struct{}, 1), started: make(chan struct{}),
	}
}

// check returns PurgedError if the binlog has not got what follows the source, unless a new snapshot
// is allowed. A stream without a source is joined by the tables, as on its first day.
func (r *reader) check(ctx context.Context, s *shard, after int64, source string) error {
	if source == "" {
		return nil
	}
	on, err := dial(ctx, r.cluster)
	if err != nil {
		return err
	}
	defer on.close()
	at, err := on.parse(source)
	if err != nil {
		return nil // written by a server of the other kind: the tables have it all
	}
	kept, _, oldest, err := on.holds(at)
	if err != nil || kept {
		return err
	}
	if s.mayResnapshot(after) {
		r.log.Warn("binlog was purged: a new snapshot is read from the tables", "shard", s.number, "after", after,
			"position", source, "oldest", oldest.String())
		return nil
	}
	r.metrics.stopped(s.number, true)
	return &PurgedError{Shard: s.number, Node: on.node, After: after, Position: source, Oldest: oldest.String()}
}

// isCurrent reports whether the binlog's node is still the primary for all that this process knows. The
// books show nothing of another primary before this is false.
func (r *reader) isCurrent() bool { return r.term.Load() == r.cluster.Term().Number }

// join tells the reader where a shard's relay is and waits until it has begun.
func (r *reader) join(ctx context.Context, s *shard, after int64, source string) error {
	r.mu.Lock()
	r.places[s] = place{after, source}
	r.mu.Unlock()
	select {
	case r.asked <- struct{}{}:
	default:
	}
	select {
	case <-r.started:
		return nil
	case <-ctx.Done():
		return errs.Wrap(ctx.Err(), errs.CodeUnavailable, "shard %d waits for the binlog of %s", s.number, r.name)
	}
}

// gathered reports whether every shard's relay has said where it is.
func (r *reader) gathered() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.places) == len(r.shards)
}

// run reads until ctx is done.
func (r *reader) run(ctx context.Context) {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	for waiting := true; waiting && !r.gathered(); {
		select {
		case <-r.asked:
		case <-timer.C:
			r.mu.Lock()
			waiting = len(r.places) == 0 // nobody wants anything yet
			r.mu.Unlock()
			timer.Reset(gatherTime)
		case <-ctx.Done():
			return
		}
	}
	wait := firstRetry
	for {
		begun := r.clock.Now()
		err := r.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.clock.Now().Sub(begun) > lastRetry {
			wait = firstRetry
		}
		r.log.Warn("binlog reading starts again", "cluster", r.name, "wait", wait, "err", err)
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

// session reads one connection's binlog until something fails.
func (r *reader) session(ctx context.Context) error {
	on, err := dial(ctx, r.cluster)
	if err != nil {
		return err
	}
	defer on.close()
	term := r.cluster.Term()
	if term.Node != on.node {
		return errMoved
	}
	if err := r.begin(ctx, on); err != nil {
		return err
	}
	r.term.Store(term.Number)
	stop := make(chan struct{})
	syncer, err := r.syncer(on, stop)
	if err != nil {
		return err
	}
	from := r.position.String() // once the handler runs the position is its
	streamer, err := syncer.StartSyncGTID(r.position.Clone())
	if err == nil {
		r.metrics.sessions.Inc()
		r.log.Info("binlog reading starts", "cluster", r.name, "node", on.node, "position", from)
		err = r.follow(ctx, on.node, streamer)
	}
	close(stop)
	syncer.Close() // waits for the handler: from here on the position stands still
	if !errors.Is(err, errMoved) {
		r.cluster.Forget(on.node)
	}
	return fmt.Errorf("binlog of %s after %s: %w", on.node, r.position, err)
}

// errMoved ends the reading of a node that is not the primary any more.
var errMoved = errors.New("another node is the primary")

// follow returns why the reading ended: the connection, or another node is the primary. The handler
// takes the events.
func (r *reader) follow(ctx context.Context, node string, streamer *replication.BinlogStreamer) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := streamer.GetEvent(reading)
		ended <- err
	}()
	tick := time.NewTicker(watchPrimary)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		if _, now, err := r.cluster.PrimaryReads(ctx); err == nil && now != node {
			return errMoved
		}
	}
}

// syncer returns the protocol's reader. It does not reconnect by itself: where to go on is decided
// here, with a fresh look for the primary.
func (r *reader) syncer(on *server, stop <-chan struct{}) (*replication.BinlogSyncer, error) {
	host, port, err := net.SplitHostPort(on.node)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", on.node, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", on.node, err)
	}
	c := r.cluster.Config()
	user, password, err := c.CaptureLogin()
	if err != nil {
		return nil, err
	}
	secure, err := c.CaptureTLS(on.node)
	if err != nil {
		return nil, err
	}
	h := newHandler(r, stop)
	return replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: r.id, Flavor: on.flavor, Host: host, Port: uint16(number), User: user, Password: password, // #nosec: 16 bits
		Localhost: "matchday-capture", TLSConfig: secure, HeartbeatPeriod: heartbeat, ReadTimeout: silence,
		DisableRetrySync: true, DiscardGTIDSet: true, EventCacheCount: 1, Logger: slog.New(slog.DiscardHandler),
		TimestampStringLocation: time.UTC, RowsEventDecodeFunc: h.decode, SynchronousEventHandler: h,
	}), nil
}

// begin decides where the reading starts on the server, and what each shard gets from there.
func (r *reader) begin(ctx context.Context, on *server) error {
	newest, err := on.newest() // the watermark: before the heads
	if err != nil {
		return err
	}
	heads, err := r.heads(ctx, on.node)
	if err != nil {
		return err
	}
	select {
	case <-r.started:
		return r.again(on, newest, heads)
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.position = newest
	from := map[*shard]mysql.GTIDSet{}
	for s, p := range r.places {
		at, err := on.parse(p.source)
		if p.source == "" || err != nil {
			continue
		}
		if kept, known, _, err := on.holds(at); err != nil {
			return err
		} else if kept && known {
			from[s] = at
			if r.position.Contain(at) {
				r.position = at
			}
		}
	}
	for s, head := range heads {
		if at, ok := from[s]; ok && at.Contain(r.position) {
			s.begin(r.places[s].after)
			continue
		}
		s.begin(head) // the tables up to here, then the binlog
	}
	r.position = r.position.Clone()
	close(r.started)
	return nil
}

// again goes on after a lost connection, on the same node or another. A position that the node does
// not know was of commits that were lost with the old primary: reading starts again at the end, and
// the relays read the tables up to there.
func (r *reader) again(on *server, newest mysql.GTIDSet, heads map[*shard]int64) error {
	kept, known, oldest, err := on.holds(r.position)
	if err != nil {
		return err
	}
	if kept && known {
		for s, head := range heads {
			if s.passed() > head { // not committed on this node, so lost
				s.begin(head)
			}
		}
		return nil
	}
	r.log.Warn("binlog cannot go on where it stopped", "cluster", r.name, "node", on.node, "position", r.position.String(),
		"oldest", oldest.String(), "newest", newest.String())
	for s, head := range heads {
		if after := s.passed(); !kept && head > after && !s.mayResnapshot(after) {
			s.fail(&PurgedError{Shard: s.number, Node: on.node, After: after, Position: r.position.String(), Oldest: oldest.String()})
		}
		s.begin(head)
	}
	r.position = newest.Clone()
	return nil
}

// heads reads how far each shard's tables have come.
func (r *reader) heads(ctx context.Context, node string) (map[*shard]int64, error) {
	db, err := r.cluster.Replica(node)
	if err != nil {
		return nil, err
	}
	out := make(map[*shard]int64, len(r.shards))
	for _, database := range slices.Sorted(maps.Keys(r.shards)) {
		q := `
			SELECT seq
			FROM ` + mysqldb.Quote(database) + `.shard
			WHERE id = 1`
		var seq int64
		err := db.QueryRowContext(ctx, q).Scan(&seq)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, mysqldb.Wrap("read head of "+database, err)
		}
		out[r.shards[database]] = seq
	}
	return out, nil
}
