package history

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"

	"matchday/id"
	"matchday/internal/mysqldb"
)

// mysqlTx is tables over the connection of one writer's DBTx.
type mysqlTx struct {
	*sql.Conn
	part int
}

// sameBet implements tables.
func (t *mysqlTx) sameBet() string { return sameBetID }

// statementBytes is the size at which a statement is sent: enough that the way to the server costs little
// beside the rows, and well below what every server must take.
const statementBytes = 1 << 20

// rowText gathers rows of a multi-row statement as text: the values in it are numbers and quoted texts, and
// database/sql's arguments would cost more than the server's work.
//
// Texts are escaped for a session without NO_BACKSLASH_ESCAPES and with the character set binary, which the
// connector sets: there a quote and a backslash are all that ends or changes a literal.
type rowText struct {
	head, tail string
	buf        []byte
	rows       int
	changed    int64
	exec       func(q string) (int64, error)
}

func (t *mysqlTx) rows(ctx context.Context, head, tail string) *rowText {
	return &rowText{head: head, tail: tail, buf: make([]byte, 0, statementBytes/4), exec: func(q string) (int64, error) {
		done, err := t.ExecContext(ctx, q)
		if err != nil {
			return 0, err
		}
		return done.RowsAffected()
	}}
}

// begin begins a row.
func (r *rowText) begin() {
	if r.rows == 0 {
		r.buf = append(r.buf[:0], r.head...)
	} else {
		r.buf = append(r.buf, ',')
	}
	r.buf = append(r.buf, '(')
	r.rows++
}

// ints adds numbers.
func (r *rowText) ints(list ...int64) {
	for _, n := range list {
		r.buf = append(strconv.AppendInt(r.buf, n, 10), ',')
	}
}

// addText adds a quoted text.
func addText[T ~string | ~[]byte](r *rowText, text T) {
	b := append(r.buf, '\'')
	start := 0
	for i := range len(text) {
		if text[i] == '\'' || text[i] == '\\' {
			b = append(append(b, text[start:i]...), '\\')
			start = i
		}
	}
	r.buf = append(append(b, text[start:]...), '\'', ',')
}

// end ends a row and sends what is there when that is enough.
func (r *rowText) end() error {
	r.buf[len(r.buf)-1] = ')'
	if len(r.buf) < statementBytes {
		return nil
	}
	return r.send()
}

// send sends what is there.
func (r *rowText) send() error {
	if r.rows == 0 {
		return nil
	}
	n, err := r.exec(string(append(r.buf, r.tail...)))
	r.changed, r.rows = r.changed+n, 0
	return err
}

const (
	mysqlSlips = "INSERT INTO slip (seq,bet_id,jurisdiction,product,currency,placed_us,stake_minor,potential_minor,legs) VALUES "
	mysqlBets  = "INSERT INTO bet (player_id,bet_id,jurisdiction,slip_seq,seq,status,version,settled_us,payout_minor,outcomes) VALUES "

	// The newer version wins; it is assigned last, because the others ask for the one that is there.
	mysqlSettle = ` ON DUPLICATE KEY UPDATE
		seq = IF(bet.version < VALUES(version) AND bet.seq < VALUES(seq) AND bet.jurisdiction = VALUES(jurisdiction), VALUES(seq), bet.seq),
		status = IF(bet.seq = VALUES(seq), VALUES(status), bet.status),
		settled_us = IF(bet.seq = VALUES(seq), VALUES(settled_us), bet.settled_us),
		payout_minor = IF(bet.seq = VALUES(seq), VALUES(payout_minor), bet.payout_minor),
		outcomes = IF(bet.seq = VALUES(seq), VALUES(outcomes), bet.outcomes),
		version = IF(bet.seq = VALUES(seq), VALUES(version), bet.version)`
)

// insertBets implements tables.
func (t *mysqlTx) insertBets(ctx context.Context, list []*change) error {
	slips := t.rows(ctx, mysqlSlips, "")
	for _, c := range list {
		slips.begin()
		slips.ints(c.placedSeq)
		addText(slips, c.bet)
		addText(slips, c.jurisdiction)
		addText(slips, c.slip.Product)
		addText(slips, c.slip.Currency)
		slips.ints(c.placedAt.UnixMicro(), c.slip.StakeMinor, c.slip.PotentialPayoutMinor)
		addText(slips, c.legs)
		if err := slips.end(); err != nil {
			return mysqldb.Wrap("insert slips", err)
		}
	}
	if err := slips.send(); err != nil {
		return mysqldb.Wrap("insert slips", err)
	}
	sortByKey(list)
	bets := t.rows(ctx, mysqlBets, "")
	for _, c := range list {
		s := c.shown()
		if err := bets.bet(c, c.placedSeq, &s); err != nil {
			return mysqldb.Wrap("insert bets", err)
		}
	}
	return mysqldb.Wrap("insert bets", bets.send())
}

// bet adds a row of table bet.
func (r *rowText) bet(c *change, slip int64, s *settlement) error {
	r.begin()
	addText(r, c.player)
	addText(r, c.bet)
	addText(r, c.jurisdiction)
	r.ints(slip, s.seq, int64(s.state), int64(s.version), s.settledUS, s.payout)
	addText(r, s.outcomes)
	return r.end()
}

// settleBets implements tables. The upsert writes changed columns only; it counts a changed row as two, one
// that shows a newer settlement as none, and a bet that was never placed, which must not be there, as one.
// Anything but two for each is looked into by the caller, before the DBTx can commit.
func (t *mysqlTx) settleBets(ctx context.Context, list []*change) (int64, error) {
	all := int64(len(list))
	list, err := t.present(ctx, list)
	if err != nil {
		return 0, err
	}
	sortByKey(list) // all writers lock in one order
	rows := t.rows(ctx, mysqlBets, mysqlSettle)
	for _, c := range list {
		if err := rows.bet(c, 0, &c.settlement); err != nil {
			return 0, mysqldb.Wrap("settle bets", err)
		}
	}
	if err := rows.send(); err != nil {
		return 0, mysqldb.Wrap("settle bets", err)
	}
	if rows.changed == 2*int64(len(list)) {
		return all, nil
	}
	return -1, nil
}

// presentChunk is how many bets one statement of present asks for.
const presentChunk = 200

// present leaves out the late settlements of bets that have been dropped: an upsert would bring them back.
func (t *mysqlTx) present(ctx context.Context, list []*change) ([]*change, error) {
	const (
		find = `
			SELECT player_id, bet_id
			FROM bet
			WHERE `
		one = `(player_id = ? AND bet_id = ?)`
	)
	var late []*change
	out := make([]*change, 0, len(list))
	for _, c := range list {
		if c.late {
			late = append(late, c)
		} else {
			out = append(out, c)
		}
	}
	for chunk := range slices.Chunk(late, presentChunk) {
		args, there := make([]any, 0, 2*len(chunk)), make(map[betKey]bool, len(chunk))
		for _, c := range chunk {
			args = append(args, string(c.player), string(c.bet))
		}
		rows, err := t.QueryContext(ctx, find+one+strings.Repeat(" OR "+one, len(chunk)-1), args...)
		if err != nil {
			return nil, mysqldb.Wrap("find late bets", err)
		}
		for rows.Next() {
			var k betKey
			if err := rows.Scan(&k.player, &k.bet); err != nil {
				return nil, errors.Join(mysqldb.Wrap("find late bets", err), rows.Close())
			}
			there[k] = true
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, mysqldb.Wrap("find late bets", err)
		}
		for _, c := range chunk {
			if there[c.betKey] {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// noteBucket implements tables.
func (t *mysqlTx) noteBucket(ctx context.Context, bucket int, left bool) error {
	const (
		note = `
			INSERT IGNORE INTO left_bucket (part, bucket)
			VALUES (?, ?)`
		forget = `
			DELETE FROM left_bucket
			WHERE part = ? AND bucket = ?`
	)
	q := forget
	if left {
		q = note
	}
	_, err := t.ExecContext(ctx, q, t.part, bucket)
	return mysqldb.Wrap("note bucket", err)
}

// forgetPlayer implements tables.
func (t *mysqlTx) forgetPlayer(ctx context.Context, player id.Player) error {
	const (
		slips = `
			DELETE s
			FROM slip AS s
			JOIN bet AS b ON b.slip_seq = s.seq AND b.bet_id = s.bet_id
			WHERE b.player_id = ?`
		bets = `
			DELETE FROM bet
			WHERE player_id = ?`
	)
	for _, q := range []string{slips, bets} {
		if _, err := t.ExecContext(ctx, q, string(player)); err != nil {
			return mysqldb.Wrap("delete bets of a player", err)
		}
	}
	return nil
}
