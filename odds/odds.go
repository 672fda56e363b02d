// Package odds holds prices and handicap lines as exact numbers, and the payout arithmetic of
// sportsbook bets. American -110 is the fraction 21/11, which no decimal can hold; a payout is
// computed exactly and rounded once, down to the minor unit.
package odds

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
)

// Errors of parsing and arithmetic.
var (
	ErrPrice = errors.New("not an American price")
	ErrLine  = errors.New("not a line")
	ErrRange = errors.New("payout out of range")
)

// maxAmerican bounds prices at 1,000,001 to 1 in either direction.
const maxAmerican = 100_000_000

// Price is an American price: -110 wins 100 for 110 staked, +154 wins 154 for 100 staked.
// The zero value is no price. Even money is +100, and -100 parses to it.
type Price struct{ american int32 }

// American returns the price with the whole number n, or ErrPrice for |n| < 100 or out of range.
func American(n int64) (Price, error) {
	if (n > -100 && n < 100) || n > maxAmerican || n < -maxAmerican {
		return Price{}, fmt.Errorf("price %d: %w", n, ErrPrice)
	}
	if n == -100 {
		n = 100
	}
	return Price{american: int32(n)}, nil // #nosec: bounded above
}

// ParsePrice reads "-110", "+154" or "154".
func ParsePrice(text string) (Price, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || len(text) > 12 {
		return Price{}, fmt.Errorf("price %.20q: %w", text, ErrPrice)
	}
	return American(n)
}

// IsZero reports whether there is no price.
func (p Price) IsZero() bool { return p.american == 0 }

// Int returns the American number, with its sign.
func (p Price) Int() int32 { return p.american }

// String returns "-110" or "+154"; "" for no price.
func (p Price) String() string {
	switch {
	case p.american == 0:
		return ""
	case p.american > 0:
		return "+" + strconv.Itoa(int(p.american))
	}
	return strconv.Itoa(int(p.american))
}

// Fraction returns the decimal odds (payout for one unit, stake included) as num/den.
func (p Price) Fraction() (num, den int64) {
	if p.american > 0 {
		return int64(p.american) + 100, 100
	}
	return int64(-p.american) + 100, int64(-p.american)
}

// Decimal returns the decimal odds for display, rounded down at the third digit: "1.909".
func (p Price) Decimal() string {
	if p.IsZero() {
		return ""
	}
	num, den := p.Fraction()
	thousandths := num * 1000 / den
	return fmt.Sprintf("%d.%03d", thousandths/1000, thousandths%1000)
}

// Better reports whether p pays more than q.
func (p Price) Better(q Price) bool {
	pn, pd := p.Fraction()
	qn, qd := q.Fraction()
	return pn*qd > qn*pd
}

// MarshalText writes the American form.
func (p Price) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the American form.
func (p *Price) UnmarshalText(text []byte) error {
	parsed, err := ParsePrice(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Line is a handicap or total in hundredths of a point: -3.5 is -350.
type Line int32

// maxLine bounds lines at 9,999 points.
const maxLine = 999_900

// ParseLine reads "-3.5", "+3.5", "46" or "0"; at most two digits after the point.
func ParseLine(text string) (Line, error) {
	r, ok := new(big.Rat).SetString(text)
	if !ok || len(text) > 9 || !plainDecimal(text) {
		return 0, fmt.Errorf("line %.20q: %w", text, ErrLine)
	}
	r.Mul(r, big.NewRat(100, 1))
	if !r.IsInt() || r.Num().CmpAbs(big.NewInt(maxLine)) > 0 {
		return 0, fmt.Errorf("line %.20q: %w", text, ErrLine)
	}
	return Line(r.Num().Int64()), nil // #nosec: bounded above
}

// plainDecimal refuses the fractions, exponents and bases that big.Rat would read.
func plainDecimal(text string) bool {
	digits, dots := 0, 0
	for i, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && dots == 0 && digits > 0:
			dots++
		case (c == '-' || c == '+') && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && text[len(text)-1] != '.'
}

// String returns the shortest decimal: "-3.5", "46", "0".
func (l Line) String() string {
	sign, n := "", int(l)
	if n < 0 {
		sign, n = "-", -n
	}
	whole, rest := n/100, n%100
	switch {
	case rest == 0:
		return sign + strconv.Itoa(whole)
	case rest%10 == 0:
		return fmt.Sprintf("%s%d.%d", sign, whole, rest/10)
	}
	return fmt.Sprintf("%s%d.%02d", sign, whole, rest)
}

// Payout returns stake times the product of the prices, stake included, rounded down once to the
// minor unit. No prices at all return the stake.
//
// Units:    minor units in and out.
// Rounding: down, once, after all multiplications; the residue stays with the house.
// Errors:   [ErrRange] if the payout does not fit 63 bits or the stake is negative.
func Payout(stakeMinor int64, prices []Price) (int64, error) {
	if stakeMinor < 0 {
		return 0, fmt.Errorf("stake %d: %w", stakeMinor, ErrRange)
	}
	num, den := big.NewInt(stakeMinor), big.NewInt(1)
	for _, p := range prices {
		n, d := p.Fraction()
		if d == 0 {
			return 0, fmt.Errorf("empty price: %w", ErrPrice)
		}
		num.Mul(num, big.NewInt(n))
		den.Mul(den, big.NewInt(d))
	}
	num.Quo(num, den)
	if !num.IsInt64() {
		return 0, fmt.Errorf("payout of %d at %v: %w", stakeMinor, prices, ErrRange)
	}
	return num.Int64(), nil
}
