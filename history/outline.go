package history

import (
	"context"
	"strconv"
	"strings"

	"matchday/id"
	"matchday/internal/sqldb"
	"matchday/money"
)

// outline is what never changes of the bets that a digest took in at a time: a line for each with id, stake and
// tags, newest first. It is written once. A bet that is over has no line.
type outline struct {
	after, last id.Bet // of all bets behind after, up to last
	lines       string
}

// The tags of an outline beside those of a digest.
func productTag(product string) string         { return tag('p', product) }
func currencyTag(c money.Currency) string      { return tag('m', string(c)) }
func jurisdictionTag(j id.Jurisdiction) string { return tag('j', string(j)) }

// outlineOf makes the outline of the bets behind one, which come oldest first.
func (d *digests) outlineOf(after id.Bet, bets []Bet) outline {
	var lines strings.Builder
	for i := len(bets) - 1; i >= 0; i-- {
		b := &bets[i]
		if b.ID < d.kept.floor(b.Jurisdiction) {
			continue
		}
		tags := map[string]bool{productTag(b.Product): true, currencyTag(b.Stake.Currency()): true, jurisdictionTag(b.Jurisdiction): true}
		for n := range b.Legs {
			b.Legs[n].tag(tags)
		}
		lines.WriteString(string(b.ID))
		lines.WriteByte(' ')
		lines.WriteString(strconv.FormatInt(b.Stake.Minor(), 10))
		lines.WriteByte(' ')
		lines.WriteString(tagText(tags))
		lines.WriteByte('\n')
	}
	return outline{after, bets[len(bets)-1].ID, lines.String()}
}

// writeOutline adds the outline of a player's bets. Where it is the first, any that are there are of a digest that a
// process deleted which did not know of outlines.
func writeOutline(ctx context.Context, on tables, player id.Player, o outline) error {
	const insert = `
		INSERT INTO outline (player_id, last_bet, after_bet, bets)
		VALUES (?, ?, ?, ?)`
	if o.after == "" {
		if err := forgetOutlines(ctx, on, player); err != nil {
			return err
		}
	}
	_, err := on.ExecContext(ctx, insert, string(player), string(o.last), string(o.after), o.lines)
	return sqldb.Wrap("write outline", err)
}

// forgetOutlines deletes the outlines of a player.
func forgetOutlines(ctx context.Context, on tables, player id.Player) error {
	const q = `
		DELETE FROM outline
		WHERE player_id = ?`
	_, err := on.ExecContext(ctx, q, string(player))
	return sqldb.Wrap("delete outlines", err)
}

// outlineFilter is what a list looks for in outlines. What it finds may still not fit.
type outlineFilter struct {
	tags        []string // as they are in a line, between spaces
	least, most int64
}

// outlineFilter returns what the lines of bets that fit have in them; false where outlines tell nothing that the
// digest does not.
func (q *Query) outlineFilter() (f outlineFilter, ok bool) {
	for _, one := range []string{productTag(q.Product), currencyTag(q.Currency), eventTag(q.Event), sportTag(q.Sport), competitionTag(q.Competition)} {
		if one != "" {
			f.tags = append(f.tags, inTags(one))
		}
	}
	ok = len(f.tags) > 0
	f.tags = append(f.tags, inTags(jurisdictionTag(q.Jurisdiction)))
	f.least, f.most = q.stakes()
	return f, ok
}

// fits reports whether the rest of a line behind the id may be of a bet that fits.
func (f *outlineFilter) fits(rest string) bool {
	stake, tags, _ := strings.Cut(rest, " ")
	if minor, err := strconv.ParseInt(stake, 10, 64); err == nil && (minor < f.least || minor > f.most) {
		return false
	}
	if tags == anyTag {
		return true
	}
	for _, one := range f.tags {
		if !strings.Contains(tags, one) {
			return false
		}
	}
	return true
}
