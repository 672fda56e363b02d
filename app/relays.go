package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"matchday/errs"
	"matchday/ledger"
	"matchday/ledger/capture"
	"matchday/stream"
)

// runRelays publishes the log of every shard that this process writes until ctx is done. Shards on
// clusters are read from their binlogs, the others from their writers' memory.
func (a *App) runRelays(ctx context.Context) error {
	log, metrics := a.room("stream")
	deps := stream.Deps{Clock: a.clock, Log: log, Metrics: metrics}
	source, err := a.newCapture()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return source.Run(ctx) })
	g.Go(func() error {
		return runShards(ctx, a.Ledger.Shards(), func(ctx context.Context, shard int) error {
			return a.Ledger.WhileOwned(ctx, shard, func(ctx context.Context, _ int64) error {
				return a.relay(ctx, source, shard, deps)
			})
		})
	})
	return g.Wait()
}

// newCapture returns the ledger's log with the shards of clusters read from their binlogs.
func (a *App) newCapture() (*capture.Capture, error) {
	var sources []capture.Source
	for _, c := range a.Ledger.Clusters() {
		sources = append(sources, capture.Source{Name: c.Name, Cluster: c.Cluster, Shards: c.Shards})
	}
	log, metrics := a.room("capture")
	return capture.New(a.Config.Capture, sources, capture.Deps{Clock: a.clock, Log: log, Metrics: metrics, Books: a.Ledger})
}

// relay publishes one shard's log. Where the binlog was purged it stands still until an operator
// allows a new snapshot: the process goes on, and so do the other shards.
func (a *App) relay(ctx context.Context, source *capture.Capture, shard int, deps stream.Deps) error {
	defer a.Ledger.NoteRelayed(shard, -1)
	for {
		relay, err := stream.NewRelay(notedLog{source, a.Ledger}, shard, a.streams.Transport(), deps)
		if err != nil {
			return err
		}
		err = relay.Run(ctx)
		if !errors.Is(err, stream.ErrLost) {
			return err
		}
		deps.Log.ErrorContext(ctx, "relay stopped: the binlog was purged", "shard", shard, "err", err)
		if err := awaitResnapshot(ctx, a.Config.Ledger.Dir, shard); err != nil {
			return ignoreCancel(err)
		}
		deps.Log.WarnContext(ctx, "an operator allows a new snapshot", "shard", shard)
		if err := source.Resnapshot(shard); err != nil {
			return err
		}
	}
}

// notedLog is a log that notes how far it was read: a relay reads on from what it has published. It
// remains a [stream.SourceLog]: a relay that cannot say where it goes on has nothing read from binlogs.
type notedLog struct {
	stream.SourceLog
	books *ledger.Service
}

// ReadLog implements [stream.Log].
func (l notedLog) ReadLog(ctx context.Context, shard int, after int64, maxRecords int) ([]stream.Batch, error) {
	l.books.NoteRelayed(shard, after)
	return l.SourceLog.ReadLog(ctx, shard, after, maxRecords)
}

// resnapshotMarker is the file whose presence allows a new snapshot of a shard, once.
func resnapshotMarker(dir string, shard int) string {
	return filepath.Join(dir, "resnapshot-"+strconv.Itoa(shard))
}

// AllowResnapshot lets the relay of a shard whose binlog was purged go on from the shard's tables,
// once. The process that runs the relay notices within a second, also one that is started later.
//
// Errors: invalid for a shard that does not exist, or is in a file: its relay reads no binlog.
func AllowResnapshot(c Config, shard int) error {
	c = c.withDefaults()
	if shards := c.Ledger.ShardCount(); shard < 0 || shard >= shards {
		return errs.New(errs.CodeInvalid, "there is no shard %d: these books have shards 0 to %d", shard, shards-1)
	}
	if c.Ledger.EngineOf(shard) == ledger.EngineSQLite {
		return errs.New(errs.CodeInvalid, "shard %d is in a file, not on a cluster: its relay reads no binlog", shard)
	}
	if err := os.WriteFile(resnapshotMarker(c.Ledger.Dir, shard), nil, 0o600); err != nil {
		return fmt.Errorf("allow a new snapshot of shard %d: %w", shard, err)
	}
	return nil
}

// awaitResnapshot waits for the permission and uses it up.
func awaitResnapshot(ctx context.Context, dir string, shard int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		err := os.Remove(resnapshotMarker(dir, shard))
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("take permission for a new snapshot: %w", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
