package stream

import (
	"encoding/json"
	"iter"
	"strconv"
	"time"
	"unicode/utf8"
)

// messageBytes is the size at which a message is closed. One record more may follow, so a message
// is never larger than messageBytes and MaxRecordBytes with its envelope.
const messageBytes = 256 << 10

// Encode writes the batch's records as a CloudEvents 1.0 JSON batch, one event a record, in order.
// A batch without records is the empty array: it still carries a position in its headers.
func Encode(b Batch) []byte {
	e := newEncoder(b.Shard, sizeOf(b.Records)+2)
	for i := range b.Records {
		e.add(&b.Records[i])
	}
	return e.close()
}

// pack turns consecutive log batches into messages. Small batches share a message, because a
// durable message costs a disk flush whatever its size; a large one is divided between records. The
// messages cover the same sequences as the batches, without a hole. Each is made when it is asked for: a batch
// of a million records is never there twice.
func pack(batches []Batch) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		if len(batches) > 0 {
			packInto(batches, yield)
		}
	}
}

// packInto is pack for at least one batch.
func packInto(batches []Batch, yield func(Message) bool) {
	shard := batches[0].Shard
	left := 0 // bytes that are still to be written, about
	for i := range batches {
		left += sizeOf(batches[i].Records)
	}
	const most = messageBytes + MaxRecordBytes + envelopeBytes
	e := newEncoder(shard, min(left, most))
	first := batches[0].First
	source := "" // of the last complete batch that has one: an older place lacks nothing either
	flush := func(last int64, at time.Time) bool {
		more := yield(Message{Shard: shard, First: first, Last: last, At: at, Source: source, Body: e.close()})
		left -= len(e.buf)
		e, first = newEncoder(shard, min(left, most)), last+1
		return more
	}
	for i := range batches {
		b := &batches[i]
		for j := range b.Records {
			r := &b.Records[j]
			if len(e.buf) >= messageBytes && r.Position.Seq > first && !flush(r.Position.Seq-1, b.At) {
				return
			}
			e.add(r)
		}
		if b.Source != "" {
			source = b.Source
		}
		if (len(e.buf) >= messageBytes || i == len(batches)-1) && !flush(b.Last, b.At) {
			return
		}
	}
}

// encoder appends events to one message. It keeps the last time stamp as text, since the records
// of a commit share it.
type encoder struct {
	buf      []byte
	source   string
	time     time.Time
	timeText []byte
}

// newEncoder begins a message that is expected to need so many bytes.
func newEncoder(shard, size int) *encoder {
	buf := make([]byte, 1, max(size, 2))
	buf[0] = '['
	return &encoder{buf: buf, source: `","source":"/matchday/ledger/` + strconv.Itoa(shard) + `","type":`}
}

// envelopeBytes is about what an event needs beside its payload.
const envelopeBytes = 320

// sizeOf estimates the encoded size of records.
func sizeOf(records []Record) int {
	n := 0
	for i := range records {
		n += len(records[i].Data) + envelopeBytes
	}
	return n
}

// add appends one event.
func (e *encoder) add(r *Record) {
	if e.timeText == nil || !r.Time.Equal(e.time) {
		e.time, e.timeText = r.Time, r.Time.UTC().AppendFormat(e.timeText[:0], time.RFC3339Nano)
	}
	b := e.buf
	if len(b) > 1 {
		b = append(b, ',')
	}
	b = append(b, `{"specversion":"1.0","id":"`...)
	b = strconv.AppendInt(b, int64(r.Position.Shard), 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.Position.Seq, 10)
	b = append(b, e.source...)
	b = appendString(b, r.Type)
	b = append(b, `,"subject":`...)
	b = appendString(b, r.Subject)
	b = append(b, `,"time":"`...)
	b = append(b, e.timeText...)
	b = append(b, `","datacontenttype":"application/json","player":`...)
	b = appendString(b, string(r.Player))
	b = append(b, `,"jurisdiction":`...)
	b = appendString(b, string(r.Jurisdiction))
	b = append(b, `,"data":`...)
	if len(r.Data) == 0 {
		b = append(b, `{}`...)
	} else {
		b = append(b, r.Data...)
	}
	e.buf = append(b, '}')
}

// close ends the array and gives the message away.
func (e *encoder) close() []byte { return append(e.buf, ']') }

// plain marks the bytes that stand for themselves in a JSON string.
var plain = func() (table [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// appendString appends s as a JSON string. Ids and types are plain ASCII and are copied as they
// are; everything else takes the library's way.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if !plain[s[i]] {
			quoted, _ := json.Marshal(s) // a string always marshals
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
