package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"matchday/internal/sqldb"
)

// The queries of this file are the same in every engine: on is the writer's connection or a reader's.

// limitsOn returns the newest limits of those accounts that have any.
func limitsOn(ctx context.Context, on querier, accounts []int64) (map[int64]*limitsExtra, error) {
	const q = `
		SELECT l.account_id, l.version, l.min_minor, l.max_minor, l.freeze
		FROM account_limit l
		WHERE l.seq = (
				SELECT MAX(n.seq)
				FROM account_limit n
				WHERE n.account_id = l.account_id)
			AND l.account_id IN `
	out := make(map[int64]*limitsExtra, len(accounts))
	err := eachChunk(accounts, func(args []any) error {
		return eachRow(on.QueryContext(ctx, q+placeholders(len(args)), args...))(func(rows *sql.Rows) error {
			var account int64
			var l limitsExtra
			err := rows.Scan(&account, &l.Version, &l.MinMinor, &l.MaxMinor, &l.Freeze)
			out[account] = &l
			return err
		})
	})
	return out, sqldb.Wrap("read limits", err)
}

// limitsByAddress returns an account's newest limits, nil if it never had any.
func limitsByAddress(ctx context.Context, on querier, a Address) (*limitsExtra, error) {
	const q = `
		SELECT l.version, l.min_minor, l.max_minor, l.freeze
		FROM account a
		JOIN account_limit l ON l.account_id = a.id
		WHERE a.address = ?
		ORDER BY l.seq DESC
		LIMIT 1`
	var out *limitsExtra
	err := eachRow(on.QueryContext(ctx, q, string(a)))(func(rows *sql.Rows) error {
		out = &limitsExtra{}
		return rows.Scan(&out.Version, &out.MinMinor, &out.MaxMinor, &out.Freeze)
	})
	return out, sqldb.Wrap("read limits", err)
}

// metadataOn returns an account's newest metadata, nil if it never had any.
func metadataOn(ctx context.Context, on querier, account int64) (map[string]string, error) {
	const q = `
		SELECT data
		FROM account_metadata
		WHERE account_id = ?
		ORDER BY seq DESC
		LIMIT 1`
	return scanMetadata(on.QueryContext(ctx, q, account))
}

// metadataByAddress returns an account's newest metadata, empty if it never had any.
func metadataByAddress(ctx context.Context, on querier, a Address) (map[string]string, error) {
	const q = `
		SELECT m.data
		FROM account a
		JOIN account_metadata m ON m.account_id = a.id
		WHERE a.address = ?
		ORDER BY m.seq DESC
		LIMIT 1`
	out, err := scanMetadata(on.QueryContext(ctx, q, string(a)))
	if out == nil {
		out = map[string]string{}
	}
	return out, err
}

func scanMetadata(rows *sql.Rows, err error) (map[string]string, error) {
	var out map[string]string
	err = eachRow(rows, err)(func(rows *sql.Rows) error {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			return err
		}
		if err := json.Unmarshal(data, &out); err != nil {
			return fmt.Errorf("metadata of an account is malformed: %w", err)
		}
		return nil
	})
	return out, sqldb.Wrap("read metadata", err)
}

// openGroupsOn returns the groups that began and have not ended, oldest first.
func openGroupsOn(ctx context.Context, on querier, limit int) ([]openGroup, error) {
	const q = `
		SELECT g.seq, t.key, t.extra, (
				SELECT b.at_us
				FROM batch b
				WHERE b.last_seq >= g.seq
				ORDER BY b.last_seq
				LIMIT 1)
		FROM grp g
		JOIN transfer t ON t.seq = g.seq
		WHERE g.state = 1
		ORDER BY g.seq
		LIMIT ?`
	var out []openGroup
	err := eachRow(on.QueryContext(ctx, q, limit))(func(rows *sql.Rows) error {
		var g openGroup
		var atUS sql.NullInt64
		err := rows.Scan(&g.seq, &g.key, &g.extra, &atUS)
		if err == nil && !atUS.Valid {
			err = errors.New("a group began in no batch")
		}
		g.at = fromMicros(atUS.Int64)
		out = append(out, g)
		return err
	})
	return out, sqldb.Wrap("read open groups", err)
}

// limitsOf implements writerStore.
func (l lookups) limitsOf(ctx context.Context, accounts []int64) (map[int64]*limitsExtra, error) {
	return limitsOn(ctx, l.on, accounts)
}

// accountMetadata implements writerStore.
func (l lookups) accountMetadata(ctx context.Context, account int64) (map[string]string, error) {
	return metadataOn(ctx, l.on, account)
}

// limits implements readerStore.
func (r tableReads) limits(ctx context.Context, a Address) (*limitsExtra, error) {
	return limitsByAddress(ctx, r.on, a)
}

// metadata implements readerStore.
func (r tableReads) metadata(ctx context.Context, a Address) (map[string]string, error) {
	return metadataByAddress(ctx, r.on, a)
}

// openGroups implements readerStore.
func (r tableReads) openGroups(ctx context.Context, limit int) ([]openGroup, error) {
	return openGroupsOn(ctx, r.on, limit)
}
