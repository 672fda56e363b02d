package ledger

import (
	"strconv"
	"unsafe"

	"matchday/internal/mysqldb"
)

// packet builds the text of a batch's statements. Values are put into the text here: at a dozen rows
// per transfer the arguments of database/sql would cost more than the inserts, and one packet is one
// round trip, whatever is in it.
//
// Texts are escaped for a session without NO_BACKSLASH_ESCAPES and with the character set binary,
// which the connector sets: there a quote and a backslash are all that ends or changes a literal.
type packet struct {
	buf   []byte
	limit int // beyond it what is gathered is sent, after the statement in hand
	from  int // where the statement in hand begins
	exec  func(q string) error
	err   error  // of a part sent before
	some  []*row // what one statement is about; kept for its memory
}

// statementBytes bounds one INSERT; beyond it the next row begins another.
const statementBytes = 1 << 20

func (p *packet) reset(limit int, exec func(q string) error) {
	p.buf, p.from, p.limit, p.exec, p.err = p.buf[:0], 0, max(limit, statementBytes), exec, nil
}

// send sends what is gathered. The driver has copied the text when it returns.
func (p *packet) send() error {
	if p.err != nil || len(p.buf) == 0 {
		return p.err
	}
	p.err = p.exec(unsafe.String(&p.buf[0], len(p.buf))) // #nosec G103: see above
	p.buf, p.from = p.buf[:0], 0
	return p.err
}

// end ends the statement in hand.
func (p *packet) end() {
	p.text(";")
	p.from = len(p.buf)
	if len(p.buf) > p.limit {
		_ = p.send() // p.err keeps it
	}
}

func (p *packet) text(s string) { p.buf = append(p.buf, s...) }

// row begins row i of a list.
func (p *packet) row(i int) {
	if i > 0 {
		p.buf = append(p.buf, ',')
	}
	p.buf = append(p.buf, '(')
}

// int adds a number and a comma.
func (p *packet) int(n int64) { p.buf = append(strconv.AppendInt(p.buf, n, 10), ',') }

func (p *packet) ints(list ...int64) {
	for _, n := range list {
		p.int(n)
	}
}

// orNull adds a number and a comma, NULL for 0.
func (p *packet) orNull(n int64) {
	if n == 0 {
		p.text("NULL,")
		return
	}
	p.int(n)
}

// quoted adds a text and a comma.
func quoted[T ~string | ~[]byte](p *packet, s T) {
	b := append(p.buf, '\'')
	start := 0
	for i := range len(s) {
		if s[i] == '\'' || s[i] == '\\' {
			b = append(append(b, s[start:i]...), '\\')
			start = i
		}
	}
	p.buf = append(append(b, s[start:]...), '\'', ',')
}

// last turns the comma after the last value of a row into its end.
func (p *packet) last() { p.buf[len(p.buf)-1] = ')' }

// rows adds n rows of an INSERT with its tail, in statements of a bounded length.
func (p *packet) rows(n int, head, tail string, row func(i int)) {
	first := 0
	for i := range n {
		if i == first {
			p.text(head)
		}
		p.row(i - first)
		row(i)
		p.last()
		if i == n-1 || len(p.buf)-p.from > statementBytes {
			p.text(tail)
			p.end()
			first = i + 1
		}
	}
}

// batch adds the DBTx of a batch, but for its COMMIT. The first statement takes the lock of the
// shard's row and is refused by its CHECK unless epoch and position are what this writer left.
func (p *packet) batch(database string, b *batch) error {
	p.text("USE " + mysqldb.Quote(database) + ";BEGIN;UPDATE shard SET seq=IF(epoch=")
	p.buf = strconv.AppendInt(p.buf, b.epoch, 10)
	p.text(" AND seq=")
	p.buf = strconv.AppendInt(p.buf, b.first-1, 10)
	p.text(",")
	p.buf = strconv.AppendInt(p.buf, b.last, 10)
	p.text(",-1),accounts=")
	p.int(b.accounts)
	p.text("at_us=")
	p.buf = strconv.AppendInt(p.buf, b.at.UnixMicro(), 10)
	p.text(" WHERE id=1")
	p.end()
	p.accounts(b.opened)
	p.transfers(b.rows)
	p.postings(b.postings)
	p.holds(b.newHolds, b.oldHolds)
	p.buckets(b)
	p.changes(b)
	p.text("INSERT INTO batch (last_seq,first_seq,at_us,epoch,accounts,records,seal) VALUES (")
	p.ints(b.last, b.first, b.at.UnixMicro(), b.writtenEpoch(), b.accounts, int64(b.records))
	quoted(p, b.seal[:])
	p.last()
	p.end()
	return p.err
}

func (p *packet) accounts(list []*account) {
	const head = "INSERT INTO account (id,address,jurisdiction,currency) VALUES "
	p.rows(len(list), head, "", func(i int) {
		a := list[i]
		p.int(a.id)
		quoted(p, a.address)
		quoted(p, a.parts.jurisdiction)
		quoted(p, a.currency)
	})
}

// transfers adds the plain rows first, without the columns that are NULL in them: the server takes as
// long to read a NULL as a number, and there are seven in almost every row.
func (p *packet) transfers(rows []row) {
	const plain = "INSERT INTO transfer (seq,`key`,kind,state,player,jurisdiction,currency,fingerprint,`lines`," +
		"record_type,subject,data) VALUES "
	const whole = "INSERT INTO transfer (seq,`key`,kind,state,player,jurisdiction,currency,fingerprint,`lines`," +
		"record_type,subject,data,code,detail,hold_seq,origin_shard,origin_seq,origin_at_us,extra) VALUES "
	p.some = p.some[:0]
	for i := range rows {
		if rows[i].plain() {
			p.some = append(p.some, &rows[i])
		}
	}
	p.rows(len(p.some), plain, "", func(i int) { p.transfer(p.some[i]) })
	if len(p.some) == len(rows) {
		return
	}
	p.some = p.some[:0]
	for i := range rows {
		if !rows[i].plain() {
			p.some = append(p.some, &rows[i])
		}
	}
	p.rows(len(p.some), whole, "", func(i int) {
		p.transfer(p.some[i])
		p.rest(p.some[i])
	})
}

// plain reports whether the row has a value in none of the columns that rest writes.
func (r *row) plain() bool {
	return r.code == "" && r.holdSeq == 0 && !r.origin.copied() && r.extra == nil
}

func (p *packet) transfer(r *row) {
	p.int(r.seq)
	quoted(p, r.key)
	p.int(int64(r.kind))
	if r.code == "" {
		p.text("1,")
	} else {
		p.text("2,")
	}
	quoted(p, r.player)
	quoted(p, r.jurisdiction)
	quoted(p, r.currency)
	quoted(p, r.print[:])
	quoted(p, r.lines)
	if r.record == nil {
		p.text("NULL,NULL,NULL,")
	} else {
		quoted(p, r.record.Type)
		quoted(p, r.record.Subject)
		quoted(p, r.record.Data)
	}
}

// rest adds what a plain row has none of.
func (p *packet) rest(r *row) {
	if r.code == "" {
		p.text("NULL,NULL,")
	} else {
		quoted(p, r.code)
		quoted(p, r.detail)
	}
	p.orNull(r.holdSeq)
	if r.origin.copied() {
		p.ints(int64(r.origin.shard), r.origin.seq, r.origin.atUS)
	} else {
		p.text("NULL,NULL,NULL,")
	}
	if r.extra == nil {
		p.text("NULL,")
	} else {
		quoted(p, r.extra)
	}
}

func (p *packet) postings(list []posting) {
	const head = "INSERT INTO posting (account_id,seq,amount_minor,balance_minor,held_minor,rule) VALUES "
	p.rows(len(list), head, "", func(i int) {
		o := &list[i]
		p.ints(o.account, o.seq, o.amount, o.balance, o.held, int64(o.rule))
	})
}

// holds adds those made and those that ended. The CHECK on state refuses one that had ended before.
func (p *packet) holds(made, ended []*holdEntry) {
	const head = "INSERT INTO hold (seq,account_id,counter_id,jurisdiction,currency,amount_minor,expires_us,state," +
		"posted_minor,resolved_seq) VALUES "
	const resolve = " ON DUPLICATE KEY UPDATE state=IF(state=1,VALUES(state),0),posted_minor=VALUES(posted_minor)," +
		"resolved_seq=VALUES(resolved_seq)"
	for _, part := range []struct {
		list []*holdEntry
		tail string
	}{{made, ""}, {ended, resolve}} {
		p.rows(len(part.list), head, part.tail, func(i int) {
			h := part.list[i]
			p.ints(h.seq, h.account, h.counter)
			quoted(p, h.jurisdiction)
			quoted(p, h.currency)
			p.ints(h.amount, h.expires.UnixMicro(), int64(h.state), h.posted)
			p.orNull(h.resolved)
		})
	}
}

// buckets adds the batch's changes of buckets.
func (p *packet) buckets(b *batch) {
	const place = "INSERT INTO bucket (bucket,state,peer,move_id,seq) VALUES "
	const placed = " ON DUPLICATE KEY UPDATE state=VALUES(state),peer=VALUES(peer),move_id=VALUES(move_id),seq=VALUES(seq)"
	const share = "INSERT INTO bucket_share (bucket,account_id,amount_minor) VALUES "
	const add = " ON DUPLICATE KEY UPDATE amount_minor=amount_minor+VALUES(amount_minor)"
	const set = " ON DUPLICATE KEY UPDATE amount_minor=VALUES(amount_minor)"
	p.rows(len(b.buckets), place, placed, func(i int) {
		r := &b.buckets[i]
		p.ints(int64(r.bucket), int64(r.state))
		if r.peer >= 0 {
			p.int(int64(r.peer))
		} else {
			p.text("NULL,")
		}
		quoted(p, r.move)
		p.int(r.seq)
	})
	for _, c := range b.copied {
		p.text("UPDATE bucket SET seq=")
		p.buf = strconv.AppendInt(p.buf, c.seq, 10)
		p.text(" WHERE state=4 AND move_id=")
		quoted(p, c.move)
		p.buf = append(p.buf[:len(p.buf)-1], " AND seq<"...)
		p.buf = strconv.AppendInt(p.buf, c.seq, 10)
		p.end()
	}
	for i := range b.shares { // one by one: a set and an add of the same row keep their order
		c := &b.shares[i]
		tail := add
		if c.set {
			tail = set
		}
		p.rows(1, share, tail, func(int) { p.ints(int64(c.bucket), c.account, c.amount) })
	}
}

// changes adds what few batches have: limits, metadata and the state of groups.
func (p *packet) changes(b *batch) {
	const limit = "INSERT INTO account_limit (account_id,seq,version,min_minor,max_minor,freeze) VALUES "
	const note = "INSERT INTO account_metadata (account_id,seq,data) VALUES "
	const begin = "INSERT INTO grp (seq,state) VALUES "
	p.rows(len(b.limits), limit, "", func(i int) {
		l := &b.limits[i]
		p.ints(l.account, l.seq, l.Version)
		for _, bound := range []*int64{l.MinMinor, l.MaxMinor} {
			if bound == nil {
				p.text("NULL,")
			} else {
				p.int(*bound)
			}
		}
		p.int(int64(l.Freeze))
	})
	p.rows(len(b.notes), note, "", func(i int) {
		n := &b.notes[i]
		p.ints(n.account, n.seq)
		quoted(p, n.data)
	})
	p.rows(len(b.begun), begin, "", func(i int) { p.ints(b.begun[i], 1) })
	for _, g := range b.ended {
		p.text("UPDATE grp SET state=2,ended_seq=")
		p.buf = strconv.AppendInt(p.buf, g.seq, 10)
		p.text(" WHERE state=1 AND seq=(SELECT t.seq FROM transfer t WHERE t.key=")
		quoted(p, g.began)
		p.last()
		p.end()
	}
}
