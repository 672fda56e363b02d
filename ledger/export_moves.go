package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// exportBucket is what a shard has of a bucket of players where the file ends. Nothing of it is sealed: the
// audit of imported books proves that each bucket lives on one shard and that copies count for nothing.
type exportBucket struct {
	Shard  int           `json:"shard"`
	Bucket int           `json:"bucket"`
	State  string        `json:"state"`
	Peer   *int          `json:"peer,omitempty"` // the other shard of its last move
	MoveID string        `json:"move_id,omitempty"`
	Seq    int64         `json:"seq"`
	Shares []exportShare `json:"shares,omitempty"` // what its rows add up to, by account of the house
}

type exportShare struct {
	AccountID   int64 `json:"account_id"`
	AmountMinor int64 `json:"amount_minor"`
}

// shardBuckets is what the tables of a shard say of buckets at one moment, and where the log ended then.
type shardBuckets struct {
	head   int64
	rows   []bucketRow
	shares map[int][]exportShare
}

// bucketsAt implements readerStore: one statement, so that both engines show one moment.
func (r tableReads) bucketsAt(ctx context.Context) (shardBuckets, error) {
	const q = `
		SELECT 0 AS what, 0 AS bucket, 0 AS one, 0 AS peer, '' AS move_id, seq AS number
		FROM shard
		UNION ALL
		SELECT 1, bucket, state, COALESCE(peer, -1), move_id, seq
		FROM bucket
		UNION ALL
		SELECT 2, bucket, account_id, 0, '', amount_minor
		FROM bucket_share
		ORDER BY what, bucket, one`
	out := shardBuckets{shares: map[int][]exportShare{}}
	err := eachRow(r.on.QueryContext(ctx, q))(func(rows *sql.Rows) error {
		var what, bucket, peer int
		var one, number int64
		var move string
		err := rows.Scan(&what, &bucket, &one, &peer, &move, &number)
		switch what {
		case 0:
			out.head = number
		case 1:
			out.rows = append(out.rows, bucketRow{bucket, bucketState(one), peer, move, number}) // #nosec: a CHECK bounds it
		default:
			out.shares[bucket] = append(out.shares[bucket], exportShare{one, number})
		}
		return err
	})
	return out, sqldb.Wrap("read buckets", err)
}

const (
	// cutTries bounds how often an export looks for a moment in which no bucket moves.
	cutTries = 5
	cutPause = 20 * time.Millisecond
)

// exportCut is where an export ends: the shards' buckets at the heads, and whether they stood still.
type exportCut struct {
	shards []shardBuckets
	moved  bool // some bucket has ever moved
	moving bool // one was moving: the buckets of the shards do not fit together
}

// cutOf reads where an export of the shards ends. Each shard is read at a moment of its own. What they say of
// buckets fits together if all of them say the same a second time: then nothing moved in between.
func cutOf(ctx context.Context, stores []readerStore, shards []int) (exportCut, error) {
	read := func() (list []shardBuckets, err error) {
		for _, n := range shards {
			one, err := stores[n].bucketsAt(ctx)
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		return list, nil
	}
	var cut exportCut
	for range cutTries {
		list, err := read()
		if err != nil {
			return cut, err
		}
		cut = exportCut{shards: list}
		for i := range list {
			cut.moved = cut.moved || slices.ContainsFunc(list[i].rows, func(r bucketRow) bool { return r.move != "" })
		}
		if !cut.moved {
			return cut, nil // a first move that begins now is not in the file
		}
		again, err := read()
		if err != nil {
			return cut, err
		}
		cut.moving = !slices.EqualFunc(list, again, func(a, b shardBuckets) bool {
			return slices.Equal(a.rows, b.rows) && maps.EqualFunc(a.shares, b.shares, slices.Equal)
		})
		if !cut.moving {
			return cut, nil
		}
		if err := pause(ctx, cutPause); err != nil {
			return cut, err
		}
	}
	return cut, nil
}

// buckets writes what the shard has of each bucket.
func (e *exporter) buckets(shard int, b *shardBuckets) error {
	for _, r := range b.rows {
		l := &exportBucket{Shard: shard, Bucket: r.bucket, State: r.state.String(), MoveID: r.move, Seq: r.seq, Shares: b.shares[r.bucket]}
		if r.peer >= 0 {
			l.Peer = &r.peer
		}
		if err := e.line(&exportLine{Bucket: l}); err != nil {
			return err
		}
	}
	return nil
}

// bucket takes a bucket's line: they stand between the last commit and the trailer, in order.
func (x *exportReader) bucket(l *exportBucket) error {
	v, r := x.shards[l.Shard], bucketRow{bucket: l.Bucket, peer: -1, move: l.MoveID, seq: l.Seq}
	for s := bucketLive; s <= bucketCopying; s++ {
		if s.String() == l.State {
			r.state = s
		}
	}
	if l.Peer != nil {
		r.peer = *l.Peer
	}
	known := x.buckets[l.Shard]
	switch {
	case x.header.Version < exportMoves || x.header.Moving:
		return x.wrong("a file of this kind has no buckets")
	case v == nil || !slices.Contains(x.order, l.Shard):
		return x.wrong("shard %d is not in the header", l.Shard)
	case l.Bucket < 0 || l.Bucket >= buckets || known != nil && known.rows[len(known.rows)-1].bucket >= l.Bucket:
		return x.wrong("buckets are 0 to %d and stand in order", buckets-1)
	case r.state == 0 || r.state != bucketLive && l.Peer == nil || r.peer >= x.header.Shards || r.seq < 0 || len(r.move) > maxMoveID:
		return x.wrong("bucket %d has no such state", l.Bucket)
	}
	for _, s := range l.Shares {
		if s.AccountID < 1 || s.AccountID >= int64(len(v.accounts)) {
			return x.wrong("the share of bucket %d is of account %d, which does not exist", l.Bucket, s.AccountID)
		}
	}
	for shard, other := range x.buckets {
		i, there := slices.BinarySearchFunc(other.rows, l.Bucket, func(r bucketRow, b int) int { return r.bucket - b })
		if shard != l.Shard && there && r.isHome() && other.rows[i].isHome() {
			return &wrongLine{x.line, v.located(found("a bucket lives on one shard", "bucket", fmt.Sprintf("bucket %d", l.Bucket), fmt.Sprintf("shard %d", shard), fmt.Sprintf("shard %d", l.Shard)))}
		}
	}
	if known == nil {
		known = &shardBuckets{shares: map[int][]exportShare{}}
		x.buckets[l.Shard] = known
	}
	known.rows = append(known.rows, r)
	known.shares[l.Bucket] = l.Shares
	return nil
}

// maxMoveID bounds the id of a move, as the shards' tables do.
const maxMoveID = 64

func (r *bucketRow) isHome() bool { return r.state == bucketLive || r.state == bucketFenced }

// settle writes the last commit of each shard with what the file says of its buckets, in one.
func (m *importer) settle(x *exportReader) error {
	for n, t := range m.targets {
		if b := x.buckets[n]; t.held != nil && b != nil {
			t.held.buckets = b.rows
			for _, r := range b.rows {
				for _, s := range b.shares[r.bucket] {
					t.held.shares = append(t.held.shares, shareChange{r.bucket, s.AccountID, s.AmountMinor, true})
				}
			}
		}
		if err := m.flush(n, t); err != nil {
			return err
		}
	}
	return nil
}

// flush writes the commit that was held back: the last one of a file goes with the buckets.
func (m *importer) flush(shard int, t *importTarget) error {
	out := t.held
	if out == nil {
		return nil
	}
	t.held = nil
	if err := m.write(shard, t, out, t.line); err != nil {
		return err
	}
	return nil
}

// ends reports whether the books end where the file does: only then is what it says of buckets true of them.
func (m *importer) ends(x *exportReader) bool {
	for n, t := range m.targets {
		if t.was.seq > x.shards[n].before.last {
			return false
		}
	}
	return true
}

var errMovedBefore = errs.New(errs.CodeInvalid, "the file has buckets that have moved and does not say where they are: export again, when no move is under way")
