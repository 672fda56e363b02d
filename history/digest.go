package history

import (
	"context"
	"database/sql"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/stream"
)

// Zone returns the time zone whose days a jurisdiction goes by.
type Zone func(id.Jurisdiction) *time.Location

// digests makes and keeps the digests of one shard: the days of players who have many bets, summed up.
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

const (
	digestChunk = 500
	digestKeep  = 500
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
	rows, err := on.QueryContext(ctx, columns+on.sameBet()+where, string(player), string(last), d.chunk+d.keep)
	if err != nil {
		return false, sqldb.Wrap("read bets for a digest", err)
	}
	bets, err := scanBets(rows)
	if err != nil || len(bets) < d.chunk+d.keep {
		return false, err
	}
	bets = bets[:d.chunk]
	days := map[dayKey]*day{}
	for i := range bets {
		if bets[i].ID < d.kept.floor(bets[i].Jurisdiction) {
			continue
		}
		k := d.dayOf(&bets[i])
		if days[k] == nil {
			if days[k], err = readDay(ctx, on, player, k); err != nil {
				return false, err
			}
		}
		days[k].add(&bets[i])
	}
	for k, sum := range days {
		if err := writeDay(ctx, on, player, k, sum); err != nil {
			return false, err
		}
	}
	return true, d.move(ctx, on, betKey{player, bets[d.chunk-1].ID})
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

// settle changes the day of a bet that is settled, if the bet is in the digest.
func (d *digests) settle(ctx context.Context, on tables, r rareSettlement) error {
	const q = `
		UPDATE digest
		SET bets_open = bets_open + ?, bets_won = bets_won + ?, bets_lost = bets_lost + ?, bets_push = bets_push + ?, bets_void = bets_void + ?,
		    at_stake_minor = at_stake_minor + ?, returned_minor = returned_minor + ?
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND day = ?
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
	args := append(slices.Clone(by), string(r.player), r.before.jurisdiction, dayNumber(r.before.placedUS, d.zone(r.jurisdiction)),
		r.before.product, r.before.currency)
	done, err := on.ExecContext(ctx, q, append(args, by...)...)
	if err != nil {
		return sqldb.Wrap("settle in a digest", err)
	}
	if n, err := done.RowsAffected(); err != nil || n != 1 { // nothing changed, or the zone is another than it was
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
	return nil
}

// forgetDigests deletes all digests of a shard.
func forgetDigests(ctx context.Context, on stream.Conn) error {
	const (
		days  = `DELETE FROM digest`
		notes = `DELETE FROM digested`
	)
	for _, q := range []string{days, notes} {
		if _, err := on.ExecContext(ctx, q); err != nil {
			return sqldb.Wrap("delete digests", err)
		}
	}
	return nil
}

// dayKey is the key of a digest's row of a player.
type dayKey struct {
	jurisdiction      id.Jurisdiction
	day               int
	product, currency string
}

// day is what a digest has of the bets of a day.
type day struct {
	first, last               id.Bet
	states                    [stateVoid + 1]int64
	staked, atStake, returned int64
	least, most               int64
	tags                      map[string]bool
	isStored                  bool
}

// dayOf returns the row that a bet belongs to.
func (d *digests) dayOf(b *Bet) dayKey {
	return dayKey{b.Jurisdiction, dayNumber(b.PlacedAt.UnixMicro(), d.zone(b.Jurisdiction)), b.Product, string(b.Stake.Currency())}
}

// dayNumber returns the day on which a moment is in the zone, counted from 1970.
func dayNumber(us int64, zone *time.Location) int {
	year, month, date := time.UnixMicro(us).In(zone).Date()
	return int(time.Date(year, month, date, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// monthNumber returns the month of a day, counted from year 0.
func monthNumber(day int) int {
	year, month, _ := time.Unix(int64(day)*24*60*60, 0).UTC().Date()
	return year*12 + int(month) - 1
}

// dayBegins returns the moment at which a day begins in the zone.
func dayBegins(number int, zone *time.Location) time.Time {
	year, month, date := time.Unix(int64(number)*24*60*60, 0).UTC().Date()
	return time.Date(year, month, date, 0, 0, 0, 0, zone)
}

// add takes a bet in.
func (d *day) add(b *Bet) {
	stake := b.Stake.Minor()
	if d.bets() == 0 {
		d.first, d.last, d.least, d.most = b.ID, b.ID, stake, stake
	}
	d.first, d.last = min(d.first, b.ID), max(d.last, b.ID)
	d.least, d.most = min(d.least, stake), max(d.most, stake)
	st := state(slices.Index(statuses[:], b.Status))
	d.states[st]++
	d.staked += stake
	if st == stateOpen {
		d.atStake += stake
	}
	d.returned += b.Payout.Minor()
	for i := range b.Legs {
		l := &b.Legs[i]
		for _, tag := range []string{eventTag(l.EventID), sportTag(l.Sport), competitionTag(l.Competition)} {
			d.tags[tag] = true
		}
	}
}

func (d *day) bets() (n int64) {
	for _, of := range d.states {
		n += of
	}
	return n
}

// The tags of what a list can be filtered by; "" for what it is not.
func eventTag(event string) string             { return tag('e', event) }
func sportTag(sport string) string             { return tag('s', sport) }
func competitionTag(competition string) string { return tag('c', competition) }

// tag is a short hash. Two names may have the same: a list then looks at a day in vain.
func tag(kind byte, name string) string {
	if name == "" {
		return ""
	}
	h := fnv.New64a()
	_, _ = h.Write(append([]byte{kind}, name...)) // it has no error to return
	return strconv.FormatUint(h.Sum64()>>29, 32)
}

const (
	maxTags = 400 // of a day; one with more has anyTag
	anyTag  = "*"
)

// tagText writes tags as they are stored.
func tagText(tags map[string]bool) string {
	delete(tags, "")
	if len(tags) > maxTags || tags[anyTag] {
		return anyTag
	}
	return " " + strings.Join(slices.Sorted(maps.Keys(tags)), " ") + " "
}

// inTags is what the tags of a day that has the tag have in them.
func inTags(tag string) string {
	if tag == "" {
		return ""
	}
	return " " + tag + " "
}

// dayColumns are what scanDay reads.
const dayColumns = `
	SELECT first_bet, last_bet, bets_open, bets_won, bets_lost, bets_push, bets_void, staked_minor, at_stake_minor, returned_minor,
	       least_minor, most_minor, tags`

// scan reads dayColumns, after what else the query selects.
func (d *day) scan(row interface{ Scan(into ...any) error }, before ...any) error {
	var tags string
	err := row.Scan(append(before, &d.first, &d.last, &d.states[stateOpen], &d.states[stateWon], &d.states[stateLost], &d.states[statePush],
		&d.states[stateVoid], &d.staked, &d.atStake, &d.returned, &d.least, &d.most, &tags)...)
	d.tags, d.isStored = map[string]bool{}, err == nil
	for one := range strings.FieldsSeq(tags) {
		d.tags[one] = true
	}
	return err
}

// readDay reads a row of a digest, an empty one where there is none.
func readDay(ctx context.Context, on tables, player id.Player, k dayKey) (*day, error) {
	const q = dayColumns + `
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND day = ?
		  AND product = ?
		  AND currency = ?`
	var d day
	err := d.scan(on.QueryRowContext(ctx, q, string(player), string(k.jurisdiction), k.day, k.product, k.currency))
	if errors.Is(err, sql.ErrNoRows) {
		return &d, nil
	}
	return &d, sqldb.Wrap("read digest", err)
}

// writeDay writes a row of a digest.
func writeDay(ctx context.Context, on tables, player id.Player, k dayKey, d *day) error {
	const (
		insert = `
			INSERT INTO digest (first_bet, last_bet, bets_open, bets_won, bets_lost, bets_push, bets_void, staked_minor, at_stake_minor,
				returned_minor, least_minor, most_minor, tags, month, player_id, jurisdiction, day, product, currency)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
		update = `
			UPDATE digest
			SET first_bet = ?, last_bet = ?, bets_open = ?, bets_won = ?, bets_lost = ?, bets_push = ?, bets_void = ?, staked_minor = ?,
			    at_stake_minor = ?, returned_minor = ?, least_minor = ?, most_minor = ?, tags = ?, month = ?
			WHERE player_id = ?
			  AND jurisdiction = ?
			  AND day = ?
			  AND product = ?
			  AND currency = ?`
	)
	q := insert
	if d.isStored {
		q = update
	}
	_, err := on.ExecContext(ctx, q, string(d.first), string(d.last), d.states[stateOpen], d.states[stateWon], d.states[stateLost], d.states[statePush],
		d.states[stateVoid], d.staked, d.atStake, d.returned, d.least, d.most, tagText(d.tags), monthNumber(k.day),
		string(player), string(k.jurisdiction), k.day, k.product, k.currency)
	return sqldb.Wrap("write digest", err)
}
