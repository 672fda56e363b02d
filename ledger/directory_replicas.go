package ledger

import (
	"context"
	"database/sql"

	"matchday/internal/sqldb"
)

// States of a replica in the directory. One that is not there is as the configuration says.
const (
	replicaOn  = "on"  // takes reads, also if no configuration names the node
	replicaOff = "off" // takes no reads
)

// replicas returns what operators have said about replicas: by shard, whether a node takes reads.
func (d *directory) replicas(ctx context.Context) (map[int]map[string]bool, error) {
	const q = `
		SELECT shard, node, state
		FROM replica
		ORDER BY shard, node
		LIMIT 10000`
	out := map[int]map[string]bool{}
	err := d.db.read(ctx, q, nil, func(rows *sql.Rows) error {
		var shard int
		var node, state string
		if err := rows.Scan(&shard, &node, &state); err != nil {
			return err
		}
		if out[shard] == nil {
			out[shard] = map[string]bool{}
		}
		out[shard][node] = state == replicaOn
		return nil
	})
	return out, sqldb.Wrap("read replicas", err)
}

// setReplica notes whether a node takes reads of the shards.
func (d *directory) setReplica(ctx context.Context, node string, on bool, shards []int) error {
	const forget = `
		DELETE FROM replica
		WHERE shard = ? AND node = ?`
	const note = `
		INSERT INTO replica (shard, node, state, changed_us)
		VALUES (?, ?, ?, ?)`
	state := replicaOff
	if on {
		state = replicaOn
	}
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		for _, n := range shards {
			if _, err := tx.ExecContext(ctx, forget, n, node); err != nil {
				return sqldb.Wrap("change replica", err)
			}
			if _, err := tx.ExecContext(ctx, note, n, node, state, d.clock.Now().UnixMicro()); err != nil {
				return sqldb.Wrap("change replica", err)
			}
		}
		return nil
	})
}
