package jurisdiction

import (
	"errors"
	"testing"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

func setup(t *testing.T) *Registry {
	t.Helper()
	r, err := New(Config{})
	if err != nil {
		t.Fatalf("New(Config{}) = %v", err)
	}
	return r
}

func TestDefaultServesThreeJurisdictions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		code     id.Jurisdiction
		currency money.Currency
		age      int
	}{
		{"US-NJ", money.USD, 21},
		{"US-PA", money.USD, 21},
		{"CA-ON", money.CAD, 19},
	}
	r := setup(t)
	if got, want := len(r.List()), len(tests); got != want {
		t.Fatalf("List() has %d entries, want %d", got, want)
	}
	for i, tt := range tests {
		got, err := r.Find(tt.code)
		if err != nil {
			t.Fatalf("Find(%s) = %v", tt.code, err)
		}
		if got.Currency != tt.currency || got.MinAge != tt.age {
			t.Errorf("Find(%s) = %s from %d, want %s from %d", tt.code, got.Currency, got.MinAge, tt.currency, tt.age)
		}
		if r.List()[i].Code != tt.code {
			t.Errorf("List()[%d] = %s, want %s: the configuration's order", i, r.List()[i].Code, tt.code)
		}
		if !got.Offers(ProductSportsbook) || got.Offers("casino") {
			t.Errorf("%s offers %v, want the sportsbook only", tt.code, got.Products)
		}
	}
	if _, err := r.Find("GB-ENG"); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("Find(GB-ENG) = %v, want not_found", err)
	}
}

func TestOldEnough(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		code       id.Jurisdiction
		birth, now string
		want       bool
	}{
		{"the day before the birthday is too early", "US-NJ", "2000-03-10", "2021-03-09T12:00:00Z", false},
		{"the birthday itself counts", "US-NJ", "2000-03-10", "2021-03-10T12:00:00Z", true},
		{"midnight UTC is still yesterday in New Jersey", "US-NJ", "2000-03-10", "2021-03-10T04:59:59Z", false},
		{"midnight in New Jersey counts", "US-NJ", "2000-03-10", "2021-03-10T05:00:00Z", true},
		{"summer time moves midnight", "US-NJ", "2000-07-10", "2021-07-10T04:00:00Z", true},
		{"born on 29 February, 28 February is too early", "US-PA", "2004-02-29", "2025-02-28T23:00:00Z", false},
		{"born on 29 February, 1 March counts in a common year", "US-PA", "2004-02-29", "2025-03-01T05:00:00Z", true},
		{"Ontario takes 19", "CA-ON", "2006-11-01", "2025-11-01T12:00:00Z", true},
		{"Ontario's day begins by Central Time", "CA-ON", "2006-11-01", "2025-11-01T04:30:00Z", false},
		{"nineteen is not enough in Pennsylvania", "US-PA", "2006-11-01", "2025-11-01T12:00:00Z", false},
		{"a birth in the future is not old enough", "US-PA", "2030-01-01", "2025-11-01T12:00:00Z", false},
	}
	r := setup(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			birth, err := time.Parse(time.DateOnly, tt.birth)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			got, err := r.OldEnough(tt.code, birth, now)
			if err != nil || got != tt.want {
				t.Errorf("OldEnough(%s, %s, %s) = %t, %v, want %t", tt.code, tt.birth, tt.now, got, err, tt.want)
			}
		})
	}
}

func TestOldEnoughWithoutZoneWaitsForTheLastOne(t *testing.T) {
	t.Parallel()
	j := Jurisdiction{MinAge: 18}
	birth := time.Date(2000, 5, 1, 0, 0, 0, 0, time.UTC)
	start := time.Date(2018, 5, 1, 12, 0, 0, 0, time.UTC)
	if j.OldEnough(birth, start.Add(-time.Microsecond)) || !j.OldEnough(birth, start) {
		t.Error("the day should begin at noon UTC, midnight twelve hours west")
	}
}

func TestPaymentRangesCarryTheCurrency(t *testing.T) {
	t.Parallel()
	r := setup(t)
	least, most, err := r.DepositRange("CA-ON")
	if err != nil || least != money.New(500, money.CAD) || most != money.New(2_500_000, money.CAD) {
		t.Errorf("DepositRange(CA-ON) = %s, %s, %v, want 5.00 to 25000.00 CAD", least, most, err)
	}
	out, err := r.WithdrawalLeast("US-NJ")
	if err != nil || out != money.New(100, money.USD) {
		t.Errorf("WithdrawalLeast(US-NJ) = %s, %v, want 1.00 USD", out, err)
	}
	if _, _, err := r.DepositRange("XX-X"); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("DepositRange of an unknown code = %v, want not_found", err)
	}
	if _, err := r.WithdrawalLeast("XX-X"); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("WithdrawalLeast of an unknown code = %v, want not_found", err)
	}
	if _, err := r.OldEnough("XX-X", time.Time{}, time.Time{}); !errs.Is(err, errs.CodeNotFound) {
		t.Errorf("OldEnough of an unknown code = %v, want not_found", err)
	}
}

func TestConfigRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		change   func(*Entry)
		location string
	}{
		{"a lower-case code", func(e *Entry) { e.Code = "us-nj" }, "jurisdictions[0].code"},
		{"a code without subdivision", func(e *Entry) { e.Code = "US" }, "jurisdictions[0].code"},
		{"no name", func(e *Entry) { e.Name = "" }, "jurisdictions[0].name"},
		{"an unknown currency", func(e *Entry) { e.Currency = "ZZZ" }, "jurisdictions[0].currency"},
		{"an age below 18", func(e *Entry) { e.MinAge = 17 }, "jurisdictions[0].min_age"},
		{"history kept for less than nothing", func(e *Entry) { e.HistoryYears = -1 }, "jurisdictions[0].history_years"},
		{"history kept for longer than a life", func(e *Entry) { e.HistoryYears = 101 }, "jurisdictions[0].history_years"},
		{"an age above 25", func(e *Entry) { e.MinAge = 26 }, "jurisdictions[0].min_age"},
		{"an unknown zone", func(e *Entry) { e.Zone = "Mars/Olympus" }, "jurisdictions[0].zone"},
		{"an unknown product", func(e *Entry) { e.Products = []string{"raffle"} }, "jurisdictions[0].products[0]"},
		{"a negative least stake", func(e *Entry) { e.Limits.MinStakeMinor = -1 }, "jurisdictions[0].limits.min_stake_minor"},
		{"a stake range upside down", func(e *Entry) { e.Limits.MaxStakeMinor = 5 }, "jurisdictions[0].limits.max_stake_minor"},
		{"a deposit range upside down", func(e *Entry) { e.Limits.MaxDepositMinor = 5 }, "jurisdictions[0].limits.max_deposit_minor"},
		{"a payout nobody could win", func(e *Entry) { e.Limits.MaxPayoutMinor = 5 }, "jurisdictions[0].limits.max_payout_minor"},
		{"an amount near overflow", func(e *Entry) { e.Limits.MaxStakeMinor = money.MaxMinor + 1 }, "jurisdictions[0].limits.max_stake_minor"},
		{"too many legs", func(e *Entry) { e.Limits.MaxLegs = 51 }, "jurisdictions[0].limits.max_legs"},
		{"a code listed twice", func(e *Entry) { e.Code = "US-PA" }, "jurisdictions[1].code"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := Default()
			tt.change(&c.Jurisdictions[0])
			_, err := New(c)
			if !errs.Is(err, errs.CodeInvalid) {
				t.Fatalf("New = %v, want invalid", err)
			}
			for _, f := range fields(err) {
				if f.Location == tt.location {
					return
				}
			}
			t.Errorf("New = %v, want a fault at %s", err, tt.location)
		})
	}
}

func fields(err error) []errs.Field {
	if e, ok := errors.AsType[*errs.Error](err); ok {
		return e.Fields
	}
	return nil
}

func TestAbsentLimitsTakeTheDefaults(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Jurisdictions: []Entry{{Code: "GB-SCT", Name: "Scotland", Currency: money.GBP, MinAge: 18, Limits: Limits{MaxLegs: 4}}}})
	if err != nil {
		t.Fatal(err)
	}
	j, err := r.Find("GB-SCT")
	if err != nil {
		t.Fatal(err)
	}
	want := defaultLimits()
	want.MaxLegs = 4
	if j.Limits != want || !j.Offers(ProductSportsbook) {
		t.Errorf("limits = %+v, products %v, want %+v and the sportsbook", j.Limits, j.Products, want)
	}
}
