package ledger

import (
	"context"
	"database/sql"
	"time"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// process is one process that may write shards, as the directory knows it.
type process struct {
	name    string
	run     string // differs between two starts
	address string // of its internal listener
	host    string
	pid     int
	beat    int64
	seenUS  int64
}

// tenancy says who writes a shard; an empty owner is nobody.
type tenancy struct {
	owner     string
	changedUS int64
	noted     mark   // how far its callers were answered when a writer last said so
	lost      mark   // what its log lacked when it was quarantined
	problem   string // why it is quarantined; "": it is not
	problemUS int64  // since when
	accepted  int64  // what epochs up to this answered beyond noted was given up by an operator
}

// tenancyColumns are what scanTenancy reads.
const tenancyColumns = `
		SELECT s.shard, s.owner, s.changed_us, s.epoch, s.seq, s.seal, s.lost_epoch, s.lost_seq, s.lost_seal,
			s.problem, s.problem_us, COALESCE((
				SELECT MAX(l.epoch)
				FROM loss l
				WHERE l.shard = s.shard), 0)
		FROM shard s`

func scanTenancy(rows *sql.Rows) (shard int, t tenancy, err error) {
	var noted, lost []byte
	err = rows.Scan(&shard, &t.owner, &t.changedUS, &t.noted.epoch, &t.noted.seq, &noted, &t.lost.epoch, &t.lost.seq, &lost,
		&t.problem, &t.problemUS, &t.accepted)
	copy(t.noted.seal[:], noted)
	copy(t.lost.seal[:], lost)
	return shard, t, err
}

// owners is who is there and who writes what, at one time.
type owners struct {
	processes map[string]process
	shards    []tenancy
}

// address returns where the owner of a shard listens; "" if nobody owns it.
func (o *owners) address(shard int) string {
	if o == nil || shard >= len(o.shards) {
		return ""
	}
	return o.processes[o.shards[shard].owner].address
}

// enter writes the process's row. One of the same name that was started before finds out at its next
// beat.
func (d *directory) enter(ctx context.Context, p *process) error {
	const leave = `DELETE FROM process WHERE process = ?`
	const enter = `
		INSERT INTO process (process, run, address, host, pid, beat, seen_us)
		VALUES (?, ?, ?, ?, ?, 1, ?)`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, leave, p.name); err != nil {
			return sqldb.Wrap("replace process", err)
		}
		_, err := tx.ExecContext(ctx, enter, p.name, p.run, p.address, p.host, p.pid, d.clock.Now().UnixMicro())
		return sqldb.Wrap("enter process", err)
	})
}

// beat shows that the process is alive. A row that others have cleared away is written again; one of
// another start is a conflict: two processes have one name.
func (d *directory) beat(ctx context.Context, p *process) error {
	const beat = `
		UPDATE process
		SET beat = beat + 1, seen_us = ?
		WHERE process = ? AND run = ?`
	const other = `SELECT COUNT(*) FROM process WHERE process = ?`
	var rows int64
	err := d.db.inTx(ctx, func(tx *sql.Tx) (err error) {
		rows, err = changed(tx.ExecContext(ctx, beat, d.clock.Now().UnixMicro(), p.name, p.run))
		return sqldb.Wrap("beat", err)
	})
	if err != nil || rows == 1 {
		return err
	}
	var others int
	err = d.db.read(ctx, other, []any{p.name}, func(rows *sql.Rows) error { return rows.Scan(&others) })
	if err != nil {
		return sqldb.Wrap("read process", err)
	}
	if others > 0 {
		return errs.New(errs.CodeConflict, "another process was started as %s", p.name)
	}
	return d.enter(ctx, p)
}

// leave gives up what the process owns, and its row.
func (d *directory) leave(ctx context.Context, p *process) error {
	const release = `
		UPDATE shard
		SET owner = '', changed_us = ?
		WHERE owner = ?`
	const leave = `
		DELETE FROM process
		WHERE process = ? AND run = ?`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		rows, err := changed(tx.ExecContext(ctx, leave, p.name, p.run))
		if err != nil || rows == 0 { // of another start: what it owns is its own
			return sqldb.Wrap("leave", err)
		}
		_, err = tx.ExecContext(ctx, release, d.clock.Now().UnixMicro(), p.name)
		return sqldb.Wrap("release shards", err)
	})
}

// forget clears away the row of a process that has long been dead.
func (d *directory) forget(ctx context.Context, p process) error {
	const forget = `
		DELETE FROM process
		WHERE process = ? AND run = ? AND beat = ?`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, forget, p.name, p.run, p.beat)
		return sqldb.Wrap("forget process", err)
	})
}

// owners reads who is there and who writes what.
func (d *directory) owners(ctx context.Context) (*owners, error) {
	const processes = `
		SELECT process, run, address, host, pid, beat, seen_us
		FROM process`
	const shards = tenancyColumns + `
		ORDER BY s.shard`
	out := &owners{processes: map[string]process{}}
	err := d.db.read(ctx, processes, nil, func(rows *sql.Rows) error {
		var p process
		err := rows.Scan(&p.name, &p.run, &p.address, &p.host, &p.pid, &p.beat, &p.seenUS)
		out.processes[p.name] = p
		return err
	})
	if err != nil {
		return nil, sqldb.Wrap("read processes", err)
	}
	err = d.db.read(ctx, shards, nil, func(rows *sql.Rows) error {
		shard, t, err := scanTenancy(rows)
		if err != nil {
			return err
		}
		if shard != len(out.shards) {
			return errs.New(errs.CodeInternal, "the directory has no shard %d", len(out.shards))
		}
		out.shards = append(out.shards, t)
		return nil
	})
	return out, sqldb.Wrap("read owners", err)
}

// recentBeat is how old the last beat of a process may be, by the clocks of both, to refuse a process
// that wants the shards for itself.
const recentBeat = 10 * time.Second

// refuseOthers fails if other processes share these shards now: one that wants them all would take
// them away, and they would take them back.
func (d *directory) refuseOthers(ctx context.Context) error {
	now, err := d.owners(ctx)
	if err != nil {
		return err
	}
	since := d.clock.Now().Add(-recentBeat).UnixMicro()
	for _, p := range now.processes {
		if p.seenUS > since {
			return errs.New(errs.CodeConflict,
				"process %s at %s shares these shards: set ledger.internal_listen here too, or stop it (if it is dead, wait %s)", p.name, p.address, recentBeat)
		}
	}
	return nil
}

// claim makes a process the owner of a shard if its owner is still the one the caller saw.
func (d *directory) claim(ctx context.Context, shard int, seen, owner string) (bool, error) {
	const q = `
		UPDATE shard
		SET owner = ?, changed_us = ?
		WHERE shard = ? AND owner = ?`
	var rows int64
	err := d.db.inTx(ctx, func(tx *sql.Tx) (err error) {
		rows, err = changed(tx.ExecContext(ctx, q, owner, d.clock.Now().UnixMicro(), shard, seen))
		return sqldb.Wrap("claim shard", err)
	})
	return rows == 1, err
}
