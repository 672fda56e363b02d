package history

import (
	"context"
	"fmt"
	"hash/maphash"
	"maps"

	"matchday/errs"
	"matchday/id"
	"matchday/internal/sqldb"
)

// changeFacts are what bet_change has of a settlement.
type changeFacts struct {
	outcome    string
	version    int
	seq        int64
	us, payout int64
	legs       string
}

// readKept adds up the settlements that are kept beside the bets of this pass.
func (p *auditor) readKept(ctx context.Context) error {
	const q = `
		SELECT player_id, bet_id, version, seq, status, at_us, payout_minor, outcomes
		FROM bet_change`
	p.kept = map[betKey]uint64{}
	rows, err := p.at.on.QueryContext(ctx, q)
	if err != nil {
		return sqldb.Wrap("read settlements", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k betKey
		var f changeFacts
		var st state
		var letters string
		if err := rows.Scan(&k.player, &k.bet, &f.version, &f.seq, &st, &f.us, &f.payout, &letters); err != nil {
			return sqldb.Wrap("read settlements", err)
		}
		if _, mine := p.key(string(k.player), string(k.bet), ""); !mine {
			continue
		}
		f.outcome, f.legs = string(statuses[st]), legOutcomes(letters)
		p.kept[k] += maphash.Comparable(p.seed, f)
	}
	return sqldb.Wrap("read settlements", rows.Err())
}

// legOutcomes writes stored outcomes as the facts of a record do.
func legOutcomes(letters string) string {
	return fmt.Sprint(outcomesOf(letters))
}

// auditDigests compares each digest with the player's bets, which have been compared with the log. Digests of
// days by another zone go when the process that writes them next begins, and are left out.
func auditDigests(ctx context.Context, at *snapshot, d *digests) error {
	if other, err := d.otherZones(ctx, at.on); err != nil || other {
		return err
	}
	if err := d.load(ctx, at.on); err != nil {
		return err
	}
	const (
		sums = `
			SELECT COUNT(*)
			FROM digest
			WHERE NOT EXISTS (
				SELECT bet_id
				FROM digested
				WHERE digested.player_id = digest.player_id)`
		outlines = `
			SELECT COUNT(*)
			FROM outline
			WHERE NOT EXISTS (
				SELECT bet_id
				FROM digested
				WHERE digested.player_id = outline.player_id
				  AND digested.bet_id >= outline.last_bet)`
	)
	for _, q := range []string{sums, outlines} {
		var stray int
		if err := at.on.QueryRowContext(ctx, q).Scan(&stray); err != nil {
			return sqldb.Wrap("audit digests", err)
		}
		if stray > 0 {
			return errs.New(errs.CodeInternal, "%d rows of digests are of players who have none", stray)
		}
	}
	for player, last := range d.marks {
		if err := auditDigest(ctx, at, d, betKey{player, last}); err != nil {
			return err
		}
		if err := auditOutlines(ctx, at, d, player); err != nil {
			return err
		}
	}
	return nil
}

// auditDigest makes one digest again.
func auditDigest(ctx context.Context, at *snapshot, d *digests, upTo betKey) error {
	const where = `
		WHERE b.player_id = ?
		  AND b.bet_id > ?
		  AND b.bet_id <= ?
		ORDER BY b.bet_id
		LIMIT ?`
	want := map[sumKey]*sum{}
	for last := id.Bet(""); ; {
		rows, err := at.on.QueryContext(ctx, columns+at.sameBet+where, string(upTo.player), string(last), string(upTo.bet), forEachPage)
		if err != nil {
			return sqldb.Wrap("audit digest", err)
		}
		bets, err := scanBets(rows)
		if err != nil {
			return fmt.Errorf("audit digest of %s: %w", upTo.player, err)
		}
		for i := range bets {
			last = bets[i].ID
			if last < d.kept.floor(bets[i].Jurisdiction) {
				continue
			}
			for _, k := range d.keysOf(&bets[i]) {
				if want[k] == nil {
					want[k] = &sum{tags: map[string]bool{}}
				}
				want[k].add(&bets[i])
			}
		}
		if len(bets) < forEachPage {
			break
		}
	}
	have, err := readSums(ctx, at, upTo.player)
	if err != nil {
		return err
	}
	for k, one := range have {
		if want[k] == nil || !one.equals(want[k]) {
			return errs.New(errs.CodeInternal, "the digest of %s in %s (%s, %s) is not the sum of the bets", upTo.player, k.written(), k.product, k.currency)
		}
		delete(want, k)
	}
	for k := range want {
		return errs.New(errs.CodeInternal, "the digest of %s has no row of %s (%s, %s)", upTo.player, k.written(), k.product, k.currency)
	}
	return nil
}

// readSums reads the digest of a player.
func readSums(ctx context.Context, at *snapshot, player id.Player) (map[sumKey]*sum, error) {
	const q = `
		SELECT jurisdiction, grain, period, product, currency, ` + sumColumns + `
		FROM digest
		WHERE player_id = ?`
	rows, err := at.on.QueryContext(ctx, q, string(player))
	if err != nil {
		return nil, sqldb.Wrap("read digest", err)
	}
	defer rows.Close()
	out := map[sumKey]*sum{}
	for rows.Next() {
		var k sumKey
		var d sum
		if err := d.scan(rows, &k.jurisdiction, &k.grain, &k.period, &k.product, &k.currency); err != nil {
			return nil, sqldb.Wrap("read digest", err)
		}
		out[k] = &d
	}
	return out, sqldb.Wrap("read digest", rows.Err())
}

// equals reports whether both have the same in them.
func (d *sum) equals(other *sum) bool {
	delete(other.tags, "")
	return d.first == other.first && d.last == other.last && d.states == other.states && d.staked == other.staked && d.atStake == other.atStake &&
		d.returned == other.returned && d.least == other.least && d.most == other.most &&
		(d.tags[anyTag] || maps.Equal(d.tags, other.tags))
}

// auditOutlines makes each outline of a player again. Some may lack: readers look at the bets then.
func auditOutlines(ctx context.Context, at *snapshot, d *digests, player id.Player) error {
	const (
		q = `
			SELECT after_bet, last_bet, bets
			FROM outline
			WHERE player_id = ?
			  AND last_bet > ?
			ORDER BY last_bet
			LIMIT ?`
		where = `
			WHERE b.player_id = ?
			  AND b.bet_id > ?
			  AND b.bet_id <= ?
			ORDER BY b.bet_id
			LIMIT ?`
	)
	for last := id.Bet(""); ; {
		rows, err := at.on.QueryContext(ctx, q, string(player), string(last), maxOutlines)
		if err != nil {
			return sqldb.Wrap("audit outlines", err)
		}
		list, err := scanOutlines(rows)
		if err != nil {
			return err
		}
		for _, o := range list {
			last = o.last
			rows, err := at.on.QueryContext(ctx, columns+at.sameBet+where, string(player), string(o.after), string(o.last), forEachPage)
			if err != nil {
				return sqldb.Wrap("audit outlines", err)
			}
			bets, err := scanBets(rows)
			if err != nil {
				return fmt.Errorf("audit outline of %s: %w", player, err)
			}
			if len(bets) == 0 || d.outlineOf(o.after, bets) != o {
				return errs.New(errs.CodeInternal, "the outline of %s up to %s is not that of the bets", player, o.last)
			}
		}
		if len(list) < maxOutlines {
			return nil
		}
	}
}
