package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"time"

	"matchday/errs"
	"matchday/internal/clock"
	"matchday/internal/mysqldb"
	"matchday/internal/sqldb"
)

// ShardEntry is one shard as the directory and the shard's own database say.
type ShardEntry struct {
	Shard      int       `json:"shard"`
	Engine     string    `json:"engine"`            // sqlite, or the name of the cluster
	Owner      string    `json:"owner,omitempty"`   // the process that writes it
	Address    string    `json:"address,omitempty"` // of the owner's internal listener; of a process alone, of its API
	Epoch      int64     `json:"epoch"`
	Position   int64     `json:"position"`
	LastCommit time.Time `json:"last_commit,omitzero"`
	LastMinute int64     `json:"transfers_last_minute"`
	Stream     *int64    `json:"stream_position,omitempty"` // how far the stream shows the log, if the owner says so
	Buckets    int       `json:"buckets"`
	Bytes      int64     `json:"bytes"`                      // on disk
	Noted      int64     `json:"noted"`                      // how far callers were answered when a writer last said so, about each second
	Quarantine string    `json:"quarantine,omitempty"`       // why nobody writes it: it lacks commits that were answered
	Since      time.Time `json:"quarantined_since,omitzero"` // when that was noticed
	Losses     []Loss    `json:"losses,omitempty"`           // of answered commits that operators accepted, newest first
	Error      string    `json:"error,omitempty"`            // why the database could not be asked
}

// ListShards reads the directory and every shard's database, beside running processes or without any.
// It changes no books and raises no epoch. A shard whose database cannot be asked says so in its
// entry, and so do all if the directory is on a cluster that is down.
//
// Errors: not_found for books whose directory is lost or was never made; it is not made here: start a process on them once.
func ListShards(ctx context.Context, c Config, clk clock.Clock) ([]ShardEntry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f, err := openFleet(ctx, c.Clusters, mysqldb.Deps{Log: slog.New(slog.DiscardHandler), Reading: true, Absent: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.close() }()
	down := map[*mysqldb.Cluster]error{} // asked once each: a silent one takes seconds
	for _, cluster := range f.open {
		if _, _, err := cluster.PrimaryReads(ctx); err != nil {
			down[cluster] = err
		}
	}
	var out []ShardEntry
	if problem := down[f.named(c.Directory.Cluster)]; problem != nil {
		out = make([]ShardEntry, c.shards())
		for n := range out {
			out[n] = ShardEntry{Shard: n, Error: "owner and buckets are not known: " + problem.Error()}
		}
	} else if out, err = listDirectory(ctx, c, f, clk); err != nil {
		return nil, err
	}
	for n := range out {
		if err := out[n].ask(ctx, c, f, clk, down); err != nil {
			out[n].Error = err.Error()
		}
	}
	if c.isShared() {
		askOwners(ctx, c, clk, out)
	}
	return out, nil
}

// listDirectory returns an entry for each shard, with what the directory says of it.
func listDirectory(ctx context.Context, c Config, f *fleet, clk clock.Clock) ([]ShardEntry, error) {
	d, err := openDirectoryAsIs(ctx, c, f, clk)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.close() }()
	seen, err := d.owners(ctx)
	if err != nil {
		return nil, err
	}
	home, err := d.placement(ctx, 0)
	if err != nil {
		return nil, err
	}
	losses, err := d.losses(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]ShardEntry, len(seen.shards))
	for n := range out {
		t := &seen.shards[n]
		out[n] = ShardEntry{Shard: n, Owner: t.owner, Address: seen.address(n), Noted: t.noted.seq, Quarantine: t.problem}
		if t.problem != "" {
			out[n].Since = fromMicros(t.problemUS)
		}
	}
	for _, l := range losses {
		if l.Shard < len(out) {
			out[l.Shard].Losses = append(out[l.Shard].Losses, l)
		}
	}
	for _, shard := range home.shards {
		if int(shard) < len(out) {
			out[shard].Buckets++
		}
	}
	return out, nil
}

// ask fills in what the shard's own database says, unless its cluster is down.
func (e *ShardEntry) ask(ctx context.Context, c Config, f *fleet, clk clock.Clock, down map[*mysqldb.Cluster]error) error {
	e.Engine = c.EngineOf(e.Shard)
	if cluster := f.byShard[e.Shard]; cluster != nil {
		if err := down[cluster]; err != nil {
			return err
		}
		return e.askCluster(ctx, cluster, clk)
	}
	name := shardFile(c.Dir, e.Shard)
	if e.Bytes = fileBytes(c.Dir, e.Shard); e.Bytes == 0 {
		return errs.New(errs.CodeNotFound, "%s is missing", name)
	}
	db, err := sqldb.Open(name, sqldb.Options{ReadOnly: true, Readers: 1})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return e.askOn(ctx, db.Read, clk)
}

// askCluster asks a shard's database in a cluster, and how large it is.
func (e *ShardEntry) askCluster(ctx context.Context, cluster *mysqldb.Cluster, clk clock.Clock) error {
	const size = `
		SELECT COALESCE(SUM(data_length + index_length), 0)
		FROM information_schema.tables
		WHERE table_schema = ?`
	database := cluster.Config().DatabaseOf(e.Shard)
	reads := cluster.Reads()
	if err := e.askOn(ctx, newInDatabase(reads, database), clk); err != nil {
		return err
	}
	err := eachRow(reads.QueryContext(ctx, size, database))(func(rows *sql.Rows) error { return rows.Scan(&e.Bytes) })
	return mysqldb.Wrap("size of "+database, err)
}

// askOn reads the shard's own row; a shard that nobody has written yet has none.
func (e *ShardEntry) askOn(ctx context.Context, on querier, clk clock.Clock) error {
	const q = `
		SELECT s.epoch, s.seq, s.at_us, s.seq - COALESCE((
				SELECT b.last_seq
				FROM batch b
				WHERE b.at_us <= ?
				ORDER BY b.at_us DESC, b.last_seq DESC
				LIMIT 1), 0)
		FROM shard s
		WHERE s.id = 1`
	minute := clk.Now().Add(-time.Minute).UnixMicro()
	err := eachRow(on.QueryContext(ctx, q, minute))(func(rows *sql.Rows) error {
		var atUS int64
		err := rows.Scan(&e.Epoch, &e.Position, &atUS, &e.LastMinute)
		if atUS > 0 {
			e.LastCommit = fromMicros(atUS)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read shard %d: %w", e.Shard, err)
	}
	return nil
}
