package stream

import (
	"encoding/json"

	"matchday/id"
)

// ParseBetSettled reads the payload of TypeBetSettled. It gives what encoding/json gives, sooner:
// the payloads that we write ourselves take a short way, and every other one the library's.
func ParseBetSettled(data []byte) (BetSettled, error) {
	var p BetSettled
	s := scanner{b: data}
	if s.object(func(key []byte) bool { return s.settledField(&p, key) }) && s.ended() {
		return p, nil
	}
	p = BetSettled{}
	err := json.Unmarshal(data, &p)
	return p, err
}

// ParseBetPlaced reads the payload of TypeBetPlaced and leaves the legs as they are: a projection
// that stores them need not know them. Like ParseBetSettled, it has a short way.
func ParseBetPlaced(data []byte) (p BetPlaced, legs json.RawMessage, err error) {
	s := scanner{b: data}
	if s.object(func(key []byte) bool { return s.placedField(&p, &legs, key) }) && s.ended() && json.Valid(legs) {
		return p, legs, nil
	}
	var slow struct {
		BetPlaced
		Legs json.RawMessage `json:"legs"`
	}
	err = json.Unmarshal(data, &slow)
	return slow.BetPlaced, slow.Legs, err
}

// ParsePayout reads only what a payload of TypeBetSettled pays, in minor units: it steps over the
// rest, does not validate it, and makes no strings of it.
func ParsePayout(data []byte) (minor int64, err error) {
	s := scanner{b: data}
	field := func(key []byte) bool {
		switch string(key) {
		case "payout_minor":
			return s.integer(&minor)
		case "bet_id", "player_id", "jurisdiction", "currency", "reason", "outcome", "leg_outcomes", "version":
			_, err := s.value()
			return err == nil
		}
		return false
	}
	if s.object(field) && s.ended() {
		return minor, nil
	}
	p, err := ParseBetSettled(data)
	return p.PayoutMinor, err
}

// settledField reads one field of a BetSettled.
func (s *scanner) settledField(p *BetSettled, key []byte) bool {
	switch string(key) {
	case "bet_id":
		return assign(s, &p.BetID)
	case "player_id":
		return assign(s, &p.PlayerID)
	case "jurisdiction":
		return assign(s, &p.Jurisdiction)
	case "currency":
		return assign(s, &p.Currency)
	case "reason":
		return assign(s, &p.Reason)
	case "outcome":
		return s.outcome(&p.Outcome)
	case "payout_minor":
		return s.integer(&p.PayoutMinor)
	case "leg_outcomes":
		return s.outcomes(&p.LegOutcomes)
	case "version":
		var version int64
		ok := s.integer(&version)
		p.Version = int(version)
		return ok
	}
	return false
}

// placedField reads one field of a BetPlaced.
func (s *scanner) placedField(p *BetPlaced, legs *json.RawMessage, key []byte) bool {
	switch string(key) {
	case "bet_id":
		return assign(s, &p.BetID)
	case "player_id":
		return assign(s, &p.PlayerID)
	case "jurisdiction":
		return assign(s, &p.Jurisdiction)
	case "product":
		return assign(s, &p.Product)
	case "currency":
		return assign(s, &p.Currency)
	case "stake_minor":
		return s.integer(&p.StakeMinor)
	case "potential_payout_minor":
		return s.integer(&p.PotentialPayoutMinor)
	case "legs":
		value, err := s.value()
		*legs = value
		return err == nil
	}
	return false
}

// object reads an object; field reads the value of a key and returns false for what it does not
// know. It returns false where the short way ends, which is not yet an error.
func (s *scanner) object(field func(key []byte) bool) bool {
	if !s.token('{') {
		return false
	}
	for more := !s.token('}'); more; {
		key, err := s.text()
		if err != nil || !s.token(':') || !field(key) {
			return false
		}
		if more = s.token(','); !more && !s.token('}') {
			return false
		}
	}
	return true
}

// ended reports whether nothing is left.
func (s *scanner) ended() bool {
	s.space()
	return s.i == len(s.b)
}

// assign reads a string.
func assign[T id.Bet | id.Player | id.Jurisdiction | string](s *scanner, to *T) bool {
	text, err := s.text()
	*to = T(text)
	return err == nil
}

// outcome reads one of the outcomes without making a string of it.
func (s *scanner) outcome(to *string) bool {
	text, err := s.text()
	if err != nil {
		return false
	}
	switch string(text) {
	case "":
		*to = ""
	case OutcomeWon:
		*to = OutcomeWon
	case OutcomeLost:
		*to = OutcomeLost
	case OutcomePush:
		*to = OutcomePush
	case OutcomeVoid:
		*to = OutcomeVoid
	default:
		*to = string(text)
	}
	return true
}

// outcomes reads an array of outcomes.
func (s *scanner) outcomes(to *[]string) bool {
	if !s.token('[') {
		return false
	}
	out := make([]string, 0, 4)
	for more := !s.token(']'); more; {
		var one string
		if !s.outcome(&one) {
			return false
		}
		out = append(out, one)
		if more = s.token(','); !more && !s.token(']') {
			return false
		}
	}
	*to = out
	return true
}

// integer reads a number of at most 18 digits without fraction or exponent.
func (s *scanner) integer(to *int64) bool {
	negative := s.token('-')
	start := s.i
	if !negative {
		s.space()
		start = s.i
	}
	var n int64
	for ; s.i < len(s.b) && s.i-start < 19 && s.b[s.i] >= '0' && s.b[s.i] <= '9'; s.i++ {
		n = n*10 + int64(s.b[s.i]-'0')
	}
	digits := s.i - start
	if digits == 0 || digits > 18 || digits > 1 && s.b[start] == '0' {
		return false
	}
	if negative {
		n = -n
	}
	*to = n
	return true
}
