// Package money is the value type for amounts. Amounts are whole numbers of a currency's minor
// unit; there is no fraction and no float anywhere in it.
package money

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Errors of arithmetic and parsing.
var (
	ErrCurrencyMismatch = errors.New("currencies differ")
	ErrOverflow         = errors.New("amount out of range")
	ErrSyntax           = errors.New("not an amount")
	ErrCurrency         = errors.New("unknown currency")
)

// Currency is an ISO 4217 code.
type Currency string

// The currencies Matchday keeps books in.
const (
	USD Currency = "USD"
	CAD Currency = "CAD"
	GBP Currency = "GBP"
	EUR Currency = "EUR"
	JPY Currency = "JPY"
)

// exponents holds the digits after the decimal point of a major unit. Source: ISO 4217.
var exponents = map[Currency]int{USD: 2, CAD: 2, GBP: 2, EUR: 2, JPY: 0}

// ParseCurrency returns the currency with the code, or ErrCurrency.
func ParseCurrency(code string) (Currency, error) {
	c := Currency(code)
	if _, ok := exponents[c]; !ok {
		return "", fmt.Errorf("currency %.8q: %w", code, ErrCurrency)
	}
	return c, nil
}

// Exponent returns the digits after the decimal point; 0 for an unknown currency.
func (c Currency) Exponent() int { return exponents[c] }

// Money is a whole number of a currency's minor unit: GBP 1.50 is 150, JPY 150 is 150.
// It never holds a fraction: pricing rounds first and makes Money after.
type Money struct {
	minor    int64
	currency Currency
}

// New returns minor units of a currency.
func New(minor int64, c Currency) Money { return Money{minor: minor, currency: c} }

// Minor returns the amount in minor units.
func (m Money) Minor() int64 { return m.minor }

// Currency returns the ISO 4217 code.
func (m Money) Currency() Currency { return m.currency }

// Add returns m+n. Mixed currencies and overflow are errors, never a wrapped sum: a wrapped balance
// would look exactly like a valid one.
func (m Money) Add(n Money) (Money, error) {
	if m.currency != n.currency {
		return Money{}, fmt.Errorf("add %s to %s: %w", n, m, ErrCurrencyMismatch)
	}
	sum, ok := AddMinor(m.minor, n.minor)
	if !ok {
		return Money{}, fmt.Errorf("add %s to %s: %w", n, m, ErrOverflow)
	}
	return Money{sum, m.currency}, nil
}

// AddMinor returns a+b and whether the sum fits.
func AddMinor(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

// Parse reads a decimal amount such as "25", "25.5" or "-3.50" as an amount of the currency.
// More digits than the currency has, exponents, signs other than a leading minus, spaces and
// separators are ErrSyntax; what does not fit 64 bits is ErrOverflow.
func Parse(text string, c Currency) (Money, error) {
	exponent, ok := exponents[c]
	if !ok {
		return Money{}, fmt.Errorf("amount in %.8q: %w", c, ErrCurrency)
	}
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if whole == "" || (dotted && fraction == "") || len(fraction) > exponent || !onlyDigits(whole) || !onlyDigits(fraction) {
		return Money{}, fmt.Errorf("%.40q in %s: %w", text, c, ErrSyntax)
	}
	if len(whole) > 1 && whole[0] == '0' {
		return Money{}, fmt.Errorf("%.40q has leading zeros: %w", text, ErrSyntax)
	}
	minor, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", exponent-len(fraction)), 10, 64)
	if err != nil {
		return Money{}, fmt.Errorf("%.40q in %s: %w", text, c, ErrOverflow)
	}
	if negative {
		minor = -minor
	}
	return Money{minor, c}, nil
}

func onlyDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// Amount returns the decimal text without currency, always with the currency's digits: "25.00".
func (m Money) Amount() string {
	exponent := exponents[m.currency]
	if exponent == 0 {
		return strconv.FormatInt(m.minor, 10)
	}
	sign, magnitude := "", uint64(m.minor) // #nosec: two's complement, negated below
	if m.minor < 0 {
		sign, magnitude = "-", -magnitude
	}
	text := strconv.FormatUint(magnitude, 10)
	if short := exponent + 1 - len(text); short > 0 {
		text = strings.Repeat("0", short) + text
	}
	return sign + text[:len(text)-exponent] + "." + text[len(text)-exponent:]
}

// String returns amount and currency: "25.00 USD".
func (m Money) String() string { return m.Amount() + " " + string(m.currency) }

// wire is the JSON form of Money.
type wire struct {
	Amount   string   `json:"amount"`
	Currency Currency `json:"currency"`
}

// MarshalJSON writes {"amount":"25.00","currency":"USD"}.
func (m Money) MarshalJSON() ([]byte, error) {
	return json.Marshal(wire{Amount: m.Amount(), Currency: m.currency})
}

// UnmarshalJSON reads {"amount":"25.00","currency":"USD"} with the rules of Parse.
func (m *Money) UnmarshalJSON(data []byte) error {
	var w wire
	if err := json.Unmarshal(data, &w); err != nil {
		return fmt.Errorf("money: %w", err)
	}
	parsed, err := Parse(w.Amount, w.Currency)
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// MaxMinor bounds a single amount at the edges, far from overflow in any sum of a batch:
// 10 trillion minor units.
const MaxMinor int64 = math.MaxInt64 / 922_337
