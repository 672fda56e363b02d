package ledger

import (
	"cmp"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// reservation is an open hold of a group's, on the shard that its player lives on.
type reservation struct {
	shard int
	seq   int64
	group string
}

// maxReservations bounds how many open reservations an audit keeps of all shards: there are as many as
// transfers of groups in flight.
const maxReservations = 100_000

// opened notes a group that has not ended.
func (r *AuditReport) opened(group string) {
	if r.openGroups == nil {
		r.openGroups = map[string]struct{}{}
	}
	r.openGroups[group] = struct{}{}
}

// readReservations reads what groups hold of players that live on the shard.
func (a *auditor) readReservations() error {
	const q = `
		SELECT h.seq, t.player, t.extra
		FROM hold h
		JOIN transfer t ON t.seq = h.seq
		WHERE h.state = 1 AND t.kind = ?
		ORDER BY h.seq
		LIMIT ?`
	err := eachRow(a.on.QueryContext(a.ctx, q, int(KindGroupPrepare), maxReservations))(func(rows *sql.Rows) error {
		var r row
		if err := rows.Scan(&r.seq, &r.player, &r.extra); err != nil {
			return err
		}
		x, err := decodeExtra(r.extra)
		if err == nil && !a.isAway(r.player) && len(a.report.reservations) < maxReservations {
			a.report.reservations = append(a.report.reservations, reservation{a.shard, r.seq, x.Group})
		}
		return err
	})
	return sqldbOrFinding("read reservations of groups", err)
}

// checkGroups checks what groups leave over all shards: nothing is reserved for one that has ended, and nothing is
// in transit while none is open. What was read of one shard after the other belongs together only if
// nobody wrote meanwhile: head says where a shard's log ends now.
func (r *AuditReport) checkGroups(head func(shard int) (int64, error)) error {
	var list []Finding
	for _, one := range r.reservations {
		if _, open := r.openGroups[one.group]; !open {
			list = append(list, Finding{
				Shard: one.shard, Invariant: "nothing is reserved for a group that has ended", Table: "hold", Key: seqKey(one.seq),
				Expected: "an open group " + one.group, Found: "none",
			})
			break
		}
	}
	if f := r.transitLeft(); f != nil && len(r.openGroups) == 0 {
		list = append(list, *f)
	}
	if len(list) == 0 || len(r.Findings) > 0 {
		return nil
	}
	for shard, seq := range r.heads {
		now, err := head(shard)
		if err != nil || now != seq {
			return err
		}
	}
	r.Findings = append(r.Findings, list...)
	return nil
}

// transitLeft returns a finding if something is in transit.
func (r *AuditReport) transitLeft() *Finding {
	at := slices.SortedFunc(maps.Keys(r.transits), func(x, y [2]string) int {
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
	})
	at = slices.DeleteFunc(at, func(k [2]string) bool { return r.transits[k] == 0 })
	if len(at) == 0 {
		return nil
	}
	return &Finding{
		Invariant: "transits sum to zero when no group is open", Table: "account", Key: "transit/" + at[0][0],
		Expected: "0 " + at[0][1], Found: fmt.Sprintf("%d %s", r.transits[at[0]], at[0][1]),
	}
}
