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
	"time"

	"matchday/id"
	"matchday/internal/sqldb"
)

// The grains of a digest's rows, as stored.
const (
	grainDay   = 1
	grainMonth = 2
)

// sumKey is the key of a digest's row of a player. The period is a day counted from 1970 or a month counted from
// year 0.
type sumKey struct {
	jurisdiction      id.Jurisdiction
	grain, period     int
	product, currency string
}

// written returns the period for people.
func (k sumKey) written() string {
	if k.grain == grainMonth {
		return GrainMonth.periodOf(firstDay(k.period))
	}
	return GrainDay.periodOf(k.period)
}

// sum is what a digest has of the bets of a day or a month.
type sum struct {
	first, last               id.Bet
	states                    [stateVoid + 1]int64
	staked, atStake, returned int64
	least, most               int64
	tags                      map[string]bool
	isStored                  bool
}

// keysOf returns the rows that a bet belongs to.
func (d *digests) keysOf(b *Bet) [2]sumKey {
	day := sumKey{b.Jurisdiction, grainDay, dayNumber(b.PlacedAt.UnixMicro(), d.zone(b.Jurisdiction)), b.Product, string(b.Stake.Currency())}
	month := day
	month.grain, month.period = grainMonth, monthNumber(day.period)
	return [2]sumKey{day, month}
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

// firstDay returns the first day of a month.
func firstDay(month int) int {
	return int(time.Date(month/12, time.Month(month%12+1), 1, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

// dayBegins returns the moment at which a day begins in the zone.
func dayBegins(number int, zone *time.Location) time.Time {
	year, month, date := time.Unix(int64(number)*24*60*60, 0).UTC().Date()
	return time.Date(year, month, date, 0, 0, 0, 0, zone)
}

// add takes a bet in.
func (d *sum) add(b *Bet) {
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
		b.Legs[i].tag(d.tags)
	}
}

// tag adds the tags of a leg.
func (l *Leg) tag(tags map[string]bool) {
	for _, one := range []string{eventTag(l.EventID), sportTag(l.Sport), competitionTag(l.Competition)} {
		tags[one] = true
	}
}

func (d *sum) bets() (n int64) {
	for _, of := range d.states {
		n += of
	}
	return n
}

// The tags of what a list can be filtered by; "" for what it is not.
func eventTag(event string) string             { return tag('e', event) }
func sportTag(sport string) string             { return tag('s', sport) }
func competitionTag(competition string) string { return tag('c', competition) }

// tag is a short hash. Two names may have the same: a list then looks at bets in vain.
func tag(kind byte, name string) string {
	if name == "" {
		return ""
	}
	h := fnv.New64a()
	_, _ = h.Write(append([]byte{kind}, name...)) // it has no error to return
	return strconv.FormatUint(h.Sum64()>>29, 32)
}

const (
	maxTags = 400 // of a row; one with more has anyTag
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

// inTags is what the tags of a row that has the tag have in them.
func inTags(tag string) string {
	if tag == "" {
		return ""
	}
	return " " + tag + " "
}

// sumColumns are what sum.scan reads.
const sumColumns = `first_bet, last_bet, bets_open, bets_won, bets_lost, bets_push, bets_void, staked_minor, at_stake_minor, returned_minor,
		       least_minor, most_minor, tags`

// scan reads sumColumns, after what else the query selects.
func (d *sum) scan(row interface{ Scan(into ...any) error }, before ...any) error {
	var tags string
	err := row.Scan(append(before, &d.first, &d.last, &d.states[stateOpen], &d.states[stateWon], &d.states[stateLost], &d.states[statePush],
		&d.states[stateVoid], &d.staked, &d.atStake, &d.returned, &d.least, &d.most, &tags)...)
	d.tags, d.isStored = map[string]bool{}, err == nil
	for one := range strings.FieldsSeq(tags) {
		d.tags[one] = true
	}
	return err
}

// readSum reads a row of a digest, an empty one where there is none.
func readSum(ctx context.Context, on tables, player id.Player, k sumKey) (*sum, error) {
	const q = `
		SELECT ` + sumColumns + `
		FROM digest
		WHERE player_id = ?
		  AND jurisdiction = ?
		  AND grain = ?
		  AND period = ?
		  AND product = ?
		  AND currency = ?`
	var d sum
	err := d.scan(on.QueryRowContext(ctx, q, string(player), string(k.jurisdiction), k.grain, k.period, k.product, k.currency))
	if errors.Is(err, sql.ErrNoRows) {
		return &d, nil
	}
	return &d, sqldb.Wrap("read digest", err)
}

// writeSum writes a row of a digest.
func writeSum(ctx context.Context, on tables, player id.Player, k sumKey, d *sum) error {
	const (
		insert = `
			INSERT INTO digest (first_bet, last_bet, bets_open, bets_won, bets_lost, bets_push, bets_void, staked_minor, at_stake_minor,
				returned_minor, least_minor, most_minor, tags, player_id, jurisdiction, grain, period, product, currency)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
		update = `
			UPDATE digest
			SET first_bet = ?, last_bet = ?, bets_open = ?, bets_won = ?, bets_lost = ?, bets_push = ?, bets_void = ?, staked_minor = ?,
			    at_stake_minor = ?, returned_minor = ?, least_minor = ?, most_minor = ?, tags = ?
			WHERE player_id = ?
			  AND jurisdiction = ?
			  AND grain = ?
			  AND period = ?
			  AND product = ?
			  AND currency = ?`
	)
	q := insert
	if d.isStored {
		q = update
	}
	_, err := on.ExecContext(ctx, q, string(d.first), string(d.last), d.states[stateOpen], d.states[stateWon], d.states[stateLost], d.states[statePush],
		d.states[stateVoid], d.staked, d.atStake, d.returned, d.least, d.most, tagText(d.tags),
		string(player), string(k.jurisdiction), k.grain, k.period, k.product, k.currency)
	return sqldb.Wrap("write digest", err)
}
