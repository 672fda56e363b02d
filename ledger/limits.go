package ledger

import (
	"context"
	"crypto/sha256"

	"matchday/errs"
	"matchday/money"
)

// Freeze says what an account refuses because staff or a rule said so.
type Freeze uint8

const (
	// FreezeNone refuses nothing.
	FreezeNone Freeze = iota
	// FreezeDebits refuses to take money from the account.
	FreezeDebits
	// FreezeAll refuses every movement: a closed account.
	FreezeAll
)

// Limits are the bounds of a player account's balance beside those of its type. Nil is no bound of its
// own: cash and withdrawing then have at least zero available.
//
// What the house owes, gives back or corrects (settlement, void, resettlement, withdrawal_return,
// adjustment, owed_recovery, the end of a hold) passes MaxMinor, a raised MinMinor and a freeze: a
// bound must not keep a player's winnings from them. It may still not take an account below zero, or
// below a credit line.
type Limits struct {
	Account  Address
	Version  int64  // 0: the account never had limits
	MinMinor *int64 // least available after a debit; below zero is a credit line (cash only)
	MaxMinor *int64 // most posted after a credit
	Freeze   Freeze
}

// LimitsChange asks for new limits of a cash or withdrawing account, which replace the old ones as a
// whole, in one row of the log under Key.
//
// A balance that is outside the new limits stays where it is; it can only move back inside.
type LimitsChange struct {
	Key       string
	Account   Address
	Currency  money.Currency // opens the account if nobody has used it yet
	MinMinor  *int64
	MaxMinor  *int64
	Freeze    Freeze
	IfVersion int64 // the version that this change was made for; 0 if there are no limits yet
}

// SetLimits changes an account's limits if they still have the version IfVersion, and returns the new
// ones.
//
// Idempotency: Key is kept as a transfer's: asked again, the change answers as the first time.
//
// Errors: invalid; conflict if the version is another, or for a key used before; unavailable as for
// Commit.
func (s *Service) SetLimits(ctx context.Context, c LimitsChange) (Limits, error) {
	e, err := c.prepare()
	if err != nil {
		return Limits{}, err
	}
	if err := s.change(ctx, e, opLimits, &c); err != nil {
		return Limits{}, err
	}
	return Limits{
		Account: c.Account, Version: c.IfVersion + 1, MinMinor: c.MinMinor, MaxMinor: c.MaxMinor, Freeze: c.Freeze,
	}, nil
}

// Limits returns the limits of an account as last committed.
func (s *Service) Limits(ctx context.Context, a Address) (Limits, error) {
	parts, err := playerAddress(a)
	if err != nil {
		return Limits{}, err
	}
	found, err := atHome(ctx, s, parts.player, func() (*limitsExtra, error) {
		one, err := s.home(parts.player)
		if err != nil {
			return nil, err
		}
		return one.store.limits(ctx, a)
	})
	if err != nil || found == nil {
		return Limits{Account: a}, err
	}
	return Limits{
		Account: a, Version: found.Version, MinMinor: found.MinMinor, MaxMinor: found.MaxMinor, Freeze: found.Freeze,
	}, nil
}

// prepare checks the change and makes it an entry for the writer.
func (c *LimitsChange) prepare() (entry, error) {
	e, check := prepareChange(c.Key, KindLimits, c.Account, c.Currency)
	within := func(name string, v *int64, least int64) {
		if v != nil && (*v < least || *v > money.MaxMinor) {
			check.Add(name, "must be %d to %d", least, money.MaxMinor)
		}
	}
	least := int64(0)
	if e.asked.kind == typeCash {
		least = -money.MaxMinor
	}
	if e.asked.kind == typeOwed {
		check.Add("account", "must be one of type cash or withdrawing")
	}
	within("min_minor", c.MinMinor, least)
	within("max_minor", c.MaxMinor, 0)
	if c.MinMinor != nil && c.MaxMinor != nil && *c.MinMinor > *c.MaxMinor {
		check.Add("min_minor", "must not be above max_minor")
	}
	if c.Freeze > FreezeAll {
		check.Add("freeze", "is unknown")
	}
	if c.IfVersion < 0 {
		check.Add("if_version", "must not be below zero")
	}
	if err := check.Err(); err != nil {
		return e, err
	}
	e.asked.limits = &limitsExtra{Version: c.IfVersion + 1, MinMinor: c.MinMinor, MaxMinor: c.MaxMinor, Freeze: c.Freeze}
	e.extra = encodeExtra(extra{Limits: e.asked.limits})
	e.digest(e.extra)
	return e, nil
}

// accountChange is what a row of kind limits or metadata changes.
type accountChange struct {
	address  Address
	kind     accountType
	limits   *limitsExtra
	metadata *metadataChange
}

// prepareChange begins an entry for a change of a player account.
func prepareChange(key string, kind Kind, a Address, currency money.Currency) (entry, *errs.Check) {
	var check errs.Check
	checkCallersKey(&check, "key", key)
	parts, err := playerAddress(a)
	if err != nil {
		check.Add("account", "is not the address of a player account")
	}
	if _, err := money.ParseCurrency(string(currency)); err != nil {
		check.Add("currency", "is unknown")
	}
	t := &Transfer{Key: key, Kind: kind, Player: parts.player, Jurisdiction: parts.jurisdiction, Currency: currency}
	e := entry{t: t, asked: &accountChange{address: a, kind: parts.kind}, size: 512, bucket: bucketOf(parts.player)}
	return e, &check
}

// digest makes the fingerprint of an account change from what it asks.
func (e *entry) digest(content []byte) {
	b := appendText(nil, string(e.asked.address))
	b = appendText(b, string(e.t.Currency))
	b = append(append(b, byte(e.t.Kind)), content...)
	sum := sha256.Sum256(b)
	e.print[0] = tagPostings
	copy(e.print[1:], sum[:])
	e.size += len(content)
}

// playerAddress takes the address of a player account apart.
func playerAddress(a Address) (addressParts, error) {
	parts, ok := parseAddress(string(a))
	if !ok || parts.player == "" {
		return addressParts{}, errs.New(errs.CodeInvalid, "%.40q is not the address of a player account", string(a))
	}
	return parts, nil
}

// changed returns the account that an account change is about, nil if it is not open yet.
func (b *builder) changed(e *entry) (*account, error) {
	a := b.cache.find(e.asked.address)
	if a != nil && a.currency != e.t.Currency {
		return nil, asRefusal(errs.New(errs.CodeInvalid, "account %s is in %s, the change in %s", a.address, a.currency, e.t.Currency))
	}
	return a, nil
}

func (b *builder) openChanged(a *account, e *entry) *account {
	if a == nil {
		a = b.open(e.asked.address, e.t.Currency)
	}
	return a
}

// limit changes an account's limits. The row has a posting of nothing, by which the account's newest
// posting tells that it has limits.
func (b *builder) limit(e *entry) error {
	a, err := b.changed(e)
	if err != nil {
		return err
	}
	version := int64(0)
	if a != nil && a.limits != nil {
		version = a.limits.Version
	}
	if version+1 != e.asked.limits.Version {
		return asRefusal(errs.New(errs.CodeConflict, "the limits of %s have version %d", e.asked.address, version))
	}
	a = b.openChanged(a, e)
	b.touch(a)
	a.limits = e.asked.limits
	r := b.begin(e)
	b.post(r, a, 0, 0)
	b.out.limits = append(b.out.limits, accountLimits{account: a.id, seq: r.seq, limitsExtra: *a.limits})
	b.finish(r, e)
	return nil
}

// floor is the least available balance that the limits and the account's type allow after a debit of
// the kind.
func (l *limitsExtra) floor(due bool) int64 {
	switch {
	case l.MinMinor == nil:
		return 0
	case due:
		return min(0, *l.MinMinor)
	default:
		return *l.MinMinor
	}
}

// refuse returns why the limits do not allow the amount, or nil. After is the posted balance it would
// leave, held what is reserved of it.
func (l *limitsExtra) refuse(k *kindRow, amount, after, held int64) *errs.Error {
	switch {
	case amount < 0 && l.Freeze != FreezeNone && !k.due:
		return errs.New(errs.CodeExcluded, "the account is frozen")
	case amount > 0 && l.Freeze == FreezeAll && !k.due:
		return errs.New(errs.CodeExcluded, "the account is closed")
	case amount < 0 && after-held < l.floor(k.due):
		return errs.New(errs.CodeInsufficientFunds, "the available balance is too low")
	case amount > 0 && !k.due && l.MaxMinor != nil && after > *l.MaxMinor:
		return errs.New(errs.CodeLimitReached, "the balance would be over the account's limit")
	}
	return nil
}
