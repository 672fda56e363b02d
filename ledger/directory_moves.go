package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
)

// moveColumns are what scanMove reads.
const moveColumns = `
		SELECT id, from_shard, to_shard, buckets, step, detail, rate, created_by, created_us, updated_us, version
		FROM move`

// moveDetail is the progress of a move as the directory keeps it.
type moveDetail struct {
	Copied   int64  `json:"copied"`
	Head     int64  `json:"head"`
	Rows     int64  `json:"rows"`
	Switched int    `json:"switched"`
	PauseUS  int64  `json:"pause_us"`
	Problem  string `json:"problem,omitempty"`
}

func scanMove(rows *sql.Rows) (Move, error) {
	var m Move
	var list, detail string
	var createdUS, updatedUS int64
	err := rows.Scan(&m.ID, &m.From, &m.To, &list, &m.Step, &detail, &m.Rate, &m.By, &createdUS, &updatedUS, &m.version)
	if err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt = fromMicros(createdUS), fromMicros(updatedUS)
	if m.Buckets, err = ParseBuckets(list); err != nil {
		return m, fmt.Errorf("move %s: %w", m.ID, err)
	}
	var d moveDetail
	if err := json.Unmarshal([]byte(detail), &d); err != nil {
		return m, fmt.Errorf("move %s: %w", m.ID, err)
	}
	m.Copied, m.Head, m.Rows, m.Switched, m.Problem = d.Copied, d.Head, d.Rows, d.Switched, d.Problem
	m.LongestPause = time.Duration(d.PauseUS) * time.Microsecond
	return m, nil
}

func (m *Move) detail() (string, error) {
	b, err := json.Marshal(moveDetail{m.Copied, m.Head, m.Rows, m.Switched, m.LongestPause.Microseconds(), m.Problem})
	return string(b), err
}

// moves returns the newest moves, newest first.
func (d *directory) moves(ctx context.Context, limit int) ([]Move, error) {
	const q = moveColumns + `
		ORDER BY created_us DESC, id DESC
		LIMIT ?`
	return d.readMoves(ctx, q, limit)
}

// movesBefore returns the newest of the moves that are older than one.
func (d *directory) movesBefore(ctx context.Context, m *Move, limit int) ([]Move, error) {
	const q = moveColumns + `
		WHERE created_us < ? OR (created_us = ? AND id < ?)
		ORDER BY created_us DESC, id DESC
		LIMIT ?`
	us := m.CreatedAt.UnixMicro()
	return d.readMoves(ctx, q, us, us, m.ID, limit)
}

// openMoves returns the moves that are not over, in the order in which they were asked for.
func (d *directory) openMoves(ctx context.Context, limit int) ([]Move, error) {
	const q = moveColumns + `
		WHERE step NOT IN ('done', 'aborted')
		ORDER BY id
		LIMIT ?`
	return d.readMoves(ctx, q, limit)
}

func (d *directory) readMoves(ctx context.Context, q string, args ...any) ([]Move, error) {
	var out []Move
	err := d.db.read(ctx, q, args, func(rows *sql.Rows) error {
		m, err := scanMove(rows)
		out = append(out, m)
		return err
	})
	return out, sqldb.Wrap("read moves", err)
}

// move returns one move; errs.CodeNotFound if there is none.
func (d *directory) move(ctx context.Context, id string) (Move, error) {
	const q = moveColumns + `
		WHERE id = ?`
	var out Move
	err := d.db.read(ctx, q, []any{id}, func(rows *sql.Rows) (err error) {
		out, err = scanMove(rows)
		return err
	})
	if err == nil && out.ID == "" {
		return Move{}, errs.New(errs.CodeNotFound, "there is no move %.40q", id)
	}
	return out, sqldb.Wrap("read move", err)
}

// addMove adds a move and gives it an id, unless a move that is not over has a bucket of it. The buckets
// must live on its source. Ids rise from move to move, whatever the clocks of machines say: shards tell
// the later of two moves by them.
func (d *directory) addMove(ctx context.Context, m *Move, ids *id.Source) error {
	const locked = `UPDATE placement SET version = version WHERE id = 1` // moves begin one after the other
	const open = `SELECT id, buckets FROM move WHERE step NOT IN ('done', 'aborted')`
	const newest = `SELECT COALESCE(MAX(id), '') FROM move`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, locked); err != nil {
			return sqldb.Wrap("lock placement", err)
		}
		busy := map[int]string{}
		err := eachRow(tx.QueryContext(ctx, open))(func(rows *sql.Rows) error {
			var other, list string
			if err := rows.Scan(&other, &list); err != nil {
				return err
			}
			of, err := ParseBuckets(list)
			for _, b := range of {
				busy[b] = other
			}
			return err
		})
		if err != nil {
			return sqldb.Wrap("read open moves", err)
		}
		for _, b := range m.Buckets {
			if other, ok := busy[b]; ok {
				return errs.New(errs.CodeConflict, "bucket %d is being moved already, by %s", b, other)
			}
		}
		var last string
		if err := tx.QueryRowContext(ctx, newest).Scan(&last); err != nil {
			return sqldb.Wrap("read newest move", err)
		}
		ids.After(last)
		m.ID = ids.New("mov")
		return insertMove(ctx, tx, m)
	})
}

// insertMove writes the row of a move that is new to the directory.
func insertMove(ctx context.Context, tx *sql.Tx, m *Move) error {
	const add = `
		INSERT INTO move (id, from_shard, to_shard, buckets, step, detail, rate, created_by, created_us, updated_us, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`
	detail, err := m.detail()
	if err != nil {
		return err
	}
	us := m.CreatedAt.UnixMicro()
	_, err = tx.ExecContext(ctx, add, m.ID, m.From, m.To, FormatBuckets(m.Buckets), m.Step, detail, m.Rate, m.By, us, us)
	m.version = 1
	return sqldb.Wrap("add move", err)
}

// saveMove stores step and progress: errs.CodeConflict if somebody changed the move since it was read.
func (d *directory) saveMove(ctx context.Context, m *Move) error {
	const q = `
		UPDATE move
		SET step = ?, detail = ?, updated_us = ?, version = version + 1
		WHERE id = ? AND version = ?`
	detail, err := m.detail()
	if err != nil {
		return err
	}
	m.UpdatedAt = d.clock.Now()
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, q, m.Step, detail, m.UpdatedAt.UnixMicro(), m.ID, m.version))
		if err != nil {
			return sqldb.Wrap("save move", err)
		}
		if n != 1 {
			return errs.New(errs.CodeConflict, "move %s was changed meanwhile", m.ID)
		}
		m.version++
		return nil
	})
}
