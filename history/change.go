package history

import (
	"context"
	"database/sql"
	"errors"

	"matchday/internal/sqldb"
)

// standing is how a bet stands in the database before a settlement, with what a digest has of it.
type standing struct {
	settlement
	jurisdiction      string
	product, currency string
	placedUS, stake   int64
}

// standingOf reads a bet of the change; false where it was never placed.
func standingOf(ctx context.Context, on tables, c *change) (standing, bool, error) {
	const q = `
		SELECT b.jurisdiction, b.seq, b.status, b.version, b.settled_us, b.payout_minor, b.outcomes,
		       s.product, s.currency, s.placed_us, s.stake_minor` + betTables
	const where = `
		WHERE b.player_id = ?
		  AND b.bet_id = ?
		  AND b.jurisdiction = ?`
	var o standing
	err := on.QueryRowContext(ctx, q+on.sameBet()+where, string(c.player), string(c.bet), string(c.jurisdiction)).Scan(&o.jurisdiction, &o.seq, &o.state, &o.version,
		&o.settledUS, &o.payout, &o.outcomes, &o.product, &o.currency, &o.placedUS, &o.stake)
	if errors.Is(err, sql.ErrNoRows) {
		return o, false, nil
	}
	o.atUS = o.settledUS
	return o, true, sqldb.Wrap("read bet before it is settled", err)
}

// isRare reports whether a settlement is more than the first of its bet: then it is kept beside the bet.
func (s *settlement) isRare() bool { return s.version > 1 || s.version > 0 && s.state == stateOpen }

// keepSettlements keeps settlements beside the bet. One that is there already stays as it is.
func keepSettlements(ctx context.Context, on tables, k betKey, list []settlement) error {
	const q = `
		INSERT INTO bet_change (player_id, bet_id, version, seq, status, at_us, payout_minor, outcomes)
		SELECT ?, ?, ?, ?, ?, ?, ?, ?
		FROM (SELECT 1) AS one
		WHERE NOT EXISTS (
			SELECT version
			FROM bet_change
			WHERE player_id = ?
			  AND bet_id = ?
			  AND version = ?)`
	for i := range list {
		s := &list[i]
		_, err := on.ExecContext(ctx, q, string(k.player), string(k.bet), s.version, s.seq, int(s.state), s.atUS, s.payout, s.outcomes,
			string(k.player), string(k.bet), s.version)
		if err != nil {
			return sqldb.Wrap("keep settlement", err)
		}
	}
	return nil
}

// keepEarlier keeps the settlements of new bets that have more than one.
func keepEarlier(ctx context.Context, on tables, inserts []*change) error {
	for _, c := range inserts {
		if len(c.earlier) == 0 && !c.settlement.isRare() {
			continue
		}
		if err := keepSettlements(ctx, on, c.betKey, append(c.earlier, c.settlement)); err != nil {
			return err
		}
	}
	return nil
}

// afterInsert does what a new bet asks for besides its rows, which is nearly always nothing.
func (p *projector) afterInsert(ctx context.Context, on tables, inserts []*change) error {
	if err := keepEarlier(ctx, on, inserts); err != nil {
		return err
	}
	for _, c := range p.digests.covered(inserts) { // an id that sorts before older ones: clocks differ
		if err := forgetDigest(ctx, on, c.player); err != nil {
			return err
		}
	}
	return nil
}

// rareSettlement is a settlement that concerns more than the bet's row.
type rareSettlement struct {
	*change
	before    standing
	isCovered bool // by the player's digest
}

// rareOf reads the bets whose settlement concerns more than their row, before it is written.
func (p *projector) rareOf(ctx context.Context, on tables, updates []*change) ([]rareSettlement, error) {
	covered := map[*change]bool{}
	for _, c := range p.digests.covered(updates) {
		covered[c] = true
	}
	var out []rareSettlement
	for _, c := range updates {
		if !covered[c] && len(c.earlier) == 0 && !c.settlement.isRare() {
			continue
		}
		before, found, err := standingOf(ctx, on, c)
		if err != nil {
			return nil, err
		}
		if found && before.version < c.settlement.version && before.seq < c.settlement.seq {
			out = append(out, rareSettlement{c, before, covered[c]})
		}
	}
	return out, nil
}

// afterSettle keeps earlier settlements and brings digests up to date.
func (p *projector) afterSettle(ctx context.Context, on tables, list []rareSettlement) error {
	for _, r := range list {
		var shown []settlement // each of them for a while
		if r.before.version > 0 {
			shown = append(shown, r.before.settlement)
		}
		for _, s := range append(r.earlier, r.settlement) {
			if s.version > r.before.version && s.seq > r.before.seq {
				shown = append(shown, s)
			}
		}
		if len(shown) > 1 || r.settlement.isRare() {
			if err := keepSettlements(ctx, on, r.betKey, shown); err != nil {
				return err
			}
		}
		if r.isCovered {
			if err := p.digests.settle(ctx, on, r); err != nil {
				return err
			}
		}
	}
	return nil
}
