package ledger

import (
	"context"
	"database/sql"
	"slices"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// bucketRecordsPage is how many records BucketRecords hands over at a time.
const bucketRecordsPage = 1000

// bucketRecords hands over the records of a bucket's players that are in the log up to a sequence,
// copies included, in order and some at a time.
func (r tableReads) bucketRecords(ctx context.Context, shard, bucket int, upTo int64, fn func([]stream.Record) error) error {
	seqs, err := r.bucketSeqs(ctx, bucket, upTo)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(seqs, bucketRecordsPage) {
		var list []stream.Record
		err := eachChunk(part, func(args []any) error {
			return r.recordsOf(ctx, shard, args, &list)
		})
		if err != nil {
			return sqldb.Wrap("read records of a bucket", err)
		}
		if err := fn(list); err != nil {
			return err
		}
	}
	return nil
}

// bucketSeqs returns the sequences of the bucket's transfers that have a record, in order. It reads the
// players of the whole log, a page at a time: a lost bet is settled between house accounts alone, so
// the players' postings do not lead to all of them.
func (r tableReads) bucketSeqs(ctx context.Context, bucket int, upTo int64) ([]int64, error) {
	const q = `
		SELECT seq, player
		FROM transfer
		WHERE seq > ? AND seq <= ? AND record_type IS NOT NULL
		ORDER BY seq
		LIMIT ?`
	var seqs []int64
	for after := int64(0); ; {
		read := 0
		err := eachRow(r.on.QueryContext(ctx, q, after, upTo, copyScan))(func(rows *sql.Rows) error {
			var player sql.RawBytes
			if err := rows.Scan(&after, &player); err != nil {
				return err
			}
			read++
			if len(player) > 0 && bucketOf(player) == bucket {
				seqs = append(seqs, after)
			}
			return nil
		})
		if err != nil {
			return nil, sqldb.Wrap("find records of a bucket", err)
		}
		if read < copyScan {
			return seqs, nil
		}
	}
}

// recordsOf appends the records of the transfers, in order.
func (r tableReads) recordsOf(ctx context.Context, shard int, seqs []any, into *[]stream.Record) error {
	const q = `
		SELECT t.seq, t.record_type, t.subject, t.player, t.jurisdiction, t.data, COALESCE(t.origin_at_us, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= t.seq
				ORDER BY b.last_seq
				LIMIT 1))
		FROM transfer t
		WHERE t.record_type IS NOT NULL AND t.seq IN `
	return eachRow(r.on.QueryContext(ctx, q+placeholders(len(seqs))+" ORDER BY t.seq", seqs...))(func(rows *sql.Rows) error {
		one := stream.Record{Position: stream.Position{Shard: shard}}
		var player, jurisdiction string
		var data []byte
		var atUS int64
		err := rows.Scan(&one.Position.Seq, &one.Type, &one.Subject, &player, &jurisdiction, &data, &atUS)
		one.Player, one.Jurisdiction, one.Time, one.Data = id.Player(player), id.Jurisdiction(jurisdiction), fromMicros(atUS), data
		*into = append(*into, one)
		return err
	})
}

// BucketOf implements [stream.BucketLog].
func (s *Service) BucketOf(p id.Player) int { return bucketOf(p) }

// BucketRecords implements [stream.BucketLog].
func (s *Service) BucketRecords(ctx context.Context, shard, bucket int, upTo int64, fn func([]stream.Record) error) error {
	one, err := s.shard(shard)
	if err != nil {
		return err
	}
	return one.store.bucketRecords(ctx, shard, bucket, upTo, fn)
}

// Since returns the sequence at which the player's bucket came to the shard that has it now, 0 if it
// was there from the beginning.
func (s *Service) Since(p id.Player) int64 { return s.since[bucketOf(p)].Load() }

// BucketOf implements [stream.BucketLog].
func (r *Reader) BucketOf(p id.Player) int { return bucketOf(p) }

// BucketRecords implements [stream.BucketLog].
func (r *Reader) BucketRecords(ctx context.Context, shard, bucket int, upTo int64, fn func([]stream.Record) error) error {
	if shard < 0 || shard >= len(r.shards.stores) {
		return errs.New(errs.CodeInvalid, "there is no shard %d", shard)
	}
	return r.shards.stores[shard].bucketRecords(ctx, shard, bucket, upTo, fn)
}

var (
	_ stream.BucketLog = (*Service)(nil)
	_ stream.BucketLog = (*Reader)(nil)
)
