// Package id makes and parses the identifiers of Matchday: a three-letter kind, an underscore and
// 26 characters of Crockford base32 (48 bits of milliseconds, 80 random bits), for example
// bet_01jb2m7k3v9q8w5x4y6z7a0b1c.
//
// Ids sort by the time they were made, so rows keyed by them are appended, not scattered. Callers
// outside treat them as opaque strings.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Player identifies a person in one jurisdiction.
type Player string

// Bet identifies a bet.
type Bet string

// Jurisdiction is the code of a licensed territory, ISO 3166-2 style: US-NJ, CA-ON.
type Jurisdiction string

// The kinds of generated ids.
const (
	KindPlayer     = "plr"
	KindBet        = "bet"
	KindPayment    = "pay"
	KindSession    = "ses"
	KindSettlement = "stl"
)

const (
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
	bodyLen  = 26
)

// Source makes ids. Ids of one Source strictly increase, also within a millisecond and when the
// clock steps back. It is safe for concurrent use.
type Source struct {
	now  func() time.Time
	mu   sync.Mutex
	last [16]byte
}

// NewSource returns a Source that reads the time from now.
func NewSource(now func() time.Time) *Source { return &Source{now: now} }

// New returns a fresh id of the kind.
func (s *Source) New(kind string) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(s.now().UnixMilli())<<16) // #nosec: after 1970
	_, _ = rand.Read(raw[6:])                                            // crypto/rand.Read never fails
	s.mu.Lock()
	if string(raw[:6]) <= string(s.last[:6]) {
		raw = increment(s.last)
	}
	s.last = raw
	s.mu.Unlock()
	return kind + "_" + encode(raw)
}

// After makes every id that New returns from now on sort after this one, of whatever kind: for an order
// that several processes agree on, whatever their clocks say. Text that is no id changes nothing.
func (s *Source) After(text string) {
	raw, ok := decode(text[strings.IndexByte(text, '_')+1:])
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(raw[:]) > string(s.last[:]) {
		s.last = raw
	}
}

// Least returns the first id of the kind that a Source may make at the time: those made before sort before
// it, those made from then on do not.
func Least(kind string, at time.Time) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(max(at.UnixMilli(), 0))<<16) // #nosec: not below 0
	return kind + "_" + encode(raw)
}

// MadeAt returns the time that an id begins with, false for text that is no id.
func MadeAt(text string) (time.Time, bool) {
	raw, ok := decode(text[strings.IndexByte(text, '_')+1:])
	if !ok {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(raw[:8]) >> 16)).UTC(), true // #nosec: 48 bits
}

// NewBet returns a fresh bet id.
func (s *Source) NewBet() Bet { return Bet(s.New(KindBet)) }

// NewPlayer returns a fresh player id.
func (s *Source) NewPlayer() Player { return Player(s.New(KindPlayer)) }

// increment returns raw+1 as one big-endian number.
func increment(raw [16]byte) [16]byte {
	for i := 15; i >= 0; i-- {
		raw[i]++
		if raw[i] != 0 {
			break
		}
	}
	return raw
}

// encode writes 128 bits as 26 base32 digits, most significant first.
func encode(raw [16]byte) string {
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	var out [bodyLen]byte
	for i := bodyLen - 1; i >= 0; i-- {
		out[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// decode is the inverse of encode.
func decode(body string) (raw [16]byte, ok bool) {
	if len(body) != bodyLen {
		return raw, false
	}
	var hi, lo uint64
	for i := range len(body) {
		n := strings.IndexByte(alphabet, body[i])
		if n < 0 {
			return raw, false
		}
		hi, lo = hi<<5|lo>>59, lo<<5|uint64(n)
	}
	binary.BigEndian.PutUint64(raw[:8], hi)
	binary.BigEndian.PutUint64(raw[8:], lo)
	return raw, true
}

// Check returns an error unless text is a well-formed id of the kind. It does not say whether the
// thing exists.
func Check(kind, text string) error {
	if len(text) != len(kind)+1+bodyLen || text[:len(kind)] != kind || text[len(kind)] != '_' {
		return fmt.Errorf("%q is not a %s id", clip(text), kind)
	}
	for _, c := range []byte(text[len(kind)+1:]) {
		if !validDigit(c) {
			return fmt.Errorf("%q is not a %s id", clip(text), kind)
		}
	}
	return nil
}

func validDigit(c byte) bool {
	for i := range len(alphabet) {
		if alphabet[i] == c {
			return true
		}
	}
	return false
}

// clip bounds what an error message repeats of a caller's text.
func clip(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
