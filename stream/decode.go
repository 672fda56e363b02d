package stream

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"matchday/id"
)

// errSyntax is any way in which a message is not a JSON array of objects.
var errSyntax = errors.New("not a CloudEvents JSON batch")

// maxDepth bounds the nesting of a value that is stepped over.
const maxDepth = 64

// Decode reads the message's body. The records must be of the message's shard, inside
// First..Last and in increasing order. Events may carry attributes that we do not know and have
// theirs in any order. A payload is stepped over, not validated: whoever reads it parses it.
// Its bytes alias the body: clone what is kept.
func Decode(m Message) (Batch, error) {
	b := Batch{Shard: m.Shard, First: m.First, Last: m.Last, At: m.At}
	s := scanner{b: m.Body}
	if err := s.batch(&b); err != nil {
		return Batch{}, fmt.Errorf("decode batch %d-%d..%d at byte %d: %w", m.Shard, m.First, m.Last, s.i, err)
	}
	return b, nil
}

// scanner walks a message once. It keeps what the records of a batch share, so that they share the
// strings too.
type scanner struct {
	b        []byte
	i        int
	timeText []byte
	time     time.Time
	typ      string
	jur      id.Jurisdiction
}

// batch reads the array.
func (s *scanner) batch(b *Batch) error {
	if !s.token('[') {
		return errSyntax
	}
	before := b.First - 1
	if n := len(s.b) / 400; n > 0 && b.Last > before {
		b.Records = make([]Record, 0, min(int64(n), b.Last-before))
	}
	for more := !s.token(']'); more; {
		r, err := s.event()
		if err != nil {
			return err
		}
		if r.Position.Shard != b.Shard || r.Position.Seq <= before || r.Position.Seq > b.Last {
			return fmt.Errorf("record %s does not follow %d-%d", r.Position, b.Shard, before)
		}
		before = r.Position.Seq
		b.Records = append(b.Records, r)
		if more = s.token(','); !more && !s.token(']') {
			return errSyntax
		}
	}
	s.space()
	if s.i != len(s.b) {
		return errSyntax
	}
	return nil
}

// event reads one object.
func (s *scanner) event() (Record, error) {
	var r Record
	var seen uint
	if !s.token('{') {
		return r, errSyntax
	}
	for more := !s.token('}'); more; {
		key, err := s.text()
		if err != nil {
			return r, err
		}
		if !s.token(':') {
			return r, errSyntax
		}
		bit, err := s.attribute(&r, key)
		if err != nil {
			return r, err
		}
		if seen&bit != 0 {
			return r, fmt.Errorf("attribute %q twice", key)
		}
		seen |= bit
		if more = s.token(','); !more && !s.token('}') {
			return r, errSyntax
		}
	}
	if seen&required != required {
		return r, errors.New("event without a required attribute")
	}
	return r, nil
}

// One bit for each attribute that we read.
const (
	hasVersion = 1 << iota
	hasID
	hasSource
	hasType
	hasSubject
	hasTime
	hasPlayer
	hasJurisdiction
	hasData
	required = hasVersion | hasID | hasSource | hasType | hasTime | hasData
)

// attribute reads the value of one attribute into r and returns its bit.
func (s *scanner) attribute(r *Record, key []byte) (uint, error) {
	switch string(key) {
	case "data":
		data, err := s.value()
		r.Data = data
		return hasData, err
	case "subject", "player", "specversion", "id", "source", "type", "time", "jurisdiction":
	default:
		_, err := s.value()
		return 0, err
	}
	text, err := s.text()
	if err != nil {
		return 0, err
	}
	switch string(key) {
	case "subject":
		r.Subject = string(text)
		return hasSubject, nil
	case "player":
		r.Player = id.Player(text)
		return hasPlayer, nil
	case "source":
		return hasSource, nil
	case "specversion":
		if string(text) != "1.0" {
			return 0, fmt.Errorf("specversion %.10q", text)
		}
		return hasVersion, nil
	case "id":
		r.Position, err = ParsePosition(string(text))
		return hasID, err
	case "type":
		if s.typ != string(text) {
			s.typ = string(text)
		}
		r.Type = s.typ
		return hasType, nil
	case "jurisdiction":
		if string(s.jur) != string(text) {
			s.jur = id.Jurisdiction(text)
		}
		r.Jurisdiction = s.jur
		return hasJurisdiction, nil
	}
	r.Time, err = s.timeOf(text)
	return hasTime, err
}

// timeOf parses a time stamp, or remembers the one before.
func (s *scanner) timeOf(text []byte) (time.Time, error) {
	if s.timeText != nil && bytes.Equal(s.timeText, text) {
		return s.time, nil
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}, fmt.Errorf("time %.40q: %w", text, errSyntax)
	}
	s.timeText, s.time = text, t.UTC()
	return s.time, nil
}

// space steps over white space.
func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// token steps over c if it is next.
func (s *scanner) token(c byte) bool {
	s.space()
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// text reads a string and returns its content; without an escape that is a part of the body.
func (s *scanner) text() ([]byte, error) {
	s.space()
	start := s.i
	literal, err := s.skipString()
	if err != nil {
		return nil, err
	}
	if literal {
		return s.b[start+1 : s.i-1], nil
	}
	var out string
	if err := json.Unmarshal(s.b[start:s.i], &out); err != nil {
		return nil, errSyntax
	}
	return []byte(out), nil
}

// skipString steps over a string and reports whether its bytes are its content.
func (s *scanner) skipString() (literal bool, err error) {
	if s.i >= len(s.b) || s.b[s.i] != '"' {
		return false, errSyntax
	}
	literal = true
	for s.i++; ; s.i++ {
		s.i += plainBytes(s.b[s.i:])
		if s.i >= len(s.b) {
			return false, errSyntax
		}
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return literal, nil
		case c == '\\':
			if s.i++; s.i >= len(s.b) {
				return false, errSyntax
			}
		case c < ' ':
			return false, errSyntax
		}
		literal = false // an escape, or bytes of which the library replaces what is not UTF-8
	}
}

// plainBytes returns how many bytes stand before one that ends a string or may mean something else than itself: it
// looks at eight at once, as strings are most of what a sink reads. In each test the lowest byte that answers is the
// first such byte: what a subtraction borrows goes only to those above it.
func plainBytes(b []byte) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		quote, escape := x^(each*'"'), x^(each*'\\')
		special := ((quote-each)&^quote | (escape-each)&^escape | (x-each*' ')&^x | x) & top
		if special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	for n < len(b) && plain[b[n]] {
		n++
	}
	return n
}

// value steps over any value and returns its bytes.
func (s *scanner) value() ([]byte, error) {
	s.space()
	start := s.i
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if _, err := s.skipString(); err != nil {
				return nil, err
			}
			if depth == 0 {
				return s.b[start:s.i], nil
			}
			continue
		case '{', '[':
			if depth++; depth > maxDepth {
				return nil, errSyntax
			}
		case '}', ']', ',':
			if depth == 0 { // the end of a number or a word, which belongs to the caller
				return s.word(start)
			}
			if s.b[s.i] != ',' {
				depth--
				if depth == 0 {
					s.i++
					return s.b[start:s.i], nil
				}
			}
		}
		s.i++
	}
	return nil, errSyntax
}

// word returns the bytes of a number, true, false or null that started at start.
func (s *scanner) word(start int) ([]byte, error) {
	word := bytes.TrimRight(s.b[start:s.i], " \t\r\n")
	if len(word) == 0 || !json.Valid(word) {
		return nil, errSyntax
	}
	return word, nil
}
