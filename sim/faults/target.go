package faults

import (
	"context"
	"errors"
	"time"

	"matchday/errs"
	"matchday/id"
	"matchday/ledger"
	"matchday/money"
	"matchday/sim/serial"
)

// jurisdiction and currency of all players here.
const (
	jurisdiction id.Jurisdiction = "US-NJ"
	currency                     = money.USD
	product                      = "faults"
)

// holdsUntil is when holds run out: long after any run, because the checker knows no expiry.
var holdsUntil = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// target is a ledger that operations are sent to. It answers an operation whose outcome it does not know
// with Unknown, and one that was certainly not done with notTaken.
type target interface {
	do(ctx context.Context, o *serial.Op) (answer serial.Answer, notTaken bool)
}

// books is a ledger in this process.
type books struct{ service *ledger.Service }

func (b books) do(ctx context.Context, o *serial.Op) (serial.Answer, bool) {
	switch o.Action {
	case serial.Read:
		balance, err := b.service.Balance(ctx, ledger.PlayerCash(o.Player, jurisdiction))
		if err != nil {
			return serial.Answer{Unknown: true}, true // it changes nothing
		}
		return serial.Answer{
			Posted: balance.PostedMinor, Held: balance.HeldMinor, HasPosted: true, Position: balance.Position,
		}, false
	case serial.Lookup:
		result, found, err := b.service.Lookup(ctx, o.Player, o.Key, nil)
		if err != nil {
			return serial.Answer{Unknown: true}, true
		}
		if !found {
			return serial.Answer{}, false
		}
		return serial.Answer{Found: true, Code: errs.CodeOf(result.Err), Position: result.Position}, false
	}
	t := transferOf(o)
	result, err := b.service.Commit(ctx, laneOf(o), t)
	return answerOf(&t, &result, err)
}

// laneOf sends part of the work through the bulk lane: order holds across lanes too.
func laneOf(o *serial.Op) ledger.Lane {
	if o.Action == serial.Deposit && o.Minor%2 == 0 {
		return ledger.LaneBulk
	}
	return ledger.LaneInteractive
}

// transferOf returns the transfer that an operation stands for.
func transferOf(o *serial.Op) ledger.Transfer {
	t := ledger.Transfer{Key: o.Key, Player: o.Player, Jurisdiction: jurisdiction, Currency: currency}
	cash := ledger.PlayerCash(o.Player, jurisdiction)
	move := func(from, to ledger.Address) []ledger.Posting {
		return []ledger.Posting{{Account: from, AmountMinor: -o.Minor}, {Account: to, AmountMinor: o.Minor}}
	}
	switch o.Action {
	case serial.Deposit:
		t.Kind, t.Postings = ledger.KindDeposit, move(ledger.PSP("sandbox", jurisdiction), cash)
	case serial.Hold:
		t.Kind, t.Postings = ledger.KindHold, move(cash, ledger.Bets(jurisdiction, product))
		t.Hold = &ledger.HoldTerms{ExpiresAt: holdsUntil}
	case serial.Post:
		t.Kind, t.HoldKey, t.AmountMinor = ledger.KindPost, o.HoldKey, o.Minor
	case serial.Release:
		t.Kind, t.HoldKey = ledger.KindRelease, o.HoldKey
	default:
		t.Kind, t.Postings = ledger.KindStake, move(cash, ledger.Bets(jurisdiction, product))
	}
	return t
}

// answerOf turns a result into what the checker compares.
func answerOf(t *ledger.Transfer, r *ledger.Result, err error) (serial.Answer, bool) {
	code := errs.CodeOf(err)
	if code == errs.CodeUnavailable || code == errs.CodeInternal {
		return serial.Answer{Unknown: true}, errors.Is(err, ledger.ErrNotTaken)
	}
	a := serial.Answer{Code: code, Replayed: r.Replayed, Position: r.Position}
	cash := 0 // of a deposit the second posting, of all else the first
	if t.Kind == ledger.KindDeposit {
		cash = 1
	}
	if len(r.Balances) > cash {
		a.Posted, a.HasPosted = r.Balances[cash], true
	}
	return a, false
}
