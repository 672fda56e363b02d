package jurisdiction

import (
	"fmt"
	"regexp"
	"time"
	_ "time/tzdata" // the day begins by the territory's clock, also on a machine without zone files

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// Bounds of the configuration.
const (
	maxJurisdictions = 200
	maxNameRunes     = 80
	maxProducts      = 20
	minAgeLowest     = 18
	minAgeHighest    = 25
	maxLegsHighest   = 50
	maxHistoryYears  = 100
)

// ProductSportsbook is the one product there is so far.
const ProductSportsbook = "sportsbook"

// Config lists the jurisdictions; an empty list means those of Default.
type Config struct {
	Jurisdictions []Entry `yaml:"jurisdictions"` // that are served; without any, the built-in ones
}

// Entry is one jurisdiction as configured. Absent limits and products take the defaults of Default.
type Entry struct {
	Code     id.Jurisdiction `yaml:"code"`     // ISO 3166-2: US-NJ
	Name     string          `yaml:"name"`     // as people read it
	Currency money.Currency  `yaml:"currency"` // ISO 4217
	MinAge   int             `yaml:"min_age"`  // of players, in years
	// Zone is the IANA name of the territory's westernmost time zone, where its day begins last;
	// absent means Etc/GMT+12, the last zone on earth.
	Zone     string   `yaml:"zone"`
	Limits   Limits   `yaml:"limits"`
	Products []string `yaml:"products"` // that are offered there: sportsbook
	// HistoryYears is how many years after placement a settled bet stays in the bet history at least;
	// 0 is for ever. The ledger keeps its log whatever this says.
	HistoryYears int `yaml:"history_years"`
}

// Limits bound single bets and payments. Zero means the default.
//
// Units: minor units of the jurisdiction's currency.
type Limits struct {
	MinStakeMinor      int64 `yaml:"min_stake_minor"`      // least stake of a bet
	MaxStakeMinor      int64 `yaml:"max_stake_minor"`      // most stake of a bet
	MaxPayoutMinor     int64 `yaml:"max_payout_minor"`     // most payout of a bet, stake included
	MaxLegs            int   `yaml:"max_legs"`             // most legs of a bet
	MinDepositMinor    int64 `yaml:"min_deposit_minor"`    // least deposit
	MaxDepositMinor    int64 `yaml:"max_deposit_minor"`    // most deposit
	MinWithdrawalMinor int64 `yaml:"min_withdrawal_minor"` // least withdrawal
}

// Default returns the configuration of a fresh installation: New Jersey, Pennsylvania, Ontario.
//
// Source: shared/research/jurisdictions.md, section 2a: 21 in New Jersey and Pennsylvania, 19 in
// Ontario.
func Default() Config {
	entry := func(code id.Jurisdiction, name string, c money.Currency, age int, zone string) Entry {
		return Entry{
			Code: code, Name: name, Currency: c, MinAge: age, Zone: zone,
			Limits: defaultLimits(), Products: []string{ProductSportsbook},
		}
	}
	return Config{Jurisdictions: []Entry{
		entry("US-NJ", "New Jersey", money.USD, 21, "America/New_York"),
		entry("US-PA", "Pennsylvania", money.USD, 21, "America/New_York"),
		entry("CA-ON", "Ontario", money.CAD, 19, "America/Winnipeg"), // its far west keeps Central Time
	}}
}

// defaultLimits suit a currency of about a dollar with two decimals.
func defaultLimits() Limits {
	return Limits{
		MinStakeMinor:      10,
		MaxStakeMinor:      1_000_000,
		MaxPayoutMinor:     50_000_000,
		MaxLegs:            20,
		MinDepositMinor:    500,
		MaxDepositMinor:    2_500_000,
		MinWithdrawalMinor: 100,
	}
}

// withDefaults fills each absent limit.
func (l Limits) withDefaults() Limits {
	d := defaultLimits()
	fill := func(value *int64, fallback int64) {
		if *value == 0 {
			*value = fallback
		}
	}
	fill(&l.MinStakeMinor, d.MinStakeMinor)
	fill(&l.MaxStakeMinor, d.MaxStakeMinor)
	fill(&l.MaxPayoutMinor, d.MaxPayoutMinor)
	fill(&l.MinDepositMinor, d.MinDepositMinor)
	fill(&l.MaxDepositMinor, d.MaxDepositMinor)
	fill(&l.MinWithdrawalMinor, d.MinWithdrawalMinor)
	if l.MaxLegs == 0 {
		l.MaxLegs = d.MaxLegs
	}
	return l
}

// Validate reports everything that is wrong with the configuration, each with its place.
func (c Config) Validate() error {
	var check errs.Check
	if len(c.Jurisdictions) > maxJurisdictions {
		check.Add("jurisdictions", "has %d entries, at most %d are supported", len(c.Jurisdictions), maxJurisdictions)
	}
	seen := map[id.Jurisdiction]bool{}
	for i, e := range c.Jurisdictions {
		at := fmt.Sprintf("jurisdictions[%d]", i)
		if seen[e.Code] {
			check.Add(at+".code", "%.10q is listed twice", e.Code)
		}
		seen[e.Code] = true
		e.validate(&check, at)
	}
	return check.Err()
}

var codeShape = regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`)

func (e Entry) validate(check *errs.Check, at string) {
	if !codeShape.MatchString(string(e.Code)) {
		check.Add(at+".code", "%.10q is not an ISO 3166-2 code such as US-NJ", e.Code)
	}
	if n := len([]rune(e.Name)); n < 1 || n > maxNameRunes {
		check.Add(at+".name", "needs 1 to %d characters", maxNameRunes)
	}
	if _, err := money.ParseCurrency(string(e.Currency)); err != nil {
		check.Add(at+".currency", "%v", err)
	}
	if e.MinAge < minAgeLowest || e.MinAge > minAgeHighest {
		check.Add(at+".min_age", "is %d, must be %d to %d", e.MinAge, minAgeLowest, minAgeHighest)
	}
	if _, err := e.location(); err != nil {
		check.Add(at+".zone", "%.40q is not an IANA time zone", e.Zone)
	}
	if e.HistoryYears < 0 || e.HistoryYears > maxHistoryYears {
		check.Add(at+".history_years", "is %d, must be 0 (for ever) to %d", e.HistoryYears, maxHistoryYears)
	}
	if len(e.Products) > maxProducts {
		check.Add(at+".products", "has %d entries, at most %d are supported", len(e.Products), maxProducts)
	}
	for i, p := range e.Products {
		if p != ProductSportsbook {
			check.Add(fmt.Sprintf("%s.products[%d]", at, i), "%.20q is unknown, %q is supported", p, ProductSportsbook)
		}
	}
	e.Limits.withDefaults().validate(check, at+".limits")
}

func (l Limits) validate(check *errs.Check, at string) {
	amounts := []struct {
		name  string
		value int64
	}{
		{"min_stake_minor", l.MinStakeMinor}, {"max_stake_minor", l.MaxStakeMinor},
		{"max_payout_minor", l.MaxPayoutMinor}, {"min_deposit_minor", l.MinDepositMinor},
		{"max_deposit_minor", l.MaxDepositMinor}, {"min_withdrawal_minor", l.MinWithdrawalMinor},
	}
	for _, a := range amounts {
		if a.value < 1 || a.value > money.MaxMinor {
			check.Add(at+"."+a.name, "is %d, must be 1 to %d", a.value, money.MaxMinor)
		}
	}
	if l.MaxStakeMinor < l.MinStakeMinor {
		check.Add(at+".max_stake_minor", "is below min_stake_minor")
	}
	if l.MaxPayoutMinor <= l.MinStakeMinor {
		check.Add(at+".max_payout_minor", "must be above min_stake_minor: no bet could be placed")
	}
	if l.MaxDepositMinor < l.MinDepositMinor {
		check.Add(at+".max_deposit_minor", "is below min_deposit_minor")
	}
	if l.MaxLegs < 1 || l.MaxLegs > maxLegsHighest {
		check.Add(at+".max_legs", "is %d, must be 1 to %d", l.MaxLegs, maxLegsHighest)
	}
}

// location returns the entry's time zone.
func (e Entry) location() (*time.Location, error) {
	if e.Zone == "" {
		return time.FixedZone("Etc/GMT+12", -lastZoneHours*60*60), nil
	}
	return time.LoadLocation(e.Zone)
}
