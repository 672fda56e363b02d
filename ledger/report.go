package ledger

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/money"
)

// TrialLine is what the accounts of one type hold together, in one jurisdiction and currency. Debit
// is the sum of the balances below zero, without sign, Credit that of those above. A house account
// is a line of its own, by product or provider, and is summed over the shards first.
type TrialLine struct {
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	Type         string // of account: cash, withdrawing, owed, bets, revenue, psp, adjustments
	Name         string // product or provider; "" if the type has none
	DebitMinor   int64
	CreditMinor  int64
}

// TrialBalance returns the trial balance of the books after the last commit at or before the time;
// the zero time is now. Debits and credits of each currency are equal, because the postings of every
// transfer sum to zero and commit together.
//
// It costs one index look-up an account: about a second for a million accounts.
func (s *Service) TrialBalance(ctx context.Context, at time.Time) ([]TrialLine, error) {
	return trialBalance(ctx, s.reads.stores, at)
}

// TrialBalance returns the trial balance as Service.TrialBalance does.
func (r *Reader) TrialBalance(ctx context.Context, at time.Time) ([]TrialLine, error) {
	return trialBalance(ctx, r.shards.stores, at)
}

// totalRow is a shard's part of a trial balance: the players' accounts of one role, or a house
// account.
type totalRow struct {
	jurisdiction id.Jurisdiction
	currency     money.Currency
	place        string // the role, which has no slash, or the address
	debit        int64
	credit       int64
}

// trialKey tells the lines of a trial balance apart.
type trialKey struct {
	jurisdiction id.Jurisdiction
	currency     money.Currency
	kind, name   string
}

func trialBalance(ctx context.Context, stores []readerStore, at time.Time) ([]TrialLine, error) {
	lines := map[trialKey]*TrialLine{}
	for _, store := range stores {
		cut, err := cutAt(ctx, store, at)
		if err != nil {
			return nil, err
		}
		rows, err := store.totals(ctx, cut)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if err := rows[i].addTo(lines); err != nil {
				return nil, err
			}
		}
	}
	out := make([]TrialLine, 0, len(lines))
	for _, l := range lines {
		if l.isHouse() {
			net := l.CreditMinor - l.DebitMinor // one account, whatever each shard has of it
			l.DebitMinor, l.CreditMinor = max(0, -net), max(0, net)
		}
		if l.DebitMinor != 0 || l.CreditMinor != 0 {
			out = append(out, *l)
		}
	}
	slices.SortFunc(out, func(a, b TrialLine) int {
		return cmp.Or(cmp.Compare(a.Jurisdiction, b.Jurisdiction), cmp.Compare(a.Currency, b.Currency),
			cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

// isHouse reports whether the line is one house account.
func (l *TrialLine) isHouse() bool {
	switch l.Type {
	case typeCash.String(), typeWithdrawing.String(), typeOwed.String():
		return false
	}
	return true
}

// addTo adds a shard's part to its line.
func (r *totalRow) addTo(lines map[trialKey]*TrialLine) error {
	kind, name := placeOf(r.place, r.jurisdiction)
	if kind == typeElsewhere.String() { // takes out what copies of players on other shards hold here
		kind, name = name, ""
		r.debit, r.credit = 0, r.credit-r.debit
		if kind == typeOwed.String() {
			r.debit, r.credit = -r.credit, 0
		}
	}
	key := trialKey{r.jurisdiction, r.currency, kind, name}
	l := lines[key]
	if l == nil {
		l = &TrialLine{Jurisdiction: r.jurisdiction, Currency: r.currency, Type: kind, Name: name}
		lines[key] = l
	}
	for _, sum := range []struct {
		into *int64
		add  int64
	}{{&l.DebitMinor, r.debit}, {&l.CreditMinor, r.credit}} {
		var ok bool
		if *sum.into, ok = money.AddMinor(*sum.into, sum.add); !ok {
			return errs.New(errs.CodeInternal, "the sum of %s in %s is out of range", r.place, r.currency)
		}
	}
	return nil
}

// placeOf returns the type of account and what tells it from others of its type.
func placeOf(place string, j id.Jurisdiction) (kind, name string) {
	kind, rest, house := strings.Cut(place, "/")
	if !house {
		return kind, ""
	}
	for part := range strings.SplitSeq(rest, "/") {
		if part != string(j) {
			return kind, part
		}
	}
	return kind, ""
}

// cutAt returns the last sequence of a shard committed at or before the time; the zero time is now.
func cutAt(ctx context.Context, store readerStore, at time.Time) (int64, error) {
	if at.IsZero() {
		return math.MaxInt64, nil
	}
	return store.seqAt(ctx, at)
}

// GGRLine is what a product took in one jurisdiction and currency over a period. Gross gaming revenue
// is the stakes of bets that were settled less their payouts; a correction counts when it is made,
// with the difference it makes.
type GGRLine struct {
	Jurisdiction id.Jurisdiction
	Currency     money.Currency
	Product      string
	HandleMinor  int64 // stakes placed in the period
	StakesMinor  int64 // stakes settled: lost, won or pushed; not voided
	PayoutsMinor int64 // to players, cash or against what they owe
	GGRMinor     int64 // StakesMinor less PayoutsMinor, and what the revenue account gained
	VoidedMinor  int64 // stakes given back as if never struck
	// CorrectionsMinor is the part of GGRMinor that corrections of earlier settlements made.
	CorrectionsMinor int64
	Placed           int64 // stakes
	Settled          int64
	Voided           int64
	Corrected        int64
}

// GGR returns gross gaming revenue of every product from one time up to, not including, another.
//
// Escrow gives up a stake when its bet is settled, and revenue gets the stake less the payout; so
// both figures are sums over two house accounts a product, whose postings lie together by time. It
// costs about a microsecond a bet placed or settled in the period.
//
// Errors: invalid if the period ends before it begins.
func (s *Service) GGR(ctx context.Context, from, to time.Time) ([]GGRLine, error) {
	return grossRevenue(ctx, s.reads.stores, from, to)
}

// GGR returns gross gaming revenue as Service.GGR does.
func (r *Reader) GGR(ctx context.Context, from, to time.Time) ([]GGRLine, error) {
	return grossRevenue(ctx, r.shards.stores, from, to)
}

// takingRow is what transfers of one kind moved on one house account of a shard.
type takingRow struct {
	account  Address
	currency money.Currency
	kind     Kind
	count    int64
	amount   int64
}

// takingKinds are the kinds that a product's takings consist of. Money that only changes shards is
// none of them.
var takingKinds = []Kind{KindStake, KindPost, KindSettlement, KindVoid, KindResettlement}

func grossRevenue(ctx context.Context, stores []readerStore, from, to time.Time) ([]GGRLine, error) {
	if to.Before(from) {
		return nil, errs.New(errs.CodeInvalid, "the period ends before it begins")
	}
	lines := map[trialKey]*GGRLine{}
	for _, store := range stores {
		after, err := store.seqAt(ctx, from.Add(-time.Microsecond))
		if err != nil {
			return nil, err
		}
		upTo, err := store.seqAt(ctx, to.Add(-time.Microsecond))
		if err != nil {
			return nil, err
		}
		rows, err := store.takings(ctx, after, upTo)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			rows[i].addTo(lines)
		}
	}
	out := make([]GGRLine, 0, len(lines))
	for _, l := range lines {
		l.PayoutsMinor = l.StakesMinor - l.GGRMinor // a settlement's postings sum to zero
		out = append(out, *l)
	}
	slices.SortFunc(out, func(a, b GGRLine) int {
		return cmp.Or(cmp.Compare(a.Jurisdiction, b.Jurisdiction), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Product, b.Product))
	})
	return out, nil
}

// addTo adds a row to its product's line.
func (r *takingRow) addTo(lines map[trialKey]*GGRLine) {
	j := r.account.Jurisdiction()
	kind, product := placeOf(string(r.account), j)
	key := trialKey{j, r.currency, "", product}
	l := lines[key]
	if l == nil {
		l = &GGRLine{Jurisdiction: j, Currency: r.currency, Product: product}
		lines[key] = l
	}
	if kind == typeRevenue.String() {
		l.GGRMinor += r.amount
		if r.kind == KindResettlement {
			l.CorrectionsMinor += r.amount
			l.Corrected += r.count
		}
		return
	}
	switch r.kind { // escrow: a stake arrives as credit and leaves as debit
	case KindStake, KindPost:
		l.HandleMinor += r.amount
		l.Placed += r.count
	case KindVoid:
		l.VoidedMinor -= r.amount
		l.Voided += r.count
	case KindSettlement:
		l.StakesMinor -= r.amount
		l.Settled += r.count
	case KindResettlement:
		l.StakesMinor -= r.amount
	}
}
