package jurisdiction

import (
	"fmt"
	"slices"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// lastZoneHours is how far the last time zone on earth is behind UTC.
const lastZoneHours = 12

// Jurisdiction is one licensed territory.
type Jurisdiction struct {
	Code     id.Jurisdiction
	Name     string
	Currency money.Currency
	MinAge   int
	Limits   Limits
	Products []string

	HistoryYears int // after which settled bets may leave the bet history; 0 is never

	zone *time.Location // nil, in a literal, is the last zone on earth
}

// OldEnough reports whether somebody born on birth has reached the minimum age at the moment now.
// The birthday counts from its first minute by the territory's own clock: in New Jersey somebody is
// 21 at midnight there, hours after midnight UTC. Born on 29 February, the birthday is 1 March in a
// year without that day. Only birth's calendar date counts, not its time of day or zone.
func (j Jurisdiction) OldEnough(birth, now time.Time) bool {
	year, month, day := birth.Date()
	comesOfAge := time.Date(year+j.MinAge, month, day, 0, 0, 0, 0, j.Zone()) // 29 February becomes 1 March
	return !now.Before(comesOfAge)
}

// Zone returns the time zone by which the territory's days begin.
func (j Jurisdiction) Zone() *time.Location {
	if j.zone == nil {
		return time.FixedZone("Etc/GMT+12", -lastZoneHours*60*60)
	}
	return j.zone
}

// Offers reports whether the jurisdiction is licensed for the product.
func (j Jurisdiction) Offers(product string) bool { return slices.Contains(j.Products, product) }

// Registry is the set of jurisdictions this installation serves. It is safe for concurrent use.
type Registry struct {
	byCode map[id.Jurisdiction]Jurisdiction
	sorted []Jurisdiction
}

// New returns the registry of a valid configuration.
func New(c Config) (*Registry, error) {
	if len(c.Jurisdictions) == 0 {
		c = Default()
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("jurisdictions: %w", err)
	}
	r := &Registry{byCode: make(map[id.Jurisdiction]Jurisdiction, len(c.Jurisdictions))}
	for _, e := range c.Jurisdictions {
		zone, err := e.location()
		if err != nil {
			return nil, fmt.Errorf("jurisdiction %s: %w", e.Code, err)
		}
		products := slices.Clone(e.Products)
		if len(products) == 0 {
			products = []string{ProductSportsbook}
		}
		j := Jurisdiction{
			Code: e.Code, Name: e.Name, Currency: e.Currency, MinAge: e.MinAge,
			Limits: e.Limits.withDefaults(), Products: products, HistoryYears: e.HistoryYears, zone: zone,
		}
		r.byCode[j.Code] = j
		r.sorted = append(r.sorted, j)
	}
	return r, nil
}

// Find returns the jurisdiction with the code; a code that is not served is not_found.
func (r *Registry) Find(code id.Jurisdiction) (Jurisdiction, error) {
	j, ok := r.byCode[code]
	if !ok {
		return Jurisdiction{}, errs.New(errs.CodeNotFound, "jurisdiction %.10q is not served here", code)
	}
	return j, nil
}

// List returns all jurisdictions in the order of the configuration.
func (r *Registry) List() []Jurisdiction { return slices.Clone(r.sorted) }

// OldEnough is Jurisdiction.OldEnough by code: the form in which room player asks.
func (r *Registry) OldEnough(code id.Jurisdiction, birth, now time.Time) (bool, error) {
	j, err := r.Find(code)
	if err != nil {
		return false, err
	}
	return j.OldEnough(birth, now), nil
}

// DepositRange returns the least and the most of a single deposit: the form in which room payments
// asks.
func (r *Registry) DepositRange(code id.Jurisdiction) (least, most money.Money, err error) {
	j, err := r.Find(code)
	if err != nil {
		return money.Money{}, money.Money{}, err
	}
	return money.New(j.Limits.MinDepositMinor, j.Currency), money.New(j.Limits.MaxDepositMinor, j.Currency), nil
}

// HistoryYears returns how many years each jurisdiction's settled bets stay in the bet history, 0 for ever: the
// form in which room history asks.
func (r *Registry) HistoryYears() map[id.Jurisdiction]int {
	out := make(map[id.Jurisdiction]int, len(r.sorted))
	for _, j := range r.sorted {
		out[j.Code] = j.HistoryYears
	}
	return out
}

// WithdrawalLeast returns the least of a single withdrawal.
func (r *Registry) WithdrawalLeast(code id.Jurisdiction) (money.Money, error) {
	j, err := r.Find(code)
	if err != nil {
		return money.Money{}, err
	}
	return money.New(j.Limits.MinWithdrawalMinor, j.Currency), nil
}
