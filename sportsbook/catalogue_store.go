package sportsbook

import (
	"context"
	"database/sql"
	"embed"
	"maps"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/odds"
)

//go:embed migrations/*.sql
var migrations embed.FS

// catalogueStore is the SQL of the catalogue. The caller serialises writes.
type catalogueStore struct{ db *sqldb.DB }

// write stores the changes of some events in one DBTx, with their decisions.
func (c catalogueStore) write(ctx context.Context, changes []difference, decisions []Decision) error {
	return c.db.InTx(ctx, func(tx *sql.Tx) error {
		competitions := make(map[string]bool)
		for i := range changes {
			if err := writeEvent(ctx, tx, &changes[i], competitions); err != nil {
				return err
			}
		}
		for i := range decisions {
			if err := insertDecision(ctx, tx, &decisions[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// writeEvent stores one event's changed rows and its change log lines.
func writeEvent(ctx context.Context, tx *sql.Tx, d *difference, competitions map[string]bool) error {
	e := d.next
	competition := slug(e.sport) + "/" + slug(e.competition)
	if !competitions[competition] {
		if err := ensureCompetition(ctx, tx, e, competition); err != nil {
			return err
		}
		competitions[competition] = true
	}
	const q = `
		INSERT INTO event (event_id, competition_id, home, away, home_code, away_code, stadium, starts_us,
			status, home_score, away_score, week, season, version, result_version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (event_id) DO UPDATE SET
			competition_id = excluded.competition_id, home = excluded.home, away = excluded.away,
			home_code = excluded.home_code, away_code = excluded.away_code, stadium = excluded.stadium,
			starts_us = excluded.starts_us, status = excluded.status, home_score = excluded.home_score,
			away_score = excluded.away_score, week = excluded.week, season = excluded.season,
			version = excluded.version, result_version = excluded.result_version`
	_, err := tx.ExecContext(ctx, q, e.id, competition, e.home, e.away, e.homeCode, e.awayCode, e.stadium,
		e.startsAt.UnixMicro(), string(e.status), e.homeScore, e.awayScore, e.week, e.season, e.version, e.resultVersion)
	if err != nil {
		return sqldb.Wrap("write event", err)
	}
	if d.old == nil || !slices.Equal(d.old.jurisdictions, e.jurisdictions) {
		if err := writeJurisdictions(ctx, tx, e); err != nil {
			return err
		}
	}
	for _, i := range d.markets {
		if err := writeMarket(ctx, tx, e, i); err != nil {
			return err
		}
	}
	return insertChanges(ctx, tx, d.lines)
}

func ensureCompetition(ctx context.Context, tx *sql.Tx, e *eventState, competition string) error {
	const sport = `
		INSERT INTO sport (sport_id, name)
		VALUES (?, ?)
		ON CONFLICT (sport_id) DO NOTHING`
	if _, err := tx.ExecContext(ctx, sport, slug(e.sport), e.sport); err != nil {
		return sqldb.Wrap("write sport", err)
	}
	const q = `
		INSERT INTO competition (competition_id, sport_id, name)
		VALUES (?, ?, ?)
		ON CONFLICT (competition_id) DO NOTHING`
	_, err := tx.ExecContext(ctx, q, competition, slug(e.sport), e.competition)
	return sqldb.Wrap("write competition", err)
}

func writeJurisdictions(ctx context.Context, tx *sql.Tx, e *eventState) error {
	const clear = `DELETE FROM event_jurisdiction WHERE event_id = ?`
	if _, err := tx.ExecContext(ctx, clear, e.id); err != nil {
		return sqldb.Wrap("clear event jurisdictions", err)
	}
	const q = `INSERT INTO event_jurisdiction (event_id, jurisdiction) VALUES (?, ?)`
	for _, j := range e.jurisdictions {
		if _, err := tx.ExecContext(ctx, q, e.id, string(j)); err != nil {
			return sqldb.Wrap("write event jurisdiction", err)
		}
	}
	return nil
}

// writeMarket stores market i of the event with the selections that have its version.
func writeMarket(ctx context.Context, tx *sql.Tx, e *eventState, i int) error {
	m := &e.markets[i]
	var line, closed any
	if m.kind != Moneyline {
		line = int64(m.line)
	}
	if !m.closedAt.IsZero() {
		closed = m.closedAt.UnixMicro()
	}
	const q = `
		INSERT INTO market (market_id, event_id, ordinal, type, status, line_hundredths, closed_us, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (market_id) DO UPDATE SET
			status = excluded.status, line_hundredths = excluded.line_hundredths,
			closed_us = excluded.closed_us, version = excluded.version`
	_, err := tx.ExecContext(ctx, q, m.id, e.id, i, string(m.kind), string(m.status), line, closed, m.version)
	if err != nil {
		return sqldb.Wrap("write market", err)
	}
	for k := range m.selections {
		if m.selections[k].version != m.version {
			continue
		}
		if err := writeSelection(ctx, tx, m, k); err != nil {
			return err
		}
	}
	return nil
}

func writeSelection(ctx context.Context, tx *sql.Tx, m *marketState, k int) error {
	x := &m.selections[k]
	const q = `
		INSERT INTO selection (selection_id, market_id, ordinal, code, version)
		VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (selection_id) DO UPDATE SET version = excluded.version`
	if _, err := tx.ExecContext(ctx, q, x.id, m.id, k, x.code, x.version); err != nil {
		return sqldb.Wrap("write selection", err)
	}
	const clear = `DELETE FROM price WHERE selection_id = ?`
	if _, err := tx.ExecContext(ctx, clear, x.id); err != nil {
		return sqldb.Wrap("clear prices", err)
	}
	const price = `
		INSERT INTO price (selection_id, jurisdiction, american, version)
		VALUES (?, ?, ?, ?)`
	if _, err := tx.ExecContext(ctx, price, x.id, "", x.price.Int(), x.version); err != nil {
		return sqldb.Wrap("write price", err)
	}
	for _, j := range slices.Sorted(maps.Keys(x.own)) {
		if _, err := tx.ExecContext(ctx, price, x.id, string(j), x.own[j].Int(), x.version); err != nil {
			return sqldb.Wrap("write price", err)
		}
	}
	return nil
}

func insertChanges(ctx context.Context, tx *sql.Tx, lines []MarketChange) error {
	const q = `
		INSERT INTO market_change (at_us, actor, event_id, market_id, selection_id, jurisdiction, field, old, new, version)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	for _, l := range lines {
		_, err := tx.ExecContext(ctx, q, l.At.UnixMicro(), l.Actor, l.EventID, l.MarketID, l.SelectionID,
			string(l.Jurisdiction), l.Field, l.Old, l.New, l.Version)
		if err != nil {
			return sqldb.Wrap("write change log", err)
		}
	}
	return nil
}

func insertDecision(ctx context.Context, tx *sql.Tx, d *Decision) error {
	const q = `
		INSERT INTO decision (event_id, version, settlement_id, kind, market_id, home_score, away_score,
			reason, entered_by, entered_us)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	_, err := tx.ExecContext(ctx, q, d.EventID, d.Version, d.SettlementID, int(d.Kind), d.MarketID, d.HomeScore,
		d.AwayScore, d.Reason, d.EnteredBy, d.EnteredAt.UnixMicro())
	return sqldb.Wrap("write decision", err)
}

// load reads the whole offer.
func (c catalogueStore) load(ctx context.Context) (map[string]*eventState, error) {
	const q = `
		SELECT e.event_id, s.name, c.name, e.home, e.away, e.home_code, e.away_code, e.stadium, e.starts_us,
			e.status, e.home_score, e.away_score, e.week, e.season, e.version, e.result_version
		FROM event e
		JOIN competition c USING (competition_id)
		JOIN sport s USING (sport_id)`
	events := make(map[string]*eventState)
	err := c.each(ctx, q, func(rows *sql.Rows) error {
		var e eventState
		var starts int64
		err := rows.Scan(&e.id, &e.sport, &e.competition, &e.home, &e.away, &e.homeCode, &e.awayCode, &e.stadium,
			&starts, &e.status, &e.homeScore, &e.awayScore, &e.week, &e.season, &e.version, &e.resultVersion)
		e.startsAt = time.UnixMicro(starts).UTC()
		e.name = eventName(e.away, e.home)
		events[e.id] = &e
		return err
	})
	if err != nil {
		return nil, sqldb.Wrap("load events", err)
	}
	const where = `
		SELECT event_id, jurisdiction
		FROM event_jurisdiction
		ORDER BY event_id, jurisdiction`
	err = c.each(ctx, where, func(rows *sql.Rows) error {
		var event, j string
		err := rows.Scan(&event, &j)
		if e := events[event]; e != nil {
			e.jurisdictions = append(e.jurisdictions, id.Jurisdiction(j))
		}
		return err
	})
	if err != nil {
		return nil, sqldb.Wrap("load event jurisdictions", err)
	}
	return events, c.loadMarkets(ctx, events)
}

// loadMarkets adds markets, selections and prices to the events.
func (c catalogueStore) loadMarkets(ctx context.Context, events map[string]*eventState) error {
	const q = `
		SELECT market_id, event_id, type, status, COALESCE(line_hundredths, 0), closed_us, version
		FROM market
		ORDER BY event_id, ordinal`
	err := c.each(ctx, q, func(rows *sql.Rows) error {
		var m marketState
		var event string
		var line int64
		var closed sql.NullInt64
		if err := rows.Scan(&m.id, &event, &m.kind, &m.status, &line, &closed, &m.version); err != nil {
			return err
		}
		if m.kind != Moneyline {
			m.setLine(odds.Line(line)) // #nosec: written from an odds.Line
		}
		if closed.Valid {
			m.closedAt = time.UnixMicro(closed.Int64).UTC()
		}
		events[event].markets = append(events[event].markets, m)
		return nil
	})
	if err != nil {
		return sqldb.Wrap("load markets", err)
	}
	const prices = `
		SELECT m.event_id, x.market_id, x.selection_id, x.ordinal, x.code, x.version, p.jurisdiction, p.american
		FROM selection x
		JOIN market m USING (market_id)
		JOIN price p USING (selection_id)`
	err = c.each(ctx, prices, func(rows *sql.Rows) error {
		var event, market, selection, code, j string
		var ordinal int
		var version, american int64
		if err := rows.Scan(&event, &market, &selection, &ordinal, &code, &version, &j, &american); err != nil {
			return err
		}
		price, err := odds.American(american)
		if err != nil {
			return errs.Wrap(err, errs.CodeInternal, "price of %s", selection)
		}
		e := events[event]
		x := &e.market(market).selections[ordinal]
		x.id, x.code, x.name, x.version = selection, code, e.selectionName(code), version
		if j == "" {
			x.price = price
		} else {
			x.own = withOwn(x.own, id.Jurisdiction(j), price)
		}
		return nil
	})
	return sqldb.Wrap("load prices", err)
}

// decisions reads the decisions of an event, or of all events for the empty id, oldest first.
func (c catalogueStore) decisions(ctx context.Context, eventID string) ([]Decision, error) {
	const q = `
		SELECT event_id, version, settlement_id, kind, market_id, home_score, away_score, reason, entered_by, entered_us
		FROM decision
		WHERE event_id = ? OR ? = ''
		ORDER BY entered_us, event_id, version`
	var all []Decision
	err := c.each(ctx, q, func(rows *sql.Rows) error {
		var d Decision
		var entered int64
		err := rows.Scan(&d.EventID, &d.Version, &d.SettlementID, &d.Kind, &d.MarketID, &d.HomeScore, &d.AwayScore,
			&d.Reason, &d.EnteredBy, &entered)
		d.EnteredAt = time.UnixMicro(entered).UTC()
		all = append(all, d)
		return err
	}, eventID, eventID)
	return all, sqldb.Wrap("read decisions", err)
}

// changes reads an event's change log, newest first.
func (c catalogueStore) changes(ctx context.Context, eventID string, limit int) ([]MarketChange, error) {
	const q = `
		SELECT at_us, actor, event_id, market_id, selection_id, jurisdiction, field, old, new, version
		FROM market_change
		WHERE event_id = ?
		ORDER BY change_id DESC
		LIMIT ?`
	var all []MarketChange
	err := c.each(ctx, q, func(rows *sql.Rows) error {
		var l MarketChange
		var at int64
		err := rows.Scan(&at, &l.Actor, &l.EventID, &l.MarketID, &l.SelectionID, &l.Jurisdiction, &l.Field, &l.Old,
			&l.New, &l.Version)
		l.At = time.UnixMicro(at).UTC()
		all = append(all, l)
		return err
	}, eventID, limit)
	return all, sqldb.Wrap("read change log", err)
}

// each calls fn for every row of a query.
func (c catalogueStore) each(ctx context.Context, query string, fn func(*sql.Rows) error, args ...any) error {
	rows, err := c.db.Read.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// slug makes a stable id of a name: lower case, every run of other characters one dash.
func slug(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	return strings.Join(fields, "-")
}

// eventName is what the event is called everywhere.
func eventName(away, home string) string { return away + " at " + home }
