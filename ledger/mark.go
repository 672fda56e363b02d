package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"matchday/errs"
)

// mark is a place in a shard's log that callers have been answered up to. Whatever database the shard
// is found in later must have it: the epoch, the sequence, and there the commit with this seal.
type mark struct {
	epoch int64
	seq   int64
	seal  seal
}

// isAfter reports whether the mark says more than another one of the same shard.
func (m mark) isAfter(o mark) bool { return m.epoch > o.epoch || m.epoch == o.epoch && m.seq > o.seq }

// String returns the mark as people compare it.
func (m mark) String() string {
	if m.seq == 0 {
		return fmt.Sprintf("epoch %d", m.epoch)
	}
	return fmt.Sprintf("sequence %d of epoch %d, sealed %s…", m.seq, m.epoch, hex.EncodeToString(m.seal[:4]))
}

// mark returns where the log stands as a mark.
func (s *shardState) mark() mark { return mark{s.epoch, s.seq, s.seal} }

// errDiverged ends a shard's writer: its database lacks commits that were answered. That is what a
// fail-over to a replica that lagged does when replication is not semi-synchronous, and a primary of
// old that comes back when the newer one has died. Writing on would bury them.
var errDiverged = errors.New("the database has lost commits that were answered")

// divergence is an errDiverged with what the database lacks.
type divergence struct {
	lost  mark
	found mark
}

func (d *divergence) Error() string {
	return fmt.Sprintf("%s: up to %s was answered, the log ends at %s", errDiverged, d.lost, d.found)
}

// Unwrap makes it an errDiverged.
func (d *divergence) Unwrap() error { return errDiverged }

// requireMarks returns a divergence unless the log has every mark. SealAt reads the
// log.
func requireMarks(ctx context.Context, sealAt func(context.Context, int64) (sealedBatch, error), now shardState, marks []mark) error {
	for _, m := range marks {
		has := now.epoch >= m.epoch && now.seq >= m.seq
		if has && m.seq > 0 {
			at, err := sealAt(ctx, m.seq)
			if err != nil {
				return err
			}
			has = at.last == m.seq && at.seal == m.seal
		}
		if !has {
			return &divergence{lost: m, found: now.mark()}
		}
	}
	return nil
}

// takeover is how a writer takes a shard.
type takeover struct {
	shard  int
	shards int    // see madeFor
	writer string // who takes it: differs between any two
	above  int64  // the new epoch is higher than this one too
	marks  []mark // what the log must have
}

// run raises the epoch in the DBTx of l and exec, which holds the lock of the shard's row after begin,
// and returns where the log stands. A log that lacks one of the marks is left as it is.
func (t *takeover) run(ctx context.Context, l lookups, begin string, exec func(op, q string, args ...any) error) (shardState, error) {
	const placed = `
		SELECT shard, shards
		FROM shard
		WHERE id = 1`
	const raise = `
		UPDATE shard
		SET epoch = ?, writer = ?
		WHERE id = 1`
	if err := exec("lock shard", begin, t.shard, t.shards); err != nil {
		return shardState{}, err
	}
	var isShard, ofShards int
	if err := oneRow(l.on.QueryContext(ctx, placed))(&isShard, &ofShards); err != nil {
		return shardState{}, fmt.Errorf("read placement: %w", err)
	}
	if isShard != t.shard || ofShards != t.shards {
		return shardState{}, errs.New(errs.CodeInvalid, "the database is shard %d of %d, not %d of %d", isShard, ofShards, t.shard, t.shards)
	}
	now, err := l.state(ctx)
	if err != nil {
		return shardState{}, err
	}
	sealAt := func(ctx context.Context, seq int64) (sealedBatch, error) { return readSealAt(ctx, l.on, seq) }
	if err := requireMarks(ctx, sealAt, now, t.marks); err != nil {
		return shardState{}, err
	}
	now.epoch, now.writer = max(now.epoch, t.above)+1, t.writer
	return now, exec("raise epoch", raise, now.epoch, t.writer)
}
