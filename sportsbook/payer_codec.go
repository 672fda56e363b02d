package sportsbook

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"

	"matchday/id"
	"matchday/stream"
)

// payoutFormat is the first byte of a payout message. Messages live for seconds and only between
// settlement and payer, so they are packed: they cost a tenth of the time of JSON.
const payoutFormat = 1

// errPayouts is what an unreadable message is.
var errPayouts = errors.New("not a payout message")

// appendPayouts appends the message of some commands.
func appendPayouts(b []byte, commands []payoutCommand) []byte {
	b = append(b, payoutFormat)
	b = binary.AppendUvarint(b, uint64(len(commands)))
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for i := range commands {
		c := &commands[i]
		text(string(c.BetID))
		text(string(c.PlayerID))
		text(string(c.Jurisdiction))
		text(c.Currency)
		text(c.Outcome)
		text(c.Reason)
		b = binary.AppendUvarint(b, uint64(c.Version)) // #nosec: never negative
		b = binary.AppendVarint(b, c.PayoutMinor)
		b = binary.AppendVarint(b, c.PaidMinor)
		b = binary.AppendVarint(b, c.StakeMinor)
		b = strconv.AppendBool(b, c.WasOpen)[:len(b)+1] // "t" or "f"
		b = binary.AppendUvarint(b, uint64(len(c.LegOutcomes)))
		for _, outcome := range c.LegOutcomes {
			text(outcome)
		}
	}
	return b
}

// payoutReader reads a message from its front. After an error everything else is zero.
type payoutReader struct {
	rest string
	bad  bool
}

// parsePayouts reads a message. The whole of it is one string, of which the commands keep parts.
func parsePayouts(payload []byte) ([]payoutCommand, error) {
	r := &payoutReader{rest: string(payload)}
	if r.take(1) != string(rune(payoutFormat)) {
		return nil, errPayouts
	}
	n := r.count(maxPayoutCommands)
	commands := make([]payoutCommand, 0, n)
	for range n {
		c := payoutCommand{BetSettled: stream.BetSettled{
			BetID: id.Bet(r.text()), PlayerID: id.Player(r.text()), Jurisdiction: id.Jurisdiction(r.text()),
			Currency: r.text(), Outcome: r.text(), Reason: r.text(), Version: r.count(1 << 30), PayoutMinor: r.varint(),
		}}
		c.PaidMinor, c.StakeMinor = r.varint(), r.varint()
		switch r.take(1) {
		case "t":
			c.WasOpen = true
		case "f":
		default:
			r.bad = true
		}
		c.LegOutcomes = make([]string, r.count(maxPayoutLegs))
		for i := range c.LegOutcomes {
			c.LegOutcomes[i] = r.text()
		}
		if r.bad {
			return nil, errPayouts
		}
		commands = append(commands, c)
	}
	if r.bad || r.rest != "" {
		return nil, errPayouts
	}
	return commands, nil
}

// maxPayoutLegs bounds the legs of one bet in a message; placement allows fewer.
const maxPayoutLegs = 256

// take returns the next n bytes.
func (r *payoutReader) take(n int) string {
	if r.bad || n > len(r.rest) {
		r.bad = true
		return ""
	}
	part := r.rest[:n]
	r.rest = r.rest[n:]
	return part
}

// count reads a number that is not above most.
func (r *payoutReader) count(most int) int {
	v := r.uvarint()
	if v > uint64(most) { // #nosec: not negative
		r.bad = true
		return 0
	}
	return int(v) // #nosec: bounded above
}

func (r *payoutReader) text() string { return r.take(r.count(len(r.rest))) }

func (r *payoutReader) varint() int64 {
	u := r.uvarint()
	v := int64(u >> 1) // #nosec: zigzag
	if u&1 != 0 {
		v = ^v
	}
	return v
}

func (r *payoutReader) uvarint() uint64 {
	var v uint64
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad = true
	return 0
}

// appendSettled appends the record's payload, exactly as encoding/json writes it.
func appendSettled(b []byte, s *stream.BetSettled) []byte {
	text := func(name, value string) {
		b = append(b, name...)
		b = appendJSONString(b, value)
	}
	text(`{"bet_id":`, string(s.BetID))
	text(`,"player_id":`, string(s.PlayerID))
	text(`,"jurisdiction":`, string(s.Jurisdiction))
	b = append(b, `,"version":`...)
	b = strconv.AppendInt(b, int64(s.Version), 10)
	text(`,"outcome":`, s.Outcome)
	b = append(b, `,"payout_minor":`...)
	b = strconv.AppendInt(b, s.PayoutMinor, 10)
	text(`,"currency":`, s.Currency)
	b = append(b, `,"leg_outcomes":[`...)
	for i, outcome := range s.LegOutcomes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, outcome)
	}
	b = append(b, ']')
	if s.Reason != "" {
		text(`,"reason":`, s.Reason)
	}
	return append(b, '}')
}

// appendJSONString appends a string literal.
func appendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string always has a JSON form
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
