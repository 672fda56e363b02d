package ledger

import (
	"context"
	"database/sql"

	"matchday/errs"
	"matchday/internal/sqldb"
)

// tenancy reads what the directory says of one shard.
func (d *directory) tenancy(ctx context.Context, shard int) (tenancy, error) {
	const q = tenancyColumns + `
		WHERE s.shard = ?`
	var out tenancy
	found := false
	err := d.db.read(ctx, q, []any{shard}, func(rows *sql.Rows) (err error) {
		_, out, err = scanTenancy(rows)
		found = true
		return err
	})
	if err == nil && !found {
		err = errs.New(errs.CodeInternal, "the directory has no shard %d", shard)
	}
	return out, sqldb.Wrap("read shard", err)
}

// note writes down how far callers were answered. What an older epoch says, and what is said of a
// quarantined shard, changes nothing.
func (d *directory) note(ctx context.Context, marks map[int]mark) error {
	const q = `
		UPDATE shard
		SET epoch = ?, seq = ?, seal = ?
		WHERE shard = ? AND problem = '' AND (epoch < ? OR epoch = ? AND seq < ?)`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		for shard, m := range marks {
			if _, err := tx.ExecContext(ctx, q, m.epoch, m.seq, m.seal[:], shard, m.epoch, m.epoch, m.seq); err != nil {
				return sqldb.Wrap("note position", err)
			}
		}
		return nil
	})
}

// quarantine takes a shard away from whoever writes it, until release or acceptLoss. Of several marks that are
// missing the furthest is kept.
func (d *directory) quarantine(ctx context.Context, shard int, lost mark, problem string) error {
	const q = `
		UPDATE shard
		SET owner = '', changed_us = ?, lost_epoch = ?, lost_seq = ?, lost_seal = ?,
			problem_us = CASE WHEN problem = '' THEN ? ELSE problem_us END, problem = ?
		WHERE shard = ? AND (problem = '' OR lost_epoch < ? OR lost_epoch = ? AND lost_seq < ?)`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		us := d.clock.Now().UnixMicro()
		_, err := tx.ExecContext(ctx, q, us, lost.epoch, lost.seq, lost.seal[:], us, problem, shard, lost.epoch, lost.epoch, lost.seq)
		return sqldb.Wrap("quarantine shard", err)
	})
}

// release ends the quarantine that began at the time: its log has everything again.
func (d *directory) release(ctx context.Context, shard int, sinceUS int64) error {
	const q = `
		UPDATE shard
		SET lost_epoch = 0, lost_seq = 0, lost_seal = x'', problem = '', problem_us = 0, changed_us = ?
		WHERE shard = ? AND problem_us = ?`
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, q, d.clock.Now().UnixMicro(), shard, sinceUS)
		return sqldb.Wrap("release shard", err)
	})
}

// acceptLoss records the loss and ends the quarantine that the caller saw: the shard goes on from what
// is kept. It is a conflict if the quarantine is another by now, or over.
func (d *directory) acceptLoss(ctx context.Context, l *Loss, seen tenancy) error {
	const accept = `
		UPDATE shard
		SET epoch = ?, seq = ?, seal = ?, lost_epoch = 0, lost_seq = 0, lost_seal = x'', problem = '', problem_us = 0, changed_us = ?
		WHERE shard = ? AND problem <> '' AND problem_us = ?`
	const record = `
		INSERT INTO loss (shard, at_us, epoch, kept_epoch, kept_seq, kept_seal, lost_epoch, lost_seq, lost_seal, accepted_by, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	us := l.At.UnixMicro()
	over := max(seen.accepted, seen.noted.epoch, l.lost.epoch, l.kept.epoch)
	return d.db.inTx(ctx, func(tx *sql.Tx) error {
		n, err := changed(tx.ExecContext(ctx, accept, l.kept.epoch, l.kept.seq, l.kept.seal[:], us, l.Shard, seen.problemUS))
		if err != nil {
			return sqldb.Wrap("end quarantine", err)
		}
		if n != 1 {
			return errs.New(errs.CodeConflict, "the quarantine of shard %d has ended or is another one: look again", l.Shard)
		}
		_, err = tx.ExecContext(ctx, record, l.Shard, us, over, l.kept.epoch, l.kept.seq, l.kept.seal[:],
			l.lost.epoch, l.lost.seq, l.lost.seal[:], l.By, l.Reason)
		return sqldb.Wrap("record loss", err)
	})
}

// losses returns the losses that were accepted, newest first.
func (d *directory) losses(ctx context.Context) ([]Loss, error) {
	const q = `
		SELECT shard, at_us, kept_epoch, kept_seq, kept_seal, lost_epoch, lost_seq, lost_seal, accepted_by, reason
		FROM loss
		ORDER BY at_us DESC, shard
		LIMIT 1000`
	var out []Loss
	err := d.db.read(ctx, q, nil, func(rows *sql.Rows) error {
		var l Loss
		var atUS int64
		var kept, lost []byte
		err := rows.Scan(&l.Shard, &atUS, &l.kept.epoch, &l.kept.seq, &kept, &l.lost.epoch, &l.lost.seq, &lost, &l.By, &l.Reason)
		copy(l.kept.seal[:], kept)
		copy(l.lost.seal[:], lost)
		l.At = fromMicros(atUS)
		l.show()
		out = append(out, l)
		return err
	})
	return out, sqldb.Wrap("read losses", err)
}
