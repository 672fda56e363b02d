package history

import (
	"context"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// noteZone notes whose days the digests of a jurisdiction go by.
func (d *digests) noteZone(ctx context.Context, on stream.Conn, j id.Jurisdiction) error {
	const q = `
		INSERT INTO digest_zone (jurisdiction, zone)
		SELECT ?, ?
		FROM (SELECT 1) AS one
		WHERE NOT EXISTS (
			SELECT zone
			FROM digest_zone
			WHERE jurisdiction = ?)`
	_, err := on.ExecContext(ctx, q, string(j), d.zone(j).String(), string(j))
	return sqldb.Wrap("note zone of digests", err)
}

// otherZones reports whether digests go by the days of a zone that is no longer their jurisdiction's.
func (d *digests) otherZones(ctx context.Context, on reader) (bool, error) {
	const q = `
		SELECT jurisdiction, zone
		FROM digest_zone`
	rows, err := on.QueryContext(ctx, q)
	if err != nil {
		return false, sqldb.Wrap("read zones of digests", err)
	}
	defer rows.Close()
	other := false
	for rows.Next() {
		var j id.Jurisdiction
		var zone string
		if err := rows.Scan(&j, &zone); err != nil {
			return false, sqldb.Wrap("read zones of digests", err)
		}
		other = other || zone != d.zone(j).String()
	}
	return other, sqldb.Wrap("read zones of digests", rows.Err())
}

// checkZones deletes the digests if any goes by the days of another zone: they are made again by the new one's.
// A zone changes with the configuration, so this is looked at when a process begins.
func (d *digests) checkZones(ctx context.Context, on interface {
	reader
	stream.Conn
}) error {
	if d == nil {
		return nil
	}
	if other, err := d.otherZones(ctx, on); err != nil || !other {
		return err
	}
	return forgetDigests(ctx, on)
}
