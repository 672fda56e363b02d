package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"matchday/errs"
	"matchday/history"
	"matchday/money"
	"matchday/player"
	"matchday/sportsbook"
)

// maxLegs bounds the legs that are read; what a jurisdiction allows is the sportsbook's to say.
const maxLegs = 25

func (a *API) betRoutes() []route {
	return []route{
		{method: "POST", path: "/v1/bets", id: "place-bet", tag: "Bets", who: whoPlayer, status: http.StatusCreated, keyed: true, writes: true,
			summary: "Place a bet", detail: "One leg is a single, more are a parlay. Accepted as asked for or not at all: when prices moved " +
				"against price_change the answer is price_changed with the offer of now in changes. A retry with the same key answers as the first time.",
			end: taking(a.placeBet)},
		{method: "POST", path: "/v1/bets/quote", id: "quote-bet", tag: "Bets", who: whoPlayer,
			summary: "What a slip would pay now", end: taking(a.quoteBet)},
	}
}

func (a *API) placeBet(ctx context.Context, c *call, in *BetRequest) (Receipt, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return Receipt{}, err
	}
	s := c.caller.session
	if err := s.MayBet(); err != nil {
		return Receipt{}, fmt.Errorf("place bet: %w", err)
	}
	stake, legs, err := a.parseBet(s, in)
	if err != nil {
		return Receipt{}, err
	}
	got, err := a.deps.Sportsbook.Place(ctx, sportsbook.PlaceRequest{Player: s.Player, Jurisdiction: s.Jurisdiction, Key: key,
		Stake: stake, Legs: legs, PriceChange: sportsbook.PriceChangePolicy(in.PriceChange)})
	if err != nil {
		return Receipt{}, fmt.Errorf("place bet: %w", priceChanged(err))
	}
	return Receipt{ID: string(got.BetID), Status: string(history.StatusOpen), PlacedAt: got.PlacedAt, Stake: amount(got.Stake),
		PotentialPayout: amount(got.PotentialPayout), Legs: legsOf(got.Legs), Balance: minor(got.BalanceMinor, stake.Currency()),
		Position: c.setPosition(got.Position), Replayed: got.Replayed}, nil
}

func (a *API) quoteBet(ctx context.Context, c *call, in *BetRequest) (Quote, error) {
	s := c.caller.session
	stake, legs, err := a.parseBet(s, in)
	if err != nil {
		return Quote{}, err
	}
	q, err := a.deps.Sportsbook.Quote(ctx, sportsbook.QuoteRequest{Jurisdiction: s.Jurisdiction, Stake: stake, Legs: legs})
	if err != nil {
		return Quote{}, fmt.Errorf("quote bet: %w", priceChanged(err))
	}
	return Quote{Stake: amount(q.Stake), PotentialPayout: amount(q.PotentialPayout), Legs: legsOf(q.Legs), Changes: changesOf(q.Changes)}, nil
}

// parseBet turns the request's strings into values, with every field that is wrong.
func (a *API) parseBet(s player.Session, in *BetRequest) (money.Money, []sportsbook.LegRequest, error) {
	j, err := a.home(s)
	if err != nil {
		return money.Money{}, nil, err
	}
	var check errs.Check
	stake := positive(&check, "stake", in.Stake, j.Currency)
	switch sportsbook.PriceChangePolicy(in.PriceChange) {
	case "", sportsbook.PriceChangeNone, sportsbook.PriceChangeBetter, sportsbook.PriceChangeAny:
	default:
		check.Add("price_change", "is not none, better or any")
	}
	if n := len(in.Legs); n < 1 || n > maxLegs {
		check.Add("legs", "needs 1 to %d legs", maxLegs)
		return stake, nil, check.Err()
	}
	legs := make([]sportsbook.LegRequest, len(in.Legs))
	for i, l := range in.Legs {
		at := "legs[" + strconv.Itoa(i) + "]."
		if l.SelectionID == "" || len(l.SelectionID) > 200 {
			check.Add(at+"selection_id", "is not the id of a selection")
		}
		legs[i] = sportsbook.LegRequest{SelectionID: l.SelectionID, Price: parsePrice(&check, at+"price", l.Price),
			Line: parseLine(&check, at+"line", l.Line)}
	}
	return stake, legs, check.Err()
}

// movedError shows a refused player the offer of now.
type movedError struct {
	legs []sportsbook.LegChange
	err  error
}

// Error implements error.
func (e *movedError) Error() string { return "the offer has moved" }

// Unwrap returns the room's error.
func (e *movedError) Unwrap() error { return e.err }

// ErrCode implements errs.Coder.
func (e *movedError) ErrCode() errs.Code { return errs.CodePriceChanged }

func (e *movedError) priceChanges() []PriceChange { return changesOf(e.legs) }

// priceChanged gives a PriceChangedError the form that a problem shows.
func priceChanged(err error) error {
	if moved, ok := errors.AsType[*sportsbook.PriceChangedError](err); ok {
		return &movedError{legs: moved.Legs, err: err}
	}
	return err
}
