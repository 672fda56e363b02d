package history

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// Zone returns the time zone whose days a jurisdiction goes by.
type Zone func(id.Jurisdiction) *time.Location

// digests makes and keeps the digests of one shard: the days and months of players who have many bets, summed up.
// A bet that is over is in none, nor one that would be if it were settled: a floor that rises takes all digests with it.
// They are made when a reader has had to look at many bets, never on the way of a bet, and leave the newest
// bets out, most of which are still to be settled. A settlement of a bet that is in one changes it in the
// same DBTx. A nil digests makes none, and keeps none.
type digests struct {
	zone        Zone
	kept        *keeper
	chunk, keep int // bets that one DBTx takes in; the newest that are left out

	mu sync.RWMutex

	// marks is up to where each player's bets may be in the digest: what the database says, or more. Players
	// who are not in it have none.
	marks map[id.Player]id.Bet
}

// A reader looks at the bets that are in no digest one by one, 500 of them in two milliseconds; a settlement of
// a bet that is in one costs three statements.
const (
	digestChunk = 250
	digestKeep  = 250
)

func newDigests(zone Zone, kept *keeper) *digests {
	if zone == nil {
		zone = func(id.Jurisdiction) *time.Location { return time.UTC }
	}
	return &digests{zone: zone, kept: kept, chunk: digestChunk, keep: digestKeep, marks: make(map[id.Player]id.Bet)}
}

// load reads the marks. What is known already stays.
func (d *digests) load(ctx context.Context, on reader) error {
	const q = `
		SELECT player_id, bet_id
		FROM digested`
	if d == nil {
		return nil
	}
	rows, err := on.QueryContext(ctx, q)
	if err != nil {
		return sqldb.Wrap("read digests", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k betKey
		if err := rows.Scan(&k.player, &k.bet); err != nil {
			return sqldb.Wrap("read digests", err)
		}
		d.raise(k)
	}
	return sqldb.Wrap("read digests", rows.Err())
}

func (d *digests) raise(k betKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.marks[k.player] = max(d.marks[k.player], k.bet)
}

// covered returns those of the changes whose bets may be in a digest.
func (d *digests) covered(list []*change) (out []*change) {
	if d == nil {
		return nil
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.marks) == 0 {
		return nil
	}
	for _, c := range list {
		if c.bet <= d.marks[c.player] {
			out = append(out, c)
		}
	}
	return out
}

// mark returns up to which bet the player's bets are in the digest; "" is none.
func mark(ctx context.Context, on tables, player id.Player) (last id.Bet, err error) {
	const q = `
		SELECT bet_id
		FROM digested
		WHERE player_id = ?`
	if err = on.QueryRowContext(ctx, q, string(player)).Scan(&last); errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return last, sqldb.Wrap("read digest", err)
}

// extend takes the next bets of a player into the digest and reports whether there may be more to take.
func (d *digests) extend(ctx context.Context, on tables, player id.Player) (more bool, err error) {
	const where = `
		WHERE b.player_id = ?
		  AND b.bet_id > ?
		ORDER BY b.bet_id
		LIMIT ?`
	last, err := mark(ctx, on, player)
	if err != nil {
		return false, err
	}
	if more, err = d.hasMore(ctx, on, betKey{player, last}); err != nil || !more {
		return false, err
	}
	rows, err := on.QueryContext(ctx, columns+on.sameBet()+where, string(player), string(last), d.chunk)
	if err != nil {
		return false, sqldb.Wrap("read bets for a digest", err)
	}
	bets, err := scanBets(rows)
	if err != nil || len(bets) < d.chunk {
		return false, err
	}
	sums := map[sumKey]*sum{}
	for i := range bets {
		if bets[i].ID < d.kept.floor(bets[i].Jurisdiction) {
			continue
		}
		for _, k := range d.keysOf(&bets[i]) {
			if sums[k] == nil {
				if sums[k], err = readSum(ctx, on, player, k); err != nil {
					return false, err
				}
			}
			sums[k].add(&bets[i])
		}
	}
	for k, one := range sums {
		if err := errors.Join(writeSum(ctx, on, player, k, one), d.noteZone(ctx, on, k.jurisdiction)); err != nil {
			return false, err
		}
	}
	if err := writeOutline(ctx, on, player, d.outlineOf(last, bets)); err != nil {
		return false, err
	}
	return true, d.move(ctx, on, betKey{player, bets[d.chunk-1].ID})
}

// hasMore reports whether the player has enough bets behind one to take some of them in.
func (d *digests) hasMore(ctx context.Context, on tables, behind betKey) (bool, error) {
	const q = `
		SELECT COUNT(*)
		FROM (
			SELECT bet_id
			FROM bet
			WHERE player_id = ?
			  AND bet_id > ?
			LIMIT ?
		) AS newer`
	var n int
	err := on.QueryRowContext(ctx, q, string(behind.player), string(behind.bet), d.chunk+d.keep).Scan(&n)
	return n == d.chunk+d.keep, sqldb.Wrap("count bets for a digest", err)
}

// move moves the mark of a player.
func (d *digests) move(ctx context.Context, on tables, to betKey) error {
	const (
		forget = `
			DELETE FROM digested
			WHERE player_id = ?`
		note = `
			INSERT INTO digested (player_id, bet_id)
			VALUES (?, ?)`
	)
	d.raise(to) // before it counts: marks may be too high, never too low
	if _, err := on.ExecContext(ctx, forget, string(to.player)); err != nil {
		return sqldb.Wrap("note digest", err)
	}
	_, err := on.ExecContext(ctx, note, string(to.player), string(to.bet))
	return sqldb.Wrap("note digest", err)
}

// settle changes the day and the month of a bet that is settled, if the bet is in the digest.
func (d *digests) settle(ctx context.Context, on tables, r rareSettlement) error {
	const q = `
		UPDATE digest
		SET bets_open = bets_open + ?, bets_won = bets_won + ?, bets_lost = bets_lost + ?, bets_push = bets_push + ?, bets_void = bets_void + ?,
		    at_stake_minor = at_stake_minor + ?, returned_minor = returned_minor + ?
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND grain IN (1, 2)
		  AND period IN (?, ?)
		  AND period = CASE grain WHEN 1 THEN ? ELSE ? END
		  AND product = ?
		  AND currency = ?
		  AND bets_open + ? >= 0
		  AND bets_won + ? >= 0
		  AND bets_lost + ? >= 0
		  AND bets_push + ? >= 0
		  AND bets_void + ? >= 0
		  AND at_stake_minor + ? >= 0
		  AND returned_minor + ? >= 0`
	last, err := mark(ctx, on, r.player)
	if err != nil || r.bet > last || r.bet < d.kept.floor(r.jurisdiction) {
		return err
	}
	var states [stateVoid + 1]int
	states[r.before.state]--
	states[r.settlement.state]++
	by := []any{states[stateOpen], states[stateWon], states[stateLost], states[statePush], states[stateVoid],
		int64(states[stateOpen]) * r.before.stake, r.settlement.payout - r.before.payout}
	day := dayNumber(r.before.placedUS, d.zone(r.jurisdiction))
	month := monthNumber(day)
	args := append(slices.Clone(by), string(r.player), r.before.jurisdiction, day, month, day, month, r.before.product, r.before.currency)
	done, err := on.ExecContext(ctx, q, append(args, by...)...)
	if err != nil {
		return sqldb.Wrap("settle in a digest", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 2 { // nothing changed, or the zone is another than it was
		return errors.Join(err, forgetDigest(ctx, on, r.player))
	}
	return nil
}

// forgetDigest deletes the digest of a player. It is made again when somebody asks.
func forgetDigest(ctx context.Context, on tables, player id.Player) error {
	const (
		days = `
			DELETE FROM digest
			WHERE player_id = ?`
		note = `
			DELETE FROM digested
			WHERE player_id = ?`
	)
	for _, q := range []string{days, note} {
		if _, err := on.ExecContext(ctx, q, string(player)); err != nil {
			return sqldb.Wrap("delete digest", err)
		}
	}
	return forgetOutlines(ctx, on, player)
}

// forgetDigests deletes all digests of a shard.
func forgetDigests(ctx context.Context, on stream.Conn) error {
	const (
		sums     = `DELETE FROM digest`
		outlines = `DELETE FROM outline`
		notes    = `DELETE FROM digested`
		zones    = `DELETE FROM digest_zone`
	)
	for _, q := range []string{sums, outlines, notes, zones} {
		if _, err := on.ExecContext(ctx, q); err != nil {
			return sqldb.Wrap("delete digests", err)
		}
	}
	return nil
}
